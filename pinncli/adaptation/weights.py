"""All adaptive weights of a run together: their state, and what they make of the objective.

They multiply the fixed weights: the square of condition c's residual at point i is multiplied by
lambda_c (balance) times a_ci (attention) times w_k (causal, k the chunk of the point's time). An update is a
change of the objective, as a redraw is; between updates the objective is one fixed sum of squares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from pinncli.adaptation.attention import Attention, nearest
from pinncli.adaptation.balance import Balance
from pinncli.adaptation.causal import DONE, Causal
from pinncli.objective import Objective
from pinncli.residuals import Sample

Gate = Callable[[Tensor], Tensor]
"""Factors (n,) on the residuals of conditions in the interior, at points (n, d)."""


@dataclass(frozen=True)
class Weights:
    """The state: None for a rule that is off."""

    balance: Tensor | None = None
    """lambda_c (C,)."""
    attention: Mapping[str, Tensor] | None = None
    """lambda_i (n,) by condition."""
    causal: Tensor | None = None
    """w (chunks,)."""
    tolerance: int = 0
    """Number of the causal tolerance in force."""

    def to_tree(self) -> dict[str, Any]:
        """For a checkpoint."""
        tree = {f.name: getattr(self, f.name) for f in fields(self)}
        return tree | {"attention": None if self.attention is None else dict(self.attention)}

    def to(self, device: torch.device) -> Weights:
        """The same on `device`, but for lambda_c, which stays on the CPU."""
        attention = self.attention and {name: a.to(device) for name, a in self.attention.items()}
        causal = None if self.causal is None else self.causal.to(device)
        return replace(self, attention=attention, causal=causal)


@dataclass(frozen=True)
class Adaptation:
    """The rules that are on. `extents` (d,) are the lengths of the domain."""

    balance: Balance | None
    attention: Attention | None
    causal: Causal | None
    extents: tuple[float, ...]

    def start(self, objective: Objective, theta: Tensor) -> Weights:
        """The weights of the first step, at fresh points. `objective` has none."""
        weights = Weights()
        rows = objective.condition_rows(theta)
        if self.attention:
            weights = replace(weights, attention={n: torch.ones_like(parts[0]) for n, parts in rows.items()})
        if self.causal:
            losses = self.causal.losses(_points(objective), rows)
            weights = replace(weights, causal=self.causal.at(losses, 0))
        if self.balance:
            lambdas = self.balance.start(self.apply(objective, weights), theta)
            weights = replace(weights, balance=lambdas)
        return weights

    def apply(self, objective: Objective, weights: Weights) -> Objective:
        """`objective` with these weights instead of any it had."""
        return objective.weighted(self.factors(objective, weights))

    def factors(self, objective: Objective, weights: Weights) -> dict[str, Tensor]:
        """Per condition the factor () or (n,) on the squares of its residuals."""
        points = _points(objective)
        factors = {name: torch.ones((), dtype=p.dtype, device=p.device) for name, p in points.items()}
        if self.balance and weights.balance is not None:
            for name, scale in zip(self.balance.weights, weights.balance.tolist(), strict=True):
                factors[name] = factors[name] * scale
        if self.attention and weights.attention is not None:
            for name, attention in weights.attention.items():
                factors[name] = factors[name] * self.attention.factors(attention)
        if self.causal and weights.causal is not None:
            for name in self.causal.follows:
                factors[name] = factors[name] * weights.causal[self.causal.chunk(points[name])]
        return factors

    def gate(self, weights: Weights) -> Gate | None:
        """sqrt(w) at any points, None for one: none are spent where residuals do not count yet."""
        rule, causal = self.causal, weights.causal
        if rule is None or causal is None:
            return None
        return lambda points: causal[rule.chunk(points)].sqrt()

    def due(self, step: int) -> bool:
        """Whether any rule is updated after this step of the run."""
        rules = (self.balance, self.attention, self.causal)
        return any(rule is not None and step % rule.every == 0 for rule in rules)

    def update(self, objective: Objective, theta: Tensor, weights: Weights, step: int) -> Weights:
        """The weights after step number `step`; `objective` has the old ones. Where a residual is not
        finite, they stay.
        """
        rows = objective.condition_rows(theta)
        if not all(bool(torch.isfinite(row).all()) for parts in rows.values() for row in parts):
            return weights
        found = weights
        if self.attention and weights.attention is not None and step % self.attention.every == 0:
            sizes = {n: torch.linalg.vector_norm(torch.stack(list(r)), dim=0) for n, r in rows.items()}
            attention = {n: self.attention.update(a, sizes[n]) for n, a in weights.attention.items()}
            found = replace(found, attention=attention)
        if self.causal and weights.causal is not None and step % self.causal.every == 0:
            losses = self.causal.losses(_points(objective), rows)
            tolerance = weights.tolerance
            causal = self.causal.at(losses, tolerance)
            if float(causal.min()) > DONE and tolerance + 1 < len(self.causal.tolerances):
                tolerance += 1
                causal = self.causal.at(losses, tolerance)
            found = replace(found, causal=causal, tolerance=tolerance)
        if self.balance and weights.balance is not None and step % self.balance.every == 0:
            found = replace(found, balance=self.balance.update(objective, theta, weights.balance))
        return found

    def move_on(self, objective: Objective, theta: Tensor, weights: Weights) -> Weights:
        """The weights at the next causal tolerance; the same where there is none."""
        if not self.causal or weights.tolerance + 1 >= len(self.causal.tolerances):
            return weights
        losses = self.causal.losses(_points(objective), objective.condition_rows(theta))
        following = weights.tolerance + 1
        return replace(weights, causal=self.causal.at(losses, following), tolerance=following)

    def tolerance(self, weights: Weights) -> float:
        """The causal tolerance in force; 0 without one."""
        return self.causal.tolerances[weights.tolerance] if self.causal else 0.0

    def carry(self, weights: Weights, objective: Objective, samples: Sequence[Sample]) -> Weights:
        """The weights at the points `samples`, one per group of `objective`, that replace its own.

        lambda_c and w belong to no point. Attention is memory of a place: each point takes that of the
        nearest old one of the condition.
        """
        if weights.attention is None:
            return weights
        attention = dict(weights.attention)
        for group, old, new in zip(objective.groups, objective.samples, samples, strict=True):
            if old is not new:
                for condition in group.conditions:
                    values = attention[condition.name]
                    attention[condition.name] = nearest(values, old.points, new.points, self.extents)
        return replace(weights, attention=attention)


def _points(objective: Objective) -> dict[str, Tensor]:
    """The points (n, d) of every condition."""
    return {
        condition.name: sample.points
        for group, sample in zip(objective.groups, objective.samples, strict=True)
        for condition in group.conditions
    }
