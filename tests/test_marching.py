"""Time windows and curricula: what each leg solves, the hand-over, resuming, and the solution as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinncli.cli.main import run
from pinncli.marching import MarchState, limits, overall
from pinncli.problem.checks import check
from pinncli.problem.formulation import formulate
from pinncli.problem.legs import legs
from pinncli.problem.loading import load_text
from pinncli.problem.terms import Formulation
from pinncli.runs.store import Run
from pinncli.solution import Solution
from pinncli.solver import Outcome, SolveOptions, load_solution, solve
from pinncli.training import LoopState, StepRecord

OPTIONS: Mapping[str, Any] = {"seed": 0, "device": "cpu", "precision": "float64"}

WAVE = """
title = "Standing wave"
unknowns = ["u"]
[coordinates]
x = [0, 1]
t = [0, 1]
[constants]
c = 1.5
[conditions]
wave = { equation = "u_tt = c^2*u_xx" }
initial = { on = "t-", equation = "u = sin(pi*x)" }
velocity = { on = "t-", equation = "u_t = 0" }
walls = { on = "x-, x+", equation = "u = 0" }
[exact]
u = "sin(pi*x)*cos(c*pi*t)"
[network]
width = 8
depth = 2
[sampling]
interior = 150
boundary = 20
resample = { every = 7 }
[output]
grid = { x = 5, t = 9 }
[[stages]]
optimiser = { kind = "adam" }
steps = 5
[[stages]]
optimiser = { kind = "lm" }
steps = 12
[marching]
windows = 2
[training]
checkpoint_seconds = 1e-9
"""

DECAY = """
title = "Decay"
unknowns = ["u"]
[coordinates]
t = [0, 1]
[constants]
k = 4
[conditions]
decay = { equation = "u_t = -k*u" }
start = { on = "t-", equation = "u = 1" }
[exact]
u = "exp(-k*t)"
[network]
width = 6
depth = 1
[sampling]
interior = 40
[[stages]]
optimiser = { kind = "lm" }
steps = 30
[training]
checkpoint_seconds = 1e-9
"""

COMPLEX = """
title = "A plane wave of the free Schrodinger equation"
[coordinates]
x = [0, 1]
t = [0, 0.4]
[unknowns.h]
kind = "complex"
[conditions]
schrodinger = { equation = "i*h_t + h_xx/2 = 0" }
initial = { on = "t-", equation = "h = exp(2*i*x)" }
walls = { on = "x-, x+", equation = "h = exp(i*(2*x - 2*t))" }
[exact]
h = "exp(i*(2*x - 2*t))"
[network]
width = 10
depth = 2
[sampling]
interior = 200
boundary = 20
[[stages]]
optimiser = { kind = "lm" }
steps = 25
[marching]
windows = 2
"""


def formulated(text: str) -> Formulation:
    return formulate(load_text(text, "march", "march.toml", Path()))


@dataclass(frozen=True)
class Solved:
    """A run directory, and what the solve that made it said."""

    folder: Path
    text: str
    records: Sequence[StepRecord]
    outcome: Outcome

    @property
    def solution(self) -> Solution:
        return load_solution(Run.open(self.folder))

    @property
    def tree(self) -> dict[str, Any]:
        found = Run.open(self.folder).load_checkpoint()
        assert found is not None
        return found


def solved(folder: Path, text: str, interrupt: int | None = None, **options: Any) -> Solved:
    """Solve `text` into `folder`; stopped after `interrupt` records, as by a signal."""
    records: list[StepRecord] = []

    def stop() -> str | None:
        return "a signal" if interrupt is not None and len(records) >= interrupt else None

    with Run.create(folder, "march", text, OPTIONS) as opened:
        loop = solve(formulated(text), SolveOptions(device="cpu", **options), opened, stop)
        while True:
            try:
                records.append(next(loop))
            except StopIteration as end:
                return Solved(folder, text, records, end.value)


def same(a: Any, b: Any, where: str = "") -> None:
    """Two checkpoints, bit for bit, but for the clock."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            if key != "elapsed":
                same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


def timeless(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k != "elapsed"} for r in Run.open(folder).history()]


@pytest.fixture(scope="module")
def wave(tmp_path_factory: pytest.TempPathFactory) -> Solved:
    return solved(tmp_path_factory.mktemp("wave") / "run", WAVE)


# --- the hand-over -----------------------------------------------------------------------------------


def test_a_window_begins_with_what_the_one_before_arrived_at(wave: Solved) -> None:
    """Value and velocity at the cut are the data of the second window, in full precision."""
    first, second = wave.solution.pieces
    groups = second.assembly.groups
    k = next(k for k, group in enumerate(groups) if group.name.startswith("handover"))
    sample = second.assembly.draw(0, None)[k]
    assert torch.equal(sample.points[:, 1], torch.full((20,), 0.5, dtype=torch.float64))
    x = sample.points.clone().requires_grad_()
    u = first.assembly.network(first.theta, x)[:, 0]
    (gradient,) = torch.autograd.grad(u.sum(), x)
    assert torch.allclose(sample.columns["handover_u"], u, rtol=0, atol=1e-14)
    assert torch.allclose(sample.columns["handover_u_t"], gradient[:, 1], rtol=0, atol=1e-13)
    rows = second.assembly.objective_of([groups[k]], [sample]).condition_rows(second.theta)
    mine = second.assembly.network(second.theta, sample.points)[:, 0]
    assert torch.allclose(rows["handover_u"][0], mine - u, rtol=0, atol=1e-14)


def test_every_draw_evaluates_the_hand_over_at_its_own_points(wave: Solved) -> None:
    second = wave.solution.pieces[1]
    k = next(k for k, r in enumerate(second.assembly.regions) if r.handover)
    one, two = (second.assembly.draw(number, None)[k] for number in (0, 1))
    assert not torch.equal(one.points, two.points)
    assert not torch.equal(one.columns["handover_u"], two.columns["handover_u"])


def test_conditions_belong_to_their_windows() -> None:
    first, second = (leg.formulation for leg in legs(formulated(WAVE)))
    assert [t.name for t in first.conditions] == ["wave", "initial", "velocity", "walls"]
    assert [t.name for t in second.conditions] == ["wave", "walls", "handover_u", "handover_u_t"]
    assert first.problem.coordinates["t"].range == (0.0, 0.5)
    assert second.problem.coordinates["t"].range == (0.5, 1.0)


# --- resuming ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [3, 9, 17, 18, 26, 33])
def test_an_interrupted_march_repeats_the_undisturbed_one(wave: Solved, tmp_path: Path, after: int) -> None:
    """In either stage of either window, between them, and before the last step."""
    assert len(wave.records) == 34
    part = solved(tmp_path / "run", WAVE, interrupt=after)
    assert part.outcome.status == "interrupted"
    rest = solved(tmp_path / "run", WAVE)
    assert len(part.records) + len(rest.records) == 34
    same(rest.tree, wave.tree)
    assert timeless(rest.folder) == timeless(wave.folder)
    assert rest.outcome.summary["errors"] == wave.outcome.summary["errors"]
    assert rest.outcome.summary["residuals"] == wave.outcome.summary["residuals"]
    assert rest.outcome.summary["loss"] == wave.outcome.summary["loss"]


@pytest.mark.parametrize("after", [16, 17, 18, 25])
def test_a_killed_march_repeats_the_undisturbed_one(wave: Solved, tmp_path: Path, after: int) -> None:
    """The process dies without a word after a record; the checkpoint was saved after every step."""
    with Run.create(tmp_path / "run", "march", WAVE, OPTIONS) as opened:
        loop = solve(formulated(WAVE), SolveOptions(device="cpu"), opened)
        for _ in range(after):
            next(loop)
        loop.close()
    rest = solved(tmp_path / "run", WAVE)
    same(rest.tree, wave.tree)
    assert timeless(rest.folder) == timeless(wave.folder)


def test_the_history_says_which_window(wave: Solved) -> None:
    assert [r["window"] for r in Run.open(wave.folder).history()] == [0] * 17 + [1] * 17
    assert [r["step"] for r in Run.open(wave.folder).history()] == list(range(1, 35))


# --- the solution as a whole -------------------------------------------------------------------------


def test_every_point_is_answered_by_the_network_of_its_window(wave: Solved) -> None:
    solution = wave.solution
    points = np.array([[0.3, 0.0], [0.3, 0.5], [0.3, np.nextafter(0.5, 1)], [0.3, 1.0], [0.7, 0.2]])
    values = solution.components(points)["u"]
    for k, owner in enumerate((0, 0, 1, 1, 0)):
        alone = solution.pieces[owner].components(points[k : k + 1])["u"]
        assert values[k] == pytest.approx(alone[0], abs=1e-15)


def test_the_published_fields_are_the_solution(wave: Solved) -> None:
    fields = Run.open(wave.folder).fields()
    t, x = np.meshgrid(fields.coordinates["t"], fields.coordinates["x"], indexing="ij")
    points = np.stack([x.ravel(), t.ravel()], axis=1)
    mine = wave.solution.components(points)["u"].reshape(9, 5)
    assert np.allclose(fields.fields["u"], mine, rtol=0, atol=1e-14)
    assert np.allclose(fields.fields["reference_u"], np.sin(np.pi * x) * np.cos(1.5 * np.pi * t), atol=1e-14)
    assert np.isfinite(fields.fields["residual_wave"]).all()


def test_residuals_are_of_all_windows_together(wave: Solved) -> None:
    solution = wave.solution
    found = solution.residuals()
    assert set(found) == {"wave", "initial", "velocity", "walls", "handover_u", "handover_u_t"}
    parts = [piece.fresh_magnitudes(0.5)["wave"] for piece in solution.pieces]
    assert [len(part) for part in parts] == [10_000, 10_000]
    square = sum(float(part.square().sum()) for part in parts) / 20_000
    assert found["wave"]["rms"] == pytest.approx(square**0.5, rel=1e-12)
    assert found["wave"]["max"] == max(float(part.max()) for part in parts)
    summary = wave.outcome.summary
    assert summary["windows"] == ["complete", "complete"]
    assert summary["parameters"] == sum(len(piece.theta) for piece in solution.pieces)
    assert set(summary["residuals"]["wave"]) == {"rms", "max", "rms_train"}


def test_an_unfinished_march_is_a_solution_up_to_where_it_is(tmp_path: Path) -> None:
    early = solved(tmp_path / "early", WAVE, interrupt=9).solution
    assert early.problem.coordinates["t"].range == (0.0, 0.5)
    assert early.on_grid({"x": 3, "t": 3}).coordinates["t"].tolist() == [0.0, 0.25, 0.5]
    late = solved(tmp_path / "late", WAVE.replace("windows = 2", "windows = 3"), interrupt=20)
    assert late.solution.problem.coordinates["t"].range == (0.0, pytest.approx(2 / 3))
    assert len(late.solution.pieces) == 2
    assert np.isfinite(late.solution.on_grid({"x": 3, "t": 7}).fields["u"]).all()
    assert late.outcome.summary["windows"] == ["complete", "interrupted"]


def test_eval_picks_the_window(wave: Solved, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "points.csv").write_text("x,t\n0.25,0.25\n0.25,0.75\n")
    out = tmp_path / "values.csv"
    for words in (["--points", str(tmp_path / "points.csv"), "--out", str(out)], ["--at", "t=0.75"], []):
        assert run(["eval", str(wave.folder), *words]) == 0
    values = np.genfromtxt(out, delimiter=",", names=True)
    expected = wave.solution.components(np.array([[0.25, 0.25], [0.25, 0.75]]))["u"]
    assert np.allclose(values["u"], expected, rtol=0, atol=1e-15)
    assert run(["export", str(wave.folder), "--format", "csv", "--out", str(tmp_path / "all.csv")]) == 0
    capsys.readouterr()


# --- kinds of problems -------------------------------------------------------------------------------


def test_an_ordinary_differential_equation_by_windows(tmp_path: Path) -> None:
    text = DECAY + "[marching]\ncuts = [0.2, 0.5]\n"
    found = solved(tmp_path / "run", text)
    assert [piece.problem.coordinates["t"].range for piece in found.solution.pieces] == [
        (0.0, 0.2), (0.2, 0.5), (0.5, 1.0),
    ]  # fmt: skip
    assert found.outcome.summary["errors"]["u"]["rel_l2"] < 1e-4
    left, right = found.solution.pieces[:2]
    at = np.array([[0.2]])
    sample = right.assembly.draw(0, None)[-1]
    assert sample.columns["handover_u"].item() == pytest.approx(left.components(at)["u"][0], abs=1e-15)


def test_a_complex_unknown_by_windows(tmp_path: Path) -> None:
    found = solved(tmp_path / "run", COMPLEX)
    second = found.solution.pieces[1]
    names = [t.name for t in second.assembly.formulation.conditions]
    assert names[-2:] == ["handover_h_real", "handover_h_imag"]
    k = next(k for k, r in enumerate(second.assembly.regions) if r.handover)
    sample = second.assembly.draw(0, None)[k]
    values = found.solution.pieces[0].components(sample.points.numpy())
    for part in ("h_real", "h_imag"):
        assert np.allclose(sample.columns[f"handover_{part}"].numpy(), values[part], rtol=0, atol=1e-14)
    assert found.outcome.summary["errors"]["h"]["rel_l2"] < 2e-2


def test_frozen_features_by_windows(tmp_path: Path) -> None:
    text = DECAY.replace("width = 6\ndepth = 1", 'kind = "features"\nwidth = 30').partition("[[stages]]")[0]
    text += "[marching]\nwindows = 2\n"
    found = solved(tmp_path / "run", text)
    assert found.outcome.summary["errors"]["u"]["rel_l2"] < 1e-8
    one, two = (piece.assembly.network for piece in found.solution.pieces)
    assert one.size == two.size
    part = solved(tmp_path / "part", text, interrupt=1)
    assert part.outcome.status == "interrupted"
    same(solved(tmp_path / "part", text).tree, found.tree)


def test_data_are_split_by_time(tmp_path: Path) -> None:
    (tmp_path / "sensors.csv").write_text("t,seen\n0,1\n0.25,0.4\n0.5,0.1\n0.75,0.05\n")
    text = DECAY.replace("[exact]", 'sensors = { data = "sensors.csv", equation = "u = seen" }\n[exact]')
    loaded = load_text(text + "[marching]\nwindows = 2\n", "march", "march.toml", tmp_path)
    times = [
        next(t.data.columns["t"].tolist() for t in leg.formulation.conditions if t.data)
        for leg in legs(formulate(loaded))
    ]
    assert times == [[0.0, 0.25, 0.5], [0.75]]


def test_what_is_not_there_in_a_window_is_left_out() -> None:
    late = '\nlate = { equation = "u_xx = 0", where = "t > 0.75" }'
    end = '\nend = { on = "t+", equation = "u_x = 0" }'
    moment = '\nmoment = { equation = "u(t=0.25) = sin(pi*x)" }'
    text = WAVE.replace("\n[exact]", f"{late}{end}{moment}\n[exact]")
    names = [{t.name for t in leg.formulation.conditions} for leg in legs(formulated(text))]
    assert {"late", "end", "moment"} & names[0] == {"moment"}
    assert {"late", "end", "moment"} & names[1] == {"late", "end"}


def test_a_cold_start_begins_with_the_seeds_weights(tmp_path: Path) -> None:
    text = WAVE.replace("windows = 2", "windows = 2\nwarm = false").replace("steps = 5", "steps = 1")
    first, second = solved(tmp_path / "run", text + "max_steps = 2\n").records
    assert (first.window, second.window) == (0, 1)
    warm = solved(tmp_path / "warm", text.replace("warm = false", "") + "max_steps = 2\n").records[1]
    assert second.value != warm.value


# --- curriculum --------------------------------------------------------------------------------------

CURRICULUM = DECAY + "[curriculum.k]\nstart = 1\nvalues = 3\nsteps = 4\n"


def test_a_constant_is_led_to_its_own_value(tmp_path: Path) -> None:
    found = solved(tmp_path / "run", CURRICULUM)
    taken = [r["constants"]["k"] for r in Run.open(found.folder).history()]
    assert taken[:8] == [1.0] * 4 + [2.0] * 4
    assert set(taken[8:]) == {4.0}
    assert all(r.error is None for r in found.records[:8])
    assert found.outcome.summary["errors"]["u"]["rel_l2"] < 1e-4


@pytest.mark.parametrize("after", [2, 4, 6, 8, 11])
def test_an_interrupted_curriculum_repeats_the_undisturbed_one(tmp_path: Path, after: int) -> None:
    text = CURRICULUM.replace("steps = 30", "steps = 6") + "[marching]\nwindows = 2\n"
    whole = solved(tmp_path / "whole", text)
    part = solved(tmp_path / "run", text, interrupt=after)
    assert part.outcome.status == "interrupted"
    assert set(part.outcome.summary["residuals"]) >= {"decay", "start"}
    rest = solved(tmp_path / "run", text)
    same(rest.tree, whole.tree)
    assert timeless(rest.folder) == timeless(whole.folder)


def test_linear_spacing_and_constants_led_together() -> None:
    text = CURRICULUM.replace("steps = 4", 'steps = 4\nspacing = "linear"')
    text = text.replace("k = 4", "k = 4\nm = 1").replace("-k*u", "-k*m*u")
    text += "[curriculum.m]\nstart = 0.5\nvalues = 2\n"
    assert [dict(leg.constants) for leg in legs(formulated(text))] == [
        {"k": 1.0, "m": 0.5}, {"k": 2.5, "m": 1.0}, {"k": 4.0, "m": 1.0},
    ]  # fmt: skip


# --- limits ------------------------------------------------------------------------------------------


def test_steps_and_time_are_divided_over_what_is_left() -> None:
    loop = LoopState(torch.zeros(1), ())
    state = MarchState(loop, leg=0)
    assert limits(state, 4, 10, 8.0) == (3, 2.0)
    state = MarchState(loop, leg=2, step=4, elapsed=2.0)
    assert limits(state, 4, 10, 8.0) == (7, 5.0)
    assert limits(MarchState(loop, leg=3, step=7, elapsed=5.0), 4, 10, 8.0) == (10, 8.0)
    assert limits(state, 4, None, None) == (None, None)


def test_the_target_is_for_every_window(tmp_path: Path) -> None:
    found = solved(tmp_path / "run", DECAY + "[marching]\nwindows = 2\n", target=1e-2)
    assert found.outcome.status == "target"
    last = {r.window: r for r in found.records}
    assert all(r.error is not None and r.error <= 1e-2 for r in last.values())
    steps = max(r.step for r in found.records if r.window == 0)
    with Run.create(tmp_path / "killed", "march", found.text, OPTIONS) as opened:
        loop = solve(formulated(found.text), SolveOptions(device="cpu", target=1e-2), opened)
        for _ in range(steps):  # dies at the very step that reaches the first window's target
            next(loop)
        loop.close()
    same(solved(tmp_path / "killed", found.text, target=1e-2).tree, found.tree)


def test_how_the_windows_end_is_how_the_march_ends() -> None:
    assert overall(["complete", "target"]) == "complete"
    assert overall(["stalled", "complete"]) == "stalled"
    assert overall(["time-limit", "complete"]) == "complete"
    assert overall(["complete", "time-limit"]) == "time-limit"
    assert overall(["target", "interrupted"]) == "interrupted"
    assert overall(["target", "target"]) == "target"


# --- checks ------------------------------------------------------------------------------------------


VELOCITY = 'velocity = { on = "t-", equation = "u_t = 0" }'
REFUSED = {
    "decreasing cuts": ("windows = 2", "cuts = [0.5, 0.2]", "marching.cuts: should increase between 0 and 1"),
    "windows and cuts": ("windows = 2", "windows = 2\ncuts = [0.2]", "windows and cuts both say"),
    "two moments": (VELOCITY, 'back = { equation = "u(t=0) = u(t=1)" }', "compares moments of different"),
    "a condition at the end": (
        VELOCITY,
        'end = { on = "t+", equation = "u = sin(pi*x)*cos(c*pi)" }',
        "in the first time window: second order in t",
    ),
    "a thin part": (
        "[exact]",
        'part = { equation = "u_xx = 0", where = "t < 0.5025" }\n[exact]',
        "keeps too little",
    ),
    "no constant": ("windows = 2", "[curriculum.k]\nstart = 1", "curriculum: no constant 'k'"),
    "another sign": ("windows = 2", "[curriculum.c]\nstart = -1", "no geometric way leads from -1 to 1.5"),
    "its own value": ("windows = 2", "[curriculum.c]\nstart = 1.5", "is the value of c already"),
    "computed numbers": (
        "c = 1.5",
        'c = 1.5\nc2 = "2*c"\n[curriculum.c]\nstart = 1',
        "computed from c, and would not follow",
    ),
    "a pole on the way": (
        "[exact]",
        'extra = { equation = "u_xx/(c - 1) = u_xx*2", on = "x-" }\n'
        '[curriculum.c]\nstart = 0.5\nvalues = 3\nspacing = "linear"\n[exact]',
        "with c = 1: division by zero",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_cut_or_led_is_refused(case: str) -> None:
    old, new, message = REFUSED[case]
    assert old in WAVE
    report = check(load_text(WAVE.replace(old, new, 1), "march", "march.toml", Path()))
    assert any(message in str(d) for d in report.errors), [str(d) for d in report.diagnostics]


def test_unknown_numbers_and_windows_are_refused() -> None:
    text = DECAY.replace("[constants]\nk = 4", "[parameters.k]\ninitial = 1\nexact = 4")
    report = check(load_text(text + "[marching]\nwindows = 2\n", "march", "march.toml", Path()))
    assert any("every window would find a k of its own" in str(d) for d in report.errors)


def test_trials_take_no_time_of_the_first_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of four seconds are gone when the first of two windows begins: half a second is its own."""
    now = [0.0]

    def long_trials(route: Any, *_: Any) -> Any:
        now[0] = 3.0
        return route

    monkeypatch.setattr("pinncli.solver.time.monotonic", lambda: now[0])
    monkeypatch.setattr("pinncli.solver.decided_route", long_trials)
    done = solved(tmp_path / "run", DECAY + "[marching]\nwindows = 2\n", max_time=4.0)
    assert {record.window for record in done.records} == {0, 1}
