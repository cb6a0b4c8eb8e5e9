"""Derivative engines against sympy, against combinatorics, and against each other."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import pytest
import sympy
import torch
from sympy.functions.combinatorial.numbers import stirling
from torch import Tensor
from torch.nn import functional

from pinncli.derivatives import ENGINES, Engine, Reverse, Taylor
from pinncli.derivatives.affine import AffineJet
from pinncli.derivatives.chain import cut, evaluated, joined, pieces_of
from pinncli.derivatives.composition import RECURRENCES, compose, compose_plain, product_transposed
from pinncli.derivatives.elementwise import ELEMENTWISE, FROM_VALUE, derivatives, fast_tanh
from pinncli.derivatives.jet import RULES, Jet
from pinncli.derivatives.jet_index import JetIndex, jet_index, plan_of
from pinncli.derivatives.taylor import jacobian_columns
from pinncli.language.partials import MAX_ORDER, Combination, MultiIndex, Partial, Wanted
from pinncli.networks import MLP, Features
from pinncli.networks.dense import ACTIVATIONS
from pinncli.smoothstep import SMOOTHSTEPS

X, Y = sympy.symbols("x y")


def smoothstep(k: int, h: sympy.Expr) -> sympy.Expr:
    """The integral from 0 to h of (q (1 - q))^k, over that to 1."""
    q = sympy.Symbol("q")
    whole = sympy.integrate(sympy.expand((q * (1 - q)) ** k), q)
    return (whole / whole.subs(q, 1)).subs(q, h)


SYMBOLIC: dict[str, Callable[[sympy.Expr], sympy.Expr]] = {
    "tanh": sympy.tanh,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "exp": sympy.exp,
    "reciprocal": lambda h: 1 / h,
    "gelu": lambda h: h * (1 + sympy.erf(h / sympy.sqrt(2))) / 2,
    "silu": lambda h: h * (1 + sympy.tanh(h / 2)) / 2,
    **{f"smoothstep{k}": functools.partial(smoothstep, k) for k in SMOOTHSTEPS},
}
ACTIVATION_FORMULAS = {"tanh": "tanh", "sine": "sin", "gelu": "gelu", "silu": "silu"}


def orders_up_to(total: int, dimension: int) -> Iterator[MultiIndex]:
    return (index for index in product(range(total + 1), repeat=dimension) if sum(index) <= total)


def network(
    activation: str, *, inputs: int = 2, outputs: int = 2, periodic: int | None = 1, width: int = 5
) -> MLP:
    features = Features(
        low=(-1.0, 0.5, 0.0)[:inputs],
        high=(2.0, 3.5, 1.0)[:inputs],
        periodic=tuple(k == periodic for k in range(inputs)),
        harmonics=2,
    )
    return MLP(
        features=features,
        outputs=outputs,
        width=width,
        depth=2,
        activation=activation,
        initialisation="glorot",
        frequency=1.0,
    )


def theta_of(net: MLP, seed: int = 0, device: torch.device | None = None) -> Tensor:
    theta = net.initialise(torch.Generator().manual_seed(seed))
    biases = 0.1 * torch.randn(
        theta.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64
    )
    return (theta + biases).to(device or "cpu")  # no bias is zero, so that every term counts


def points_in(net: MLP, n: int, device: torch.device | None = None) -> Tensor:
    low, high = torch.tensor(net.features.low), torch.tensor(net.features.high)
    unit = torch.rand((n, net.inputs), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return (low + (high - low) * unit).to(device or "cpu")


def close(a: Tensor, b: Tensor, tolerance: float = 1e-11) -> bool:
    """Equal to rounding, relative to the largest entry."""
    a, b = a.detach(), b.detach()
    return bool((a - b).abs().max() <= tolerance * max(1.0, float(b.abs().max())))


# --- elementwise functions -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_derivatives_are_sympys_to_order_8(name: str) -> None:
    places = [-2.3, -0.7, 0.4, 1.9] + ([] if name == "reciprocal" else [0.0])
    found = ELEMENTWISE[name](torch.tensor(places, dtype=torch.float64), 8)
    assert len(found) == 9
    for order, values in enumerate(found):
        formula = SYMBOLIC[name](X).diff(X, order)
        for place, value in zip(places, values.tolist(), strict=True):
            exact = float(formula.subs(X, sympy.Rational(str(place))).evalf(30))
            assert value == pytest.approx(exact, rel=1e-11, abs=1e-11), (order, place)


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("order", range(4))
def test_elementwise_gives_as_many_derivatives_as_asked_for(name: str, order: int) -> None:
    h = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    longer = ELEMENTWISE[name](h, order + 3)
    found = ELEMENTWISE[name](h, order)
    assert [f.shape for f in found] == [h.shape] * (order + 1)
    assert all(torch.equal(a, b) for a, b in zip(found, longer, strict=False))


@pytest.mark.parametrize("name", FROM_VALUE)
def test_derivatives_from_the_value_are_those_from_the_argument(name: str) -> None:
    h = torch.linspace(-3, 3, 31, dtype=torch.float64)
    direct = ELEMENTWISE[name](h, 7)
    assert all(torch.equal(a, b) for a, b in zip(direct, FROM_VALUE[name](direct[0], 7), strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_fast_tanh_is_right_to_the_last_places_near_zero_and_far_away(dtype: torch.dtype) -> None:
    sizes = torch.cat([torch.logspace(-30, 1.7, 80), torch.linspace(0.01, 22.0, 120)]).to(dtype)
    h = torch.cat([sizes, -sizes])
    exact = [sympy.tanh(sympy.Float(x, 40)) for x in h.tolist()]
    off = max(
        abs(float(sympy.Float(v, 40) / e - 1)) for v, e in zip(fast_tanh(h).tolist(), exact, strict=True)
    )
    assert off <= 2.0 * torch.finfo(dtype).eps
    ends = torch.tensor([torch.inf, -torch.inf, 1e30, -1e30, 0.0, torch.nan], dtype=dtype)
    assert fast_tanh(ends).tolist()[:5] == [1.0, -1.0, 1.0, -1.0, 0.0] and fast_tanh(ends)[5].isnan()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_fastest_derivatives_are_those_of_the_table(name: str) -> None:
    h = torch.linspace(0.1, 3.0, 31, dtype=torch.float64)
    assert all(
        close(a, b, 1e-14) for a, b in zip(derivatives(name, h, 6), ELEMENTWISE[name](h, 6), strict=True)
    )


# --- combinatorics ---------------------------------------------------------------------------------


@pytest.mark.parametrize("order", range(2, 9))
def test_composition_in_one_coordinate_is_the_incomplete_bell_polynomial(order: int) -> None:
    index = jet_index(1, (Partial("u", (order,)),), ())
    h = sympy.symbols(f"h1:{order + 1}")
    rule = dict(index.composition[index.position[order,]])
    assert set(rule) == set(range(2, order + 1))
    for k, monomials in rule.items():
        mine = sum(
            sympy.Integer(int(m.coefficient))
            * sympy.prod([h[sum(index.indices[c]) - 1] ** p for c, p in m.factors])
            for m in monomials
        )
        assert sympy.expand(mine - sympy.bell(order, k, h[: order - k + 1])) == 0


def test_composition_of_a_mixed_third_derivative() -> None:
    # d_xxy f(h) = f' h_xxy + f'' (2 h_x h_xy + h_y h_xx) + f''' h_x^2 h_y
    index = jet_index(2, (Partial("u", (2, 1)),), ())
    at = index.position
    rule = {
        k: {(m.coefficient, m.factors) for m in monomials} for k, monomials in index.composition[at[2, 1]]
    }
    x, y, xx, xy = at[1, 0], at[0, 1], at[2, 0], at[1, 1]
    assert rule == {
        2: {(2.0, tuple(sorted([(x, 1), (xy, 1)]))), (1.0, tuple(sorted([(y, 1), (xx, 1)])))},
        3: {(1.0, tuple(sorted([(x, 2), (y, 1)])))},
    }


@pytest.mark.parametrize("alpha", [(1, 1, 1), (2, 2), (3, 1, 1), (4, 2)])
def test_partitions_of_a_mixed_derivative_number_stirlings(alpha: MultiIndex) -> None:
    index = jet_index(len(alpha), (Partial("u", alpha),), ())
    for k, monomials in index.composition[index.position[alpha]]:
        assert sum(m.coefficient for m in monomials) == int(stirling(sum(alpha), k))


def test_an_index_is_the_smallest_closed_set() -> None:
    index = jet_index(2, (Partial("u", (2, 0)), Partial("v", (0, 1))), (0, 1))
    assert index.indices == ((0, 0), (1, 0), (0, 1), (2, 0))
    assert (index.size, index.order, index.tops) == (4, 2, ())
    collapsed = jet_index(3, (Partial("u", (0, 0, 0), laplacian=True),), (0, 2))
    assert collapsed.indices == ((0, 0, 0), (1, 0, 0), (0, 0, 1))
    assert (collapsed.size, collapsed.order) == (4, 2)
    assert collapsed.tops == (((1.0, (0, 0, 2)), (1.0, (2, 0, 0))),)


def combination(component: str, **terms: float) -> Combination:
    """Such as `combination("u", t=1.0, xx=-0.1)` in x and t."""
    pairs = [(c, Partial(component, (name.count("x"), name.count("t")))) for name, c in terms.items()]
    return Combination(tuple(pairs))


def test_combinations_leave_out_what_is_carried_anyway_and_multiples_share_a_channel() -> None:
    heat = combination("u", t=1.0, xx=-0.5)
    plan = plan_of(2, (Partial("u", (1, 0)), heat, combination("v", xx=2.0, t=-4.0)), ())
    assert (plan.index.indices, plan.index.tops) == (((0, 0), (1, 0)), (((1.0, (0, 1)), (-0.5, (2, 0))),))
    assert plan.sums == (((1.0, 1),), ((1.0, 2),), ((-4.0, 2),))
    # u_xx is below u_xxxx and there already, u_t is what is left
    plan = plan_of(2, (Partial("u", (4, 0)), heat), ())
    assert (plan.index.size, plan.index.tops) == (6, ())
    assert plan.sums[1] == ((1.0, plan.index.position[0, 1]), (-0.5, plan.index.position[2, 0]))
    # two different sums of the same two derivatives are no fewer than these
    assert plan_of(2, (heat, combination("v", t=1.0, xx=-0.1)), ()).index.tops == ()
    # of a Laplacian less u_xx, u_tt is left; of one less all that it is, nothing
    lap = (1.0, Partial("u", (0, 0), laplacian=True))
    less = Combination((lap, (-1.0, Partial("u", (2, 0)))))
    assert plan_of(2, (less,), (0, 1)).sums == (((1.0, 2),),)
    nothing = Combination((*less.terms, (-1.0, Partial("u", (0, 2)))))
    assert plan_of(2, (nothing,), (0, 1)).sums == ((),)


COMBINED = [
    [combination("u", t=1.0, xx=-0.3)],
    [combination("u", tt=1.0, xx=-4.0), Partial("u", (1, 0))],
    [combination("u", t=1.0, xxx=0.5, xt=2.0), Partial("v", (0, 0)), combination("v", x=1.0, t=3.0)],
    [combination("u", xxt=1.0, tt=-2.0, xxxx=0.25), Partial("v", (1, 1)), combination("v", tt=2.0, x=1.0)],
    [Combination(((1.0, Partial("u", (0, 1))), (-0.7, Partial("u", (0, 0), laplacian=True))))],
]


@pytest.mark.parametrize("wanted", COMBINED)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_engines_agree_on_combinations_their_gradients_and_jacobians(
    activation: str, wanted: list[Wanted]
) -> None:
    for net in (network(activation, periodic=None), network(activation), gated):
        points = points_in(network(activation), 6)
        start = theta_of(net) if isinstance(net, MLP) else 0.4 * theta_of(network(activation, width=6))[:36]
        gradients, values = {}, {}
        for name, engine in engines(("u", "v"), (0, 1)).items():
            theta = start.clone().requires_grad_()
            found = engine.partials(net, theta, points, wanted)
            values[name] = torch.stack([found[w] for w in wanted])
            (gradients[name],) = torch.autograd.grad((values[name] * values[name].cos()).sum(), theta)
        for name, value in values.items():
            assert close(value, values["reverse"], 1e-10), name
            assert close(gradients[name], gradients["reverse"], 1e-10), name
        if isinstance(net, MLP):
            found, tape = Taylor(("u", "v"), (0, 1)).recorded(net, start, points, wanted)
            rows = torch.stack([found[w] for w in wanted])
            cotangents = torch.autograd.grad((rows * rows.cos()).sum(), [r.outputs for r in tape])
            columns = torch.zeros((net.size, 6), dtype=torch.float64)
            jacobian_columns(tape, cotangents, columns)
            assert close(columns.sum(1), gradients["reverse"], 1e-10)


def test_channels_of_one_order_are_neighbours_and_products_come_after_their_factors() -> None:
    index = jet_index(2, (Partial("u", (2, 1)), combination("u", tt=1.0, xxx=2.0)), ())
    assert index.runs == ((0, 1), (1, 3), (3, 5), (5, 6), (6, 7))  # 1; x, t; xx, xt; xxt; the combination
    sources = [(s.orders, s.start, s.stop, s.part) for s in index.sources]
    assert sources == [((0,), 0, 1, 0), ((1,), 1, 3, 1), ((2,), 3, 5, 3), ((3,), 5, 6, 5), ((2, 3), 6, 7, 6)]
    assert all(alpha > i for i, terms in enumerate(index.transposed) for _, alpha, _ in terms)
    pairs = [(c, alpha, i, j) for alpha, terms in enumerate(index.leibniz) for c, i, j in terms if j]
    assert sorted(pairs) == sorted(
        (c, a, i, j) for i, terms in enumerate(index.transposed) for c, a, j in terms
    )


def jet_of(
    formula: sympy.Expr, partials: Sequence[Wanted], lap_axes: tuple[int, ...], place: dict[Any, Any]
) -> Jet:
    """A one-feature, one-point jet whose channels are the exact derivatives of a formula."""
    index = jet_index(2, tuple(partials), lap_axes)
    values = [sum(c * formula.diff(X, i, Y, j) for c, (i, j) in terms) for terms in index.linear]
    numbers = [float(v.subs(place).evalf(30)) for v in values]
    return Jet(torch.tensor(numbers, dtype=torch.float64).reshape(-1, 1, 1), index)


@pytest.mark.parametrize("lap_axes", [(0,), (1,), (0, 1)])
def test_products_obey_leibniz_also_in_what_is_collapsed(lap_axes: tuple[int, ...]) -> None:
    place = {X: sympy.Rational(3, 10), Y: sympy.Rational(-4, 10)}
    a, b = sympy.exp(X + 2 * Y), sympy.sin(X - 3 * Y) + X**3 * Y
    for wanted in ([Partial("u", (1, 1)), Partial("u", (0, 0), laplacian=True)], *COMBINED):
        jets = [jet_of(f, wanted, lap_axes, place) for f in (a, b, a * b)]
        assert close((jets[0] * jets[1]).channels, jets[2].channels, 1e-13)


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("fused", [True, False])
def test_compositions_obey_faa_di_bruno_also_in_what_is_collapsed(name: str, fused: bool) -> None:
    place = {X: sympy.Rational(3, 10), Y: sympy.Rational(-4, 10)}
    h = X**2 * Y + sympy.Rational(1, 2) * X * Y - Y**3 + X
    wanted = [Partial("u", (2, 1)), combination("u", t=0.5, tt=2.0, xxx=-1.0)]
    inner, outer = (jet_of(f, wanted, (0, 1), place) for f in (h, SYMBOLIC[name](h)))
    rule = next(rule for call, rule in RULES.items() if call.__name__ == name)
    found = rule(Jet(inner.channels, inner.index, fused))
    assert close(found.channels, outer.channels, 1e-12)


# --- engines ---------------------------------------------------------------------------------------


def engines(components: tuple[str, ...], lap_axes: tuple[int, ...]) -> dict[str, Engine]:
    found = {name: make(components, lap_axes) for name, make in ENGINES.items()}
    return found | {"taylor, plain": Taylor(components, lap_axes).twice_differentiable()}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_engines_agree_on_all_mixed_partials_to_order_6(activation: str, device: torch.device) -> None:
    net = network(activation, width=3)
    theta, points = theta_of(net, device=device), points_in(net, 3, device)
    wanted = [Partial(c, index) for c in "uv" for index in orders_up_to(MAX_ORDER, 2)]
    found = {name: e.partials(net, theta, points, wanted) for name, e in engines(("u", "v"), (0, 1)).items()}
    for partial in wanted:
        reference = found["reverse"][partial]
        assert reference.shape == (3,)
        for name, values in found.items():
            assert close(values[partial], reference, 1e-10), (name, partial)


@pytest.mark.parametrize("lap_axes", [(0,), (1,), (0, 1), (1, 2), (0, 1, 2)])
def test_laplacians_are_sums_of_second_derivatives(lap_axes: tuple[int, ...], device: torch.device) -> None:
    net = network("tanh", inputs=3, outputs=3, periodic=2)
    theta, points = theta_of(net, device=device), points_in(net, 7, device)
    laps = [Partial(c, (0, 0, 0), laplacian=True) for c in "uw"]
    twice = [Partial(c, tuple(2 * (k == axis) for k in range(3))) for c in "uw" for axis in lap_axes]
    others = [Partial("v", (1, 0, 2)), Partial("u", (0, 0, 0))]
    exact = Reverse(("u", "v", "w"), lap_axes).partials(net, theta, points, [*twice, *others])
    for name, engine in engines(("u", "v", "w"), lap_axes).items():
        found = engine.partials(net, theta, points, [*laps, *others])
        for lap in laps:
            total = torch.stack([exact[p] for p in twice if p.component == lap.component]).sum(0)
            assert close(found[lap], total), name
        assert all(close(found[p], exact[p]) for p in others), name


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_engines_agree_with_the_symbolic_derivatives_of_a_small_network(activation: str) -> None:
    features = Features(low=(-1.0, 0.0), high=(2.0, 3.0), periodic=(False, True))
    net = MLP(
        features=features,
        outputs=1,
        width=2,
        depth=1,
        activation=activation,
        initialisation="glorot",
        frequency=1.0,
    )
    theta = theta_of(net)
    weights = [sympy.Float(w, 30) for w in theta.tolist()]
    angle = 2 * sympy.pi * Y / 3
    inputs = [(2 * X - 1) / 3, sympy.cos(angle), sympy.sin(angle)]
    function = SYMBOLIC[ACTIVATION_FORMULAS[activation]]
    hidden = [
        function(sum(w * f for w, f in zip(weights[3 * k : 3 * k + 3], inputs, strict=True)) + weights[6 + k])
        for k in range(2)
    ]
    formula = weights[8] * hidden[0] + weights[9] * hidden[1] + weights[10]
    place = (0.37, 1.21)
    orders = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (2, 1), (0, 3), (4, 0), (2, 2), (1, 3)]
    wanted = [Partial("u", index) for index in orders]
    exact = [float(formula.diff(X, i, Y, j).evalf(20, subs={X: place[0], Y: place[1]})) for i, j in orders]
    points = torch.tensor([place], dtype=torch.float64)
    for name, engine in engines(("u",), (0, 1)).items():
        found = engine.partials(net, theta, points, wanted)
        assert [found[p].item() for p in wanted] == pytest.approx(exact, rel=1e-11, abs=1e-12), name


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_in_theta_agree(activation: str, device: torch.device) -> None:
    net = network(activation)
    points = points_in(net, 6, device)
    wanted = [Partial(c, index) for c in "uv" for index in orders_up_to(3, 2)]
    wanted += [Partial("u", (4, 0)), Partial("v", (0, 0), laplacian=True)]
    weights = torch.randn(
        (len(wanted), 6), generator=torch.Generator().manual_seed(3), dtype=torch.float64
    ).to(device)
    gradients = {}
    for name, engine in engines(("u", "v"), (0, 1)).items():
        theta = theta_of(net, device=device).requires_grad_()
        values = engine.partials(net, theta, points, wanted)
        total = sum((values[p].square() * w).sum() for p, w in zip(wanted, weights, strict=True))
        assert isinstance(total, Tensor)
        (gradients[name],) = torch.autograd.grad(total, theta)
    for name, gradient in gradients.items():
        assert close(gradient, gradients["reverse"], 1e-10), name


def test_the_plain_engine_may_be_differentiated_twice_and_the_fused_one_refuses() -> None:
    net = network("gelu", width=3)
    theta, points = theta_of(net).requires_grad_(), points_in(net, 4)
    wanted = [Partial("u", (2, 1)), Partial("v", (0, 0), laplacian=True)]
    direction = torch.randn(net.size, generator=torch.Generator().manual_seed(8), dtype=torch.float64)

    def second(engine: Engine) -> Tensor:
        values = engine.partials(net, theta, points, wanted)
        total = values[wanted[0]].square().sum() + values[wanted[1]].square().sum()
        (gradient,) = torch.autograd.grad(total, theta, create_graph=True)
        return torch.autograd.grad(gradient.dot(direction), theta)[0]

    taylor, reverse = Taylor(("u", "v"), (0, 1)), Reverse(("u", "v"), (0, 1))
    exact = second(reverse)
    assert close(second(taylor.twice_differentiable()), exact, 1e-10)
    assert close(second(reverse.twice_differentiable()), exact, 1e-10)
    with pytest.raises(RuntimeError):
        second(taylor)


@pytest.mark.parametrize("name", ENGINES)
def test_without_gradients_nothing_is_differentiable(name: str) -> None:
    net = network("tanh")
    engine = ENGINES[name](("u", "v"), (0, 1))
    with torch.no_grad():
        values = engine.partials(
            net, theta_of(net).requires_grad_(), points_in(net, 3), [Partial("u", (1, 1))]
        )
    assert not values[Partial("u", (1, 1))].requires_grad


def test_float32_stays_float32() -> None:
    net = network("tanh")
    theta, points = theta_of(net), points_in(net, 9)
    wanted = [Partial("u", (2, 0)), Partial("u", (0, 0), laplacian=True)]
    exact = Reverse(("u", "v"), (0, 1)).partials(net, theta, points, wanted)
    for name, engine in engines(("u", "v"), (0, 1)).items():
        values = engine.partials(net, theta.float(), points.float(), wanted)
        assert {v.dtype for v in values.values()} == {torch.float32}, name
        assert all(close(values[p].double(), exact[p], 1e-4) for p in wanted), name


# --- Jacobians of all points -----------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jacobian_columns_are_each_points_gradient(activation: str, device: torch.device) -> None:
    net = network(activation)
    theta, points = theta_of(net, device=device), points_in(net, 6, device)
    wanted = [Partial("u", (0, 0)), Partial("v", (2, 1)), Partial("v", (0, 0), laplacian=True)]

    def residual(values: dict[Partial, Tensor]) -> Tensor:
        u, v_xxy, lap = (values[p] for p in wanted)
        return u * v_xxy - torch.sin(lap) + 2.0 * u

    engine = Taylor(("u", "v"), (0, 1))
    assert engine.records and not Reverse(("u", "v"), (0, 1)).records
    values, tape = engine.recorded(net, theta, points, wanted)
    r = residual(values)
    cotangents = torch.autograd.grad(r.sum(), [record.outputs for record in tape])
    columns = torch.full((net.size, 6), torch.nan, dtype=torch.float64, device=device)
    jacobian_columns(tape, cotangents, columns)

    leaf = theta.clone().requires_grad_()
    reference = residual(Reverse(("u", "v"), (0, 1)).partials(net, leaf, points, wanted))
    rows = [torch.autograd.grad(entry, leaf, retain_graph=True)[0] for entry in reference]
    assert close(r.detach(), reference.detach())
    assert close(columns, torch.stack(rows, dim=1), 1e-10)


# --- the jet type ----------------------------------------------------------------------------------


def gated(theta: Tensor, x: Any) -> Any:
    """A network that uses every operation that a jet knows, constants on either side."""
    a = functional.linear(x, theta[:6].reshape(3, 2), theta[6:9])
    b = torch.sin(a) * a - torch.tanh(a)
    c = theta[:3] * b + a * theta[3:6] - 0.5
    d = torch.cat([1.0 - c, theta[:3] - a[:, :3], -b[:, [0, 2]], torch.exp(0.3 * c[:, 1:2])], dim=1)
    e = torch.sub(torch.add(d, 0.25), torch.mul(torch.cos(d), 0.5)) + theta[9:18] + 2.0
    f = functional.gelu(e) * functional.silu(e - theta[9:18])
    return functional.linear(f, theta[18:36].reshape(2, 9))


def total(values: dict[Partial, Tensor]) -> Tensor:
    return torch.stack([v.square().sum() for v in values.values()]).sum()


@pytest.mark.parametrize("fused", [True, False])
def test_a_network_of_every_operation(fused: bool) -> None:
    theta = torch.randn(36, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 0.7
    points = torch.rand((5, 2), generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    wanted = [Partial(c, index) for c in "uv" for index in orders_up_to(3, 2)]
    wanted += [Partial(c, (0, 0), laplacian=True) for c in "uv"]
    leaf = theta.clone().requires_grad_()
    exact = Reverse(("u", "v"), (0, 1)).partials(gated, leaf, points, wanted)
    (exact_gradient,) = torch.autograd.grad(total(exact), leaf)
    found = Taylor(("u", "v"), (0, 1), fused).partials(gated, leaf, points, wanted)
    (gradient,) = torch.autograd.grad(total(found), leaf)
    assert all(close(found[p], exact[p], 1e-10) for p in wanted)
    assert close(gradient, exact_gradient, 1e-10)


def from_coordinates(theta: Tensor, x: Any) -> Any:
    """Affine jets met by every operation that they do and do not keep affine."""
    y = functional.linear(0.5 * x - theta[:2], theta[2:8].view(3, 2), theta[8:11])
    mixed = torch.cat([x, -y, torch.sin(y)], dim=1)
    bent = torch.cat([y[:, :2] * x, y[:, 1:2] + torch.exp(y[:, :1]), torch.tanh(y[:, 2:]) - y[:, :1]], dim=1)
    return functional.linear(torch.cat([mixed, bent, 1.0 - (y + y)], dim=1), theta[11:26].view(1, 15))


def test_affine_jets_mix_with_dense_ones() -> None:
    theta = torch.linspace(-0.9, 1.1, 26, dtype=torch.float64).requires_grad_()
    x = torch.rand((7, 2), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    wanted = [Partial("u", alpha) for alpha in orders_up_to(4, 2)] + [Partial("u", (0, 0), laplacian=True)]
    mine = Taylor(("u",), (0, 1)).partials(from_coordinates, theta, x, wanted)
    theirs = Reverse(("u",), (0, 1)).partials(from_coordinates, theta, x, wanted)
    for partial in wanted:
        assert close(mine[partial], theirs[partial]), partial
    (gradient,) = torch.autograd.grad(total(mine), theta)
    (expected,) = torch.autograd.grad(total(theirs), theta)
    assert close(gradient, expected)


def test_a_jet_has_the_shape_of_its_value_and_refuses_what_it_does_not_know() -> None:
    jet = Jet.coordinates(torch.zeros((4, 2), dtype=torch.float64), jet_index(2, (Partial("u", (1, 0)),), ()))
    assert jet.shape == (4, 2)
    assert jet.channels[1].tolist() == [[1.0] * 4, [0.0] * 4]
    with pytest.raises(TypeError):
        torch.relu(jet)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="features"):
        torch.cat([jet, jet], dim=0)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no options"):
        functional.gelu(jet, approximate="tanh")  # type: ignore[arg-type]


def test_second_derivatives_of_a_known_function() -> None:
    # u = sin(pi x) exp(-t): u_xx = -pi^2 u, u_t = -u, lap over x alone
    def exact(theta: Tensor, x: Any) -> Any:
        return torch.sin(x[:, 0:1] * math.pi) * torch.exp(-x[:, 1:2])

    points = torch.rand((8, 2), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    wanted = [
        Partial("u", (0, 0)),
        Partial("u", (2, 0)),
        Partial("u", (0, 1)),
        Partial("u", (0, 0), laplacian=True),
    ]
    for name, engine in engines(("u",), (0,)).items():
        u, u_xx, u_t, lap = engine.partials(exact, torch.zeros(0), points, wanted).values()
        assert close(u_xx, -(math.pi**2) * u), name
        assert close(u_t, -u), name
        assert close(lap, u_xx), name


# --- recurrences and chains ------------------------------------------------------------------------

INDEX_SETS = [
    jet_index(1, (Partial("u", (4,)),), ()),
    jet_index(2, (Partial("u", (2, 1)), Partial("u", (0, 3))), ()),
    jet_index(3, (Partial("u", (1, 1, 1)), Partial("u", (0, 0, 0), laplacian=True)), (0, 2)),
    jet_index(2, (Partial("u", (0, 0)),), ()),
    *(jet_index(2, tuple(wanted), (0, 1)) for wanted in COMBINED),
]


@pytest.mark.parametrize("index", INDEX_SETS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_recurrences_and_their_backward_pass_are_those_of_faa_di_bruno(name: str, index: JetIndex) -> None:
    generator = torch.Generator().manual_seed(index.size)
    h = torch.randn((index.size, 3, 5), generator=generator, dtype=torch.float64) * 0.7
    h[0] = h[0].abs() + 0.5 if name == "reciprocal" else h[0]
    grad = torch.randn(h.shape, generator=generator, dtype=torch.float64)
    leaf = h.clone().requires_grad_()
    exact = compose_plain(leaf, name, index)
    (pulled,) = torch.autograd.grad(exact, leaf, grad)
    found, slope = compose(h, name, index, True)
    assert close(found, exact) and close(product_transposed(grad, slope, index, grad.clone()), pulled)
    assert close(compose(h, name, index, False)[0], exact)


def test_every_recurrence_is_shorter_than_the_formula_that_it_replaces() -> None:
    assert set(RECURRENCES) <= set(ELEMENTWISE)
    index = jet_index(1, (Partial("u", (4,)),), ())
    # (p h_1)_3 = p h_4 + 3 p_1 h_3 + 3 p_2 h_2 + p_3 h_1
    assert set(index.recurrence[4]) == {(3.0, 1, 3), (3.0, 2, 2), (1.0, 3, 1)}
    assert index.inner == {1, 2, 3} and set(index.square[4]) == {(8.0, 1, 3), (6.0, 2, 2)}


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize("activation", ["tanh", "sine", "gelu"])
def test_a_chain_in_pieces_has_the_values_and_gradients_of_nested_reverse_mode(
    activation: str, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinncli.derivatives.chain.pieces_of", lambda like: pieces)
    net = network(activation, periodic=None)
    wanted = [Partial("u", (2, 1)), Partial("v", (0, 0)), Partial("u", (0, 0), laplacian=True)]
    found = []
    for engine in (Taylor(("u", "v"), (0, 1)), Reverse(("u", "v"), (0, 1))):
        theta = theta_of(net).requires_grad_()
        values = engine.partials(net, theta, points_in(net, 12), wanted)
        rows = torch.stack([values[p] for p in wanted])
        (gradient,) = torch.autograd.grad((rows * rows.cos()).sum(), theta)
        found.append((rows, gradient))
    assert close(found[0][0], found[1][0]) and close(found[0][1], found[1][1], 1e-10)


def test_the_gradient_that_a_chain_is_given_stays_as_it_is() -> None:
    net = network("tanh", periodic=None)
    index = jet_index(2, (Partial("u", (2, 1)),), ())
    theta = theta_of(net).requires_grad_()
    jet = evaluated(torch.tanh(net(theta, AffineJet.coordinates(points_in(net, 8), index))))
    grad = torch.ones_like(jet.channels)
    jet.channels.backward(grad)
    assert grad.eq(1.0).all()


def test_what_is_no_layer_ends_a_chain() -> None:
    net = network("tanh", periodic=None)

    def around(theta: Tensor, x: Any) -> Any:
        u = net(theta, x)
        joined_up = torch.cat([u[:, :1] * x[:, 1:], u - x], dim=1)
        return torch.sin(x * u + 2.0) - u * u + (1.0 - joined_up[:, [0, 2]]) + torch.exp(torch.tanh(u))

    wanted = [Partial("u", (2, 1)), Partial("v", (1, 0))]
    points, theta = points_in(net, 6), theta_of(net)
    found, exact = (
        engine.partials(around, theta, points, wanted)
        for engine in (Taylor(("u", "v"), (0, 1)), Reverse(("u", "v"), (0, 1)))
    )
    assert all(close(found[p], exact[p]) for p in wanted)


def test_points_are_cut_where_the_threads_divide_them_and_joined_in_their_order() -> None:
    channels = torch.arange(48.0).reshape(2, 3, 8)
    apart = cut(channels, 4)
    assert apart.shape == (2, 4, 3, 2) and apart.movedim(-3, 0).is_contiguous()
    assert torch.equal(joined(apart), channels)
    assert pieces_of(torch.zeros(3, 8 * torch.get_num_threads())) == torch.get_num_threads()
    assert pieces_of(torch.zeros(3, 8 * torch.get_num_threads() + 1)) in (1, 8 * torch.get_num_threads() + 1)
