"""Initial values led on by the linear part of the equations: the flow, its derivatives, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pinncli.assembly import Assembly, assemble
from pinncli.errors import ProblemError
from pinncli.language.partials import Partial
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_text
from pinncli.problem.terms import Formulation, LinearPart
from pinncli.problem.waves import Spectrum, mean_slopes, places, symbols
from pinncli.problem.windows import window
from pinncli.runs.store import Run
from pinncli.solver import SolveOptions, load_solution, solve

CPU = torch.device("cpu")


def formulated(
    equations: dict[str, str],
    initial: dict[str, str],
    *,
    unknowns: str = 'unknowns = ["u"]',
    ranges: str = "x = [-1, 1]\nt = [0.5, 1]",
    share: float = 1.0,
    rest: str = "",
    periods: dict[str, tuple[str, str]] | None = None,
    orders: int = 2,
    network: str = 'kind = "local"\nwidth = 8\npatches = { x = 4 }',
) -> Formulation:
    """A problem that is periodic in `periods`, also in its derivatives below `orders`."""
    lines = [f'e{k} = {{ on = "interior", equation = "{e}" }}' for k, e in enumerate(equations.values())]
    lines += [f'i{n} = {{ on = "t-", equation = "{n} = {f}" }}' for n, f in initial.items()]
    for name in initial:
        for c, (low, high) in (periods or {"x": ("-1", "1")}).items():
            lines.append(f'p{name}{c} = {{ equation = "{name}({c}={low}) = {name}({c}={high})" }}')
            for k in range(1, orders):
                d = f"d({name}, {', '.join([c] * k)})"
                lines.append(f'p{name}{c}{k} = {{ equation = "{d}({c}={low}) = {d}({c}={high})" }}')
    plain, table = ("", unknowns) if unknowns.startswith("[") else (unknowns, "")
    text = "\n".join(
        [
            'title = "T"',
            plain,
            "[coordinates]",
            ranges,
            table,
            "[network]",
            network,
            f"propagated = {share}",
            rest,
            "[conditions]",
            *lines,
        ]
    )
    return formulate(load_text(text, "p", "p.toml", Path()))


def assembled(formulation: Formulation) -> Assembly:
    return assemble(formulation, choose(formulation), 0, CPU, torch.float64)


def led(assembly: Assembly, points: Tensor, wanted: list[Partial]) -> dict[Partial, Tensor]:
    """Partials of the ansatz whose network is zero."""
    return assembly.engine.partials(assembly.network, assembly.initial_theta(), points, wanted)


def some_points(assembly: Assembly, n: int = 50) -> Tensor:
    low, high = (
        torch.tensor(end, dtype=torch.float64) for end in (assembly.domain.low, assembly.domain.high)
    )
    drawn = torch.rand((n, len(low)), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return low + (high - low) * drawn


def part_of(formulation: Formulation) -> LinearPart:
    assert formulation.ansatz is not None
    assert formulation.ansatz.propagation is not None
    return formulation.ansatz.propagation.part


# equations, initial values and the solution that they have; tau is the time since the start
SOLVED = {
    "advection, diffusion, dispersion": (
        {
            "equations": {"a": "u_t + 0.7*u_x = 0.02*u_xx - 0.01*u_xxx - 0.3*u"},
            "initial": {"u": "1 + sin(2*pi*x) + 0.5*cos(pi*x)"},
            "orders": 3,
        },
        lambda x, s: {
            "u": np.exp(-0.3 * s)
            * (
                1
                + np.exp(-0.02 * 4 * np.pi**2 * s)
                * np.sin(2 * np.pi * (x - 0.7 * s) + 0.01 * (2 * np.pi) ** 3 * s)
                + 0.5 * np.exp(-0.02 * np.pi**2 * s) * np.cos(np.pi * (x - 0.7 * s) + 0.01 * np.pi**3 * s)
            )
        },
    ),
    "free Schrodinger": (
        {
            "equations": {"a": "i*h_t + h_xx/2 = 0"},
            "initial": {"h": "exp(3*pi*i*x) + 2*exp(-pi*i*x)"},
            "unknowns": '[unknowns.h]\nkind = "complex"',
        },
        lambda x, s: {
            f"h_{name}": part(
                np.exp(1j * (3 * np.pi * x - 4.5 * np.pi**2 * s))
                + 2 * np.exp(1j * (-np.pi * x - 0.5 * np.pi**2 * s))
            )
            for name, part in (("real", np.real), ("imag", np.imag))
        },
    ),
    "waves as a system": (
        {
            "equations": {"a": "2*u_t = 2*v_x", "b": "v_t = u_x"},
            "initial": {"u": "sin(pi*x)", "v": "0"},
            "unknowns": 'unknowns = ["u", "v"]',
        },
        lambda x, s: {
            "u": np.sin(np.pi * x) * np.cos(np.pi * s),
            "v": np.cos(np.pi * x) * np.sin(np.pi * s),
        },
    ),
    "regularised long waves": (
        {"equations": {"a": "u_t + u_x - d(u, x, x, t) = 0"}, "initial": {"u": "cos(pi*x)"}},
        lambda x, s: {"u": np.cos(np.pi * x - np.pi / (1 + np.pi**2) * s)},
    ),
}


@pytest.mark.parametrize("name", SOLVED)
def test_a_linear_equation_leaves_nothing_to_the_network(name: str) -> None:
    arguments, solution = SOLVED[name]
    assembly = assembled(formulated(**arguments))  # type: ignore[arg-type]
    points = some_points(assembly)
    components = assembly.formulation.problem.components
    found = led(assembly, points, [Partial(c, (0, 0)) for c in components])
    expected = solution(points[:, 0].numpy(), points[:, 1].numpy() - 0.5)
    for component in components:
        np.testing.assert_allclose(found[Partial(component, (0, 0))].numpy(), expected[component], atol=1e-12)
    residuals = assembly.objective(assembly.fresh(100, 20)).magnitudes(assembly.initial_theta())
    assert max(float(r.max()) for r in residuals.values()) < 1e-9
    met = assembly.met_objective(50).magnitudes(assembly.initial_theta())
    assert met and max(float(r.max()) for r in met.values()) < 1e-12


def test_the_sign_of_time_matters() -> None:
    """Values led on by the equation with the wrong sign leave a residual of the size of its terms."""
    arguments = SOLVED["free Schrodinger"][0]
    right, wrong = (
        assembled(formulated(**(arguments | {"equations": {"a": e}})))  # type: ignore[arg-type]
        for e in ("i*h_t + h_xx/2 = 0", "i*h_t - h_xx/2 = 0")
    )
    mixed = right.objective_of(right.groups, right.fresh(100, 20))
    assert mixed.value(right.initial_theta()) < 1e-18
    swapped = type(mixed).of(
        wrong.network, right.engine, right.groups, right.fresh(100, 20), right.parameters, right.block
    )
    assert swapped.value(right.initial_theta()) > 1e-2


def test_derivatives_are_those_of_the_formula() -> None:
    """Two periodic coordinates: the heat equation, with a Laplacian and mixed derivatives."""
    formulation = formulated(
        equations={"a": "u_t = 0.05*lap(u)"},
        initial={"u": "sin(pi*x)*cos(2*pi*y)"},
        ranges="x = [-1, 1]\ny = [0, 1]\nt = [0, 0.4]",
        periods={"x": ("-1", "1"), "y": ("0", "1")},
        rest='[definitions]\nw = "u_xy + u_xt"',
        network='kind = "mlp"\nwidth = 5\ndepth = 1',
    )
    assembly = assembled(formulation)
    theta = torch.zeros_like(assembly.initial_theta())
    points = some_points(assembly)
    x, y, t = points.t().numpy()
    rate = -0.05 * 5 * np.pi**2
    decay = np.exp(rate * t)
    lap = Partial("u", (0, 0, 0), laplacian=True)
    expected = {
        Partial("u", (0, 0, 0)): decay * np.sin(np.pi * x) * np.cos(2 * np.pi * y),
        Partial("u", (0, 0, 1)): rate * decay * np.sin(np.pi * x) * np.cos(2 * np.pi * y),
        Partial("u", (1, 1, 0)): -2 * np.pi**2 * decay * np.cos(np.pi * x) * np.sin(2 * np.pi * y),
        Partial("u", (1, 0, 1)): rate * np.pi * decay * np.cos(np.pi * x) * np.cos(2 * np.pi * y),
        lap: -5 * np.pi**2 * decay * np.sin(np.pi * x) * np.cos(2 * np.pi * y),
    }
    found = assembly.engine.partials(assembly.network, theta, points, list(expected))
    for partial, values in expected.items():
        np.testing.assert_allclose(found[partial].numpy(), values, atol=1e-10)


@pytest.mark.parametrize(
    ("equation", "initial", "orders", "rate"),
    [
        ("u_t + u*u_x + 0.01*u_xxx = 0", "0.3 + cos(pi*x)", 3, lambda k: -0.3j * k + 0.01j * k**3),
        ("u_t + 2*u*u_x + 3*u_xx + 0.5*u_xxxx = 0", "sin(pi*x)", 4, lambda k: 3 * k**2 - 0.5 * k**4),
        ("u_t = 1e-4*u_xx + 5*(u - u^3)", "cos(pi*x)", 2, lambda k: -1e-4 * k**2 + 5 - 15 * 0.5),
        ("u_t = d((1 + u^2)*u_x, x)", "cos(pi*x)", 2, lambda k: -1.5 * k**2),
    ],
)
def test_coefficients_are_frozen_at_their_means(
    equation: str, initial: str, orders: int, rate: object
) -> None:
    formulation = formulated({"a": equation}, {"u": initial}, orders=orders)
    part, assembly = part_of(formulation), assembled(formulation)
    at = places(assembly.domain, part)
    values = {"0.3 + cos(pi*x)": 0.3 + np.cos(np.pi * at[:, 0]), "sin(pi*x)": np.sin(np.pi * at[:, 0])}
    start = values.get(initial, np.cos(np.pi * at[:, 0]))[:, None]
    spectrum = Spectrum.of(start, 1)
    slopes = mean_slopes(part, spectrum, np.pi * spectrum.numbers, assembly.domain)
    waves = np.pi * np.array([[1.0], [7.0], [20.0]])
    first, zeroth = symbols(part, waves, slopes)
    found = -zeroth[:, 0, 0] / first[:, 0, 0]
    # of (1 + u^2) u_xx + 2 u u_x^2 the slope in u is 2 u_x^2 + 2 u u_xx, a derivative, whose mean is zero
    np.testing.assert_allclose(found, rate(waves[:, 0]), rtol=1e-9)  # type: ignore[operator]


def test_short_waves_of_a_cubic_equation_feel_twice_the_mean_density() -> None:
    """i h_t + h_xx/2 + |h|^2 h = 0: a short wave about h0 turns with k^2/2 - 2 mean |h0|^2."""
    formulation = formulated(
        {"a": "i*h_t + h_xx/2 + abs(h)^2*h = 0"},
        {"h": "1 + 0.5*cos(pi*x)"},
        unknowns='[unknowns.h]\nkind = "complex"',
    )
    part, assembly = part_of(formulation), assembled(formulation)
    x = places(assembly.domain, part)[:, 0]
    spectrum = Spectrum.of(np.stack([1 + 0.5 * np.cos(np.pi * x), 0.0 * x], axis=1), 1)
    slopes = mean_slopes(part, spectrum, np.pi * spectrum.numbers, assembly.domain)
    k = 100 * np.pi
    first, zeroth = symbols(part, np.array([[k]]), slopes)
    rates = np.linalg.eigvals(-np.linalg.solve(first, zeroth))[0]
    mean = 1 + 0.5 * 0.25
    np.testing.assert_allclose(sorted(rates.imag), [-(k**2) / 2 + 2 * mean, k**2 / 2 - 2 * mean], rtol=1e-9)


def test_the_waves_led_on_make_up_the_part_that_is_asked_for() -> None:
    x = -1.0 + 2.0 * np.arange(1024) / 1024
    spectrum = Spectrum.of((x**2)[:, None], 1)  # a kink
    sizes = np.linalg.norm(spectrum.numbers, axis=1)
    numbers = np.arange(1.0, 200.0)  # by their distance from x = -1
    np.testing.assert_allclose(spectrum.amplitudes[1:200, 0], 4.0 / (np.pi * numbers) ** 2, rtol=0.2)
    assert np.all(spectrum.led(1.0) == 1.0)
    share = 1e-3
    rising = spectrum.led(share)
    first = sizes[rising > 0.0].min()
    energy = np.abs(spectrum.amplitudes[:, 0]) ** 2 * np.where(sizes > 0.0, 0.5, 1.0)
    beyond = [energy[sizes > first - k].sum() for k in (1.0, 3.0)]
    assert beyond[0] <= share**2 * energy.sum() < beyond[1]
    assert rising[int(1.4 * first)] == 1.0
    assert np.all(np.diff(rising) >= 0.0)


def test_waves_that_grow_without_bound_are_held() -> None:
    formulation = formulated({"a": "u_t = -u_xx"}, {"u": "cos(40*pi*x)"})
    assembly = assembled(formulation)
    points = some_points(assembly)
    values = led(assembly, points, [Partial("u", (0, 0))])[Partial("u", (0, 0))]
    assert float(values.abs().max()) < 3.0


def test_the_network_has_no_part_in_the_initial_values() -> None:
    """Whatever it is, also where the values have a kink that the Fourier sum leaves to the last wave."""
    formulation = formulated({"a": "u_t + u*u_x = 0.01*u_xx"}, {"u": "x^2"}, share=1e-2)
    assembly = assembled(formulation)
    theta = torch.randn(
        assembly.initial_theta().shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    (missed,) = assembly.met_objective(500).magnitudes(theta).values()
    assert 1e-8 < float(missed.max()) < 2e-3
    assert [terms.name for terms in formulation.trained if terms.name.startswith("i")] == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"equations": {"a": "u_tt = u_xx"}, "initial": {"u": "0"}}, "of second order in time"),
        (
            {"equations": {"a": "u_t^2 = u_xx"}, "initial": {"u": "0"}},
            "not linear in its derivatives by time",
        ),
        ({"equations": {"a": "u_t = u_xx"}, "initial": {"u": "sin(pi*x)"}, "orders": 1}, "is periodic"),
        (
            {"equations": {"a": "u_t = u_xx + integral(u, x)"}, "initial": {"u": "sin(pi*x)"}},
            "more than the solution at the point",
        ),
    ],
)
def test_what_cannot_be_propagated_is_an_error_with_its_reason(
    arguments: dict[str, object], reason: str
) -> None:
    with pytest.raises(ProblemError) as caught:
        formulated(**arguments)  # type: ignore[arg-type]
    (finding,) = caught.value.diagnostics
    assert reason in finding.message
    assert "initial values cannot be propagated" in finding.message


MARCH = """title = "T"
unknowns = ["u"]
[coordinates]
x = [-1, 1]
t = [0, 0.3]
[marching]
windows = 3
[network]
kind = "local"
width = 20
patches = { x = 4 }
propagated = 1
[conditions]
decay = { on = "interior", equation = "u_t + 0.7*u_x = 0.01*u_xx - WEIGHT*u^3" }
start = { on = "t-", equation = "u = sin(pi*x)" }
ends = { equation = "u(x=-1) = u(x=1)" }
slopes = { equation = "u_x(x=-1) = u_x(x=1)" }
"""


def marched(folder: Path, text: str, stop_after: int | None = None) -> Run:
    """Solve into `folder`, from where it is; stopped after so many records."""
    count = 0

    def stop() -> str | None:
        return "a signal" if stop_after is not None and count >= stop_after else None

    formulation = formulate(load_text(text, "march", "p.toml", Path()))
    options = {"seed": 0, "precision": "float64"}
    with Run.create(folder, "march", text, options) as opened:
        for _ in solve(formulation, SolveOptions(device="cpu"), opened, stop):
            count += 1
    return Run.open(folder)


def test_a_march_of_a_linear_equation_is_its_flow(tmp_path: Path) -> None:
    """Three windows, each begun with what the one before has: N stays zero to rounding."""
    run = marched(tmp_path / "run", MARCH.replace("WEIGHT", "0"))
    solution = load_solution(run, "cpu")
    points = np.random.default_rng(0).uniform((-1.0, 0.0), (1.0, 0.3), (200, 2))
    x, t = points.T
    exact = np.exp(-0.01 * np.pi**2 * t) * np.sin(np.pi * (x - 0.7 * t))
    np.testing.assert_allclose(solution.components(points)["u"], exact, atol=1e-11)


def test_a_march_that_is_stopped_and_continued_is_the_same(tmp_path: Path) -> None:
    """The waves of a window are found anew from the windows before, bit for bit."""
    text = MARCH.replace("WEIGHT", "1")
    whole = marched(tmp_path / "whole", text)
    steps = len(list(whole.history()))
    marched(tmp_path / "part", text, stop_after=steps // 2)
    again = marched(tmp_path / "part", text)
    points = np.random.default_rng(0).uniform((-1.0, 0.0), (1.0, 0.3), (200, 2))
    values = [load_solution(run, "cpu").components(points)["u"] for run in (whole, again)]
    np.testing.assert_array_equal(*values)
    trees = [run.load_checkpoint() for run in (whole, again)]
    assert trees[0] is not None
    assert trees[1] is not None
    assert torch.equal(trees[0]["theta"], trees[1]["theta"])
    magnitudes = [float(piece.theta.abs().max()) for piece in load_solution(whole, "cpu").pieces]
    assert min(magnitudes) > 0.0


def test_later_windows_take_the_hand_over_by_construction() -> None:
    later = window(formulate(load_text(MARCH.replace("WEIGHT", "1"), "march", "p.toml", Path())), 1)
    assert later.ansatz is not None
    assert later.ansatz.propagation is not None
    assert later.ansatz.propagation.initial is None
    assert later.ansatz.met == ("handover_u",)
