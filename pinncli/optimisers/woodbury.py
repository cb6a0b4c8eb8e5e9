"""Gauss-Newton steps through the kernel matrix J J' (n, n), for fewer residuals than parameters.

ENGD-W (Guzman-Cordero et al. 2025, arXiv 2505.12149) is the damped Gauss-Newton step by Woodbury's
identity, and SPRING (Goldshlager, Abrahamsen & Lin 2024) the one nearest to mu times the last step,

    phi_k = J' (J J' + lambda I)^-1 (r - mu J phi_(k-1)) + mu phi_(k-1)
    theta <- theta - eta phi_k / sqrt(1 - mu^(2k))

which minimises |J phi - r|^2 + lambda |phi - mu phi_(k-1)|^2; ENGD-W is mu = 0. Memory n p and n^2.
SPRING averages over draws of the points, and wants them redrawn often.

Where n >= p the same step comes from J'J (p, p) instead, the smaller matrix then.

lambda is relative to the mean eigenvalue of that matrix. It never falls below the value
asked for, which keeps a step from fitting its own few points exactly, and is raised by the ratio rule
where the model is bad. eta is the best of the grid `learning_rate` 2^-i, i = 0..30, walked from its
top while the value falls, and not at all where the model was right there. The top is 1 for ENGD-W, and
for SPRING less than 1 - mu or so: phi gathers what many draws say about one direction, so that theta
must move slowly meanwhile. With eta = 1 and points redrawn every step it diverges, each step
repeating mu times what the last one has done already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, Status, StepInfo, unchanged
from pinncli.optimisers.damping import LEAST_RATIO, eased, half_square

HALVINGS = 30
"""Of eta."""
TRUSTED = 0.75
"""From this ratio of the decrease to the predicted one no shorter step is tried."""
LEAST_ALONG = 0.25
"""A direction with momentum that wants a share of the rate below this is given up for one without."""
FIRST_DAMPING = 1e-3
"""lambda begins here, or at its least."""
RAISE = 100.0
"""Most by which one step raises the damping."""
MAX_TRIALS = 30
"""Bound on the dampings tried for one kernel matrix."""


@dataclass(frozen=True)
class WoodburyState:
    """lambda relative to the mean eigenvalue; phi (p,), and the k of its bias."""

    damping: float
    momentum: Tensor
    count: int


@dataclass(frozen=True)
class Woodbury:
    """ENGD-W where `momentum` mu is 0 and `learning_rate` 1, else SPRING; `damping` is the least lambda."""

    damping: float
    momentum: float
    learning_rate: float

    state_type: ClassVar[type] = WoodburyState
    refresh = unchanged  # the momentum averages over points, and nothing else is kept of them

    def init(self, objective: Objective, theta: Tensor) -> WoodburyState:  # noqa: ARG002
        """No momentum."""
        return WoodburyState(max(self.damping, FIRST_DAMPING), torch.zeros_like(theta), 0)

    def step(
        self, objective: Objective, theta: Tensor, state: WoodburyState
    ) -> tuple[Tensor, WoodburyState, StepInfo]:
        """The first damping that gives a decrease; without momentum where it leads nowhere."""
        r, jacobian = objective.residual_and_jacobian(theta)
        value = half_square(r)
        gradient = r @ jacobian
        norm = float(torch.linalg.vector_norm(gradient))
        if not math.isfinite(value + norm):
            return theta, state, StepInfo(value, norm, 0.0, 1, "failed")
        if norm == 0.0:
            return theta, state, StepInfo(value, norm, 0.0, 1, "converged")
        model = KernelModel.of(r, jacobian, gradient)
        damping, growth, evaluations = max(state.damping, self.damping), 2.0, 1
        mu, before, count = self.momentum, state.momentum, state.count
        status: Status = "failed"
        for _ in range(MAX_TRIALS):
            pushed = model.momentum(damping, mu * before) if count else model.plain(damping)
            if pushed is not None:
                direction = _Direction.of(pushed, 1.0 / math.sqrt(1.0 - mu ** (2 * (count + 1))), model)
                if (
                    not direction.predicted(self.learning_rate) > torch.finfo(theta.dtype).eps * value
                    and not count
                ):
                    status = "converged"
                    break
                found, tried = _grid(objective, theta, value, direction, self.learning_rate)
                evaluations += tried
                if found is not None and (found.eta >= LEAST_ALONG * self.learning_rate or not count):
                    state = WoodburyState(max(damping * found.factor, self.damping), pushed.phi, count + 1)
                    length = found.eta * float(torch.linalg.vector_norm(direction.s))
                    info = StepInfo(found.value, norm, length, evaluations, "ok")
                    return theta + found.eta * direction.s, state, info
            if count:
                count = 0
                continue
            damping *= growth
            growth *= 2.0
        kept = replace(state, damping=damping, momentum=torch.zeros_like(theta), count=0)
        return theta, kept, StepInfo(value, norm, 0.0, evaluations, status)

    def recover(self, objective: Objective, theta: Tensor, state: WoodburyState) -> WoodburyState:
        """No momentum, and at least a hundred times the damping."""
        return replace(self.init(objective, theta), damping=100.0 * max(state.damping, self.damping))


@dataclass(frozen=True)
class Pushed:
    """phi (p,) and J phi (n,)."""

    phi: Tensor
    image: Tensor


@dataclass(frozen=True)
class KernelModel:
    """r (n,), J (n, p), J'r (p,), the smaller of J J' and J'J, and its mean eigenvalue."""

    r: Tensor
    jacobian: Tensor
    gradient: Tensor
    matrix: Tensor
    mean: float

    @classmethod
    def of(cls, r: Tensor, jacobian: Tensor, gradient: Tensor) -> KernelModel:
        """From one evaluation of the objective."""
        n, p = jacobian.shape
        matrix = jacobian @ jacobian.t() if n < p else jacobian.t() @ jacobian
        return cls(r, jacobian, gradient, matrix, float(matrix.diagonal().mean()))

    def plain(self, damping: float) -> Pushed | None:
        """J'(J J' + lambda I)^-1 r; None where that is not positive definite in this precision."""
        return self._solved(damping, self.r)

    def momentum(self, damping: float, before: Tensor) -> Pushed | None:
        """The phi nearest to `before` (p,)."""
        image = self.jacobian @ before
        correction = self._solved(damping, self.r - image)
        if correction is None:
            return None
        return Pushed(correction.phi + before, correction.image + image)

    def _solved(self, damping: float, right: Tensor) -> Pushed | None:
        n, p = self.jacobian.shape
        shifted = self.matrix.clone()
        shifted.diagonal().add_(damping * self.mean)
        factor, failed = torch.linalg.cholesky_ex(shifted)
        if int(failed):
            return None
        known = right if n < p else right @ self.jacobian
        x = torch.cholesky_solve(known.unsqueeze(1), factor).squeeze(1)
        phi = x @ self.jacobian if n < p else x
        return Pushed(phi, self.jacobian @ phi) if bool(torch.isfinite(phi).all()) else None


@dataclass(frozen=True)
class _Direction:
    """s (p,) with what the model promises at eta s: -eta `slope` - 0.5 eta^2 `curvature`."""

    s: Tensor
    slope: float
    curvature: float

    @classmethod
    def of(cls, pushed: Pushed, unbias: float, model: KernelModel) -> _Direction:
        s, image = -unbias * pushed.phi, -unbias * pushed.image
        slope, curvature = torch.stack([model.gradient.dot(s), image.dot(image)]).tolist()
        return cls(s, slope, curvature)

    def predicted(self, top: float) -> float:
        """The model's decrease at the best eta that it sees, at most `top`."""
        eta = top if self.curvature <= 0.0 else min(top, -self.slope / self.curvature)
        return self.decrease(eta) if eta > 0.0 else 0.0

    def decrease(self, eta: float) -> float:
        """0.5 |r|^2 - 0.5 |r + eta J s|^2."""
        return -eta * self.slope - 0.5 * eta * eta * self.curvature


@dataclass(frozen=True)
class _Found:
    """The eta taken, the value there and the factor on the damping."""

    eta: float
    value: float
    factor: float


def _grid(
    objective: Objective, theta: Tensor, value: float, direction: _Direction, top: float
) -> tuple[_Found | None, int]:
    """The first least value along top 2^-i, and the evaluations; None where it is no decrease to speak of."""
    if not direction.slope < 0.0:
        return None, 0
    best, least, tried = 0.0, value, 0
    for i in range(HALVINGS + 1):
        eta = top * 0.5**i
        trial = objective.value(theta + eta * direction.s)
        tried += 1
        if trial < least:
            best, least = eta, trial
            if trial <= value - TRUSTED * direction.decrease(eta) and direction.decrease(eta) > 0.0:
                break
        elif best:
            break
    promised = direction.decrease(best)
    if not best or value - least <= LEAST_RATIO * promised:
        return None, tried
    # a step that had to be shortened is one that a larger damping would have made
    whole = best == top and promised > 0.0
    factor = eased((value - least) / promised) if whole else min(max(2.0, top / best), RAISE)
    return _Found(best, least, factor), tried
