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

from pinncli.derivatives import first_layer
from pinncli.derivatives.composition import compose, product_transposed
from pinncli.derivatives.elementwise import derivatives
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


class _Chain(torch.autograd.Function):
    """Value (w, n), slopes (w, d), weights and biases -> channels (S, m, n).

    `names` are the activations, each but the last before a linear layer, the last None where a linear
    layer ends the chain. Within, channels are (pieces, S, w, k), contiguous. Kept are f, f', ... of the
    first function, the inputs of linear layers and the jets of the slopes of the others.
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
        f = derivatives(names[0], cut(value, pieces_of(value)), index.order + needed)
        numbers = factors(slopes, index)
        channels = None if parts else first_layer.spread(numbers, f, index)
        inputs, kept = [], []
        for weight, bias, name in zip(parts[::2], parts[1::2], names[1:], strict=True):
            assert weight is not None  # noqa: S101
            inputs.append(channels)
            if channels is None:
                channels = first_layer.layer(weight, numbers, f, index)
            else:
                channels = _linear(weight, channels)
            if bias is not None:
                channels[:, 0].add_(bias.unsqueeze(1))
            if name is not None:
                rows, slope = compose(channels.transpose(0, 1), name, index, needed)
                channels = rows.transpose(0, 1)
                kept.append(slope)
        assert channels is not None  # noqa: S101  (a function or a layer has made it)
        if needed:
            ctx.save_for_backward(slopes, *parts)
            ctx.index, ctx.names, ctx.first = index, names, (f, numbers)
            ctx.inputs, ctx.kept = inputs, kept
        return joined(channels.transpose(0, 1)).contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        slopes, *parts = ctx.saved_tensors
        (f, numbers), index = ctx.first, ctx.index
        g = cut(grad, f[0].shape[0]).transpose(0, 1)
        found: list[Tensor | None] = []
        kept = [*ctx.kept]
        steps = zip(parts[::2], parts[1::2], ctx.names[1:], ctx.inputs, strict=True)
        for weight, bias, name, before in reversed(list(steps)):
            if name is not None:
                rows = g.transpose(0, 1)
                out = rows if found else torch.empty_like(rows)  # the first is not ours to write to
                g = product_transposed(rows, kept.pop(), index, out).transpose(0, 1)
            found.append(None if bias is None else g[:, 0].sum((0, 2)))
            if before is not None:
                found.append(torch.bmm(g.flatten(0, 1), before.flatten(0, 1).mT).sum(0))
                g = _linear(weight.t(), g)
            else:
                to_value, to_weight, to_numbers = first_layer.layer_transposed(g, weight, numbers, f, index)
                found.append(to_weight)
        if not parts:
            to_value, to_numbers = first_layer.spread_transposed(g, numbers, f, index)
        return joined(to_value), to_slopes(to_numbers.unbind(), slopes, index), None, None, *reversed(found)


def _linear(weight: Tensor, channels: Tensor) -> Tensor:
    """(o, i) times every channel (pieces, S, i, k) -> (pieces, S, o, k)."""
    if weight.shape[1] == 1:
        return weight * channels
    flat = channels.flatten(0, 1)
    out = torch.bmm(weight.expand(len(flat), *weight.shape), flat)
    return out.view(*channels.shape[:2], *out.shape[1:])
