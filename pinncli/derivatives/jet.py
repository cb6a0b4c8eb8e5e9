"""The jet type: a tensor that carries its own derivatives through ordinary tensor operations.

A network is written once, in plain torch (`linear`, `tanh`, `cat`, `*`, ...). Given a `Jet` in
place of a tensor, the same code computes all derivatives of its output with respect to the
coordinates in one pass; `__torch_function__` sends every operation to its rule below.

Channels are stored features first, points last, `(S, w, n)`: narrow layers then multiply and map
along the long axis, about twice as fast on a CPU as the other way round.

With `fused=True` composition and linear layers are autograd functions with hand-written
backward passes: one forward and one backward sweep over memory, no intermediate graph, but
differentiable once only. `fused=False` uses plain operations, which may be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.derivatives.compiled import compose_backward, compose_forward
from pinncli.derivatives.composition import compose, compose_plain, product_transposed
from pinncli.derivatives.jet_index import JetIndex
from pinncli.smoothstep import SMOOTHSTEPS


@dataclass(frozen=True, slots=True)
class LinearRecord:
    """One linear layer of a pass: inputs (S, i, n), outputs (S, o, n) and the weights, views of theta."""

    inputs: Tensor
    outputs: Tensor
    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True, slots=True)
class ScaleRecord:
    """One product of a pass with numbers of theta: inputs and outputs (S, w, n), scale (w,) or (1,)."""

    inputs: Tensor
    outputs: Tensor
    scale: Tensor


Record = LinearRecord | ScaleRecord


@dataclass(frozen=True, slots=True)
class Tape:
    """Where parts of `theta` enter a pass, as weights or as factors; frozen layers leave no record."""

    theta: Tensor
    records: list[Record] = field(default_factory=list)

    def holds(self, weight: Tensor) -> bool:
        """Whether `weight` is a part of theta."""
        return weight.untyped_storage().data_ptr() == self.theta.untyped_storage().data_ptr()


@dataclass(frozen=True, slots=True, eq=False)
class Jet:
    """Channels `(S, w, n)`: the value and derivatives that `index` names, of w features at n points."""

    channels: Tensor
    index: JetIndex
    fused: bool = True
    tape: Tape | None = None
    compiled: bool = False
    """Whether the activations, where fused, run as compiled kernels."""

    @classmethod
    def coordinates(
        cls,
        points: Tensor,
        index: JetIndex,
        *,
        fused: bool = True,
        tape: Tape | None = None,
        compiled: bool = False,
    ) -> Jet:
        """The jet of the identity at `points` (n, d): value x, d x_i / d x_i = 1, all else zero."""
        channels = points.new_zeros((index.size, points.shape[1], points.shape[0]))
        channels[0] = points.t()
        for axis in range(index.dimension):
            for k, c in index.along(axis):
                channels[k, axis] = c
        return cls(channels, index, fused, tape, compiled)

    @property
    def shape(self) -> torch.Size:
        """Shape of the value, as a plain tensor in this jet's place would have it."""
        return torch.Size((self.channels.shape[2], self.channels.shape[1]))

    def _like(self, channels: Tensor) -> Jet:
        return Jet(channels, self.index, self.fused, self.tape, self.compiled)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        rule = RULES.get(func)
        if rule is None or any(t is not Jet for t in types):
            return NotImplemented
        return rule(*args, **(kwargs or {}))

    def __add__(self, other: Jet | Tensor | float) -> Jet:
        return _add(self, other) if isinstance(other, Jet | Tensor | float | int) else NotImplemented

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return self._like(-self.channels)

    def __sub__(self, other: Jet | Tensor | float) -> Jet:
        return _add(self, -other) if isinstance(other, Jet | Tensor | float | int) else NotImplemented

    def __rsub__(self, other: Tensor | float) -> Jet:
        return _add(-self, other)

    def __mul__(self, other: Jet | Tensor | float) -> Jet:
        return _multiply(self, other) if isinstance(other, Jet | Tensor | float | int) else NotImplemented

    __rmul__ = __mul__

    def __getitem__(self, key: Any) -> Jet:
        """Features only: `jet[:, a:b]`, `jet[:, [0, 2]]`, `jet[..., a:b]`."""
        feature = key[-1] if isinstance(key, tuple) else key
        if isinstance(feature, int):
            raise TypeError(
                "take a feature of a jet as a slice, jet[:, k : k + 1]: its features stay an axis"
            )
        return self._like(self.channels[:, feature])


def _add(a: Jet | Tensor | float, b: Jet | Tensor | float) -> Jet:
    if isinstance(a, Jet) and isinstance(b, Jet):
        return a._like(a.channels + b.channels)
    jet, constant = (a, b) if isinstance(a, Jet) else (b, a)
    assert isinstance(jet, Jet) and not isinstance(constant, Jet)  # noqa: S101  (one of two is a jet)
    value = (jet.channels[0] + _per_feature(constant)).unsqueeze(0)
    return jet._like(torch.cat([value, jet.channels[1:]]))


def _subtract(a: Jet | Tensor | float, b: Jet | Tensor | float) -> Jet:
    return _add(a, -b)


def _multiply(a: Jet | Tensor | float, b: Jet | Tensor | float) -> Jet:
    if isinstance(a, Jet) and isinstance(b, Jet):
        if a.fused:
            return a._like(_Product.apply(a.channels, b.channels, a.index))  # type: ignore[no-untyped-call]
        x, y = a.channels, b.channels
        rows = [
            sum((c * x[i] * y[j] for c, i, j in terms[1:]), terms[0][0] * x[terms[0][1]] * y[terms[0][2]])
            for terms in a.index.leibniz
        ]
        return a._like(torch.stack(rows))
    jet, constant = (a, b) if isinstance(a, Jet) else (b, a)
    assert isinstance(jet, Jet) and not isinstance(constant, Jet)  # noqa: S101
    outputs = jet.channels * _per_feature(constant)
    if jet.tape is not None and isinstance(constant, Tensor) and jet.tape.holds(constant):
        _keep(jet.tape, ScaleRecord(jet.channels.detach(), outputs, constant))
    return jet._like(outputs)


def _per_feature(constant: Tensor | float) -> Tensor | float:
    """A constant of the network, one number or one per feature, along the feature axis."""
    return constant.unsqueeze(-1) if isinstance(constant, Tensor) and constant.dim() else constant


def _cat(jets: Sequence[Jet], dim: int = 0) -> Jet:
    if dim not in (1, -1):
        raise ValueError("jets are joined along features: dim=1 or dim=-1")
    return jets[0]._like(torch.cat([jet.channels for jet in jets], dim=1))


def _linear(jet: Jet, weight: Tensor, bias: Tensor | None = None) -> Jet:
    if jet.fused:
        outputs = _Linear.apply(jet.channels, weight, bias)  # type: ignore[no-untyped-call]
    else:
        outputs = torch.matmul(weight, jet.channels)
        if bias is not None:
            outputs = torch.cat([(outputs[0] + bias.unsqueeze(1)).unsqueeze(0), outputs[1:]])
    if jet.tape is not None and jet.tape.holds(weight):
        _keep(jet.tape, LinearRecord(jet.channels.detach(), outputs, weight, bias))
    return jet._like(outputs)


def _keep(tape: Tape, record: Record) -> None:
    """Record it; what no recorded layer precedes is where derivatives begin."""
    if record.outputs.is_leaf:
        record.outputs.requires_grad_()
    tape.records.append(record)


def _elementwise(name: str) -> Callable[..., Jet]:
    def rule(jet: Jet, **options: Any) -> Jet:
        if any(value not in (False, "none") for value in options.values()):
            raise ValueError(f"{name} of a jet takes no options, not {options}")
        if jet.fused:
            channels = _Compose.apply(jet.channels, name, jet.index, jet.compiled)  # type: ignore[no-untyped-call]
            return jet._like(channels)
        return jet._like(compose_plain(jet.channels, name, jet.index))

    return rule


class _Linear(torch.autograd.Function):
    """channels (S, i, n) -> W channels (S, o, n), with the bias in the value channel only."""

    @staticmethod
    def forward(ctx: Any, channels: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(channels, weight)
        ctx.has_bias = bias is not None
        outputs = torch.bmm(weight.expand(channels.shape[0], *weight.shape), channels)
        if bias is not None:
            outputs[0].add_(bias.unsqueeze(1))
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        channels, weight = ctx.saved_tensors
        to_channels = to_weight = None
        if ctx.needs_input_grad[0]:
            transposed = weight.t()
            to_channels = torch.bmm(transposed.expand(grad.shape[0], *transposed.shape), grad)
        if ctx.needs_input_grad[1]:
            to_weight = torch.bmm(grad, channels.mT).sum(0)
        return to_channels, to_weight, grad[0].sum(1) if ctx.has_bias else None


class _Product(torch.autograd.Function):
    """Channels of a and b (S, w, n) -> channels of a b, by `JetIndex.leibniz`; backward is its transpose."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, index: JetIndex) -> Tensor:
        out = x * y[0]
        for alpha, terms in enumerate(index.leibniz):
            for c, i, j in terms:
                if j:  # the first term of all, a_alpha b, is there already
                    out[alpha].addcmul_(x[i], y[j], value=c)
        ctx.save_for_backward(x, y)
        ctx.index = index
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, y = ctx.saved_tensors
        to_x = (
            product_transposed(grad, y, ctx.index, torch.empty_like(x)) if ctx.needs_input_grad[0] else None
        )
        to_y = (
            product_transposed(grad, x, ctx.index, torch.empty_like(y)) if ctx.needs_input_grad[1] else None
        )
        return to_x, to_y, None


class _Compose(torch.autograd.Function):
    """channels of h (S, w, n) -> channels of f(h); backward by the jet of f'(h)."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, name: str, index: JetIndex, compiled: bool) -> Tensor:
        ctx.name, ctx.index, ctx.compiled = name, index, compiled
        if compiled:
            out: Tensor = compose_forward(name, index)(h.detach().contiguous())
            ctx.save_for_backward(h, out)
            return out
        out, slope = compose(h, name, index, ctx.needs_input_grad[0])
        ctx.save_for_backward(slope)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        if ctx.compiled:
            h, out = ctx.saved_tensors
            kernel = compose_backward(ctx.name, ctx.index)
            return kernel(grad.contiguous(), h.detach().contiguous(), out[0].detach()), None, None, None
        (slope,) = ctx.saved_tensors
        return product_transposed(grad, slope, ctx.index, torch.empty_like(slope)), None, None, None


RULES: dict[Callable[..., Any], Callable[..., Jet]] = {
    functional.linear: _linear,
    torch.cat: _cat,
    torch.add: _add,
    torch.sub: _subtract,
    torch.mul: _multiply,
    Tensor.add: _add,
    Tensor.sub: _subtract,
    Tensor.mul: _multiply,
    torch.tanh: _elementwise("tanh"),
    torch.sin: _elementwise("sin"),
    torch.cos: _elementwise("cos"),
    torch.exp: _elementwise("exp"),
    torch.reciprocal: _elementwise("reciprocal"),
    functional.gelu: _elementwise("gelu"),
    functional.silu: _elementwise("silu"),
    **{step: _elementwise(f"smoothstep{k}") for k, step in SMOOTHSTEPS.items()},
}
"""Every tensor operation that a network may use, and its rule. An operation not here is a TypeError."""
