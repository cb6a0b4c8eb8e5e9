"""Residual programs under torch: the two tables of functions, groups, sites, blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from pinncli.derivatives import Engine, Reverse
from pinncli.derivatives.base import NetworkFunction
from pinncli.derivatives.jet import Record
from pinncli.language.calculus import compile_equation, compile_expression
from pinncli.language.functions import NUMPY
from pinncli.language.parser import parse_equation, parse_expression
from pinncli.language.partials import Combination, Partial
from pinncli.language.program import Input, Instruction, Program
from pinncli.language.scope import Scope
from pinncli.residuals import TORCH, Block, Condition, Group, Sample, Segment, run_on_coordinates, run_program

NAMES = ("x", "t")
SCOPE = Scope(
    coordinates=NAMES,
    space=("x",),
    time="t",
    unknowns={"u": "real", "v": "real"},
    constants={"c": 0.7},
    parameters=("nu",),
    columns=("measured",),
    normal=True,
)

# --- the two tables --------------------------------------------------------------------------------

TRUTH_ARGUMENTS = {"and", "or", "not"}
POSITIVE = {"log", "sqrt", "pow"}
UNIT = {"asin", "acos"}


def argument(op: str, n: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(-2.0, 2.0, n)
    values[:2] = 0.0  # ties and kinks
    if op in TRUTH_ARGUMENTS:
        return values > 0
    if op in POSITIVE:
        return np.abs(values) + 0.1
    return values / 2 if op in UNIT else values


ARITY = {
    **dict.fromkeys(
        ("add", "sub", "mul", "div", "pow", "atan2", "min", "max", "less", "less_equal", "and", "or"), 2
    ),
    "where": 3,
}


def test_both_tables_have_the_same_functions() -> None:
    assert set(TORCH) == set(NUMPY)


@pytest.mark.parametrize("op", sorted(TORCH.keys() - {"lookup"}))  # of tables: test_tables.py
def test_torch_and_numpy_give_the_same(op: str) -> None:
    arguments = [argument(op, 40, seed) for seed in range(ARITY.get(op, 1))]
    if op == "where":
        arguments[0] = arguments[0] > 0
    if op == "div":
        arguments[1][:2] = 0.3
    if op == "ipow":
        for n in (1, 2, 3, 7):
            expected = arguments[0] ** n
            np.testing.assert_allclose(NUMPY[op](arguments[0], n), expected, rtol=1e-14)
            np.testing.assert_allclose(TORCH[op](torch.tensor(arguments[0]), n).numpy(), expected, rtol=1e-14)
        return
    mine = TORCH[op](*(torch.tensor(a) for a in arguments)).numpy()
    theirs = NUMPY[op](*arguments)
    assert mine.dtype == theirs.dtype
    np.testing.assert_allclose(mine, theirs, rtol=2e-15, atol=1e-15)


@pytest.mark.parametrize(
    "op", ["add", "sub", "mul", "div", "pow", "atan2", "min", "max", "less", "less_equal"]
)
@pytest.mark.parametrize("position", [0, 1])
def test_one_argument_may_be_a_number(op: str, position: int) -> None:
    values = np.abs(argument(op, 40, 3)) + 0.1
    arguments: list[object] = [values, values]
    arguments[position] = 0.6
    tensors = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
    np.testing.assert_allclose(TORCH[op](*tensors).numpy(), NUMPY[op](*arguments), rtol=2e-15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("text", ["where(x < t, 0.1, 0.3)", "where(x < t, 0.1, x)", "where(x < t, x, 0.3)"])
def test_where_of_numbers_keeps_the_precision(text: str, dtype: torch.dtype) -> None:
    points = torch.rand((30, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    (found,) = run_on_coordinates(compile_expression(parse_expression(text), SCOPE), points, NAMES)
    x, t = points[:, 0].numpy(), points[:, 1].numpy()
    branches = {"where(x < t, 0.1, 0.3)": (0.1, 0.3), "where(x < t, 0.1, x)": (0.1, x)}.get(text, (x, 0.3))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.numpy(), np.where(x < t, *branches).astype(found.numpy().dtype))


@pytest.mark.parametrize(
    "text",
    [
        "sin(pi*x)*exp(-t) + x^3/(1 + t^2)",
        "where(x < 0.5 and t <= 0.5, min(x, t), atan2(x - 0.4, t))",
        "heaviside(x - t)*tanh(3*x) - abs(x - t)*sign(t - x) + erf(x)",
        "sqrt(1 + x) + log(2 + t) + asin(x/2)*acos(t/2) + atan(x) + sinh(t) + cosh(x) + max(x, 0.5)",
        "3",
    ],
)
def test_programs_give_the_same_under_both(text: str) -> None:
    program = compile_expression(parse_expression(text), SCOPE)
    points = torch.rand((50, 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (mine,) = run_on_coordinates(program, points, NAMES)
    (theirs,) = program.run([points[:, NAMES.index(i.name)].numpy() for i in program.inputs], NUMPY)
    assert mine.shape == (50,)
    np.testing.assert_allclose(mine.numpy(), np.broadcast_to(theirs, 50), rtol=1e-14, atol=1e-15)


def test_an_output_that_depends_on_nothing_is_spread_over_the_points() -> None:
    program = Program((Input("coordinate", "x"),), (Instruction("const", value=0.1),), (1, 0))
    points = torch.rand((4, 2), dtype=torch.float32)
    constant, x = run_program(program, lambda _: points[:, 0], points)
    assert constant.tolist() == pytest.approx([0.1] * 4)
    assert constant.dtype == torch.float32
    assert torch.equal(x, points[:, 0])


# --- groups ----------------------------------------------------------------------------------------


def wave(theta: Tensor, x: Tensor) -> Tensor:
    """u = sin(a x + b t), v = x^2 t: a network whose derivatives are known."""
    u = torch.sin(theta[0] * x[:, 0] + theta[1] * x[:, 1])
    return torch.stack([u, x[:, 0] ** 2 * x[:, 1]], dim=1)


A, B = 1.3, -0.8
THETA = torch.tensor([A, B], dtype=torch.float64)


@dataclass(frozen=True)
class Spy:
    """An engine that counts: (points, partials) of every call."""

    inner: Engine
    calls: list[tuple[int, int]] = field(default_factory=list)

    @property
    def records(self) -> bool:
        return False

    def partials(
        self, network: NetworkFunction, theta: Tensor, points: Tensor, wanted: Sequence[Partial]
    ) -> dict[Partial, Tensor]:
        self.calls.append((len(points), len(wanted)))
        return self.inner.partials(network, theta, points, wanted)

    def recorded(
        self, network: NetworkFunction, theta: Tensor, points: Tensor, wanted: Sequence[Partial]
    ) -> tuple[dict[Partial, Tensor], list[Record]]:
        raise NotImplementedError

    def twice_differentiable(self) -> Engine:
        return self


def condition(text: str, scope: Scope = SCOPE) -> Condition:
    return Condition(text, compile_equation(parse_equation(text), scope))


def sample(n: int, seed: int = 0) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand((n, 2), generator=generator, dtype=torch.float64)
    normals = torch.zeros_like(points)
    normals[:, 0] = torch.where(points[:, 1] > 0.5, 1.0, -1.0)
    return Sample(points, normals, {"measured": torch.rand(n, generator=generator, dtype=torch.float64)})


def evaluate(segments: Sequence[Segment]) -> tuple[list[list[Tensor]], Spy]:
    engine = Spy(Reverse(("u", "v"), (0,)))
    block = Block.of(segments)
    with torch.no_grad():
        results = [engine.partials(wave, THETA, call.points, call.wanted) for call in block.calls]
    parameters = {"nu": torch.tensor(0.25, dtype=torch.float64)}
    return block.rows(results, [parameters] * len(segments)), engine


# each row: an equation, and left minus right for u = sin(A x + B t), v = x^2 t
PHASE = Callable[..., Tensor]
KNOWN: dict[str, PHASE] = {
    "u_t = nu*u_xx": lambda x, t, **_: B * torch.cos(A * x + B * t) + 0.25 * A**2 * torch.sin(A * x + B * t),
    "lap(u) + d(v, x, t) = c*x": lambda x, t, **_: -(A**2) * torch.sin(A * x + B * t) + 2 * x - 0.7 * x,
    "d(t*d(v, x), x) = 1": lambda x, t, **_: 2 * t**2 - 1,
    "u*v_x = v*u_x": lambda x, t, **_: (
        torch.sin(A * x + B * t) * 2 * x * t - x**2 * t * A * torch.cos(A * x + B * t)
    ),
    "u(x=0) = u(x=1)": lambda x, t, **_: torch.sin(B * t) - torch.sin(A + B * t),
    "d(v, x)(x=2*t) = v": lambda x, t, **_: 4 * t**2 - x**2 * t,
    "u(x=0.5, t=0) = 1": lambda x, t, **_: torch.full_like(x, math.sin(A / 2) - 1),
    "dn(u) = 2": lambda x, t, normal, **_: normal * A * torch.cos(A * x + B * t) - 2,
    "u = measured": lambda x, t, measured, **_: torch.sin(A * x + B * t) - measured,
    "min(u, v) = 0": lambda x, t, **_: torch.minimum(torch.sin(A * x + B * t), x**2 * t),
}


@pytest.mark.parametrize("text", KNOWN)
def test_residuals_are_left_minus_right(text: str) -> None:
    points = sample(9)
    group = Group.of("g", NAMES, [condition(text)])
    (((row,),), _) = evaluate([Segment(group, points)])
    x, t = points.points.T
    expected = KNOWN[text](x=x, t=t, normal=points.normals[:, 0], measured=points.columns["measured"])
    assert torch.allclose(row, expected, rtol=1e-13, atol=1e-13)


def test_conditions_of_a_group_share_every_evaluation() -> None:
    texts = list(KNOWN)
    group = Group.of("all", NAMES, [condition(text) for text in texts])
    rows, engine = evaluate([Segment(group, sample(11))])
    assert len(engine.calls) <= len(group.sites) == 5  # the point, x=0, x=1, x=2t, (0.5, 0)
    for text, row in zip(texts, rows[0], strict=True):
        alone = Group.of("one", NAMES, [condition(text)])
        (((expected,),), _) = evaluate([Segment(alone, sample(11))])
        assert torch.allclose(row, expected, rtol=1e-13, atol=1e-14), text


def test_a_group_asks_for_each_partial_once() -> None:
    group = Group.of("g", NAMES, [condition("u_t = u_xx"), condition("u_xx + v_t = u")])
    assert group.wanted == (
        tuple(sorted({Partial("u", o) for o in [(0, 0), (0, 1), (2, 0)]} | {Partial("v", (0, 1))})),
    )
    assert (group.components, len(group.sites)) == (2, 1)


def test_derivatives_that_are_needed_only_together_are_asked_for_whole() -> None:
    texts = ["v_t + u*u_x = 0.5*u_xx - 3*u_t", "lap(v)/4 + 2*d(v, x, t) = c*v_x", "v*v_x = 1"]
    group = Group.of("g", NAMES, [condition(text) for text in texts])
    u_t, u_xx, v_xt = Partial("u", (0, 1)), Partial("u", (2, 0)), Partial("v", (1, 1))
    lap = Partial("v", (2, 0))  # the one coordinate of space
    assert group.wanted == (
        (
            Partial("u", (0, 0)),
            Partial("u", (1, 0)),
            Partial("v", (0, 0)),
            Partial("v", (0, 1)),
            Partial("v", (1, 0)),
            Combination(((1.0, u_t), (-1 / 6, u_xx))),
            Combination(((1.0, v_xt), (0.125, lap))),
        ),
    )
    rows, _ = evaluate([Segment(group, sample(7))])
    for text, row in zip(texts, rows[0], strict=True):
        x, t = sample(7).points.T
        u, v = torch.sin(A * x + B * t), x**2 * t
        u_x = A * torch.cos(A * x + B * t)
        exact = {
            texts[0]: x**2 + u * u_x + 0.5 * A**2 * u + 3 * B * torch.cos(A * x + B * t),
            texts[1]: t / 2 + 4 * x - 0.7 * 2 * x * t,
            texts[2]: v * 2 * x * t - 1,
        }[text]
        assert torch.allclose(row, exact, rtol=1e-13, atol=1e-13), text


def test_unknown_numbers_and_two_equations_keep_derivatives_apart() -> None:
    together = Group.of("g", NAMES, [condition("u_t = 2*u_xx"), condition("u_xx + v_t = 0")])
    for group in (Group.of("g", NAMES, [condition("u_t = nu*u_xx + x*v_t")]), together):
        assert not any(isinstance(w, Combination) for w in group.wanted[0])
    both = Group.of("g", NAMES, [condition("u_t = 2*u_xx"), condition("v = 3*u_t - 6*u_xx")])
    whole = Combination(((1.0, Partial("u", (0, 1))), (-2.0, Partial("u", (2, 0)))))
    assert both.wanted == ((Partial("v", (0, 0)), whole),)


def test_a_complex_equation_has_a_real_and_an_imaginary_row() -> None:
    scope = Scope(coordinates=NAMES, space=("x",), time="t", unknowns={"h": "complex"})
    group = Group.of("g", NAMES, [condition("i*h_t + h_xx = h*abs(h)^2", scope)])
    assert group.components == 2
    points = sample(6)
    engine = Reverse(("h_real", "h_imag"), (0,))
    block = Block.of([Segment(group, points)])
    results = [engine.partials(wave, THETA, call.points, call.wanted) for call in block.calls]
    ((real, imaginary),) = block.rows(results, [{}])
    x, t = points.points.T
    p, q = torch.sin(A * x + B * t), x**2 * t
    p_t, p_xx = B * torch.cos(A * x + B * t), -(A**2) * p
    assert torch.allclose(real, -(x**2) + p_xx - p * (p**2 + q**2))
    assert torch.allclose(imaginary, p_t + 2 * t - q * (p**2 + q**2))


# --- blocks ----------------------------------------------------------------------------------------


def test_a_block_merges_what_asks_for_the_same_derivatives() -> None:
    pde = Group.of("pde", NAMES, [condition("u_t = u_xx")])
    initial = Group.of("initial", NAMES, [condition("u = sin(x)")])
    wall = Group.of("wall", NAMES, [condition("v = 0"), condition("u = t")])
    samples = [sample(8, 1), sample(5, 2), sample(3, 3)]
    segments = [Segment(g, s) for g, s in zip((pde, initial, wall), samples, strict=True)]
    rows, engine = evaluate(segments)
    # u_t - u_xx at 8 interior points; the values of u and v at 5 + 3 points
    assert sorted(engine.calls) == [(8, 1), (8, 2)]
    for segment, found in zip(segments, rows, strict=True):
        ((alone,), _) = evaluate([segment])
        assert [len(row) for row in found] == [len(segment.sample)] * segment.group.components
        assert all(torch.allclose(a, b) for a, b in zip(found, alone, strict=True))


def test_the_parameters_of_a_segment_are_its_own() -> None:
    group = Group.of("g", NAMES, [condition("u = nu")])
    segments = [Segment(group, sample(3, 1)), Segment(group, sample(4, 2))]
    block = Block.of(segments)
    results = [{p: torch.zeros(len(c.points)) for p in c.wanted} for c in block.calls]
    values = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0, 7.0])]
    rows = block.rows(results, [{"nu": v} for v in values])
    assert [row.tolist() for (row,) in rows] == [[-1, -2, -3], [-4, -5, -6, -7]]


def test_samples_may_be_sliced_and_moved() -> None:
    whole = sample(6)
    part = whole[torch.tensor([4, 1])]
    assert torch.equal(part.points, whole.points[[4, 1]])
    assert torch.equal(part.normals, whole.normals[[4, 1]])
    assert torch.equal(part.columns["measured"], whole.columns["measured"][[4, 1]])
    moved = whole.to(torch.device("cpu"), torch.float32)
    assert {moved.points.dtype, moved.normals.dtype, moved.columns["measured"].dtype} == {torch.float32}
