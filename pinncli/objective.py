"""The objective 0.5 |r(theta)|^2 over a flat theta, blocked, on the device of its points.

theta (p,) is the network's parameters followed by the unknown numbers of the problem, each in an
unconstrained variable (`ParameterMap`). Rows of r are scaled residuals, `sqrt(w_c/n_c)` times
condition c at its points. Everything is accumulated block by block, so memory is bounded by one
block (and p^2 for the Gram matrix), whatever the number of points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from itertools import pairwise
from operator import add

import torch
from torch import Tensor

from pinncli.derivatives import Cellwise, Engine
from pinncli.derivatives.cellwise import Basis, evaluated
from pinncli.derivatives.jet import Jet, LinearRecord, Tape
from pinncli.derivatives.jet_index import jet_index
from pinncli.language.partials import Wanted
from pinncli.linearisation import BlockMap, DenseMap, Linearisation, RecordedMap, record_block
from pinncli.networks import Network, plain
from pinncli.parameters import ParameterMap
from pinncli.residuals import Block, Group, Sample, Segment
from pinncli.sparse import SparseJacobian, block_rows, joined
from pinncli.weighting import row_scales

GRAM_STRIPS = 4
"""Strips of the Gram matrix, which is symmetric."""


@dataclass(frozen=True)
class Objective:
    """What optimisers see. Built by `Objective.of`; immutable: new points make a new objective."""

    network: Network
    engine: Engine
    groups: tuple[Group, ...]
    samples: tuple[Sample, ...]
    parameters: ParameterMap
    blocks: tuple[Block, ...]
    scales: tuple[tuple[tuple[float | Tensor, ...], ...], ...]
    """Per block, segment and component, the factor on its rows: one, or one per point (n,)."""
    kept: dict[int, list[list[Basis]]] = field(default_factory=dict, compare=False, repr=False)
    """Per block, by identity, and call: the partials as functions of theta, where features are frozen."""

    @classmethod
    def of(
        cls,
        network: Network,
        engine: Engine,
        groups: Sequence[Group],
        samples: Sequence[Sample],
        parameters: ParameterMap,
        block: int,
    ) -> Objective:
        """Cut the samples into blocks of at most `block` points, of which those of integrals count more."""
        factors = row_scales(groups, samples)
        blocks: list[Block] = []
        scales: list[tuple[tuple[float | Tensor, ...], ...]] = []
        pending: list[Segment] = []
        pending_scales: list[tuple[float | Tensor, ...]] = []
        filled = 0

        def close() -> None:
            nonlocal filled
            if pending:
                blocks.append(Block.of(pending))
                scales.append(tuple(pending_scales))
            pending.clear()
            pending_scales.clear()
            filled = 0

        for group, sample, factor in zip(groups, samples, factors, strict=True):
            pieces = -(-len(sample) * group.cost // block)
            size = -(-len(sample) // pieces)
            for start in range(0, len(sample), size):
                segment = Segment(group, sample[start : start + size])
                more = len(segment.sample) * group.cost
                if filled and filled + more > block:
                    close()
                pending.append(segment)
                pending_scales.append(tuple(factor))
                filled += more
        close()
        return cls(network, engine, tuple(groups), tuple(samples), parameters, tuple(blocks), tuple(scales))

    def weighted(self, factors: Mapping[str, Tensor]) -> Objective:
        """The same with the squares of a condition's residuals times `factors` () or (n,), by its name.

        They replace earlier factors; a condition that is not named has its fixed weight alone.
        """
        base = dict(zip((g.name for g in self.groups), row_scales(self.groups, self.samples), strict=True))
        roots = {name: factor.sqrt() for name, factor in factors.items()}
        starts = dict.fromkeys(base, 0)
        scales = []
        for block in self.blocks:
            mine = []
            for segment in block.segments:
                start = starts[segment.group.name]
                stop = starts[segment.group.name] = start + len(segment.sample)
                owners = [c.name for c in segment.group.conditions for _ in range(c.components)]
                pairs = zip(base[segment.group.name], owners, strict=True)
                mine.append(tuple(_times(scale, roots.get(name), start, stop) for scale, name in pairs))
            scales.append(tuple(mine))
        return replace(self, scales=tuple(scales))

    @property
    def size(self) -> int:
        """Number p of entries of theta."""
        return self.network.size + len(self.parameters.names)

    def value(self, theta: Tensor) -> float:
        """0.5 |r|^2."""
        with torch.no_grad():
            total = theta.new_zeros(())
            for rows in self._scaled(theta):
                for row in rows:
                    total += row.dot(row)
            return 0.5 * float(total)

    def value_and_grad(self, theta: Tensor) -> tuple[float, Tensor]:
        """0.5 |r|^2 and its gradient (p,)."""
        leaf = theta.detach().requires_grad_()
        gradient = torch.zeros_like(theta)
        value = theta.new_zeros(())
        for rows in self._scaled(leaf):
            square = reduce(add, [row.dot(row) for row in rows])
            gradient.add_(_gradient(square, leaf), alpha=0.5)
            value.add_(square.detach(), alpha=0.5)
        return float(value), gradient

    def residual(self, theta: Tensor) -> Tensor:
        """Scaled residuals (r,), block by block."""
        with torch.no_grad():
            return torch.cat([row for rows in self._scaled(theta) for row in rows])

    def residual_and_jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled residuals (r,) and their Jacobian (r, p)."""
        parts = list(self._jacobians(theta))
        return torch.cat([r for r, _ in parts]), torch.cat([j.t() for _, j in parts])

    def gram(self, theta: Tensor) -> tuple[float, Tensor, Tensor]:
        """0.5 |r|^2, J^T r (p,) and J^T J (p, p), accumulated over blocks."""
        value = theta.new_zeros(())
        gradient = theta.new_zeros(self.size)
        matrix = theta.new_zeros((self.size, self.size))
        for r, transposed in self._jacobians(theta):
            value += 0.5 * r.dot(r)
            gradient += transposed @ r
            _add_lower(matrix, transposed)
        lower = matrix.tril(-1)
        return float(value), gradient, lower + lower.t() + torch.diag(matrix.diagonal())

    def triangle(self, theta: Tensor) -> Tensor:
        """R (p + 1, p + 1), upper triangular, with R^T R = [J r]^T [J r], by orthogonal transformations.

        Block by block (Golub & Van Loan 2013, section 6.5.3): the condition number is that of J, the
        memory that of one block.
        """
        upper = theta.new_zeros((self.size + 1, self.size + 1))
        waiting: list[Tensor] = []
        for r, transposed in self._jacobians(theta):
            waiting.append(torch.cat([transposed.t(), r.unsqueeze(1)], dim=1))
            if sum(map(len, waiting)) > self.size:  # few rows would cost as much as many
                upper, waiting = _triangle(upper, waiting), []
        return _triangle(upper, waiting) if waiting else upper

    def vjp(self, theta: Tensor, w: Tensor) -> Tensor:
        """J^T w (p,) for w (r,)."""
        leaf = theta.detach().requires_grad_()
        gradient = torch.zeros_like(theta)
        start = 0
        for rows in self._scaled(leaf):
            r = torch.cat(rows)
            gradient += _gradient(r.dot(w[start : start + len(r)]), leaf)
            start += len(r)
        return gradient

    def jvp(self, theta: Tensor, v: Tensor) -> Tensor:
        """J v (r,) for v (p,), by differentiating J^T w in w: one block's graph at a time."""
        twice = replace(self, engine=self.engine.twice_differentiable())
        leaf = theta.detach().requires_grad_()
        parts = []
        for rows in twice._scaled(leaf):
            r = torch.cat(rows)
            w = torch.zeros_like(r, requires_grad=True)
            (pulled,) = torch.autograd.grad(r, leaf, w, create_graph=True, materialize_grads=True)
            parts.append(
                torch.autograd.grad(pulled.dot(v), w)[0] if pulled.requires_grad else torch.zeros_like(r)
            )
        return torch.cat(parts)

    def hvp(self, theta: Tensor, v: Tensor) -> Tensor:
        """Hessian of 0.5 |r|^2 times v (p,)."""
        twice = replace(self, engine=self.engine.twice_differentiable())
        leaf = theta.detach().requires_grad_()
        product = torch.zeros_like(theta)
        for rows in twice._scaled(leaf):
            half = torch.stack([row.dot(row) for row in rows]).sum() * 0.5
            (gradient,) = torch.autograd.grad(half, leaf, create_graph=True, materialize_grads=True)
            product += _gradient(gradient.dot(v), leaf)
        return product

    def losses(self, theta: Tensor) -> dict[str, float]:
        """Weighted half mean square of every condition; they add up to the value."""
        totals = {c.name: 0.0 for g in self.groups for c in g.conditions}
        with torch.no_grad():
            for block, rows in zip(self.blocks, self._scaled(theta), strict=True):
                for (name, _), row in zip(_owned(block), rows, strict=True):
                    totals[name] += 0.5 * float(row.dot(row))
        return totals

    def row_conditions(self) -> list[tuple[str, int]]:
        """Whose the rows of `residual` are, in order: conditions and numbers of rows."""
        return [pair for block in self.blocks for pair in _owned(block)]

    def traces(self, theta: Tensor) -> dict[str, float]:
        """The trace of J_c J_c^T, J_c the Jacobian of the scaled rows of condition c, by its name."""
        totals = {c.name: 0.0 for g in self.groups for c in g.conditions}
        for block, (_, transposed) in zip(self.blocks, self._jacobians(theta), strict=True):
            start = 0
            squares = transposed.square().sum(dim=0)
            for name, n in _owned(block):
                totals[name] += float(squares[start : start + n].sum())
                start += n
        return totals

    def condition_rows(self, theta: Tensor) -> dict[str, list[Tensor]]:
        """Unscaled, signed residuals (n,) of every condition at its points, one per component.

        They are written to memory that is there before the first block: kept between the blocks' own, they
        would leave gaps that no later block fits into.
        """
        counts: dict[str, int] = {}
        for group, sample in zip(self.groups, self.samples, strict=True):
            for condition in group.conditions:
                counts[condition.name] = counts.get(condition.name, 0) + len(sample)
        found = {
            condition.name: [theta.new_empty(counts[condition.name]) for _ in range(condition.components)]
            for group in self.groups
            for condition in group.conditions
        }
        starts = dict.fromkeys(found, 0)
        with torch.no_grad():
            for block in self.blocks:
                results, parameters = self._evaluate(block, theta)
                for segment, rows in zip(block.segments, block.rows(results, parameters), strict=True):
                    flat, n = iter(rows), len(segment.sample)
                    for condition in segment.group.conditions:
                        start = starts[condition.name]
                        for part in found[condition.name]:
                            part[start : start + n] = next(flat)
                        starts[condition.name] += n
        return found

    def magnitudes(self, theta: Tensor) -> dict[str, Tensor]:
        """Unscaled |residual| (n,) of every condition at its points, components combined."""
        return {
            name: torch.linalg.vector_norm(torch.stack(rows), dim=0)
            for name, rows in self.condition_rows(theta).items()
        }

    def _evaluate(
        self, block: Block, theta: Tensor
    ) -> tuple[list[dict[Wanted, Tensor]], list[dict[str, Tensor]]]:
        weights = theta if len(theta) == self.network.size else theta[: self.network.size]
        if id(block) in self.kept:
            pairs = zip(self.kept[id(block)], block.calls, strict=True)
            results = [evaluated(bases, weights, call.wanted) for bases, call in pairs]
            return results, [self.parameters.values(theta[self.network.size :])] * len(block.segments)
        results = [self.engine.partials(self.network, weights, c.points, c.wanted) for c in block.calls]
        return results, [self.parameters.values(theta[self.network.size :])] * len(block.segments)

    def _scaled(self, theta: Tensor) -> Iterator[list[Tensor]]:
        """Per block, the scaled rows (n,) of its segments and components."""
        for block, scales in zip(self.blocks, self.scales, strict=True):
            yield _scale(block.rows(*self._evaluate(block, theta)), scales)

    @property
    def sparse(self) -> bool:
        """Whether the network is local, so that `sparse_jacobian` serves better than `triangle`."""
        return isinstance(self.engine, Cellwise)

    def sparse_jacobian(self, theta: Tensor) -> SparseJacobian:
        """r and J at theta by rows that touch the same patches, for a network of cells."""
        if not isinstance(self.engine, Cellwise):
            raise TypeError("only networks of cells have a sparse Jacobian")
        size, found = self.network.size, []
        for block, scales in zip(self.blocks, self.scales, strict=True):
            if id(block) not in self.kept:
                calls = [self.engine.bases(self.network, c.points, c.wanted) for c in block.calls]
                self.kept[id(block)] = calls
            bases = self.kept[id(block)]
            with torch.enable_grad():
                results = [
                    {
                        p: v.requires_grad_()
                        for p, v in evaluated(each, theta[:size].detach(), call.wanted).items()
                    }
                    for each, call in zip(bases, block.calls, strict=True)
                ]
                raws = [_spread(theta[size:].detach(), len(s.sample)) for s in block.segments]
                numbers = [self.parameters.values(raw) for raw in raws]
                rows = [
                    [row * f for row, f in zip(part, fs, strict=True)]
                    for part, fs in zip(block.rows(results, numbers), scales, strict=True)
                ]
            found += block_rows(block, rows, results, bases, raws if len(theta) > size else [])
        count, share = self.engine.patchwork(self.network)
        return SparseJacobian(joined(found), count, share, len(theta) - size)

    def linearise(self, theta: Tensor) -> Linearisation:
        """r and J at theta for many products with J and J^T: recorded once, J is not formed."""
        return Linearisation.of([partial(self._map, theta, k) for k in range(len(self.blocks))], self.size)

    def layout(self, theta: Tensor) -> list[tuple[int, int, int]]:
        """(start, o, i) of every weight matrix (o, i) in theta, found by looking at one point."""
        network, weights = plain(self.network, theta[: self.network.size].detach())
        tape = Tape(weights.clone())  # of factorised weights, V has the places of W
        points = self.samples[0].points[:1]
        network(tape.theta, Jet.coordinates(points, jet_index(points.shape[1], (), ()), tape=tape))
        matrices = [r.weight for r in tape.records if isinstance(r, LinearRecord)]
        return [(int(w.storage_offset()), w.shape[0], w.shape[1]) for w in matrices]

    def _jacobians(self, theta: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Per block, scaled residuals (r_b,) and the transposed Jacobian (p, r_b)."""
        for k in range(len(self.blocks)):
            block = self._map(theta, k)
            yield block.residual, block.transposed()

    def _map(self, theta: Tensor, k: int) -> BlockMap:
        """Block k's Jacobian."""
        rule = self._recorded if self.engine.records else self._batched
        return rule(self.blocks[k], self.scales[k], theta)

    def _batched(self, block: Block, scales: Sequence[Sequence[float | Tensor]], theta: Tensor) -> DenseMap:
        """Row by row reverse mode, rows batched; for any engine."""
        leaf = theta.detach().requires_grad_()
        r = torch.cat(_scale(block.rows(*self._evaluate(block, leaf)), scales))
        rows = []
        for start in range(0, len(r), 64):
            selected = r.new_zeros((min(64, len(r) - start), len(r)))
            selected.diagonal(start).fill_(1.0)
            (part,) = torch.autograd.grad(
                r, leaf, selected, retain_graph=True, is_grads_batched=True, materialize_grads=True
            )
            rows.append(part)
        return DenseMap(r.detach(), torch.cat(rows).t())

    def _recorded(
        self, block: Block, scales: Sequence[Sequence[float | Tensor]], theta: Tensor
    ) -> RecordedMap:
        """By the layers that the engine records."""
        size = self.network.size
        theta = theta.detach()
        network, weights = plain(self.network, theta[:size])
        weights = weights.clone()  # a layer's place in theta is its storage offset: theta starts at zero
        with torch.enable_grad():
            recorded = [self.engine.recorded(network, weights, c.points, c.wanted) for c in block.calls]
            raws = [_spread(theta[size:], len(s.sample)) for s in block.segments]
            rows = block.rows([result for result, _ in recorded], [self.parameters.values(r) for r in raws])
            rows = [
                [row * f for row, f in zip(part, fs, strict=True)]
                for part, fs in zip(rows, scales, strict=True)
            ]
        return record_block(
            block,
            rows,
            [tape for _, tape in recorded],
            raws if len(theta) > size else [],
            self.network,
            theta[:size],
        )


def _gradient(scalar: Tensor, leaf: Tensor) -> Tensor:
    if not scalar.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(scalar, leaf, materialize_grads=True)
    return gradient


def _triangle(upper: Tensor, rows: Sequence[Tensor]) -> Tensor:
    triangle: Tensor = torch.linalg.qr(torch.cat([upper, *rows]), mode="r").R
    return triangle


def _add_lower(matrix: Tensor, rows: Tensor) -> None:
    """Add rows rows^T into the lower triangle of `matrix`, strip by strip: nearly half the work saved."""
    p = len(matrix)
    edges = [p * k // GRAM_STRIPS for k in range(GRAM_STRIPS + 1)]
    for start, stop in pairwise(edges):
        matrix[start:stop, :stop].addmm_(rows[start:stop], rows[:stop].t())


def _scale(rows: Sequence[Sequence[Tensor]], scales: Sequence[Sequence[float | Tensor]]) -> list[Tensor]:
    return [row * f for part, fs in zip(rows, scales, strict=True) for row, f in zip(part, fs, strict=True)]


def _times(scale: float, root: Tensor | None, start: int, stop: int) -> float | Tensor:
    """The factor on rows `start:stop`: a number where it is the same for all of them."""
    if root is None:
        return scale
    return scale * (root[start:stop] if root.ndim else float(root))


def _owned(block: Block) -> list[tuple[str, int]]:
    """The condition and the number of rows of every row tensor of a block."""
    return [
        (c.name, len(s.sample))
        for s in block.segments
        for c in s.group.conditions
        for _ in range(c.components)
    ]


def _spread(raw: Tensor, n: int) -> Tensor:
    """One copy of each unknown number per point (k, n), so that every row has its own derivative."""
    return raw.unsqueeze(1).repeat(1, n).requires_grad_()
