"""Points drawn anew: what stays, what goes, and how evenly the rest is spread."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pinncli.assembly import Assembly, assemble
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.residuals import Sample
from pinncli.runs.store import Run
from pinncli.solver import SolveOptions, solve

N = 200


def made(resample: str, *settings: str) -> tuple[Assembly, Tensor]:
    sizes = ["network.width=8", "network.depth=2", f"sampling.interior={N}", "sampling.boundary=9"]
    loaded = load_problem("burgers1d", [*sizes, f"sampling.resample={{every=2, {resample}}}", *settings])
    formulation = formulate(loaded)
    assembly = assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)
    return assembly, 2.0 * assembly.initial_theta()


def rows(points: Tensor) -> set[tuple[float, ...]]:
    return {tuple(p) for p in points.tolist()}


def sizes(assembly: Assembly, samples: tuple[Sample, ...], theta: Tensor) -> Tensor:
    return assembly.objective(samples).magnitudes(theta)["burgers"]


def test_what_is_above_the_mean_is_retained_and_all_else_released() -> None:
    assembly, theta = made("by='retain'")
    old = assembly.draw(0, None)
    size = sizes(assembly, old, theta)
    new = assembly.draw(1, theta, old)
    large = rows(old[0].points[size > size.mean()])
    assert 0 < len(large) < N
    assert rows(old[0].points) & rows(new[0].points) == large
    assert [len(s) for s in new] == [len(s) for s in old]
    again = assembly.draw(1, theta, old)
    assert all(torch.equal(a.points, b.points) for a, b in zip(new, again, strict=True))
    assert not torch.equal(new[1].points, old[1].points)  # sides are drawn anew


@pytest.mark.parametrize("resample", ["by='retain'", "share=0.5"])
def test_a_gate_keeps_points_from_where_residuals_do_not_count_yet(resample: str) -> None:
    assembly, theta = made(resample)
    shares = []
    for gate in (None, lambda points: (points[:, 1] < 0.5).double()):
        points = assembly.draw(0, None)
        for number in (1, 2, 3):
            points = assembly.draw(number, theta, points, gate)
        shares.append(float((points[0].points[:, 1] < 0.5).double().mean()))
    assert shares[1] > shares[0] + 0.1
    assert shares[1] < 0.95  # the later times are still seen


def test_retained_points_gather_where_the_residual_stays_large() -> None:
    assembly, theta = made("by='retain'")
    points = assembly.draw(0, None)
    means = []
    for number in range(1, 8):
        means.append(float(sizes(assembly, points, theta).mean()))
        points = assembly.draw(number, theta, points)
    assert means[-1] > 1.2 * means[0]
    assert len(rows(points[0].points)) == N


@pytest.mark.parametrize("method", ["sobol", "latin"])
def test_a_share_of_the_points_stays_and_the_rest_follows_the_residual(method: str) -> None:
    assembly, theta = made("share=0.3", f"sampling.method='{method}'")
    draws = [assembly.draw(k, theta)[0].points for k in (1, 2, 3)]
    kept = rows(draws[0]) & rows(draws[1]) & rows(draws[2])
    assert len(kept) == round(0.3 * N)
    assert all(len(points) == N for points in draws)
    if method == "sobol":
        assert kept == rows(assembly.draw(0, None)[0].points[: len(kept)])
    first = assembly.draw(1, theta)
    followed = Sample(first[0].points[len(kept) :], first[0].normals[len(kept) :], {})
    even = sizes(assembly, assembly.draw(0, None), theta).mean()
    assert sizes(assembly, (followed, *first[1:]), theta).mean() > 1.1 * even


def test_without_a_share_the_draw_is_by_residual_alone() -> None:
    (plain, theta), (zero, _) = made("by='residual'"), made("share=0.0")
    assert torch.equal(plain.draw(3, theta)[0].points, zero.draw(3, theta)[0].points)


TEXT = """
title = "Decay"
unknowns = ["u"]
[coordinates]
t = [0, 1]
[conditions]
decay = {{ equation = "u_t = -u^2" }}
start = {{ on = "t-", equation = "u = 1" }}
[exact]
u = "1/(1 + t)"
[network]
width = 6
depth = 2
[sampling]
interior = 40
resample = {{ every = 4, {} }}
[training]
max_steps = 15
{}
"""
WEIGHTS = "balance = { every = 3 }\nattention = {}\ncausal = { chunks = 4, tolerances = [1, 10] }"


def stepped(folder: Path, text: str, steps: int) -> Run:
    """A run that was stopped after so many steps, or had come to its end."""
    asked: list[int] = []

    def stop() -> str | None:
        asked.append(1)
        return "enough" if len(asked) > steps else None

    options = {"seed": 0, "device": "cpu", "precision": "float64"}
    formulation = formulate(load_text(text, "decay", "decay.toml", Path()))
    with Run.create(folder, "decay", text, options) as run:
        for _ in solve(formulation, SolveOptions(device="cpu"), run, stop):
            pass
        return run


@pytest.mark.parametrize(
    ("resample", "weights"),
    [("by = 'retain'", ""), ("share = 0.5", ""), ("by = 'retain'", WEIGHTS), ("by = 'residual'", WEIGHTS)],
)
def test_a_run_that_was_stopped_goes_on_from_its_files_as_if_it_had_not(
    tmp_path: Path, resample: str, weights: str
) -> None:
    text = TEXT.format(resample, weights)
    whole = stepped(tmp_path / "whole", text, 10**6)
    stepped(tmp_path / "parts", text, 6)
    parts = stepped(tmp_path / "parts", text, 10**6)
    values = [[r["value"] for r in run.history()] for run in (whole, parts)]
    assert values[0] == values[1]
    assert len(values[0]) == 15
    assert values[0][-1] < 1e-4 * values[0][0]
