"""The references of problems in time alone, with their refinements."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import ordinary
from fourier import Array
from reference import Reference, difference


def by_runge_kutta(
    system: ordinary.System,
    times: Array,
    title: str,
    named: Callable[[Array], dict[str, Array]],
    checks: Mapping[str, Callable[[Array], float]] | None = None,
) -> Reference:
    """Dormand & Prince; `named` gives the components of states (d, n), `checks` what else is known."""
    state = ordinary.solve(system, times)

    def change(tolerance: float, method: str = "DOP853") -> float:
        return difference(stacked(ordinary.solve(system, times, tolerance, method)), stacked(state))

    def stacked(y: Array) -> Array:
        return np.stack(list(named(y).values()))

    return Reference(
        title=title,
        made_by=f"ordinary.py: Dormand-Prince of order 8, tolerance {ordinary.TOLERANCE:g}",
        coordinates={"t": times},
        values=named(state),
        refinements={
            "a looser tolerance": change(30 * ordinary.TOLERANCE),
            "Radau IIA": change(1e-12, "Radau"),
        },
        checks={name: check(state) for name, check in (checks or {}).items()},
    )


def van_der_pol() -> Reference:
    """Dormand & Prince."""
    return by_runge_kutta(
        ordinary.van_der_pol(),
        np.linspace(0, 20, 2001),
        "Van der Pol oscillator, u'' = 5 (1 - u^2) u' - u, u(0) = 2, u'(0) = 0",
        lambda y: {"u": y[0]},
    )


def lorenz(rho: float) -> Reference:
    """Dormand & Prince."""
    return by_runge_kutta(
        ordinary.lorenz(rho=rho),
        np.linspace(0, 3, 601),
        f"Lorenz system, sigma = 10, rho = {rho:g}, beta = 8/3, from (-8, 7, 27)",
        lambda y: dict(zip("xyz", y, strict=True)),
    )


def pendulum_dae() -> Reference:
    """Dormand & Prince for the angle."""
    times = np.linspace(0, 3, 601)
    return by_runge_kutta(
        ordinary.pendulum(),
        times,
        "Pendulum, g = 9.81, length and mass 1, released at 60 degrees: place and tension",
        ordinary.pendulum_cartesian,
        {"elliptic functions": lambda y: difference(ordinary.pendulum_closed(times), y)},
    )


MAKERS: Mapping[str, Callable[[], Reference]] = {
    "van_der_pol": van_der_pol,
    "lorenz": lambda: lorenz(28.0),
    "lorenz_inverse": lambda: lorenz(15.0),
    "pendulum_dae": pendulum_dae,
}
