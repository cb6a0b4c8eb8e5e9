"""Taylor-mode derivatives: one forward pass carries every partial that is asked for.

Sources: Griewank & Walther 2008, chapter 13; collapsed Laplacian, Dangel et al. 2025
(arXiv 2505.13644); Jacobian of every point from one backward pass per residual component,
since points are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import torch
from torch import Tensor

from pinncli.derivatives.affine import AffineJet
from pinncli.derivatives.base import NetworkFunction
from pinncli.derivatives.chain import ChainJet
from pinncli.derivatives.jet import Jet, LinearRecord, Record, Tape
from pinncli.derivatives.jet_index import plan_of
from pinncli.language.partials import Wanted, in_order


@dataclass(frozen=True)
class Taylor:
    """Jets over the smallest downward-closed set of multi-indices.

    `components` are the network's outputs in order; `lap_axes` what a Laplacian sums over, times
    `lap_factor`: with some of the axes, drawn at random, and the number of all over theirs it is an
    unbiased estimate.
    """

    components: tuple[str, ...]
    lap_axes: tuple[int, ...]
    fused: bool = True
    compiled: bool = False
    """Whether activations run as compiled kernels (`pinncli.derivatives.compiled`)."""
    lap_factor: float = 1.0

    @property
    def records(self) -> bool:
        """Linear layers are recorded."""
        return True

    def twice_differentiable(self) -> Taylor:
        """The same jets by plain operations."""
        return replace(self, fused=False)

    def estimating(self, axes: tuple[int, ...]) -> Taylor:
        """Laplacians from the second derivatives along `axes` alone."""
        return replace(self, lap_axes=axes, lap_factor=self.lap_factor * len(self.lap_axes) / len(axes))

    def partials(
        self, network: NetworkFunction, theta: Tensor, points: Tensor, wanted: Sequence[Wanted]
    ) -> dict[Wanted, Tensor]:
        """Each of `wanted` at `points` (n, d), as tensors (n,) differentiable in `theta`."""
        return self._evaluate(network, theta, points, wanted, None)

    def recorded(
        self, network: NetworkFunction, theta: Tensor, points: Tensor, wanted: Sequence[Wanted]
    ) -> tuple[dict[Wanted, Tensor], list[Record]]:
        """Like `partials`, with what `jacobian_columns` needs recorded; theta is held constant."""
        tape = Tape(theta.detach())
        return self._evaluate(network, tape.theta, points, wanted, tape), tape.records

    def _evaluate(
        self,
        network: NetworkFunction,
        theta: Tensor,
        points: Tensor,
        wanted: Sequence[Wanted],
        tape: Tape | None,
    ) -> dict[Wanted, Tensor]:
        asked = in_order(wanted)
        plan = plan_of(points.shape[1], asked, self.lap_axes, self.lap_factor)
        index = plan.index
        if self.fused and tape is None:
            jet = network(theta, AffineJet.coordinates(points, index, compiled=self.compiled))
            jet = jet.dense() if isinstance(jet, AffineJet | ChainJet) else jet
        else:  # every channel of every layer, for the tape or to be differentiated again
            start = Jet.coordinates(points, index, fused=self.fused, tape=tape, compiled=self.compiled)
            jet = network(theta, start)
        rows = jet.channels.flatten(0, 1).unbind()  # one node for all of them, not two for each
        m, zero = len(self.components), points.new_zeros(len(points))
        found = {}
        for w, terms in zip(asked, plan.sums, strict=True):
            at = self.components.index(w.component)
            mine = [rows[k * m + at] if c == 1.0 else c * rows[k * m + at] for c, k in terms]
            found[w] = reduce(add, mine) if mine else zero
        return found


def jacobian_columns(tape: Sequence[Record], cotangents: Sequence[Tensor], out: Tensor) -> None:
    """Write each point's gradient with respect to theta into `out` (p, n), the Jacobian transposed.

    For a linear layer with inputs A (S, i, n) and output cotangents G (S, o, n) a point's gradient
    is sum over channels of G outer A for the weights and G's value channel for the bias; for a factor
    it is the sum over channels of G A, and over features where one number multiplies them all.
    """
    n = out.shape[1]
    covered = sum(_held(record) for record in tape)
    if covered != len(out):
        raise ValueError(f"layers and factors hold {covered} of the network's {len(out)} parameters")
    for record, g in zip(tape, cotangents, strict=True):
        if not isinstance(record, LinearRecord):
            start, count = record.scale.storage_offset(), record.scale.numel()
            each = (g * record.inputs).sum(0)
            out[start : start + count] = each if count == len(each) else each.sum(0)
            continue
        o, i = record.weight.shape
        start = record.weight.storage_offset()
        rows = out[start : start + o * i].view(o, i, n)
        torch.mul(g[0].unsqueeze(1), record.inputs[0].unsqueeze(0), out=rows)
        for k in range(1, g.shape[0]):
            rows.addcmul_(g[k].unsqueeze(1), record.inputs[k].unsqueeze(0))
        if record.bias is not None:
            start = record.bias.storage_offset()
            out[start : start + o] = g[0]


def _held(record: Record) -> int:
    """Number of entries of theta that enter there."""
    if not isinstance(record, LinearRecord):
        return record.scale.numel()
    return record.weight.numel() + (0 if record.bias is None else record.bias.numel())
