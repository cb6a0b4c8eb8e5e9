"""The Jacobian of the residual at one theta as a linear map, without forming it.

Points are independent, so that the rows of J are sums over channels S and layers of G outer A,
for inputs A (S, i, n) and cotangents G (S, o, n) of a linear layer (`jacobian_columns`). Kept, they
give both products at the cost of one matrix product a layer, a third of what a gradient costs, with
no activation evaluated and no graph traversed:

    (J v)_n = sum_layers sum_{S,o} G . (V A)  +  G_0 . v_b         V, v_b: the layer's part of v
    J^T w   = sum_layers (sum_S (G w) A^T,  sum_n G_0 w)

What they take is 8 S (i + o k) bytes a point and layer for k residuals at a point, some twenty
times less than J. Blocks beyond `KEPT_BYTES` in all are recorded anew for every product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from pinncli.derivatives.jet import LinearRecord, Record
from pinncli.derivatives.taylor import jacobian_columns
from pinncli.networks import Network, chained, plain, tangent
from pinncli.residuals import Block

KEPT_BYTES = 1 << 30
"""Most that the blocks kept by one `Linearisation` take together."""


class BlockMap(Protocol):
    """The Jacobian (r, p) of one block, and its residuals (r,)."""

    @property
    def residual(self) -> Tensor:
        """Scaled residuals (r,)."""
        ...

    @property
    def bytes(self) -> int:
        """What it holds in memory."""
        ...

    def jvp(self, v: Tensor) -> Tensor:
        """J v (r,) for v (p,)."""
        ...

    def vjp(self, w: Tensor) -> Tensor:
        """J^T w (p,) for w (r,)."""
        ...

    def transposed(self) -> Tensor:
        """J^T (p, r), formed."""
        ...


@dataclass(frozen=True)
class DenseMap:
    """J^T as a matrix (p, r): for engines that record no layers."""

    residual: Tensor
    matrix: Tensor

    @property
    def bytes(self) -> int:
        """The matrix."""
        return self.matrix.nbytes

    def jvp(self, v: Tensor) -> Tensor:
        """J v (r,)."""
        return v @ self.matrix

    def vjp(self, w: Tensor) -> Tensor:
        """J^T w (p,)."""
        return self.matrix @ w

    def transposed(self) -> Tensor:
        """J^T (p, r)."""
        return self.matrix


def push(record: Record, v: Tensor) -> Tensor:
    """The change (S, o, n) of a layer's outputs where theta changes by v (p,) and the inputs stay."""
    if not isinstance(record, LinearRecord):
        start = record.scale.storage_offset()
        return record.inputs * v[start : start + record.scale.numel()].unsqueeze(1)
    o, i = record.weight.shape
    start = record.weight.storage_offset()
    part = v[start : start + o * i].view(o, i)
    outputs = torch.bmm(part.expand(len(record.inputs), o, i), record.inputs)
    if record.bias is not None:
        start = record.bias.storage_offset()
        outputs[0] += v[start : start + o].unsqueeze(1)
    return outputs


def pull(record: Record, cotangent: Tensor, out: Tensor) -> None:
    """Add to `out` (p,) what cotangents (S, o, n) of a layer's outputs make of its part of theta."""
    if not isinstance(record, LinearRecord):
        start, count = record.scale.storage_offset(), record.scale.numel()
        each = (cotangent * record.inputs).sum((0, 2))
        out[start : start + count] += each if count == len(each) else each.sum()
        return
    o, i = record.weight.shape
    start = record.weight.storage_offset()
    out[start : start + o * i] += torch.bmm(cotangent, record.inputs.mT).sum(0).flatten()
    if record.bias is not None:
        start = record.bias.storage_offset()
        out[start : start + o] += cotangent[0].sum(1)


@dataclass(frozen=True)
class RecordedMap:
    """A block by its layers: component k of every segment's residuals is pass k.

    `layers` has a list per call of the block, without outputs, `cotangents` per pass and call one
    (S, o, n) a layer, `numbers` per pass and segment the derivatives (q, n) by the unknown numbers;
    `starts` is the first row of every segment's components.
    """

    block: Block
    residual: Tensor
    network: Network
    weights: Tensor
    """Its part of theta (size,): the layers are those of `plain(network, weights)`."""
    layers: tuple[tuple[Record, ...], ...]
    cotangents: tuple[tuple[tuple[Tensor, ...], ...], ...]
    numbers: tuple[tuple[Tensor, ...], ...]
    starts: tuple[tuple[int, ...], ...]

    @property
    def bytes(self) -> int:
        """Inputs and cotangents."""
        inputs = sum(layer.inputs.nbytes for call in self.layers for layer in call)
        return inputs + sum(g.nbytes for each in self.cotangents for call in each for g in call)

    @property
    def size(self) -> int:
        """Length of theta without the unknown numbers."""
        return self.network.size

    @property
    def parameters(self) -> int:
        """p."""
        return self.size + (len(self.numbers[0][0]) if self.numbers and self.numbers[0] else 0)

    def jvp(self, v: Tensor) -> Tensor:
        """J v (r,)."""
        out = torch.zeros_like(self.residual)
        moved = tangent(self.network, self.weights, v[: self.size])
        for c, (call, layers) in enumerate(zip(self.block.calls, self.layers, strict=True)):
            totals = [v.new_zeros(len(call.points)) for _ in self.cotangents]
            for layer_number, layer in enumerate(layers):
                pushed = push(layer, moved)
                for k, each in enumerate(self.cotangents):
                    totals[k] += (pushed * each[c][layer_number]).sum((0, 1))
            for k, total in enumerate(totals):
                for rows, points in self._places(c, k):
                    out[rows] += total[points]
        for k, each_segment in enumerate(self.numbers):
            for s, slopes in enumerate(each_segment):
                if k < len(self.starts[s]):
                    start = self.starts[s][k]
                    out[start : start + slopes.shape[1]] += v[self.size :] @ slopes
        return out

    def vjp(self, w: Tensor) -> Tensor:
        """J^T w (p,)."""
        out = w.new_zeros(self.parameters)
        pulled = w.new_zeros(plain(self.network, self.weights)[0].size)
        for c, (call, layers) in enumerate(zip(self.block.calls, self.layers, strict=True)):
            weights = []
            for k in range(len(self.cotangents)):
                weight = w.new_zeros(len(call.points))
                for rows, points in self._places(c, k):
                    weight[points] += w[rows]
                weights.append(weight)
            for layer_number, layer in enumerate(layers):
                total: Tensor | None = None
                for weight, each in zip(weights, self.cotangents, strict=True):
                    g = each[c][layer_number]
                    total = g * weight if total is None else total.addcmul_(g, weight)
                if total is not None:
                    pull(layer, total, pulled)
        out[: self.size] = chained(self.network, self.weights, pulled.unsqueeze(1)).squeeze(1)
        for k, each_segment in enumerate(self.numbers):
            for s, slopes in enumerate(each_segment):
                if k < len(self.starts[s]):
                    start = self.starts[s][k]
                    out[self.size :] += slopes @ w[start : start + slopes.shape[1]]
        return out

    def transposed(self) -> Tensor:
        """J^T (p, r)."""
        matrix = self.residual.new_zeros((self.parameters, len(self.residual)))
        inner = plain(self.network, self.weights)[0].size
        for c, (call, layers) in enumerate(zip(self.block.calls, self.layers, strict=True)):
            for k, each in enumerate(self.cotangents):
                columns = matrix.new_empty((inner, len(call.points)))
                jacobian_columns(layers, each[c], columns)
                columns = chained(self.network, self.weights, columns)
                for rows, points in self._places(c, k):
                    matrix[: self.size, rows] += columns[:, points]
        for k, each_segment in enumerate(self.numbers):
            for s, slopes in enumerate(each_segment):
                if k < len(self.starts[s]):
                    start = self.starts[s][k]
                    matrix[self.size :, start : start + slopes.shape[1]] = slopes
        return matrix

    def _places(self, call: int, k: int) -> list[tuple[slice, slice]]:
        """Rows of the block that pass k takes from a call, and the points there that they are."""
        return [
            (slice(start, start + use.stop - use.start), slice(use.start, use.stop))
            for use in self.block.calls[call].uses
            if k < len(self.starts[use.segment])
            for start in (self.starts[use.segment][k],)
        ]


def record_block(
    block: Block,
    rows: Sequence[Sequence[Tensor]],
    tapes: Sequence[Sequence[Record]],
    raws: Sequence[Tensor],
    network: Network,
    weights: Tensor,
) -> RecordedMap:
    """One backward pass per residual at a point: points are independent, so a pass serves them all.

    `rows` are the scaled residuals (n,) per segment and component with their graph, down to the outputs
    of the recorded layers, `tapes` per call, and to `raws`, each segment's unknown numbers (q, n). `weights`
    is the part of theta that is `network`'s.
    """
    starts = _starts(rows)
    leaves = [record.outputs for tape in tapes for record in tape] + list(raws)
    passes = max(len(part) for part in rows)
    cotangents, numbers = [], []
    for k in range(passes):
        with torch.enable_grad():
            total = torch.stack([part[k].sum() for part in rows if k < len(part)]).sum()
        found = (
            list(
                torch.autograd.grad(
                    total, leaves, retain_graph=k + 1 < passes, allow_unused=True, materialize_grads=True
                )
            )
            if total.requires_grad
            else [torch.zeros_like(leaf) for leaf in leaves]
        )
        calls = []
        for tape in tapes:
            calls.append(tuple(found[: len(tape)]))
            found = found[len(tape) :]
        cotangents.append(tuple(calls))
        numbers.append(tuple(found))
    return RecordedMap(
        block=block,
        residual=torch.cat([row.detach() for part in rows for row in part]),
        network=network,
        weights=weights,
        layers=tuple(tuple(replace(r, outputs=r.outputs.new_empty(0)) for r in tape) for tape in tapes),
        cotangents=tuple(cotangents),
        numbers=tuple(numbers),
        starts=starts,
    )


def _starts(rows: Sequence[Sequence[Tensor]]) -> tuple[tuple[int, ...], ...]:
    """First row of each segment's component in the block's residual."""
    starts, at = [], 0
    for part in rows:
        lengths = [len(row) for row in part]
        starts.append(tuple(at + sum(lengths[:k]) for k in range(len(part))))
        at += sum(lengths)
    return tuple(starts)


@dataclass(frozen=True)
class Linearisation:
    """r + J v around one theta, by blocks, of which the first are kept."""

    residual: Tensor
    """r (n,)."""
    size: int
    """p."""
    makers: tuple[Callable[[], BlockMap], ...]
    kept: tuple[BlockMap, ...]
    lengths: tuple[int, ...]
    """Rows of each block."""

    @classmethod
    def of(cls, makers: Sequence[Callable[[], BlockMap]], size: int) -> Linearisation:
        """Record every block once and keep as many as `KEPT_BYTES` hold."""
        kept: list[BlockMap] = []
        parts, held, full = [], 0, False
        for make in makers:
            block = make()
            parts.append(block.residual)
            full = full or held + block.bytes > KEPT_BYTES
            if not full:
                held += block.bytes
                kept.append(block)
        return cls(torch.cat(parts), size, tuple(makers), tuple(kept), tuple(len(part) for part in parts))

    def jvp(self, v: Tensor) -> Tensor:
        """J v (n,) for v (p,)."""
        return torch.cat([self._block(k).jvp(v) for k in range(len(self.makers))])

    def vjp(self, w: Tensor) -> Tensor:
        """J^T w (p,) for w (n,)."""
        out = w.new_zeros(self.size)
        for k, part in enumerate(torch.split(w, list(self.lengths))):
            out += self._block(k).vjp(part)
        return out

    def diagonal(self) -> Tensor:
        """The squared norms (p,) of J's columns, the diagonal of J^T J."""
        out = self.residual.new_zeros(self.size)
        for k in range(len(self.makers)):
            out += self._block(k).transposed().square_().sum(1)
        return out

    def _block(self, k: int) -> BlockMap:
        return self.kept[k] if k < len(self.kept) else self.makers[k]()
