"""What an optimiser is, and what it may know of an objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor


class Objective(Protocol):
    """0.5 |r(theta)|^2 over theta (p,), with residuals r (r,) and their Jacobian J (r, p)."""

    def value(self, theta: Tensor) -> float:
        """0.5 |r|^2."""
        ...

    def value_and_grad(self, theta: Tensor) -> tuple[float, Tensor]:
        """0.5 |r|^2 and J^T r (p,)."""
        ...

    def residual(self, theta: Tensor) -> Tensor:
        """r (r,)."""
        ...

    def residual_and_jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """r (r,) and J (r, p)."""
        ...

    def gram(self, theta: Tensor) -> tuple[float, Tensor, Tensor]:
        """0.5 |r|^2, J^T r (p,) and J^T J (p, p)."""
        ...


@dataclass(frozen=True)
class StepInfo:
    """What one step did: the value at the new theta, and how it got there."""

    value: float
    gradient_norm: float
    step_size: float
    evaluations: int
    status: Literal["ok", "converged", "failed"] = "ok"


class Optimiser(Protocol):
    """A method; its state is a flat frozen dataclass of tensors and numbers, `state_type`."""

    state_type: ClassVar[type]

    def init(self, objective: Objective, theta: Tensor) -> Any:
        """The state before the first step."""
        ...

    def step(self, objective: Objective, theta: Tensor, state: Any) -> tuple[Tensor, Any, StepInfo]:
        """One step: the new theta, the new state, what happened."""
        ...

    def refresh(self, objective: Objective, theta: Tensor, state: Any) -> Any:
        """The objective changed (points redrawn): cached values anew, curvature kept."""
        ...

    def recover(self, objective: Objective, theta: Tensor, state: Any) -> Any:
        """After a breakdown: curvature reset, smaller step."""
        ...
