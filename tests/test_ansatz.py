"""Conditions met by construction: all of them, all derivatives, all engines, and what must stay soft."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pinncli.assembly import Assembly, assemble
from pinncli.cli.main import run
from pinncli.derivatives import Reverse, Taylor
from pinncli.errors import ProblemError
from pinncli.language.partials import Partial
from pinncli.networks import Ansatz
from pinncli.objective import Objective
from pinncli.problem.checks import check
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.problem.terms import Formulation
from pinncli.problem.windows import window
from pinncli.runs.store import Run
from pinncli.solution import Solution
from pinncli.solver import SolveOptions, load_solution
from pinncli.solver import solve as solve_problem

CPU = torch.device("cpu")


def formulation_of(
    conditions: Sequence[str],
    coordinates: str = "x = [-1, 2]\nt = [0, 3]",
    rest: str = "",
    hard: str = '"auto"',
) -> Formulation:
    lines = "\n".join(conditions)
    text = f"""title = "T"
unknowns = ["u", "v"]
{rest}
[coordinates]
{coordinates}
[network]
hard = {hard}
[conditions]
{lines}
"""
    return formulate(load_text(text.replace('unknowns = ["u", "v"]\n[unk', "[unk"), "p", "p.toml", Path()))


def assembled(formulation: Formulation, dtype: torch.dtype = torch.float64) -> Assembly:
    return assemble(formulation, choose(formulation), 0, CPU, dtype)


def random_theta(assembly: Assembly, seed: int = 5) -> Tensor:
    size = len(assembly.initial_theta())
    drawn = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.to(assembly.dtype)


def misses(assembly: Assembly) -> dict[str, float]:
    """The largest residual of every condition that is met by construction, for a random network."""
    objective = assembly.met_objective(200)
    return {n: float(r.max()) for n, r in objective.magnitudes(random_theta(assembly)).items()}


def left_of(formulation: Formulation) -> dict[str, str]:
    assert formulation.ansatz is not None
    return dict(formulation.ansatz.left)


# --- every condition is met, whatever the network ---------------------------------------------------

NAMES = ("x", "y", "t")
SOLUTIONS = (
    "sin(1.3*x + 0.7*y + 2*t)",
    "exp(0.3*x)*cos(t) + x*y^2 - t^3*x",
    "1/(3 + x^2 + 0.2*t)*tanh(y) + 2",
    "0",
)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[int, str, list[str], str]:
    """Dimension, coordinates, conditions from one solution on some sides, and the solution."""
    d = draw(st.integers(1, 3))
    solution = draw(st.sampled_from(SOLUTIONS))
    missing = dict.fromkeys(NAMES[d:], "0.4")
    for name, value in missing.items():
        parts = solution.replace("exp", "E").replace("tanh", "H")
        solution = parts.replace(name, value).replace("E", "exp").replace("H", "tanh")
    ranges, conditions = [], []
    for name in NAMES[:d]:
        low = draw(st.floats(-3.0, 3.0))
        length = draw(st.sampled_from([0.1, 1.0, 7.3, 100.0]))
        ranges.append(f"{name} = [{low!r}, {low + length!r}]")
        for sign, word in (("-", "low"), ("+", "high")):
            count = draw(st.integers(0, 2))
            if count:
                conditions.append(
                    f'{name}_{word} = {{ on = "{name}{sign}", equation = "3*u - 1 = 3*({solution}) - 1" }}'
                )
            if count == 2:
                slope = f"u_{name} = d({solution}, {name})"
                conditions.append(f'{name}_{word}_slope = {{ on = "{name}{sign}", equation = "{slope}" }}')
    zeros = " + ".join(f"u_{name}" for name in NAMES[:d])
    conditions.append(f'field = {{ on = "interior", equation = "{zeros} + v = 0" }}')
    return d, "\n".join(ranges), conditions, solution


@given(boxes())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_boxes_and_data(box: tuple[int, str, list[str], str]) -> None:
    _, coordinates, conditions, _ = box
    formulation = formulation_of(conditions, coordinates)
    assert left_of(formulation) == {}
    assert len(formulation.met) == len(conditions) - 1
    assembly = assembled(formulation)  # which proves the ansatz itself
    scale = max(
        1.0, *(10.0 / (h - lo) for lo, h in zip(assembly.domain.low, assembly.domain.high, strict=True))
    )
    assert isinstance(assembly.network, Ansatz)
    plain = misses(replace(assembly, network=assembly.network.inner))  # the size of what has to cancel
    assert all(size < 1e-9 * scale * max(1.0, plain[name]) for name, size in misses(assembly).items())
    low, high = torch.tensor(assembly.domain.low), torch.tensor(assembly.domain.high)
    generator = torch.Generator().manual_seed(3)
    inside = torch.rand((500, len(low)), generator=generator, dtype=torch.float64) * (high - low) + low
    lift, factor = assembly.network.known(inside)
    rounding = 1e-13 * scale * float(lift.abs().max())  # exp(0.3*x) is 1e13 at x = 100
    assert all(size < 1e-9 * scale + rounding for size in misses(assembly).values())
    assert bool((factor[:, 1] == 1.0).all()) and not lift[:, 1].any()  # nothing is given of v
    assert bool((factor[:, 0] > 0.0).all())
    assert float(factor.max()) <= 1.0 + 1e-12


@pytest.mark.parametrize(
    ("problem", "met"),
    [
        ("heat1d", {"initial", "walls"}),
        ("wave1d", {"initial", "velocity", "walls"}),
        ("poisson2d", {"edges"}),
        ("burgers1d", {"initial", "walls"}),
        ("euler_beam", {"deflection", "slope"}),
        ("damped_oscillator", {"position", "velocity"}),
        ("kovasznay", {"velocity_x", "velocity_y"}),
    ],
)
def test_the_library(problem: str, met: set[str]) -> None:
    formulation = formulate(load_problem(problem, ["network.hard=auto"]))
    assert {t.name for t in formulation.met} == met
    for dtype, limit in ((torch.float64, 1e-12), (torch.float32, 1e-3)):
        sizes = misses(assembled(formulation, dtype))
        assert set(sizes) == met
        assert max(sizes.values()) < limit


def test_a_complex_unknown_and_sites_and_normals() -> None:
    conditions = [
        'field = { on = "interior", equation = "i*h_t + h_xx = 0" }',
        'initial = { equation = "2*i*h(t=0) - i = x*i + 3*x^2" }',
        'left = { on = "x-", equation = "h = 1/2 - 1/2 - 3*i/2" }',
        'slope = { on = "x-", equation = "dn(h) = 7*i*t - 1/2 - 3*i" }',
    ]
    rest = '[unknowns]\nh = { kind = "complex" }'
    formulation = formulation_of(conditions, rest=rest)
    assert left_of(formulation) == {}
    assert max(misses(assembled(formulation)).values()) < 1e-11


# --- derivatives, engines, Jacobians ----------------------------------------------------------------

RICH = [
    'field = { on = "interior", equation = "lap(u) + u_tt + d(v, x, x, t, t) + v*u_xxx = 0" }',
    'walls = { on = "x-, x+", equation = "u = exp(-t)*sin(x)*log(4 + y)" }',
    'initial = { on = "t-", equation = "u = sin(x)*log(4 + y)" }',
    'velocity = { on = "t-", equation = "u_t = -sin(x)*log(4 + y)" }',
    'top = { on = "y+", equation = "v = sqrt(2 + x)*atan(t)" }',
]
BOX = "x = [-1, 2]\ny = [0, 1]\nt = [0, 3]"
PARTIALS = [
    Partial("u", (0, 0, 0)),
    Partial("u", (3, 0, 0)),
    Partial("u", (0, 0, 2)),
    Partial("v", (2, 0, 2)),
    Partial("u", (0, 0, 0), laplacian=True),
]


def test_engines_agree() -> None:
    assembly = assembled(formulation_of(RICH, BOX))
    points = torch.tensor(Solution.of(assembly, assembly.initial_theta()).fresh_points(12))
    theta = random_theta(assembly)
    exact = Reverse(("u", "v"), (0, 1)).partials(assembly.network, theta, points, PARTIALS)
    found = {p: value.detach() for p, value in exact.items()}
    for fused in (True, False):
        mine = Taylor(("u", "v"), (0, 1), fused).partials(assembly.network, theta, points, PARTIALS)
        for p in PARTIALS:
            assert torch.allclose(
                mine[p].detach(), found[p], rtol=1e-9, atol=1e-9 * float(found[p].abs().max())
            )


def test_the_jacobian_by_layers_is_that_by_rows() -> None:
    formulation = formulation_of(RICH, BOX)
    assembly = assembled(formulation)
    theta = random_theta(assembly)
    samples = [s[:7] for s in assembly.draw(0, None)]

    def objective(engine: Any) -> Objective:
        return Objective.of(
            assembly.network, engine, assembly.groups, samples, assembly.parameters, assembly.block
        )

    r, jacobian = objective(Taylor(("u", "v"), (0, 1))).residual_and_jacobian(theta)
    expected_r, expected = objective(Reverse(("u", "v"), (0, 1))).residual_and_jacobian(theta)
    assert torch.allclose(r, expected_r, rtol=1e-9, atol=1e-10)
    assert torch.allclose(jacobian, expected, rtol=1e-7, atol=1e-9 * float(expected.abs().max()))
    assert {g.name for g in assembly.groups} == {"field"}


def test_hessian_products_go_through() -> None:
    assembly = assembled(formulation_of(RICH, BOX))
    theta, v = random_theta(assembly), random_theta(assembly, 6)
    objective = assembly.objective([s[:5] for s in assembly.draw(0, None)])
    step = 1e-5
    up, down = (objective.value_and_grad(theta + sign * step * v)[1] for sign in (1, -1))
    product = objective.hvp(theta, v)
    assert torch.allclose(
        product, (up - down) / (2 * step), rtol=1e-4, atol=1e-5 * float(product.abs().max())
    )


# --- what must stay an equation ---------------------------------------------------------------------

FIELD = 'field = { on = "interior", equation = "u_t = u_xx + v" }'


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ('c = { on = "x-", equation = "u_x = 0" }', "only where the value is met too"),
        ('c = { on = "x-", equation = "u_xx = 0" }', "it gives u_xx"),
        ('c = { on = "x-", equation = "u_t = 0" }', "it gives u_t"),
        ('c = { on = "x-", equation = "u + u_x = 0" }', "value of one unknown"),
        ('c = { on = "x-", equation = "u + v = 0" }', "value of one unknown"),
        ('c = { on = "x-", equation = "u^2 = 4" }', "not a constant"),
        ('c = { on = "x-", equation = "t*u = 4" }', "not a constant"),
        ('c = { on = "x-", equation = "u = k" }', "unknown parameter"),
        ('c = { on = "x-", equation = "u = 1", where = "t > 1" }', "part of a side"),
        ('c = { on = "t-", equation = "u = abs(x)" }', "abs(...)"),
        ('c = { on = "t-", equation = "u = where(x < 0, 0, 1)" }', "kink"),
        ('c = { on = "t-", equation = "u = sqrt((x - 0.4)^2)" }', "root"),
        ('c = { on = "t-", equation = "u = sqrt(2 - x)" }', "not finite|root"),
        ('c = { on = "t-", equation = "u(x=-1) = 1" }', "another place"),
        ('c = { equation = "u(x=0.5) = 1" }', "not a side"),
        ('c = { equation = "u(x=-1, t=0) = 1" }', "at a point"),
        ('c = { equation = "u(x=-1) = x" }', "vary with x"),
    ],
)
def test_what_stays_an_equation_says_why(condition: str, reason: str) -> None:
    formulation = formulation_of([FIELD, condition], rest="[parameters]\nk = { initial = 1 }")
    assert formulation.met == ()
    assert any(part in left_of(formulation)["c"] for part in reason.split("|"))


def test_data_that_disagree_at_a_corner_stay_soft() -> None:
    conditions = [FIELD, 'a = { on = "x-, x+", equation = "u = 0" }', 'b = { on = "t-", equation = "u = 1" }']
    formulation = formulation_of(conditions)
    assert [t.name for t in formulation.met] == ["a"]
    assert "disagree" in left_of(formulation)["b"]
    assert [t.name for t in formulation_of(conditions, hard='["b"]').met] == ["b"]
    with pytest.raises(ProblemError) as caught:
        formulation_of(conditions, hard='["a", "b"]')
    (finding,) = caught.value.diagnostics
    assert finding.line == 8
    assert finding.message.startswith("'b' cannot be met by construction: its values disagree")


def test_a_name_that_is_no_condition() -> None:
    with pytest.raises(ProblemError) as caught:
        formulation_of([FIELD], hard='["fild"]')
    (finding,) = caught.value.diagnostics
    assert (finding.message, finding.line) == ("no condition 'fild'", 8)
    assert "field" in finding.hint


def test_a_word_that_is_no_setting() -> None:
    with pytest.raises(ProblemError) as caught:
        formulation_of([FIELD], hard='"autos"')
    (finding,) = caught.value.diagnostics
    assert finding.message == "should be 'off' or 'auto', not 'autos', or a list of conditions"
    assert "auto" in finding.hint


@pytest.mark.parametrize(("data", "met"), [("sin(pi*x)", True), ("x^2*(1 - x)^2 + 1", False)])
def test_a_periodic_network_takes_periodic_data_only(data: str, met: bool) -> None:
    conditions = [
        FIELD,
        'ends = { equation = "u(x=-1) = u(x=1)" }',
        'slopes = { equation = "d(u, x)(x=-1) = d(u, x)(x=1)" }',
        'vends = { equation = "v(x=-1) = v(x=1)" }',
        f'initial = {{ on = "t-", equation = "u = {data}" }}',
        'held = { on = "x-", equation = "u = 0" }',
    ]
    formulation = formulation_of(conditions, "x = [-1, 1]\nt = [0, 3]")
    assert formulation.periodic == ("x",)
    assert [t.name for t in formulation.met] == (["initial"] if met else [])
    assert "periodic in x" in left_of(formulation)["held"]
    if not met:
        assert "not smooth across the ends of x" in left_of(formulation)["initial"]


def test_formulas_that_grow_too_large_stay_soft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinncli.problem.ansatz._MOST_OPERATIONS", 5)
    assert "more than 5 operations" in left_of(formulation_of(RICH, BOX))["walls"]


def test_the_plan_leaves_out_what_is_met() -> None:
    report = check(load_problem("heat1d", ["network.hard=auto"]))
    assert report.plan is not None and report.choices is not None
    assert [s.conditions for s in report.plan.point_sets] == [("heat",)]
    assert "met by construction, for every network: initial, walls" in report.choices.reasons
    assert formulate(load_problem("heat1d", [])).ansatz is None


# --- end to end -------------------------------------------------------------------------------------


@pytest.fixture
def solve(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    monkeypatch.chdir(tmp_path)

    def call(problem: str, *changes: str) -> dict[str, Any]:
        words = [word for change in changes for word in ("--set", change)]
        code = run(["solve", problem, *words, "--out", "r", "--json", "--quiet"])
        summary: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert code == 0, summary
        return summary

    return call


SMALL = ("sampling.interior=400", "output.grid={}", "stages=[{steps=25,optimiser={kind='lm'}}]")


def test_a_perceptron_solves_what_is_left(solve: Callable[..., Any]) -> None:
    summary = solve("heat1d", "network.hard=auto", *SMALL)
    assert summary["errors"]["u"]["rel_l2"] < 1e-4
    assert list(summary["residuals"]) == ["heat", "initial", "walls"]
    for name in ("initial", "walls"):
        assert summary["residuals"][name]["max"] < 1e-14
        assert "rms_train" not in summary["residuals"][name]


@pytest.mark.parametrize("problem", ["heat1d", "wave1d"])
def test_frozen_features_solve_what_is_left(solve: Callable[..., Any], problem: str) -> None:
    network = "network={kind='features', hard='auto', width=300, scale=2.0, patches={t=2}}"
    summary = solve(problem, network, "output.grid={}", "stages='auto'")
    assert summary["errors"]["u"]["rel_l2"] < (1e-7 if problem == "heat1d" else 1e-2)
    assert summary["residuals"]["initial"]["max"] < 1e-13


def test_a_run_continues_bit_for_bit_and_loads(tmp_path: Path) -> None:
    changes = ["network.hard=['initial']", *SMALL]
    loaded = load_problem("heat1d", changes)
    formulation, options = formulate(loaded), SolveOptions()

    def advance(folder: str, limit: int) -> list[float]:
        store = Run.create(tmp_path / folder, loaded.name, loaded.text, {"seed": 0}, argv=[], resume="auto")
        values: list[float] = []
        with store:
            steps = solve_problem(
                formulation, options, store, lambda: "enough" if len(values) >= limit else None
            )
            for record in steps:
                values.append(record.value)
        return values

    whole = advance("whole", 6)
    assert [*advance("parts", 2), *advance("parts", 4)] == whole
    solution = load_solution(Run.open(tmp_path / "parts"))
    assert isinstance(solution.pieces[0].assembly.network, Ansatz)
    assert max(misses(solution.pieces[0].assembly).values()) < 1e-13


def test_time_windows_keep_the_walls_and_hand_over_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = ["network={kind='mlp', width=10, hard='auto'}", "marching.windows=2", "sampling.interior=300"]
    formulation = formulate(load_problem("heat1d", wanted))
    first, second = (window(formulation, k) for k in range(2))
    assert first.ansatz is not None and first.ansatz.met == ("initial", "walls")
    assert second.ansatz is not None and second.ansatz.met == ("walls",)
    wanted += ["training.max_steps=60", "output.grid={x=11, t=11}"]
    words = ["solve", "heat1d", *(w for s in wanted for w in ("--set", s)), "--out", "r", "--json", "--quiet"]
    assert run(words) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["errors"]["u"]["rel_l2"] < 1e-4
    assert summary["residuals"]["walls"]["max"] < 1e-14
    assert summary["residuals"]["initial"]["max"] < 1e-14
    assert 0.0 < summary["residuals"]["handover_u"]["max"] < 1e-3
