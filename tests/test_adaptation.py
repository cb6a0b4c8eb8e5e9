"""Adaptive weights: their formulas, what they do to an objective, and that resuming repeats a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pinncli.adaptation import Attention, Balance, Causal
from pinncli.adaptation.attention import nearest
from pinncli.adaptation.balance import gradient_norms
from pinncli.assembly import Assembly, adaptation, assemble
from pinncli.errors import ProblemError
from pinncli.objective import Objective
from pinncli.optimisers import OPTIMISERS
from pinncli.problem.checks import check
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.problem.settings import LevenbergMarquardtSettings, QuasiNewtonSettings
from pinncli.training import LoopState, Setup, Stage, StepRecord, start, state_to_tree, train, tree_to_state

PROBLEM = """
title = "A wave that is damped, as two equations"
unknowns = ["u", "v"]
[coordinates]
x = [0, 2]
t = [1, 3]
[conditions]
rate = { on = "interior", equation = "u_t = v", weight = 3 }
force = { on = "interior", equation = "v_t = u_xx - v*u" }
start = { on = "t-", equation = "u = sin(pi*x)" }
still = { equation = "v(t=1) = 0" }
walls = { on = "x-, x+", equation = "u = 0", weight = 10 }
[network]
width = 5
depth = 2
[sampling]
interior = 60
boundary = 12
resample = { every = 4, by = "retain" }
"""
RULES = {
    "gradient": 'balance = { by = "gradient", every = 2 }',
    "ntk": 'balance = { by = "ntk", every = 3, smoothing = 0.5 }',
    "attention": "attention = { rate = 0.1, decay = 0.9 }",
    "causal": "causal = { chunks = 5, tolerances = [0.01, 0.1, 1], every = 2 }",
}
RULES["all"] = "\n".join(RULES[name] for name in ("gradient", "attention", "causal"))


def made(training: str, engine: str = "taylor", block: int = 4096) -> tuple[Assembly, Objective, Tensor]:
    text = f'{PROBLEM}\n[derivatives]\nengine = "{engine}"\nblock = {block}\n[training]\n{training}\n'
    formulation = formulate(load_text(text, "wave", "wave.toml", Path()))
    assembly = assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)
    theta = assembly.initial_theta()
    noise = torch.randn(theta.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return assembly, assembly.objective(assembly.draw(0, None)), theta + 0.1 * noise


def rule(name: str) -> Any:
    found = adaptation(made(RULES[name])[0])
    assert found is not None
    return found


# --- weighted objectives -------------------------------------------------------------------------


def some_factors(objective: Objective) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    counts = {
        c.name: len(s) for g, s in zip(objective.groups, objective.samples, strict=True) for c in g.conditions
    }
    factors = {n: torch.rand(k, generator=generator, dtype=torch.float64) for n, k in counts.items()}
    return factors | {"walls": torch.tensor(7.0, dtype=torch.float64)}


@pytest.mark.parametrize("block", [4096, 17])
@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_factors_multiply_the_squares_in_every_form_of_the_objective(engine: str, block: int) -> None:
    _, plain, theta = made("", engine, block)
    factors = some_factors(plain)
    weighted = plain.weighted(factors)
    total = 0.0
    for group, sample in zip(plain.groups, plain.samples, strict=True):
        for c in group.conditions:
            square = sum(row.square() for row in plain.condition_rows(theta)[c.name])
            total += 0.5 * c.weight / len(sample) * float((factors[c.name] * square).sum())
    assert weighted.value(theta) == pytest.approx(total, rel=1e-12)
    assert sum(weighted.losses(theta).values()) == pytest.approx(total, rel=1e-12)
    value, gradient, gram = weighted.gram(theta)
    r, jacobian = weighted.residual_and_jacobian(theta)
    assert value == pytest.approx(total, rel=1e-12)
    assert torch.allclose(gram, jacobian.t() @ jacobian, rtol=1e-9, atol=1e-12)
    assert torch.allclose(gradient, weighted.value_and_grad(theta)[1], rtol=1e-9, atol=1e-12)
    assert torch.allclose(gradient, r @ jacobian, rtol=1e-9, atol=1e-12)


def test_new_factors_replace_the_old_and_none_are_the_fixed_weights() -> None:
    _, plain, theta = made("", block=17)
    once = plain.weighted(some_factors(plain))
    assert once.weighted({}).value(theta) == plain.value(theta)
    assert once.weighted(some_factors(plain)).value(theta) == once.value(theta)
    assert once.weighted({}).scales == plain.scales  # numbers, as fast as before


# --- balance -------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [4096, 17])
def test_gradients_weighted_by_their_norms_have_one_length_times_the_weight(block: int) -> None:
    assembly, plain, theta = made(RULES["gradient"], block=block)
    rules = adaptation(assembly)
    assert rules is not None
    assert rules.balance is not None
    weighted = rules.apply(plain, rules.start(plain, theta))
    emphasis = {"rate": 3.0, "force": 1.0, "start": 1.0, "still": 1.0, "walls": 10.0}
    norms = {name: norm / emphasis[name] for name, norm in gradient_norms(weighted, theta).items()}
    assert norms == pytest.approx(dict.fromkeys(emphasis, sum(gradient_norms(plain, theta).values())))


def test_gradient_norms_are_those_of_the_shares_of_the_value() -> None:
    _, plain, theta = made("", block=17)
    for name, norm in gradient_norms(plain, theta).items():
        alone = plain.weighted({n: torch.tensor(float(n == name)) for n, _ in plain.row_conditions()})
        assert float(alone.value_and_grad(theta)[1].norm()) == pytest.approx(norm, rel=1e-12)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_kernel_traces_are_those_of_the_explicit_jacobian(engine: str) -> None:
    assembly, plain, theta = made(RULES["ntk"], engine, block=17)
    _, jacobian = plain.residual_and_jacobian(theta)
    kernel = jacobian @ jacobian.t()
    owners = [name for name, n in plain.row_conditions() for _ in range(n)]
    traces = plain.traces(theta)
    for name, trace in traces.items():
        mine = [k for k, owner in enumerate(owners) if owner == name]
        assert float(kernel[mine][:, mine].trace()) == pytest.approx(trace, rel=1e-12)
    rules = adaptation(assembly)
    assert rules is not None
    assert rules.balance is not None
    lambdas = dict(zip(rules.balance.weights, rules.start(plain, theta).balance.tolist(), strict=True))
    for name, weight in rules.balance.weights.items():
        assert lambdas[name] == pytest.approx(weight * float(kernel.trace()) / traces[name])


def test_the_average_moves_from_the_old_towards_the_target() -> None:
    assembly, plain, theta = made(RULES["ntk"])
    rules = adaptation(assembly)
    assert rules is not None
    assert rules.balance is not None
    first = rules.start(plain, theta)
    moved = theta + 0.3
    target = rules.balance.targets(rules.balance.sizes(plain, moved))
    found = rules.update(rules.apply(plain, first), moved, first, 3)
    assert found.balance.tolist() == pytest.approx((0.5 * first.balance + 0.5 * target).tolist())
    assert rules.update(rules.apply(plain, first), moved, first, 4).balance is first.balance


def test_a_condition_that_holds_exactly_gets_a_finite_weight() -> None:
    balance = Balance("gradient", 1, 0.9, {"a": 1.0, "b": 1.0})
    assert balance.targets(torch.tensor([2.0, 0.0], dtype=torch.float64)).tolist() == [1.0, 1e6]
    for size in (0.0, math.nan):
        assert balance.targets(torch.full((2,), size, dtype=torch.float64)).tolist() == [1.0, 1.0]


# --- attention -----------------------------------------------------------------------------------


def test_attention_follows_its_formula() -> None:
    attention = Attention(rate=0.5, decay=0.8, every=1)
    found = attention.update(torch.tensor([1.0, 1.0, 2.0]), torch.tensor([0.0, 2.0, 4.0]))
    assert found.tolist() == pytest.approx([0.8, 0.8 + 0.25, 1.6 + 0.5])
    assert float(attention.factors(found).mean()) == pytest.approx(1.0)
    assert attention.factors(found)[2] / attention.factors(found)[0] == pytest.approx((2.1 / 0.8) ** 2)
    assert attention.update(torch.ones(2), torch.zeros(2)).tolist() == pytest.approx([1.3, 1.3])
    level = torch.ones(1)
    for _ in range(200):
        level = attention.update(level, torch.ones(1))
    assert float(level) == pytest.approx(0.5 / (1 - 0.8))  # bounded by rate/(1 - decay)


def test_attention_goes_to_the_nearest_new_points() -> None:
    old = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 100.0]])
    new = torch.tensor([[0.9, 0.0], [0.0, 0.0], [0.4, 60.0]])
    values = torch.tensor([1.0, 2.0, 3.0])
    assert nearest(values, old, new, (1.0, 100.0)).tolist() == [2.0, 1.0, 3.0]
    assert nearest(values, old, new, (1.0, 1e6)).tolist() == [2.0, 1.0, 1.0]


# --- causality -----------------------------------------------------------------------------------


def causal(*tolerances: float) -> Causal:
    weights = {"pde": 2.0, "wall": 1.0, "start": 1.0, "sensors": 1.0}
    return Causal(1, 1.0, 3.0, 4, tolerances, 1, ("start",), ("pde", "wall"), weights)


def test_a_point_on_a_boundary_of_chunks_belongs_to_the_later() -> None:
    points = torch.tensor([[9.0, t] for t in (1.0, 1.4999, 1.5, 2.0, 2.4999, 2.5, 3.0)])
    assert causal(1.0).chunk(points).tolist() == [0, 0, 1, 2, 2, 3, 3]


def test_causal_weights_on_residuals_made_by_hand() -> None:
    rule = causal(0.5)
    points = {
        "pde": torch.tensor([[0.0, 1.1], [0.0, 1.2], [0.0, 2.1]]),
        "wall": torch.tensor([[0.0, 1.6], [0.0, 2.2]]),
        "start": torch.tensor([[0.0, 1.0], [1.0, 1.0]]),
        "sensors": torch.tensor([[0.0, 1.1]]),
    }
    rows = {
        "pde": [torch.tensor([1.0, 3.0, 2.0]), torch.tensor([0.0, 1.0, 0.0])],
        "wall": [torch.tensor([0.5, 1.0])],
        "start": [torch.tensor([0.2, 0.4])],
        "sensors": [torch.tensor([50.0])],
    }
    losses = rule.losses(points, rows)
    assert losses.tolist() == pytest.approx([0.1, 2 * (1 + 9 + 1) / 2, 0.25, 2 * 4 + 1, 0.0])
    sums = [0.1, 11.1, 11.35, 20.35]
    weights = rule.at(losses, 0)
    assert weights.tolist() == pytest.approx([math.exp(-0.5 * s) for s in sums])
    assert all(a >= b for a, b in zip(weights.tolist(), weights.tolist()[1:], strict=False))


def test_causal_weights_multiply_what_follows_and_not_the_beginning() -> None:
    rules = rule("causal")
    _, plain, theta = made(RULES["causal"])
    assert set(rules.causal.first) == {"start", "still"}
    weights = rules.start(plain, theta)
    factors = rules.factors(plain, weights)
    assert factors["start"] == factors["still"] == 1.0
    points = plain.samples[0].points
    order = points[:, 1].argsort()
    assert bool((factors["rate"][order].diff() <= 0.0).all())
    assert torch.equal(factors["rate"], weights.causal[rules.causal.chunk(points)])


def test_redraws_follow_the_residual_as_causality_weighs_it() -> None:
    rules = rule("causal")
    _, plain, theta = made(RULES["causal"])
    weights = rules.start(plain, theta)
    gate = rules.gate(weights)
    factors = rules.factors(plain, weights)["rate"]
    assert torch.allclose(gate(plain.samples[0].points).square(), factors)
    assert rule("attention").gate(weights) is None


def test_the_tolerance_moves_on_when_all_weights_are_near_one() -> None:
    rules = rule("causal")
    _, plain, theta = made(RULES["causal"])
    small = plain.weighted({n: torch.tensor(1.0) for n, _ in plain.row_conditions()})
    weights = rules.start(plain, theta)
    points = {
        c.name: sample.points
        for g, sample in zip(plain.groups, plain.samples, strict=True)
        for c in g.conditions
    }
    losses = rules.causal.losses(points, plain.condition_rows(theta))
    met = bool(rules.causal.at(losses, 0).min() > 0.99)
    assert rules.update(small, theta, weights, 2).tolerance == int(met)
    for expected in (1, 2, 2):
        weights = rules.move_on(plain, theta, weights)
        assert weights.tolerance == expected
        assert torch.equal(weights.causal, rules.causal.at(losses, expected))


# --- in the loop ---------------------------------------------------------------------------------

STAGES = {
    "lm": LevenbergMarquardtSettings(kind="lm"),
    "ssbroyden": QuasiNewtonSettings(kind="ssbroyden"),
}


def loop(assembly: Assembly, kind: str = "lm", steps: int = 12, **options: Any) -> Setup:
    settings = STAGES[kind].model_dump(exclude={"kind"})
    stage = {"redraw": 4, "patience": 10**6, "progress": 0.0, "measure": 3} | options
    return Setup(
        stages=[Stage(OPTIMISERS[kind](**settings), kind, steps, **stage)],
        objective=assembly.objective,
        draw=assembly.draw,
        error=lambda theta: None,
        parameters=assembly.values,
        adaptation=adaptation(assembly),
    )


def steps_of(setup: Setup, state: LoopState) -> tuple[list[StepRecord], list[LoopState]]:
    pairs = [(record, state) for record, state in train(setup, state)]
    return [record for record, _ in pairs], [state for _, state in pairs]


def bits(value: Any) -> Any:
    """A tree as text and bytes, to compare bit for bit."""
    if isinstance(value, dict):
        return {name: bits(entry) for name, entry in value.items() if name != "elapsed"}
    return value.numpy().tobytes() if isinstance(value, Tensor) else repr(value)


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: copied(entry) for name, entry in value.items()}
    return value.clone() if isinstance(value, Tensor) else value


@pytest.mark.parametrize("kind", STAGES)
@pytest.mark.parametrize("name", RULES)
def test_a_resumed_run_repeats_the_undisturbed_one_bit_for_bit(name: str, kind: str) -> None:
    setup = loop(made(RULES[name], block=50)[0], kind)
    trees, records, last = [], [], start(setup, made("")[0].initial_theta())
    for record, state in train(setup, last):
        records.append(record)
        trees.append(copied(state_to_tree(state)))
    for k in (1, 3, 5, 10):  # also at a redraw, between updates
        state = tree_to_state(copied(trees[k]), setup.stages, torch.device("cpu"))
        assert bits(state_to_tree(state)) == bits(trees[k])
        rest = list(train(setup, state))
        assert [r.value for r, _ in rest] == [r.value for r in records[k + 1 :]]
        assert bits(state_to_tree(rest[-1][1])) == bits(trees[-1])


@pytest.mark.parametrize("name", RULES)
def test_losses_are_without_adaptive_weights_and_values_with_them(name: str) -> None:
    assembly, _, theta = made(RULES[name])
    setup = loop(assembly, redraw=0)
    records, states = steps_of(setup, start(setup, theta))
    plain = assembly.objective(states[0].points)
    for before, record, state in zip(states, records[1:], states[1:], strict=False):
        assert record.value == pytest.approx(setup.weighted(before).value(state.theta), rel=1e-12)
        if record.losses:
            assert sum(record.losses.values()) == pytest.approx(plain.value(state.theta), rel=1e-12)
    assert plain.value(states[-1].theta) < 0.5 * plain.value(theta)


def test_a_change_of_weights_is_neither_progress_nor_a_setback() -> None:
    """The value over the marked value is the same before and after."""
    assembly, _, theta = made(RULES["all"])
    setup = loop(assembly, redraw=0, progress=0.5)
    state = start(setup, theta)
    for record, after in train(setup, state):
        if after.stage_step == after.marked_step:  # progress in this very step
            now = setup.weighted(after).value(after.theta)
            if math.isfinite(after.marked_value):
                assert after.marked_value == pytest.approx(now, rel=1e-9), record.event


def test_a_stage_without_progress_goes_on_at_the_next_tolerance() -> None:
    assembly, _, theta = made("causal = { chunks = 5, tolerances = [1e3, 1e4, 1e5], every = 1000 }")
    setup = loop(assembly, steps=100, redraw=0, patience=3, progress=1.0)
    records, _ = steps_of(setup, start(setup, theta))
    events = [r.event for r in records if r.event]
    assert events == [
        "no further progress; causal tolerance 10000",
        "no further progress; causal tolerance 100000",
        "no further progress",
    ]


def test_attention_is_kept_at_points_that_stay() -> None:
    assembly, plain, theta = made(RULES["attention"])
    rules = adaptation(assembly)
    assert rules is not None
    weights = rules.update(plain, theta, rules.start(plain, theta), 1)
    points = assembly.draw(1, theta, plain.samples)
    carried = rules.carry(weights, plain, points)
    old, new = plain.samples[0].points, points[0].points
    same = (old[:, None] == new[None]).all(dim=2)
    assert bool(same.any())
    for k, j in same.nonzero().tolist():
        assert carried.attention["rate"][j] == weights.attention["rate"][k]


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "settings", "message"),
    [
        ("kovasznay", ["training.causal={}"], "no coordinate is time"),
        ("heat1d", ["network={kind='features'}", "training.attention={}"], "features are fitted at once"),
        ("heat1d", ["training.causal={tolerances=[1, 0.1]}"], "tolerances should rise"),
        ("heat1d", ["conditions.walls.on='t+'", "training.causal={}"], "'walls' ties it to later times"),
        ("heat1d", ["conditions.initial.on='x-'", "training.causal={}"], "where no condition holds"),
        ("heat1d", ["sampling.resample={by='retain', power=2}"], "power has no meaning"),
    ],
)
def test_settings_that_contradict_are_refused(problem: str, settings: list[str], message: str) -> None:
    errors = check(load_problem(problem, settings)).errors
    assert any(message in str(error) for error in errors), errors
    assert all(error.hint for error in errors if message in str(error))


def test_an_empty_list_of_tolerances_is_refused() -> None:
    with pytest.raises(ProblemError, match="tolerances: should not have fewer entries than 1"):
        load_problem("heat1d", ["training.causal={tolerances=[]}"])


def test_good_settings_are_not_refused() -> None:
    settings = ['network={kind="mlp"}', "training.causal={}", "training.balance={}", "training.attention={}"]
    assert not check(load_problem("allen_cahn", settings)).errors
