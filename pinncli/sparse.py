"""The Jacobian of local features by rows that touch the same patches: sparse, never formed whole.

Between two knots of every cut coordinate few patches are alive, so the rows of an equation at the points
of one cell have nonzero columns for those only; an equation that looks at several places has those of all
of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pinncli.derivatives.cellwise import Basis
from pinncli.language.partials import Wanted
from pinncli.residuals import Block, Use


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
        for patch, each in zip(patches, part[:k].view(-1, self.share), strict=True):
            own[patch] += each
        out[self.count * self.share :] += part[k:]


def block_rows(
    block: Block,
    rows: Sequence[Sequence[Tensor]],
    results: Sequence[Mapping[Wanted, Tensor]],
    bases: Sequence[Sequence[Basis]],
    raws: Sequence[Tensor],
) -> list[Rows]:
    """The chain rule through the partials: points are independent, so one backward pass per residual.

    `rows` are the scaled residuals (n,) per segment and component with their graph down to the partials at
    the points of every call, `results`, and to `raws`, each segment's unknown numbers (q, n).
    """
    leaves = [v for each in results for v in each.values()] + list(raws)
    found: list[Rows] = []
    for k in range(max(len(part) for part in rows)):
        with torch.enable_grad():
            total = torch.stack([part[k].sum() for part in rows if k < len(part)]).sum()
        grads: Sequence[Tensor]
        if total.requires_grad:
            grads = torch.autograd.grad(
                total, leaves, retain_graph=True, allow_unused=True, materialize_grads=True
            )
        else:
            grads = [torch.zeros_like(leaf) for leaf in leaves]
        flat = iter(grads)
        slopes = [{p: next(flat) for p in each} for each in results]
        numbers = list(flat)
        for s, part in enumerate(rows):
            if k < len(part):
                own = numbers[s].t() if numbers else part[k].new_zeros((len(part[k]), 0))
                found += _segment_rows(block, s, part[k].detach(), slopes, bases, own)
    return found


def _segment_rows(
    block: Block,
    segment: int,
    residual: Tensor,
    slopes: Sequence[Mapping[Wanted, Tensor]],
    bases: Sequence[Sequence[Basis]],
    numbers: Tensor,
) -> list[Rows]:
    """The rows of one segment, sorted by the cells that they look at with all their sites."""
    sites = [(c, use) for c, call in enumerate(block.calls) for use in call.uses if use.segment == segment]
    keys = torch.stack([_owners(bases[c], use) for c, use in sites], dim=1)
    kinds, kind_of = torch.unique(keys, dim=0, return_inverse=True)
    found = []
    for number, kind in enumerate(kinds.tolist()):
        mine = torch.nonzero(kind_of == number).squeeze(1).to(residual.device)
        seen = [(bases[c][k], slopes[c], mine + use.start) for (c, use), k in zip(sites, kind, strict=True)]
        touched = sorted({p for basis, _, _ in seen for p in basis.cell.patches})
        outputs = seen[0][0].cell.outputs
        matrix: Tensor | None = None
        for basis, gradient, points in seen:
            at = torch.searchsorted(basis.places, points)  # places rise within a cell
            for p, (component, columns, _) in basis.parts.items():
                factor = gradient[p][points]
                if bool(factor.any()):
                    part = (columns[at] * factor.unsqueeze(1)).unflatten(1, (len(basis.cell.patches), -1))
                    if matrix is None:
                        matrix = part.new_zeros((len(mine), len(touched), outputs, part.shape[2]))
                    for k, patch in enumerate(basis.cell.patches):
                        matrix[:, touched.index(patch), component] += part[:, k]
        if matrix is not None:
            whole = torch.cat([matrix.flatten(1), numbers[mine]], dim=1)
            found.append(Rows(tuple(touched), whole, residual[mine]))
        else:
            found.append(Rows((), numbers[mine], residual[mine]))
    return found


def _owners(bases: Sequence[Basis], use: Use) -> Tensor:
    """Which of `bases` each point (n,) of a use is in, on the CPU."""
    owners = torch.empty(sum(len(b.places) for b in bases), dtype=torch.long)
    for number, basis in enumerate(bases):
        owners[basis.places.cpu()] = number
    return owners[use.start : use.stop]


def joined(rows: Sequence[Rows]) -> tuple[Rows, ...]:
    """Those with equal patches put together."""
    kinds: dict[tuple[int, ...], list[Rows]] = {}
    for each in rows:
        kinds.setdefault(each.patches, []).append(each)
    return tuple(
        Rows(patches, torch.cat([r.matrix for r in same]), torch.cat([r.residual for r in same]))
        for patches, same in kinds.items()
    )
