"""What texts become: programs, regions, periodic coordinates, the derivative plan, the choices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinncli.errors import ProblemError
from pinncli.problem.defaults import LM_PARAMETERS, DenseNetwork, choose, count_parameters
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.problem.numeric import mask, probe, run
from pinncli.problem.plan import Plan, derive_plan
from pinncli.problem.terms import Formulation

STRIP = """\
title = "T"
unknowns = ["u"]
[coordinates]
x = [-1, 1]
t = [0, 1]
[conditions]
"""


def formulated(text: str) -> Formulation:
    return formulate(load_text(text, "p", "p.toml", Path()))


def planned(formulation: Formulation) -> Plan:
    return derive_plan(formulation, choose(formulation))


SLOPES = "d(u, x)(x=-1) = d(u, x)(x=1)"
PAIRS = {
    "values and slopes": (["u(x=-1) = u(x=1)", SLOPES], ("x",)),
    "the other way round, times two": (["2*u(x=1) - 2*u(x=-1) = 0", SLOPES], ("x",)),
    "numbers that come out at the ends": (["u(x=-2/2) = u(x=cos(0))", SLOPES], ("x",)),
    "values only, which allow a kink": (["u(x=-1) = u(x=1)"], ()),
    "in time": (["u(t=0) = u(t=1)"], ("t",)),
    "derivative only": (["d(u, x)(x=-1) = d(u, x)(x=1)"], ()),
    "opposite": (["u(x=-1) = -u(x=1)", SLOPES], ()),
    "with a jump": (["u(x=-1) = u(x=1) + 1", SLOPES], ()),
    "part of the range": (["u(x=-1) = u(x=0)", SLOPES], ()),
    "different derivatives": (["u(x=-1) = d(u, x)(x=1)", SLOPES], ()),
    "moved along": (["u(x=-1, t=0) = u(x=1, t=0)", SLOPES], ()),
}  # fmt: skip


@pytest.mark.parametrize("case", PAIRS)
def test_periodic_coordinates(case: str) -> None:
    equations, expected = PAIRS[case]
    lines = [f'c{k} = {{ equation = "{equation}" }}\n' for k, equation in enumerate(equations)]
    text = STRIP + 'p = { equation = "u_t = u_xx" }\n' + "".join(lines)
    assert formulated(text).periodic == expected


@pytest.mark.parametrize("region", ['on = "t-"', 'where = "t > 0.5"'])
def test_a_match_on_part_of_the_domain_is_not_periodic(region: str) -> None:
    pairs = [f'c{k} = {{ {region}, equation = "{e}" }}\n' for k, e in enumerate(["u(x=-1) = u(x=1)", SLOPES])]
    assert formulated(STRIP + 'p = { equation = "u_t = u_xx" }\n' + "".join(pairs)).periodic == ()


def test_every_component_must_be_periodic() -> None:
    text = STRIP.replace('["u"]', '["u", "v"]') + 'p = { equation = "u_t = v_x" }\n'
    one = text + 'a = { equation = "u(x=-1) = u(x=1)" }\n'
    both = one + 'b = { on = "x-", equation = "v = v(x=1)" }\n'
    assert formulated(one).periodic == ()
    assert formulated(both).periodic == ("x",)


def test_complex_values_are_periodic_together() -> None:
    formulation = formulate(load_problem("schrodinger"))
    assert formulation.periodic == ("x",)
    assert choose(formulation).network.periodic == ("x",)
    off = formulate(load_problem("schrodinger", ["network.periodic=off"]))
    assert choose(off).network.periodic == ()


def test_regions() -> None:
    text = STRIP.replace("[conditions]", "y = [2, 3]\n[conditions]") + (
        'p = { equation = "u_t = lap(u)" }\n'
        'b = { on = "boundary", where = "y > 2.5 and x < 0", equation = "dn(u) = 0" }\n'
        'c = { on = "t-, x+", equation = "u = 0" }\n'
    )
    inside, boundary, both = formulated(text).conditions
    assert inside.region.labels == ("interior",)
    assert boundary.region.labels == ("x-", "x+", "y-", "y+")
    assert both.region.labels == ("t-", "x+")
    points = probe(formulated(text).problem, "x-", 100)
    assert np.all(points["x"] == -1)
    assert np.array_equal(mask(boundary.region.where, points), points["y"] > 2.5)


def test_exact_and_definitions() -> None:
    formulation = formulate(load_problem("kovasznay"))
    points = probe(formulation.problem, "interior", 50)
    k = formulation.problem.constants["k"]
    (pressure,) = run(formulation.exact["p"], points)
    assert pressure == pytest.approx((1 - np.exp(2 * k * points["x"])) / 2)
    assert {p.label(("x", "y")) for _, p in formulation.definitions["vorticity"].partials} == {"v_x", "u_y"}


def test_exact_of_a_complex_unknown_has_two_parts() -> None:
    text = (
        'title = "T"\nunknowns = { h = { kind = "complex" } }\ncoordinates = { x = [0, 1] }\n'
        'conditions = { p = { equation = "i*d(h, x) = h" } }\nexact = { h = "FORMULA" }\n'
    )
    points = {"x": np.linspace(0, 1, 5)}
    for formula, imaginary in (("exp(-i*x)", -np.sin(points["x"])), ("cos(x)", np.zeros(5))):
        exact = formulated(text.replace("FORMULA", formula)).exact
        assert run(exact["h_real"], points)[0] == pytest.approx(np.cos(points["x"]))
        assert run(exact["h_imag"], points)[0] == pytest.approx(imaginary)


def test_exact_uses_the_true_values_of_parameters() -> None:
    text = (
        STRIP
        + 'p = { equation = "u_t = k*u" }\n[parameters.k]\ninitial = 1\nexact = "2*pi"\n[exact]\nu = "k*x"\n'
    )
    formulation = formulated(text)
    assert run(formulation.exact["u"], {"x": np.ones(1), "t": np.ones(1)})[0] == pytest.approx(2 * np.pi)
    assert not formulation.linear


def test_plan_shares_points_and_closes_the_jets() -> None:
    formulation = formulate(load_problem("kovasznay"))
    plan = planned(formulation)
    assert [s.conditions for s in plan.point_sets] == [
        ("momentum_x", "momentum_y", "continuity"),
        ("velocity_x", "velocity_y"),
        ("level",),
    ]
    interior, boundary, level = plan.point_sets
    assert interior.rows == 3 * interior.points
    assert boundary.rows == 2 * boundary.points
    assert (level.points, level.sites[0].moved) == (1, ("x = 0", "y = 0"))
    (site,) = interior.sites
    assert site.channels == ((0, 0), (1, 0), (0, 1))
    assert (site.laplacians, site.width) == (1, 4)
    assert (plan.order, plan.engine) == (2, "taylor")
    assert plan.rows == sum(s.rows for s in plan.point_sets)
    assert plan.total_memory == sum(plan.memory.values())


def test_second_derivatives_at_hand_make_the_laplacian_free() -> None:
    text = STRIP.replace("t =", "y =") + 'p = { equation = "lap(u) + u_xx*u_yy = 0" }\n'
    (interior,) = planned(formulated(text)).point_sets
    (site,) = interior.sites
    assert site.laplacians == 0
    assert site.channels == ((0, 0), (1, 0), (0, 1), (2, 0), (0, 2))


def test_periodic_pairs_and_single_points() -> None:
    plan = planned(formulate(load_problem("kdv")))
    periodic = next(s for s in plan.point_sets if "periodic" in s.conditions)
    assert periodic.conditions == ("periodic", "periodic_x", "periodic_xx")
    assert [site.moved for site in periodic.sites] == [("x = -1",), ("x = 1",)]
    assert periodic.points == choose(formulate(load_problem("kdv"))).boundary
    beam = planned(formulate(load_problem("euler_beam")))
    assert [s.points for s in beam.point_sets[1:]] == [1, 1]
    inverse = planned(formulate(load_problem("burgers_inverse")))
    assert inverse.point_sets[-1].points == 2000


def test_choices_follow_the_file() -> None:
    overrides = [
        "network.width=7",
        "network.depth=4",
        "sampling.interior=11",
        "sampling.boundary=3",
        "sampling.resample={every=9}",
        "derivatives.engine=reverse",
        'stages=[{optimiser={kind="adam"}, steps=2}]',
        "output.grid.x=5",
    ]
    formulation = formulate(load_problem("burgers1d", overrides))
    choices = choose(formulation)
    assert isinstance(choices.network, DenseNetwork)
    assert (choices.network.width, choices.network.depth) == (7, 4)
    assert choices.parameters == count_parameters(choices.network, 2, 1) == 3 * 7 + 3 * 8 * 7 + 8
    assert (choices.interior, choices.boundary, choices.engine) == (11, 3, "reverse")
    assert choices.resample is not None
    assert choices.resample.every == 9
    assert [stage.optimiser.kind for stage in choices.stages] == ["adam"]
    assert choices.grid["x"] == 5
    assert choices.reasons == ()
    assert derive_plan(formulation, choices).point_sets[0].points == 11


def test_choices_have_reasons() -> None:
    for name in ("heat1d", "burgers1d", "damped_oscillator", "burgers_inverse"):
        formulation = formulate(load_problem(name))
        choices = choose(formulation)
        small = choices.parameters <= LM_PARAMETERS
        assert (choices.stages[0].optimiser.kind == "lm") == small
        assert len(choices.reasons) >= 4
        assert choose(formulation) == choices


def test_embedding_and_parameters_are_counted() -> None:
    plain = choose(formulate(load_problem("kdv", ['network={periodic="off"}'])))
    embedded = choose(formulate(load_problem("kdv", ["network={harmonics=3}"])))
    assert embedded.parameters - plain.parameters == 5 * plain.network.width
    inverse = choose(formulate(load_problem("burgers_inverse")))
    forward = choose(formulate(load_problem("burgers1d")))
    assert inverse.parameters == forward.parameters + 2


def test_high_orders_are_left_to_the_reverse_engine() -> None:
    text = STRIP + 'p = { equation = "d(u, x, x, x, x, x, x, x) = u_t" }\n'
    assert choose(formulated(text)).engine == "reverse"


def test_an_unknown_is_no_part_of_a_complex_one() -> None:
    text = (
        STRIP.replace('["u"]', '{ h = { kind = "complex" }, h_real = {} }') + 'c = { equation = "h = 0" }\n'
    )
    with pytest.raises(ProblemError, match="'h_real' is already the name of a part of a complex unknown"):
        formulated(text)
