"""What an optimiser may know of the objective, and what the training loop may know of an optimiser.

A state is a value: a flat frozen dataclass of tensors and plain numbers, and a checkpoint is
exactly its fields. `step` depends on (objective, theta, state) alone, so a run continued from saved
fields repeats the undisturbed one bit for bit. Large buffers (a dense inverse Hessian, L-BFGS pairs)
are updated in place: **a state handed to `step`, `refresh` or `recover` is consumed**, and only the
one that comes back may be stepped again. Rolling back needs no second copy, because `recover` discards
the curvature: give it the theta to go back to and any state of the same run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from torch import Tensor

from pinncli.sparse import SparseJacobian

State = TypeVar("State")
Status = Literal["ok", "converged", "failed"]


@dataclass(frozen=True)
class StepInfo:
    """One step in numbers.

    `value` is the objective at the returned theta, `gradient_norm` the norm of the latest gradient
    known, `step_size` the length |s| of the step and `evaluations` how often the residual was
    evaluated, derivatives or not. "converged": no decrease above rounding is left. "failed": none
    was found where one was predicted.
    """

    value: float
    gradient_norm: float
    step_size: float
    evaluations: int
    status: Status


class Linear(Protocol):
    """r + J v around one theta."""

    @property
    def residual(self) -> Tensor:
        """r (n,)."""
        ...

    def jvp(self, v: Tensor) -> Tensor:
        """J v (n,) for v (p,)."""
        ...

    def vjp(self, w: Tensor) -> Tensor:
        """J^T w (p,) for w (n,)."""
        ...

    def diagonal(self) -> Tensor:
        """The diagonal (p,) of J^T J."""
        ...


class Objective(Protocol):
    """0.5 |r(theta)|^2 for theta (p,) and residuals r (n,); J is the Jacobian (n, p) of r."""

    def value(self, theta: Tensor) -> float:
        """0.5 |r|^2."""
        ...

    def value_and_grad(self, theta: Tensor) -> tuple[float, Tensor]:
        """0.5 |r|^2 and J^T r (p,)."""
        ...

    def residual(self, theta: Tensor) -> Tensor:
        """r (n,)."""
        ...

    def triangle(self, theta: Tensor) -> Tensor:
        """Upper triangular R (p + 1, p + 1) with R^T R = [J r]^T [J r], never formed as that product."""
        ...

    @property
    def sparse(self) -> bool:
        """Whether `sparse_jacobian` serves better than `triangle`."""
        ...

    def sparse_jacobian(self, theta: Tensor) -> SparseJacobian:
        """r and J by rows that touch the same patches of a local network."""
        ...

    def residual_and_jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """r (n,) and J (n, p), in memory at once."""
        ...

    def gram(self, theta: Tensor) -> tuple[float, Tensor, Tensor]:
        """0.5 |r|^2, J^T r (p,) and J^T J (p, p)."""
        ...

    def vjp(self, theta: Tensor, w: Tensor) -> Tensor:
        """J^T w (p,) for w (n,)."""
        ...

    def linearise(self, theta: Tensor) -> Linear:
        """r and J for many products, J not formed."""
        ...

    def layout(self, theta: Tensor) -> list[tuple[int, int, int]]:
        """(start, o, i) of every weight matrix (o, i) in theta."""
        ...


class Optimiser(Protocol):
    """A method of minimisation; `state_type` is the dataclass of its states."""

    state_type: ClassVar[type]

    def init(self, objective: Objective, theta: Tensor) -> Any:
        """The state before the first step from `theta`."""
        ...

    def step(self, objective: Objective, theta: Tensor, state: Any) -> tuple[Tensor, Any, StepInfo]:
        """A better theta and the state there; theta is unchanged unless the status is "ok"."""
        ...

    def refresh(self, objective: Objective, theta: Tensor, state: Any) -> Any:
        """The state for a changed `objective`: what was cached of the old one is renewed, curvature kept."""
        ...

    def recover(self, objective: Objective, theta: Tensor, state: Any) -> Any:
        """A state to go on with from `theta` after trouble: curvature forgotten, shorter steps."""
        ...


def unchanged(self: object, objective: Objective, theta: Tensor, state: State) -> State:  # noqa: ARG001
    """`refresh` where nothing of the old objective is kept, or nothing that the new one makes worse."""
    return state
