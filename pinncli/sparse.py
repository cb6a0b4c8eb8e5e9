"""The Jacobian of local features by rows that touch the same patches: sparse, never formed whole.

Between two knots of every cut coordinate few patches are alive, so the rows of an equation at the points
of one cell have nonzero columns for those only; an equation that looks at several places has those of all
of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pinncli.derivatives.cellwise import Part
from pinncli.residuals import Block


@dataclass(frozen=True)
class Rows:
    """Rows of [J r] with the same patches: `matrix` (n, patches share + numbers), `residual` (n,).

    The columns are those of the patches, one after another, then those of the unknown numbers.
    """

    patches: tuple[int, ...]
    matrix: Tensor
    residual: Tensor


@dataclass(frozen=True)
class SparseJacobian:
    """All rows; theta is `count` patches of `share` numbers each, then the unknown numbers."""

    rows: tuple[Rows, ...]
    count: int
    share: int
    numbers: int

    @property
    def size(self) -> int:
        """p."""
        return self.count * self.share + self.numbers

    def columns(self, patches: Sequence[int], v: Tensor) -> Tensor:
        """The entries of v (p,) that rows with these patches see."""
        own = v[: self.count * self.share].view(self.count, self.share)[list(patches)].reshape(-1)
        return torch.cat([own, v[self.count * self.share :]])

    def scatter(self, patches: Sequence[int], part: Tensor, out: Tensor) -> None:
        """Add `part` to the entries of out (p,) that rows with these patches see."""
        k = len(patches) * self.share
        own = out[: self.count * self.share].view(self.count, self.share)
        own.index_add_(0, torch.tensor(patches, device=out.device), part[:k].view(-1, self.share))
        out[self.count * self.share :] += part[k:]


def block_rows(
    block: Block, rows: Sequence[Sequence[Tensor]], calls: Sequence[Sequence[Part]], raws: Sequence[Tensor]
) -> list[Rows]:
    """One backward pass per residual at a point, as in `linearisation.record_block`.

    `rows` are the scaled residuals (n,) per segment and component with their graph down to the outputs of
    the recorded layers of `calls`, and to `raws`, each segment's unknown numbers (q, n).
    """
    leaves = [p.tape[0].outputs for parts in calls for p in parts] + list(raws)
    passes = max(len(part) for part in rows)
    found: list[Rows] = []
    for k in range(passes):
        with torch.enable_grad():
            total = torch.stack([part[k].sum() for part in rows if k < len(part)]).sum()
        if total.requires_grad:
            grads = torch.autograd.grad(
                total, leaves, retain_graph=k + 1 < passes, allow_unused=True, materialize_grads=True
            )
        else:
            grads = tuple(torch.zeros_like(leaf) for leaf in leaves)
        flat = iter(grads)
        local = [[_Local.of(p, next(flat)) for p in parts] for parts in calls]
        numbers = list(flat)
        for s, part in enumerate(rows):
            if k < len(part):
                slopes = numbers[s].t() if numbers else part[k].new_zeros((len(part[k]), 0))
                found += _segment_rows(block, s, part[k].detach(), local, slopes)
    return found


@dataclass(frozen=True)
class _Local:
    """The derivatives (points of the call in one cell, patches, share) of one residual a point."""

    places: Tensor
    patches: tuple[int, ...]
    matrix: Tensor

    @classmethod
    def of(cls, part: Part, cotangents: Tensor) -> _Local:
        """From the cotangents (S, o, n) of the output layer and its inputs (S, i, n)."""
        inputs = part.tape[0].inputs
        k = len(part.patches)
        product = torch.einsum("son,skwn->nkow", cotangents, inputs.unflatten(1, (k, -1)))
        return cls(part.places, part.patches, product.flatten(2))


def _segment_rows(
    block: Block, segment: int, residual: Tensor, local: Sequence[Sequence[_Local]], slopes: Tensor
) -> list[Rows]:
    """The rows of one segment, sorted by the patches that they touch at all its sites together."""
    n = len(residual)
    sites: list[tuple[Tensor, list[_Local], int]] = []
    for call, parts in zip(block.calls, local, strict=True):
        for use in call.uses:
            if use.segment == segment:
                owner = torch.empty(len(call.points), dtype=torch.long)
                for number, part in enumerate(parts):
                    owner[part.places.cpu()] = number
                sites.append((owner[use.start : use.stop], list(parts), use.start))
    keys = torch.stack([owner for owner, _, _ in sites], dim=1)
    kinds, kind_of = torch.unique(keys, dim=0, return_inverse=True)
    found = []
    for number, kind in enumerate(kinds.tolist()):
        mine = torch.nonzero(kind_of == number).squeeze(1).to(residual.device)
        touched = sorted({p for (_, parts, _), k in zip(sites, kind, strict=True) for p in parts[k].patches})
        share = sites[0][1][kind[0]].matrix.shape[2]
        matrix = residual.new_zeros((len(mine), len(touched), share))
        for (_, parts, start), k in zip(sites, kind, strict=True):
            part = parts[k]
            at = torch.searchsorted(part.places, mine + start)  # places rise within a cell
            matrix[:, [touched.index(p) for p in part.patches]] += part.matrix[at]
        whole = torch.cat([matrix.flatten(1), slopes[mine]], dim=1)
        found.append(Rows(tuple(touched), whole, residual[mine]))
    assert sum(len(each.residual) for each in found) == n  # noqa: S101  (every row has a kind)
    return found


def joined(rows: Sequence[Rows]) -> tuple[Rows, ...]:
    """Those with equal patches put together."""
    kinds: dict[tuple[int, ...], list[Rows]] = {}
    for each in rows:
        kinds.setdefault(each.patches, []).append(each)
    return tuple(
        Rows(patches, torch.cat([r.matrix for r in same]), torch.cat([r.residual for r in same]))
        for patches, same in kinds.items()
    )
