"""A chain of linear layers and activations on affine inputs, as one pass forward and one backward.

A perceptron of the coordinates is such a chain. What a network does to an `AffineJet` is only written
down at first, as a `ChainJet`; where an operation comes that is no layer, or the network ends, the chain is
evaluated by one autograd function, without a graph of its parts.

Points are cut into as many pieces as torch has threads, and the piece is the outermost axis in memory,
(pieces, S, w, n / pieces): every operation then splits between the threads at the same points, so that
each thread finds in its own cache what it wrote before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.derivatives.composition import compose, product_transposed
from pinncli.derivatives.elementwise import ELEMENTWISE
from pinncli.derivatives.jet import Jet
from pinncli.derivatives.jet_index import JetIndex
from pinncli.derivatives.slopes import factors, to_slopes


@dataclass(frozen=True, slots=True)
class Layer:
    """A linear layer, weight (o, i) and maybe bias (o,), and the activation before it."""

    before: str
    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class ChainJet:
    """Layers on affine features, value (w, n) and slopes (w, d), still to be evaluated; then maybe `last`."""

    value: Tensor
    slopes: Tensor
    index: JetIndex
    layers: tuple[Layer, ...]
    last: str | None
    made: list[Jet] = field(default_factory=list, repr=False)
    """The jet, once it is evaluated: a network may look at a layer more than once."""

    @property
    def shape(self) -> torch.Size:
        """Shape of the value, as a plain tensor in this jet's place would have it."""
        return torch.Size((self.value.shape[1], len(self.layers[-1].weight if self.layers else self.value)))

    def dense(self) -> Jet:
        """Every channel, evaluated once."""
        if not self.made:
            self.made.append(self._evaluate())
        return self.made[0]

    def _evaluate(self) -> Jet:
        names = (*(layer.before for layer in self.layers), self.last)
        parts = [part for layer in self.layers for part in (layer.weight, layer.bias)]
        channels: Tensor = _Chain.apply(self.value, self.slopes, self.index, names, *parts)  # type: ignore[no-untyped-call]
        return Jet(channels, self.index)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        jet = args[0] if args else None
        if isinstance(jet, ChainJet):
            if func is functional.linear and jet.last is not None:
                return jet._linear(*args[1:], **(kwargs or {}))
            if func in ACTIVATIONS and jet.last is None and not kwargs:
                return ChainJet(jet.value, jet.slopes, jet.index, jet.layers, ACTIVATIONS[func])
        return func(*(evaluated(a) for a in args), **(kwargs or {}))

    def _linear(self, weight: Tensor, bias: Tensor | None = None) -> ChainJet:
        assert self.last is not None  # noqa: S101  (seen by the caller)
        layers = (*self.layers, Layer(self.last, weight, bias))
        return ChainJet(self.value, self.slopes, self.index, layers, None)

    def __add__(self, other: Any) -> Any:
        return self.dense() + evaluated(other)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return -self.dense()

    def __sub__(self, other: Any) -> Any:
        return self.dense() - evaluated(other)

    def __rsub__(self, other: Any) -> Any:
        return evaluated(other) - self.dense()

    def __mul__(self, other: Any) -> Any:
        return self.dense() * evaluated(other)

    __rmul__ = __mul__

    def __getitem__(self, key: Any) -> Jet:
        return self.dense()[key]


ACTIVATIONS: dict[Callable[..., Any], str] = {
    torch.tanh: "tanh",
    torch.sin: "sin",
    torch.cos: "cos",
    torch.exp: "exp",
    functional.gelu: "gelu",
    functional.silu: "silu",
}
"""What may stand between two layers."""


def evaluated(value: Any) -> Any:
    """A chain as the jet that it stands for, also within a list; anything else as it is."""
    if isinstance(value, ChainJet):
        return value.dense()
    return [evaluated(v) for v in value] if isinstance(value, list | tuple) else value


def pieces_of(like: Tensor) -> int:
    """Into how many pieces the points (..., n) are cut."""
    threads = torch.get_num_threads() if like.device.type == "cpu" else 1
    return threads if like.shape[-1] % threads == 0 else 1


def cut(channels: Tensor, pieces: int) -> Tensor:
    """(..., w, n) -> (..., pieces, w, n / pieces), the piece outermost in memory."""
    *rest, w, n = channels.shape
    apart = channels.reshape(*rest, w, pieces, n // pieces).movedim(-2, 0).contiguous()
    return apart.movedim(0, -3)


def joined(channels: Tensor) -> Tensor:
    """(..., pieces, w, n / pieces) -> (..., w, n)."""
    return channels.movedim(-3, -2).flatten(-2)


def _matrices(channels: Tensor) -> Tensor:
    """(S, pieces, w, k) -> (pieces S, w, k), without copying what lies in memory as `cut` has it."""
    return channels.transpose(0, 1).flatten(0, 1)


def _linear(weight: Tensor, channels: Tensor) -> Tensor:
    """(o, i) times every channel (S, pieces, i, k) -> (S, pieces, o, k)."""
    flat = _matrices(channels)
    out = torch.bmm(weight.expand(len(flat), *weight.shape), flat)
    return out.view(channels.shape[1], channels.shape[0], *out.shape[1:]).transpose(0, 1)


class _Chain(torch.autograd.Function):
    """Value (w, n), slopes (w, d), weights and biases -> channels (S, m, n).

    `names` are the activations, each but the last before a linear layer, the last None where a linear
    layer ends the chain.
    """

    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        slopes: Tensor,
        index: JetIndex,
        names: tuple[str | None, ...],
        *parts: Tensor | None,
    ) -> Tensor:
        needed = any(ctx.needs_input_grad)
        assert names[0] is not None  # noqa: S101  (a chain begins with an activation)
        f, channels = _begin(cut(value, pieces_of(value)), slopes, names[0], index, needed)
        inputs, factors_of = [], []
        for weight, bias, name in zip(parts[::2], parts[1::2], names[1:], strict=True):
            assert weight is not None  # noqa: S101
            inputs.append(channels)
            channels = _linear(weight, channels)
            if bias is not None:
                channels[0] += bias.unsqueeze(1)
            if name is not None:
                channels, slope = compose(channels, name, index, needed)
                factors_of.append(slope)
        if needed:
            ctx.save_for_backward(slopes, *parts)
            ctx.kept, ctx.index, ctx.names = (f, inputs, factors_of), index, names
        return joined(channels).contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        slopes, *parts = ctx.saved_tensors
        (f, inputs, factors_of), index = ctx.kept, ctx.index
        g = cut(grad, f[0].shape[0])
        found: list[Tensor | None] = []
        left = list(factors_of)
        layers = list(zip(parts[::2], parts[1::2], inputs, ctx.names[1:], strict=True))
        for weight, bias, before, name in reversed(layers):
            if name is not None:
                g = product_transposed(g, left.pop(), index)
            found.append(None if bias is None else g[0].sum((0, 2)))
            found.append(torch.bmm(_matrices(g), _matrices(before).mT).sum(0))
            g = _linear(weight.t(), g)
        to_value, slopes_found = _begin_transposed(g, f, slopes, index)
        return joined(to_value), slopes_found, None, None, *reversed(found)


def _begin(
    value: Tensor, slopes: Tensor, name: str, index: JetIndex, needed: bool
) -> tuple[list[Tensor], Tensor]:
    """f(h) of affine h: f, f', ... (pieces, w, k) at its value, and the channels (S, pieces, w, k)."""
    f = ELEMENTWISE[name](value, index.order + needed)
    pieces, w, k = value.shape
    out = value.new_empty((pieces, index.size, w, k)).transpose(0, 1)
    rows = out.unbind()
    rows[0].copy_(f[0])
    for row, (order, factor) in zip(rows[1:], factors(slopes, index)[1:], strict=True):
        torch.mul(f[order], factor.unsqueeze(1), out=row)
    return f, out


def _begin_transposed(
    grad: Tensor, f: Sequence[Tensor], slopes: Tensor, index: JetIndex
) -> tuple[Tensor, Tensor]:
    """Cotangents of the value (pieces, w, k) and of the slopes (w, d)."""
    g = grad.unbind()
    to_value = g[0] * f[1]
    sums: dict[int, Tensor] = {}
    along = [slopes]  # of the value channel, whose factor is one: never looked at
    for row, (order, factor) in zip(g[1:], factors(slopes, index)[1:], strict=True):
        column = factor.unsqueeze(1)
        if order in sums:
            sums[order].addcmul_(row, column)
        else:
            sums[order] = row * column
        along.append(torch.linalg.vecdot(row, f[order]).sum(0))
    for order, total in sums.items():
        to_value.addcmul_(total, f[order + 1])
    return to_value, to_slopes(along, slopes, index)
