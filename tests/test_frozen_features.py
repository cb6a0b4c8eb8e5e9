"""Frozen random features: windows, engines, least squares, the choice by trial, end to end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pinncli.cli.main import run
from pinncli.derivatives import Reverse, Taylor
from pinncli.derivatives.jet import LinearRecord
from pinncli.derivatives.taylor import jacobian_columns
from pinncli.errors import ProblemError
from pinncli.language.partials import Partial
from pinncli.networks import NETWORKS, Features, RandomFeatures
from pinncli.optimisers import OPTIMISERS
from pinncli.problem.checks import check
from pinncli.problem.defaults import FeatureNetwork, choose, features_first
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.runs.store import Run
from pinncli.solver import SolveOptions, load_solution
from pinncli.solver import solve as solve_problem
from pinncli.tuning import Tuner, accept, tune

FEATURES = Features(low=(-1.0, 0.5, 0.0), high=(2.0, 3.5, 1.0), periodic=(False, True, False), harmonics=2)
PARTIALS = [
    Partial("u", (0, 0, 0)),
    Partial("v", (2, 1, 0)),
    Partial("u", (1, 0, 3)),
    Partial("v", (0, 0, 0), laplacian=True),
]


def network(patches: tuple[int, ...] = (2, 1, 3), width: int = 17, **changes: Any) -> RandomFeatures:
    options: dict[str, Any] = {
        "features": FEATURES,
        "outputs": 2,
        "width": width,
        "activation": "tanh",
        "patches": patches,
        "scale": 1.5,
        "seed": 3,
        "device": torch.device("cpu"),
        "dtype": torch.float64,
    }
    return NETWORKS["features"](**options | changes)  # type: ignore[return-value]


def points_of(n: int) -> Tensor:
    low, high = torch.tensor(FEATURES.low), torch.tensor(FEATURES.high)
    return low + (high - low) * torch.rand(
        (n, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def theta_of(net: RandomFeatures) -> Tensor:
    return torch.randn(net.size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


# --- the network -----------------------------------------------------------------------------------


def test_theta_is_the_output_layer_and_starts_at_zero() -> None:
    net = network()
    assert (net.inputs, net.outputs, net.width, net.size) == (3, 2, 17, 36)
    assert not net.initialise(torch.Generator()).any()
    assert torch.equal(network().weight, net.weight)
    assert not torch.equal(network(seed=4).weight, net.weight)
    assert network(dtype=torch.float32)(theta_of(net).float(), points_of(4).float()).dtype == torch.float32


@pytest.mark.parametrize("patches", [(2, 1, 3), (1, 6, 1), (3, 2, 1)])
def test_windows_add_up_to_one_and_their_derivatives_to_zero(patches: tuple[int, ...]) -> None:
    """With one feature per patch that is constant, theta of ones sums the windows."""
    net = network(patches, width=6, scale=0.0, activation="silu", outputs=1)
    flat = RandomFeatures(
        FEATURES, 1, "silu", net.weight, torch.full_like(net.bias, 2.0), net.windows
    )  # every feature is silu(2)
    height = float(torch.nn.functional.silu(torch.tensor(2.0, dtype=torch.float64)))
    theta = torch.cat([torch.full((6,), 1.0 / height, dtype=torch.float64), torch.zeros(1).double()])
    wanted = [Partial("u", index) for index in ((0, 0, 0), (1, 0, 0), (0, 3, 0), (2, 0, 2))]
    values = Taylor(("u",), (0,)).partials(flat, theta, points_of(50), wanted)
    assert float((values[wanted[0]] - 1.0).abs().max()) < 1e-14
    assert all(float(values[p].abs().max()) < 1e-10 for p in wanted[1:])


@pytest.mark.parametrize("patches", [(1, 1, 1), (2, 1, 3), (2, 3, 1)])
@pytest.mark.parametrize("activation", ["tanh", "sine"])
def test_engines_agree(patches: tuple[int, ...], activation: str) -> None:
    net = network(patches, activation=activation)
    theta, points = theta_of(net), points_of(8)
    found = Reverse(("u", "v"), (0, 1)).partials(net, theta, points, PARTIALS)
    expected = {p: value.detach() for p, value in found.items()}
    for fused in (True, False):
        values = Taylor(("u", "v"), (0, 1), fused=fused).partials(net, theta, points, PARTIALS)
        for p in PARTIALS:
            assert torch.allclose(
                values[p].detach(), expected[p], rtol=1e-9, atol=1e-9 * float(expected[p].abs().max())
            )


def test_only_the_output_layer_is_recorded() -> None:
    net = network()
    theta, points = theta_of(net), points_of(5)
    values, tape = Taylor(("u", "v"), (0, 1)).recorded(net, theta, points, PARTIALS)
    assert [record.weight.numel() for record in tape if isinstance(record, LinearRecord)] == [34]
    total = torch.stack([values[p].sum() for p in PARTIALS]).sum()
    cotangents = torch.autograd.grad(total, [record.outputs for record in tape])
    columns = torch.empty((net.size, 5), dtype=torch.float64)
    jacobian_columns(tape, cotangents, columns)
    leaf = theta.clone().requires_grad_()
    expected = Reverse(("u", "v"), (0, 1)).partials(net, leaf, points, PARTIALS)
    sums = torch.stack([expected[p] for p in PARTIALS]).sum(0)
    rows = torch.stack([torch.autograd.grad(s, leaf, retain_graph=True)[0] for s in sums], dim=1)
    assert torch.allclose(columns, rows, rtol=1e-9, atol=1e-9 * float(rows.abs().max()))


def test_patches_of_a_periodic_coordinate_close_the_circle() -> None:
    """Every feature and its derivatives agree at both ends, and each lives about the centre of its patch."""
    net = network((1, 4, 1), width=24)
    theta, points = theta_of(net), points_of(6)
    left, right = points.clone(), points.clone()
    left[:, 1], right[:, 1] = FEATURES.low[1], FEATURES.high[1]
    wanted = [Partial("u", (0, k, 0)) for k in range(4)]
    ends = [Taylor(("u", "v"), (0, 1)).partials(net, theta, p, wanted) for p in (left, right)]
    for p in wanted:
        assert torch.allclose(ends[0][p], ends[1][p], rtol=1e-9, atol=1e-9)
    assert net.windows is not None
    angle = (torch.arange(400, dtype=torch.float64) + 0.5) * (2.0 * math.pi / 400)
    circle = torch.zeros((400, net.features.count), dtype=torch.float64)
    circle[:, 1], circle[:, 2] = angle.cos(), angle.sin()
    heights = net.windows(circle)
    for j in range(4):
        assert abs(float(angle[heights[:, j].argmax()]) - (2 * j + 1) * math.pi / 4) < 0.02
        edge = float(net.windows(circle)[100 * j, j])  # half way up where the patch begins
        assert abs(edge - 0.5) < 0.05


# --- settings --------------------------------------------------------------------------------------


def test_settings_have_clear_errors() -> None:
    cases = {
        "network={kind='features', depth=3}": "network: unknown key 'depth'",
        "network={kind='mlp', scale=3}": "network: unknown key 'scale'",
        "network={kind='feature'}": "should be one of auto, mlp, gated, piratenet, features",
        "network={kind='features', scale=-1}": "network.scale: should be greater than 0",
        "network={kind='features', patches={x=0}}": "network.patches.x: should be at least 1",
        "network=3": "network: should be a table, not 3",
    }
    for override, message in cases.items():
        with pytest.raises(ProblemError) as caught:
            load_problem("heat1d", [override])
        assert message in str(caught.value), str(caught.value)


def test_patches_are_checked() -> None:
    loaded = load_problem("heat1d", ["network={kind='features', patches={y=2}}"])
    assert any("no coordinate 'y'" in str(d.message) for d in check(loaded).errors)


def test_choices_leave_the_trials_open() -> None:
    formulation = formulate(load_problem("heat1d", ["network={kind='features'}"]))
    choices = choose(formulation)
    assert isinstance(choices.network, FeatureNetwork)
    assert choices.network.patches is None and choices.network.scale is None
    assert [stage.optimiser.kind for stage in choices.stages] == ["lsq"]
    assert choices.parameters == choices.network.width + 1


# --- the choice by trial ---------------------------------------------------------------------------


def tuned(text: str, **stops: Callable[[], bool]) -> tuple[FeatureNetwork, Tuner]:
    formulation = formulate(load_text(text, "p", "p.toml", Path()))
    tuner = Tuner(
        formulation,
        OPTIMISERS["lsq"](tolerance=0.1),
        0,
        torch.device("cpu"),
        torch.float64,
        stops.get("stop", lambda: False),
    )
    open_ = choose(formulation).network
    assert isinstance(open_, FeatureNetwork)
    return tune(open_, tuner), tuner


OSCILLATOR = """
title = "Oscillator"
unknowns = ["u"]
[coordinates]
t = [0, 1]
[conditions]
motion = { on = "interior", equation = "u_tt + 400*u = 0" }
position = { on = "t-", equation = "u = 1" }
velocity = { on = "t-", equation = "u_t = 0" }
[exact]
u = "cos(20*t)"
[network]
kind = "features"
width = 60
"""


def test_the_choice_is_deterministic_and_the_best_of_its_trials() -> None:
    first, tuner = tuned(OSCILLATOR)
    again, _ = tuned(OSCILLATOR)
    assert first == again
    assert first.width == 60
    assert first.scale is not None and first.scale * math.prod(first.patches or ()) > 1.5
    assert tuner.known[first] < 1e-3 * next(iter(tuner.known.values()))


def test_what_is_stated_is_not_tried() -> None:
    stated, tuner = tuned(OSCILLATOR + "scale = 3\npatches = { t = 2 }\n")
    assert (stated.scale, stated.patches, tuner.known) == (3.0, (2,), {})
    only_scale, _ = tuned(OSCILLATOR + "patches = { t = 3 }\n")
    assert only_scale.patches == (3,)


def test_no_trial_is_made_when_time_is_up() -> None:
    chosen, tuner = tuned(OSCILLATOR, stop=lambda: True)
    assert (chosen.scale, chosen.patches, tuner.known) == (1.0, (1,), {})


# --- end to end ------------------------------------------------------------------------------------


DECAY = """
title = "Quadratic decay"
unknowns = ["u"]
[coordinates]
t = [0, 1]
[parameters]
k = { initial = 1 }
[conditions]
decay = { on = "interior", equation = "u_t = -k*u^2" }
start = { on = "t-", equation = "u = 1" }
end = { on = "t+", equation = "u = 1/3" }
[exact]
u = "1/(1 + 2*t)"
"""


@pytest.fixture
def solve(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    monkeypatch.chdir(tmp_path)

    def call(problem: str, *settings: str, out: str = "r") -> dict[str, Any]:
        words = [word for setting in settings for word in ("--set", setting)]
        code = run(["solve", problem, *words, "--out", out, "--json", "--quiet"])
        summary: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert code == 0, summary
        return summary

    return call


def error_of(summary: dict[str, Any]) -> float:
    return max(float(e["rel_l2"]) for e in summary["errors"].values())


@pytest.mark.parametrize(
    ("problem", "goal"), [("heat1d", 1e-9), ("poisson2d", 1e-8), ("damped_oscillator", 1e-9)]
)
def test_linear_problems_in_a_few_seconds(solve: Callable[..., Any], problem: str, goal: float) -> None:
    summary = solve(problem, "network={kind='features'}", "output.grid={}", "stages='auto'")
    assert summary["status"] == "complete"
    assert error_of(summary) < goal


def write(text: str, network: str) -> str:
    Path("p.toml").write_text(text + f"[network]\nkind = 'features'\n{network}", "utf-8")
    return "./p.toml"


def test_a_nonlinear_problem_with_an_unknown_number(solve: Callable[..., Any]) -> None:
    summary = solve(write(DECAY, "width = 40\n"))
    assert error_of(summary) < 1e-9
    assert abs(summary["estimates"]["k"] - 2.0) < 1e-9


def test_a_system_of_nonlinear_equations(solve: Callable[..., Any]) -> None:
    summary = solve("kovasznay", "network={kind='features', width=130, scale=1, patches={}}")
    assert error_of(summary) < 1e-3


# --- the automatic choice --------------------------------------------------------------------------


def test_a_smooth_problem_is_given_frozen_features(solve: Callable[..., Any]) -> None:
    summary = solve("damped_oscillator")
    assert error_of(summary) < 1e-10
    assert run(["eval", "r", "--fail-above", "1e-9"]) == 0


def test_a_front_is_left_to_a_perceptron() -> None:
    """Few features cannot follow the front, which the first trial shows."""
    formulation = formulate(load_problem("burgers1d", ["network.kind=auto"]))
    candidate = features_first(formulation)
    assert candidate is not None
    tuner = Tuner(
        formulation, OPTIMISERS["lsq"](tolerance=0.1), 0, torch.device("cpu"), torch.float64, lambda: False
    )
    assert accept(replace(candidate, width=100), tuner) is None
    assert len(tuner.known) == 1


def test_features_are_not_tried_where_they_were_not_meant() -> None:
    assert features_first(formulate(load_problem("heat1d"))) is not None
    for problem, settings in {
        "burgers_inverse": [],
        "heat1d": ["network.width=10"],
        "poisson2d": ["stages=[{optimiser={kind='lm'}}]"],
    }.items():
        assert features_first(formulate(load_problem(problem, settings))) is None
    assert choose(formulate(load_problem("heat1d"))).network.kind == "mlp"


def test_a_complex_unknown_with_a_periodic_coordinate(solve: Callable[..., Any]) -> None:
    text = """
title = "Free Schroedinger equation"
[unknowns]
h = { kind = "complex" }
[coordinates]
x = [0, 1]
t = [0, 0.1]
[conditions]
waves = { on = "interior", equation = "i*h_t + h_xx/10 = 0" }
initial = { on = "t-", equation = "h = cos(2*pi*x)" }
ends = { equation = "h(x=0) = h(x=1)" }
slopes = { equation = "d(h, x)(x=0) = d(h, x)(x=1)" }
[exact]
h = "cos(2*pi*x)*exp(-i*4*pi^2*t/10)"
"""
    summary = solve(write(text, "width = 200"))
    assert error_of(summary) < 1e-7


def test_a_run_continues_bit_for_bit_with_the_features_that_it_chose(tmp_path: Path) -> None:
    text = DECAY + "[network]\nkind = 'features'\nwidth = 40\n"
    loaded = load_text(text, "decay", "decay.toml", tmp_path)
    formulation, options = formulate(loaded), SolveOptions()

    def advance(folder: str, limit: int) -> list[float]:
        """The values of the steps until `limit` of them are made, and the run's end."""
        store = Run.create(tmp_path / folder, loaded.name, loaded.text, {"seed": 0}, argv=[], resume="auto")
        values: list[float] = []
        with store:
            steps = solve_problem(
                formulation, options, store, lambda: "enough" if len(values) >= limit else None
            )
            for record in steps:
                values.append(record.value)
        return values

    whole = advance("whole", 5)
    parts = [*advance("parts", 2), *advance("parts", 3)]
    assert parts == whole
    first, second = (Run.open(tmp_path / folder).load_checkpoint() for folder in ("whole", "parts"))
    assert first is not None and second is not None
    assert first["network"] == second["network"]
    assert torch.equal(first["theta"], second["theta"])
    solution = load_solution(Run.open(tmp_path / "parts"))
    assert torch.equal(solution.pieces[0].theta, first["theta"])
    assert solution.pieces[0].assembly.network.width == first["network"]["width"]
