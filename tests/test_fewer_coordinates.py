"""Unknowns of fewer coordinates: their derivatives by the others vanish, and every layer follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from pinncli.assembly import Assembly, assemble
from pinncli.derivatives import Reverse, Taylor
from pinncli.errors import ProblemError
from pinncli.language.calculus import compile_equation
from pinncli.language.parser import parse_equation
from pinncli.language.partials import Partial
from pinncli.language.scope import Scope
from pinncli.networks import MLP, Factorised, Features, Joined
from pinncli.problem.checks import check
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_text
from pinncli.runs.fields import read_fields
from pinncli.runs.store import Run
from pinncli.solver import SolveOptions, solve

CPU = torch.device("cpu")
TEXT = """
title = "Reaction with an unknown rate"
[unknowns.u]
[unknowns.k]
of = ["x"]
[coordinates]
x = [0, 1]
t = [0, 1]
[network]
kind = "mlp"
width = 6
depth = 2
[sampling]
interior = 150
boundary = 30
[output]
grid = { x = 5, t = 5 }
[conditions]
decay = { on = "interior", equation = "u_t = -k*u" }
start = { on = "t-", equation = "u = 1" }
final = { on = "t+", equation = "u = exp(-1 - x^2)" }
[exact]
u = "exp(-(1 + x^2)*t)"
k = "1 + x^2"
"""


def joined(factorised: bool) -> Joined:
    """Components a(y), u(x, y), b(y): the order of the file is not that of the networks."""
    low, high = (-1.0, 0.5), (2.0, 3.5)
    options: dict[str, Any] = {"width": 4, "depth": 2, "activation": "tanh", "frequency": 1.0}
    options["initialisation"] = "glorot"
    own = MLP(features=Features(low[1:], high[1:], (False,)), outputs=2, **options)
    both = MLP(features=Features(low, high, (True, False)), outputs=1, **options)
    parts = (own, Factorised(both, 0.5, 0.1)) if factorised else (own, both)
    return Joined(parts, ((1,), (0, 1)), (0, 2, 1), 2)


def theta_of(network: Joined) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    theta = network.initialise(generator)
    return theta + 0.2 * torch.randn(theta.shape, generator=generator, dtype=torch.float64)


COMPONENTS = ("a", "u", "b")
WANTED = [
    *(Partial(c, (i, j)) for c in COMPONENTS for i, j in ((0, 0), (0, 1), (0, 2), (1, 1))),
    *(Partial(c, (0, 0), laplacian=True) for c in COMPONENTS),
]


@pytest.mark.parametrize("factorised", [False, True])
def test_engines_agree_and_other_derivatives_vanish(factorised: bool) -> None:
    network, points = joined(factorised), torch.rand((7, 2), dtype=torch.float64)
    theta = theta_of(network).requires_grad_()
    taylor = Taylor(COMPONENTS, (0, 1)).partials(network, theta, points, WANTED)
    reverse = Reverse(COMPONENTS, (0, 1)).partials(network, theta, points, WANTED)
    for partial in WANTED:
        a, b = taylor[partial], reverse[partial]
        assert torch.allclose(a, b, rtol=1e-11, atol=1e-12)
        slopes = [torch.autograd.grad(v.square().sum(), theta, retain_graph=True)[0] for v in (a, b)]
        assert torch.allclose(slopes[0], slopes[1], rtol=1e-10, atol=1e-10)
    for component in "ab":
        assert not taylor[Partial(component, (1, 1))].any()
        second = taylor[Partial(component, (0, 2))]
        assert torch.allclose(taylor[Partial(component, (0, 0), laplacian=True)], second, rtol=1e-13)
    assert taylor[Partial("u", (1, 1))].abs().min() > 0


def small(text: str = TEXT) -> Assembly:
    formulation = formulate(load_text(text, "p", "p.toml", Path()))
    return assemble(formulation, choose(formulation), 0, CPU, torch.float64)


@pytest.mark.parametrize("factorised", [False, True])
def test_jacobian_and_products_follow(factorised: bool) -> None:
    text = TEXT.replace("depth = 2", "depth = 2\nfactorised = {}") if factorised else TEXT
    assembly = small(text)
    theta = assembly.initial_theta() + 0.05
    objective = assembly.objective(assembly.fresh(12, 5))
    slow = replace(objective, engine=Reverse(("u", "k"), (0,)))
    r, jacobian = objective.residual_and_jacobian(theta)
    again, reference = slow.residual_and_jacobian(theta)
    assert torch.allclose(r, again, atol=1e-13)
    assert torch.allclose(jacobian, reference, rtol=1e-10, atol=1e-11)
    assert jacobian.abs().amax(0).min() > 0
    linear = objective.linearise(theta)
    v = torch.linspace(-1, 1, objective.size, dtype=torch.float64)
    w = torch.linspace(-1, 1, len(r), dtype=torch.float64)
    assert torch.allclose(linear.jvp(v), jacobian @ v, atol=1e-11)
    assert torch.allclose(linear.vjp(w), jacobian.t() @ w, atol=1e-11)
    assert torch.allclose(objective.jvp(theta, v), jacobian @ v, atol=1e-11)
    assert len(objective.layout(theta)) == 6


@pytest.mark.parametrize(
    "network",
    [
        'kind = "mlp"\nwidth = 7',
        'kind = "gated"\nfactorised = {}',
        'kind = "piratenet"\nfourier = { count = 5, scales = { t = 2 } }',
        'kind = "features"\nwidth = 31\npatches = { t = 2 }\nscale = 1.0',
    ],
)
def test_parameters_are_counted_exactly(network: str) -> None:
    formulation = formulate(
        load_text(TEXT.replace('kind = "mlp"\nwidth = 6\ndepth = 2', network), "p", "p.toml", Path())
    )
    choices = choose(formulation)
    assembly = assemble(formulation, choices, 0, CPU, torch.float64)
    assert assembly.network.size == len(assembly.initial_theta()) == choices.parameters
    assert isinstance(assembly.network, Joined)
    wide, narrow = (part.width for part in assembly.network.networks)
    assert narrow < wide


@pytest.mark.parametrize(
    ("equation", "partials"),
    [
        ("u_t + d(k, t)*u = lap(k)", {"u_t", "k_xx"}),
        ("d(k*u, t) = 0", {"k", "u_t"}),
        ("lap(u) + lap(k) = d(lap(u), y)", {"lap(u)", "k_xx", "u_xxy", "u_yyy"}),
        ("dot(grad(k), grad(u)) = k", {"k", "k_x", "u_x"}),
    ],
)
def test_language_knows_that_derivatives_vanish(equation: str, partials: set[str]) -> None:
    names = ("x", "y", "t")
    scope = Scope(names, ("x", "y"), "t", {"u": "real", "k": "real"}, of={"k": ("x",)})
    residual = compile_equation(parse_equation(equation), scope)
    assert {partial.label(names) for _, partial in residual.partials} == partials


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('of = ["x"]', "of = []", "unknowns.k.of: names no coordinate"),
        ('of = ["x"]', 'of = ["x", "x"]', "unknowns.k.of: names a coordinate twice"),
        ("[unknowns.u]", '[unknowns.u]\nof = ["x"]', "coordinates.t: no unknown depends on it"),
        ('k = "1 + x^2"', 'k = "1 + x*t"', "k is a function of x, and its formula depends on t"),
        ("[conditions]", "[marching]\nwindows = 2\n[conditions]", "every window would find a k of its own"),
        ('"mlp"', '"mlp"\nhard = ["level"]', "k does not depend on t"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, message: str) -> None:
    text = TEXT.replace(old, new)
    if "hard" in new:
        text = text.replace("[exact]", 'level = { on = "t-", equation = "k = 1 + x^2" }\n[exact]')
    try:
        found = check(load_text(text, "p", "p.toml", Path())).diagnostics
    except ProblemError as error:
        found = error.diagnostics
    assert any(message in str(d) for d in found), found


def test_values_by_construction_stay_functions_of_their_coordinates() -> None:
    text = TEXT.replace('"mlp"', '"mlp"\nhard = ["left"]')
    assembly = small(text.replace("[exact]", 'left = { on = "x-", equation = "k = 1" }\n[exact]'))
    x = torch.rand((20, 1), dtype=torch.float64)
    early, late = (torch.cat([x, torch.full_like(x, t)], dim=1) for t in (0.1, 0.9))
    theta = assembly.initial_theta()
    assert torch.equal(assembly.network(theta, early)[:, 1], assembly.network(theta, late)[:, 1])


def test_reference_may_have_its_own_axes_alone(tmp_path: Path) -> None:
    x, t = np.linspace(0, 1, 5), np.linspace(0, 1, 4)
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file.attrs["layout"] = "grid"
        file["x"], file["t"], file["k"] = x, t, 1 + x**2
        file["u"] = np.exp(-(1 + x[:, None] ** 2) * t)
    text = TEXT[: TEXT.index("[exact]")] + '[reference_data]\nfile = "r.h5"\n'
    reference = formulate(load_text(text, "p", "p.toml", tmp_path)).reference
    assert reference is not None
    assert np.array_equal(reference.values["k"], np.repeat(1 + x[:, None] ** 2, 4, axis=1))


def test_both_fields_are_found_and_a_run_continues(tmp_path: Path) -> None:
    stages = '[[stages]]\noptimiser = { kind = "lm" }\nsteps = 30\n'
    loaded = load_text(TEXT + stages, "p", "p.toml", Path())
    formulation = formulate(loaded)
    errors = {}

    def advance(folder: str, limit: int) -> list[float]:
        store = Run.create(tmp_path / folder, loaded.name, loaded.text, {"seed": 0}, argv=[], resume="auto")
        values: list[float] = []
        with store:
            steps = solve(
                formulation, SolveOptions(), store, lambda: "enough" if len(values) >= limit else None
            )
            while True:
                try:
                    values.append(next(steps).value)
                except StopIteration as end:
                    errors[folder] = end.value.summary["errors"]
                    return values

    whole = advance("whole", 30)
    assert [*advance("parts", 11), *advance("parts", 19)] == whole
    assert errors["whole"]["u"]["rel_l2"] < 1e-2
    assert errors["whole"]["k"]["rel_l2"] < 3e-2
    fields = read_fields(tmp_path / "whole" / "fields.h5").fields
    assert np.array_equal(fields["k"][0], fields["k"][-1])
