"""The objective against its definition, against differences, and against dense matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pinncli import linearisation
from pinncli.assembly import Assembly, assemble
from pinncli.language.calculus import compile_equation
from pinncli.language.parser import parse_equation
from pinncli.language.scope import Scope
from pinncli.objective import Objective
from pinncli.parameters import ParameterMap
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.residuals import Sample
from pinncli.weighting import natural_scale

INVERSE = """
title = "Reaction and diffusion with two unknown numbers, one bounded"
unknowns = ["u"]
[coordinates]
x = [0, 2]
t = [0, 1]
[parameters]
nu = { initial = 0.1, bounds = [0, 1] }
k = { initial = -2 }
[conditions]
pde = { on = "interior", equation = "u_t = nu*u_xx + k*u^2", weight = 3 }
wall = { on = "x-, x+", equation = "dn(u) = nu*u" }
start = { on = "t-", equation = "u = where(x < 1, 0.1, 0.3)", weight = 10 }
mean = { on = "t-", equation = "u_x = k*sin(pi*x)" }
"""
TIED = """
network.periodic = "off"
title = "A periodic plate"
unknowns = ["u"]
[coordinates]
x = [0, 2]
y = [0, 1]
[conditions]
plate = { on = "interior", equation = "d(lap(u), x, x) + u_yyyy + u = sin(pi*x)" }
tied = { equation = "u(x=0) = u(x=2)" }
tied_x = { equation = "d(u, x)(x=0) = d(u, x)(x=2)" }
tied_xx = { equation = "d(u, x, x)(x=0) = d(u, x, x)(x=2)" }
tied_xxx = { equation = "d(u, x, x, x)(x=0) = d(u, x, x, x)(x=2)" }
edges = { on = "y-, y+", equation = "u = 0" }
clamped = { on = "y-, y+", equation = "dn(u) = 0" }
"""
SIZES = ("network.width=4", "network.depth=2", "sampling.interior=90", "sampling.boundary=7")
NAMES = ("inverse", "tied", "kovasznay", "schrodinger")


@dataclass(frozen=True)
class Case:
    """An objective and a theta that is nowhere special."""

    assembly: Assembly
    objective: Objective
    theta: Tensor


def case(
    name: str,
    engine: str = "taylor",
    *,
    block: int = 4096,
    dtype: torch.dtype = torch.float64,
    device: torch.device | None = None,
) -> Case:
    text = {"inverse": INVERSE, "tied": TIED}.get(name)
    sizes = [*SIZES, f'derivatives.engine="{engine}"', f"derivatives.block={block}"]
    loaded = (
        load_text("\n".join([*sizes, text]), name, name, Path())
        if text
        else load_problem(name, ['network={kind="mlp"}', *sizes])
    )
    formulation = formulate(loaded)
    assembly = assemble(formulation, choose(formulation), 0, device or torch.device("cpu"), dtype)
    theta = assembly.initial_theta()
    noise = torch.randn(theta.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Case(assembly, assembly.objective(assembly.draw(0, None)), theta + 0.1 * noise.to(theta))


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * float(b.abs().max()))


def random_like(x: Tensor, seed: int) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(x)


def differences(function: object, theta: Tensor, step: float = 1e-5) -> Tensor:
    """Central differences, one column per entry of theta."""
    assert callable(function)
    columns = []
    for k in range(len(theta)):
        shift = torch.zeros_like(theta)
        shift[k] = step
        columns.append((function(theta + shift) - function(theta - shift)) / (2 * step))
    return torch.stack(columns, dim=-1)


# --- definitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_value_is_the_weighted_sum_of_half_mean_squares(name: str) -> None:
    c = case(name)
    rows = c.objective.condition_rows(c.theta)
    weights = {
        condition.name: condition.weight for group in c.objective.groups for condition in group.conditions
    }
    losses = {
        n: 0.5 * weights[n] * float(sum(row.square().mean() for row in parts)) for n, parts in rows.items()
    }
    assert c.objective.losses(c.theta) == pytest.approx(losses, rel=1e-12)
    assert set(losses) == set(c.assembly.formulation.problem.conditions)
    assert c.objective.value(c.theta) == pytest.approx(sum(losses.values()), rel=1e-12)
    r = c.objective.residual(c.theta)
    assert 0.5 * float(r.dot(r)) == pytest.approx(sum(losses.values()), rel=1e-12)
    magnitudes = c.objective.magnitudes(c.theta)
    for condition, parts in rows.items():
        assert torch.allclose(
            magnitudes[condition] ** 2, sum((row**2 for row in parts), torch.zeros(())), rtol=1e-12
        )


def test_a_weight_multiplies_the_loss_of_its_condition() -> None:
    c = case("inverse")
    before = c.objective.losses(c.theta)
    group = c.objective.groups[0]
    heavier = replace(group, conditions=tuple(replace(d, weight=5 * d.weight) for d in group.conditions))
    objective = c.assembly.objective_of([heavier, *c.objective.groups[1:]], c.objective.samples)
    after = objective.losses(c.theta)
    assert after == pytest.approx({n: v * (5 if n == "pde" else 1) for n, v in before.items()})


SCALES = {
    "u_t = 0.1*u_xx": math.pi / 2,  # pi/T = 1.6, 0.1 (pi/L)^2 = 0.1
    "u_t = 50*u_xx": 50 * (math.pi / 3) ** 2,
    "u_t = 50*lap(u)": 50 * (math.pi / 3) ** 2,  # over x alone
    "u = sin(x)": 1.0,
    "u*u_x = nu": math.pi / 3,  # partials at one: dr/du = 1, dr/du_x = 1
    "x^2*u = 0": 4.0,  # x lies in [-1, 2]
    "u = 3": 1.0,
}


@pytest.mark.parametrize("text", SCALES)
def test_the_natural_scale_is_the_size_of_the_largest_term(text: str) -> None:
    scope = Scope(("x", "t"), ("x",), "t", {"u": "real"}, parameters=("nu",))
    ends = torch.tensor([[-1.0, 0.0], [2.0, 2.0]], dtype=torch.float64)
    residual = compile_equation(parse_equation(text), scope)
    sample = Sample(ends, torch.zeros_like(ends), {})
    found = natural_scale(residual, ("x", "t"), ("x",), (3.0, 2.0), sample, {"nu": 0.5})
    assert found == pytest.approx(SCALES[text], rel=1e-12)


# --- derivatives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_and_jacobian_are_the_differences(name: str, engine: str) -> None:
    c = case(name, engine)
    value, gradient = c.objective.value_and_grad(c.theta)
    assert value == pytest.approx(c.objective.value(c.theta), rel=1e-13)
    r, jacobian = c.objective.residual_and_jacobian(c.theta)
    assert close(r, c.objective.residual(c.theta), 1e-13)
    assert close(jacobian, differences(c.objective.residual, c.theta), 1e-7)
    assert close(gradient, jacobian.t() @ r, 1e-11)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", NAMES)
def test_products_are_those_of_the_dense_matrices(name: str, engine: str, device: torch.device) -> None:
    c = case(name, engine, device=device)
    r, jacobian = c.objective.residual_and_jacobian(c.theta)
    value, gradient, gram = c.objective.gram(c.theta)
    assert value == pytest.approx(0.5 * float(r.dot(r)), rel=1e-12)
    assert close(gradient, jacobian.t() @ r, 1e-11)
    assert close(gram, jacobian.t() @ jacobian, 1e-11)
    assert torch.equal(gram, gram.t())
    triangle = c.objective.triangle(c.theta)
    assert torch.equal(triangle, triangle.triu())
    rows = torch.cat([jacobian, r.unsqueeze(1)], dim=1)
    assert close(triangle.t() @ triangle, rows.t() @ rows, 1e-11)
    v, w = random_like(c.theta, 2), random_like(r, 3)
    assert close(c.objective.jvp(c.theta, v), jacobian @ v, 1e-11)
    assert close(c.objective.vjp(c.theta, w), jacobian.t() @ w, 1e-11)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", NAMES)
def test_hvp_is_the_derivative_of_the_gradient(name: str, engine: str) -> None:
    c = case(name, engine)
    step = 1e-5
    for seed in range(2):
        v = random_like(c.theta, seed)
        ahead, behind = (c.objective.value_and_grad(c.theta + s * step * v)[1] for s in (1, -1))
        assert close(c.objective.hvp(c.theta, v), (ahead - behind) / (2 * step), 1e-6)


def test_hvp_is_symmetric() -> None:
    c = case("inverse")
    v, w = random_like(c.theta, 5), random_like(c.theta, 6)
    left, right = float(w.dot(c.objective.hvp(c.theta, v))), float(v.dot(c.objective.hvp(c.theta, w)))
    assert left == pytest.approx(right, rel=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_engines_agree(name: str, device: torch.device) -> None:
    taylor, reverse = (case(name, engine, device=device) for engine in ("taylor", "reverse"))
    mine = taylor.objective.residual_and_jacobian(taylor.theta)
    theirs = reverse.objective.residual_and_jacobian(reverse.theta)
    assert close(mine[0], theirs[0], 1e-11)
    assert close(mine[1], theirs[1], 1e-11)


# --- blocks and places -----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_depends_on_the_blocks(name: str, engine: str) -> None:
    whole, cut = case(name, engine), case(name, engine, block=64)
    assert len(whole.objective.blocks) == 1 < len(cut.objective.blocks)
    assert max(sum(len(s.sample) for s in b.segments) for b in cut.objective.blocks) <= 64
    theta, v = whole.theta, random_like(whole.theta, 7)
    assert cut.objective.value(theta) == pytest.approx(whole.objective.value(theta), rel=1e-12)
    assert cut.objective.losses(theta) == pytest.approx(whole.objective.losses(theta), rel=1e-12)
    assert close(cut.objective.value_and_grad(theta)[1], whole.objective.value_and_grad(theta)[1], 1e-11)
    assert close(cut.objective.hvp(theta, v), whole.objective.hvp(theta, v), 1e-11)
    for mine, theirs in zip(cut.objective.gram(theta)[1:], whole.objective.gram(theta)[1:], strict=True):
        assert close(mine, theirs, 1e-11)
    # rows come block by block, so that only their order may change
    r, jacobian = cut.objective.residual_and_jacobian(theta)
    assert close(r.sort().values, whole.objective.residual(theta).sort().values, 1e-11)
    assert close(cut.objective.jvp(theta, v), jacobian @ v, 1e-11)
    assert close(cut.objective.vjp(theta, r), jacobian.t() @ r, 1e-11)
    rows = whole.objective.condition_rows(theta)
    for condition, parts in cut.objective.condition_rows(theta).items():
        assert all(close(a, b, 1e-11) for a, b in zip(parts, rows[condition], strict=True)), condition


@pytest.mark.parametrize(
    ("engine", "width", "kind", "block"),
    [
        ("taylor", 20, "lm", 6250),
        ("taylor", 400, "lm", 64),
        ("taylor", 400, "adam", 1747),  # no Jacobian to hold: the cache alone decides
        ("reverse", 20, "lm", 64),
        ("reverse", 20, "adam", 16384),
    ],
)
def test_blocks_stay_small_where_a_jacobian_is_held(engine: str, width: int, kind: str, block: int) -> None:
    sizes = [f'derivatives.engine="{engine}"', f"network.width={width}", "network.depth=4"]
    formulation = formulate(load_problem("heat1d", [*sizes, f'stages=[{{optimiser={{kind="{kind}"}}}}]']))
    made = assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)
    assert made.block == block


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_theta_may_be_a_part_of_something_larger(engine: str) -> None:
    c = case("inverse", engine)
    larger = torch.stack([torch.zeros_like(c.theta), c.theta], dim=1)
    strided, shifted = larger[:, 1], torch.cat([torch.zeros(7, dtype=torch.float64), c.theta])[7:]
    for theta in (strided, shifted):
        for mine, theirs in zip(
            c.objective.residual_and_jacobian(theta), c.objective.residual_and_jacobian(c.theta), strict=True
        ):
            assert close(mine, theirs, 1e-13)
        assert close(c.objective.value_and_grad(theta)[1], c.objective.value_and_grad(c.theta)[1], 1e-13)
        assert close(c.objective.hvp(theta, c.theta), c.objective.hvp(c.theta, c.theta), 1e-13)


def test_theta_is_left_alone_and_everything_repeats() -> None:
    c = case("schrodinger", block=64)
    before, v = c.theta.clone(), random_like(c.theta, 1)
    o = c.objective

    def everything() -> list[Tensor]:
        results = [o.residual(c.theta), o.value_and_grad(c.theta)[1], o.gram(c.theta)[2], o.hvp(c.theta, v)]
        return [*results, o.jvp(c.theta, v), o.vjp(c.theta, results[0]), o.residual_and_jacobian(c.theta)[1]]

    first, second = everything(), everything()
    assert not any(x.requires_grad for x in first)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(c.theta, before)
    assert not c.theta.requires_grad
    assert c.theta.grad is None


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32(name: str, device: torch.device) -> None:
    single = case(name, dtype=torch.float32, device=device)
    double = case(name, device=device)
    theta = double.theta.float()
    r, jacobian = single.objective.residual_and_jacobian(theta)
    value, gradient = single.objective.value_and_grad(theta)
    gram = single.objective.gram(theta)[2]
    v = random_like(theta, 1)
    products = [
        single.objective.jvp(theta, v),
        single.objective.vjp(theta, r),
        single.objective.hvp(theta, v),
    ]
    assert {x.dtype for x in (r, jacobian, gradient, gram, *products)} == {torch.float32}
    exact = double.objective.value_and_grad(double.theta)
    assert value == pytest.approx(exact[0], rel=1e-4)
    assert close(gradient.double(), exact[1], 1e-3)
    assert close(jacobian.double(), double.objective.residual_and_jacobian(double.theta)[1], 1e-3)


# --- unknown numbers -------------------------------------------------------------------------------


def test_parameters_start_at_their_initial_values_and_keep_their_bounds() -> None:
    parameters = ParameterMap(("a", "b", "c"), (0.3, -5.0, 0.01), ((0.0, 1.0), None, None))
    at_start = {n: float(v) for n, v in parameters.values(torch.zeros(3, dtype=torch.float64)).items()}
    assert at_start == pytest.approx({"a": 0.3, "b": -5.0, "c": 0.01}, rel=1e-12)
    raw = torch.tensor(
        [[0.0, 2.0, -40.0, 40.0], [0.0, 1.0, -1.0, 2.0], [0.0, 1.0, -1.0, 2.0]], dtype=torch.float64
    )
    values = parameters.values(raw)
    share = 1 / (1 + math.exp(-(2.0 + math.log(0.3 / 0.7))))
    assert values["a"].tolist() == pytest.approx([0.3, share, 0.0, 1.0], abs=1e-12)
    assert values["b"].tolist() == pytest.approx([-5.0, 0.0, -10.0, 5.0])
    assert values["c"].tolist() == pytest.approx([0.01, 1.01, -0.99, 2.01])


def test_a_parameter_that_starts_at_its_bound_can_leave_it() -> None:
    parameters = ParameterMap(("a",), (0.0,), ((0.0, 2.0),))
    raw = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    value = parameters.values(raw)["a"]
    (slope,) = torch.autograd.grad(value, raw)
    assert 0 < value.item() < 0.01
    assert slope.item() > 1e-4


def test_the_unknown_numbers_come_after_the_network_in_theta() -> None:
    c = case("inverse")
    assert c.objective.size == c.assembly.network.size + 2 == len(c.theta)
    values = c.assembly.values(c.theta)
    assert 0 < values["nu"] < 1
    assert values["k"] == pytest.approx(-2 + 2 * float(c.theta[-1]))
    _, jacobian = c.objective.residual_and_jacobian(c.theta)
    assert bool((jacobian[:, -2:] != 0).any(0).all())


# --- linearisation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1 << 30, 30_000, 0])
@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", NAMES)
def test_a_linearisation_is_the_jacobian(
    name: str, engine: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both products and the diagonal, with all blocks kept, some or none."""
    monkeypatch.setattr(linearisation, "KEPT_BYTES", kept)
    c = case(name, engine, block=40)
    r, jacobian = c.objective.residual_and_jacobian(c.theta)
    linear = c.objective.linearise(c.theta)
    blocks = len(c.objective.blocks)
    assert len(linear.kept) == blocks if kept == 1 << 30 else len(linear.kept) < blocks
    assert sum(block.bytes for block in linear.kept) <= kept
    v, w = random_like(c.theta, 4), random_like(r, 5)
    assert close(linear.residual, c.objective.residual(c.theta), 1e-12)
    assert close(linear.jvp(v), jacobian @ v, 1e-12)
    assert close(linear.jvp(v), c.objective.jvp(c.theta, v), 1e-10)
    assert close(linear.vjp(w), jacobian.t() @ w, 1e-12)
    assert close(linear.vjp(w), c.objective.vjp(c.theta, w), 1e-10)
    assert close(linear.diagonal(), jacobian.square().sum(0), 1e-12)


def test_the_layout_names_every_weight_matrix() -> None:
    c = case("inverse")
    layout = c.objective.layout(c.theta)
    assert layout == [(0, 4, 2), (12, 4, 4), (32, 1, 4)]
    moved = c.theta.clone()
    for start, o, i in layout:
        moved[start : start + o * i] = 0.0
    assert int((moved == 0.0).sum()) == 2 * 4 + 4 * 4 + 4
