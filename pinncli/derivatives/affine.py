"""Jets of affine functions of the coordinates: a value and constant slopes, nothing else.

The first layer of a network sees the coordinates themselves, whose derivatives are constants and,
from the second order on, zero. Carrying only value and slopes through it saves its share of the
work on dense channels; the first elementwise function then has a closed form,

    d_alpha f(h) = f^(|alpha|)(h) prod_i s_i^alpha_i

for slopes s_i = d h / d x_i. Whatever has no rule here becomes a dense `Jet` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.derivatives.chain import ChainJet, evaluated
from pinncli.derivatives.compiled import affine_backward, affine_forward
from pinncli.derivatives.jet import Jet
from pinncli.derivatives.jet_index import JetIndex
from pinncli.derivatives.slopes import factors, to_slopes
from pinncli.smoothstep import SMOOTHSTEPS


@dataclass(frozen=True, slots=True, eq=False)
class AffineJet:
    """Value (w, n) and slopes (w, d) of w affine features of d coordinates at n points."""

    value: Tensor
    slopes: Tensor
    index: JetIndex
    compiled: bool = False

    @classmethod
    def coordinates(cls, points: Tensor, index: JetIndex, *, compiled: bool = False) -> AffineJet:
        """The coordinates themselves at `points` (n, d)."""
        slopes = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
        return cls(points.t().contiguous(), slopes, index, compiled)

    @property
    def shape(self) -> torch.Size:
        """Shape of the value, as a plain tensor in this jet's place would have it."""
        return torch.Size((self.value.shape[1], self.value.shape[0]))

    def _like(self, value: Tensor, slopes: Tensor) -> AffineJet:
        return AffineJet(value, slopes, self.index, self.compiled)

    def dense(self) -> Jet:
        """The same with every channel written out."""
        w, n = self.value.shape
        zero = self.value.new_zeros((w, n))
        rows = [self.value, *[zero] * (self.index.size - 1)]
        for axis, slope in enumerate(self.slopes.unbind(1)):
            for k, c in self.index.along(axis):
                rows[k] = rows[k] + c * slope.unsqueeze(1)
        return Jet(torch.stack(rows), self.index, compiled=self.compiled)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        rule = RULES.get(func)
        if rule is not None and all(t is AffineJet for t in types if t in (Jet, ChainJet, AffineJet)):
            return rule(*args, **(kwargs or {}))
        return func(*(_dense(a) for a in args), **(kwargs or {}))

    def __add__(self, other: Any) -> Any:
        if isinstance(other, AffineJet):
            return self._like(self.value + other.value, self.slopes + other.slopes)
        if isinstance(other, Jet | ChainJet):
            return self.dense() + evaluated(other)
        return self._like(self.value + _per_feature(other), self.slopes)

    __radd__ = __add__

    def __neg__(self) -> AffineJet:
        return self._like(-self.value, -self.slopes)

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, AffineJet | Jet | ChainJet):
            return self.dense() * _dense(other)
        factor = _per_feature(other)
        return self._like(self.value * factor, self.slopes * factor)

    __rmul__ = __mul__

    def __getitem__(self, key: Any) -> AffineJet:
        """Features only: `jet[:, a:b]`, `jet[:, [0, 2]]`, `jet[..., a:b]`."""
        feature = key[-1] if isinstance(key, tuple) else key
        if isinstance(feature, int):
            raise TypeError("take a feature of a jet as a slice: its features stay an axis")
        return self._like(self.value[feature], self.slopes[feature])


def _dense(value: Any) -> Any:
    if isinstance(value, AffineJet | ChainJet):
        return value.dense()
    return [_dense(v) for v in value] if isinstance(value, list | tuple) else value


def _per_feature(constant: Tensor | float) -> Tensor | float:
    return constant.unsqueeze(-1) if isinstance(constant, Tensor) and constant.dim() else constant


def _cat(jets: Sequence[AffineJet], dim: int = 0) -> AffineJet:
    if dim not in (1, -1):
        raise ValueError("jets are joined along features: dim=1 or dim=-1")
    return jets[0]._like(torch.cat([j.value for j in jets]), torch.cat([j.slopes for j in jets]))


def _linear(jet: AffineJet, weight: Tensor, bias: Tensor | None = None) -> AffineJet:
    value = weight @ jet.value if bias is None else torch.addmm(bias.unsqueeze(1), weight, jet.value)
    return jet._like(value, weight @ jet.slopes)


def _elementwise(name: str) -> Callable[..., Jet | ChainJet]:
    def rule(jet: AffineJet, **options: Any) -> Jet | ChainJet:
        if any(value not in (False, "none") for value in options.values()):
            raise ValueError(f"{name} of a jet takes no options, not {options}")
        if not jet.compiled:
            return ChainJet(jet.value, jet.slopes, jet.index, (), name)
        channels = _ComposeAffine.apply(jet.value, jet.slopes, name, jet.index)  # type: ignore[no-untyped-call]
        return Jet(channels, jet.index, compiled=True)

    return rule


class _ComposeAffine(torch.autograd.Function):
    """Value (w, n) and slopes (w, d) of h -> channels (S, w, n) of f(h), by compiled kernels."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, slopes: Tensor, name: str, index: JetIndex) -> Tensor:
        ctx.name, ctx.index = name, index
        kernel = affine_forward(name, index)
        channels: Tensor = kernel(value.detach().contiguous(), factors(slopes, index).detach())
        ctx.save_for_backward(value, slopes, channels[0])
        return channels

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        value, slopes, first = ctx.saved_tensors
        index: JetIndex = ctx.index
        kernel = affine_backward(ctx.name, index)
        to_value, to_factors = kernel(
            grad.contiguous(),
            value.detach().contiguous(),
            first.detach(),
            factors(slopes, index).detach(),
        )
        return to_value, to_slopes(to_factors.unbind(), slopes, index), None, None


RULES: dict[Callable[..., Any], Callable[..., Any]] = {
    functional.linear: _linear,
    torch.cat: _cat,
    torch.tanh: _elementwise("tanh"),
    torch.sin: _elementwise("sin"),
    torch.cos: _elementwise("cos"),
    torch.exp: _elementwise("exp"),
    functional.gelu: _elementwise("gelu"),
    functional.silu: _elementwise("silu"),
    **{step: _elementwise(f"smoothstep{k}") for k, step in SMOOTHSTEPS.items()},
}
"""The operations that keep an affine jet cheap; any other makes it dense."""
