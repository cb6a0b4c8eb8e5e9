"""Gated networks, PirateNets, Fourier features, SIREN starts, factorised weights: every combination."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pinncli.assembly import Assembly, assemble
from pinncli.derivatives import Engine, Reverse, Taylor
from pinncli.derivatives.jet import Jet
from pinncli.derivatives.jet_index import jet_index
from pinncli.language.partials import Partial
from pinncli.networks import MLP, Factorised, Features, FourierFeatures, Gated, Network, PirateNet
from pinncli.networks.dense import Dense
from pinncli.problem.checks import check
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.runs.store import Run
from pinncli.solver import SolveOptions
from pinncli.solver import solve as solve_problem

PLAIN = Features(low=(-1.0, 0.5), high=(2.0, 3.5), periodic=(False, False))
PERIODIC = Features(low=(-1.0, 0.5), high=(2.0, 3.5), periodic=(True, False), harmonics=2)
KINDS: dict[str, type[Dense]] = {"mlp": MLP, "gated": Gated, "piratenet": PirateNet}
CPU = torch.device("cpu")
CASES = list(product(KINDS, [False, True], [False, True]))
"""Kind, Fourier features, factorised."""


def fourier_of(
    features: Features = PERIODIC, count: int = 3, scales: tuple[float, ...] = (1.5, 0.5), seed: int = 7
) -> FourierFeatures:
    return FourierFeatures.of(features, count, scales, seed, CPU, torch.float64)


def network(
    kind: str,
    fourier: bool = False,
    factorised: bool = False,
    *,
    features: Features = PERIODIC,
    outputs: int = 2,
    width: int = 4,
    depth: int = 2,
    activation: str = "tanh",
    initialisation: str = "glorot",
    frequency: float = 1.0,
) -> Dense | Factorised:
    net = KINDS[kind](
        features=fourier_of(features) if fourier else features,
        outputs=outputs,
        width=width,
        depth=depth,
        activation=activation,
        initialisation=initialisation,
        frequency=frequency,
    )
    return Factorised(net, 0.5, 0.1) if factorised else net


def theta_of(net: Network, seed: int = 0) -> Tensor:
    """Nowhere special: no bias and no number is zero."""
    generator = torch.Generator().manual_seed(seed)
    theta = net.initialise(generator)
    return theta + 0.2 * torch.randn(theta.shape, generator=generator, dtype=torch.float64)


def points_of(n: int) -> Tensor:
    unit = torch.rand((n, 2), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return torch.tensor([-1.0, 0.5]) + 3.0 * unit


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    a, b = a.detach(), b.detach()
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * max(1.0, float(b.abs().max())))


# --- formulas --------------------------------------------------------------------------------------


def dense(theta: np.ndarray, shapes: list[tuple[int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
    layers, at = [], 0
    for o, i in shapes:
        layers.append((theta[at : at + o * i].reshape(o, i), theta[at + o * i : at + o * i + o]))
        at += o * i + o
    return layers


def scaled(x: np.ndarray) -> np.ndarray:
    return np.asarray((x - np.array([0.5, 2.0])) * 2.0 / 3.0)


def test_a_gated_network_is_equations_43_to_47() -> None:
    net = network("gated", features=PLAIN)
    theta, x = theta_of(net), points_of(5)
    *hidden, out = dense(theta.numpy(), [(4, 2)] * 3 + [(4, 4)] * 2 + [(2, 4)])
    z = scaled(x.numpy())
    u, v, h = (np.tanh(z @ w.T + b) for w, b in hidden[:3])
    for w, b in hidden[3:]:
        gate = np.tanh(h @ w.T + b)
        h = (1 - gate) * u + gate * v
    np.testing.assert_allclose(net(theta, x).numpy(), h @ out[0].T + out[1], rtol=1e-13, atol=1e-13)


def test_a_piratenet_is_equations_2_to_8() -> None:
    net = network("piratenet", fourier=True, features=PLAIN)
    theta, x = theta_of(net), points_of(5)
    *hidden, out = dense(theta.numpy(), [(4, 6)] * 2 + [(4, 6), (4, 4), (6, 4)] * 2 + [(2, 6)])
    angles = scaled(x.numpy()) @ fourier_of(PLAIN).matrix.numpy().T
    h = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    u, v = (np.tanh(h @ w.T + b) for w, b in hidden[:2])
    for k, share in enumerate(theta.numpy()[-2:]):
        one, two, three = hidden[2 + 3 * k : 5 + 3 * k]
        f = np.tanh(h @ one[0].T + one[1])
        g = np.tanh((f * u + (1 - f) * v) @ two[0].T + two[1])
        new = np.tanh((g * u + (1 - g) * v) @ three[0].T + three[1])
        h = share * new + (1 - share) * h
    np.testing.assert_allclose(net(theta, x).numpy(), h @ out[0].T + out[1], rtol=1e-13, atol=1e-13)


def test_a_piratenet_starts_as_a_linear_combination_of_its_features() -> None:
    net = network("piratenet", fourier=True)
    theta, x = net.initialise(torch.Generator().manual_seed(1)), points_of(5)
    assert not theta[-2:].any()
    weight, bias = theta[-16:-4].view(2, 6), theta[-4:-2]
    assert close(net(theta, x), fourier_of()(x) @ weight.t() + bias, 1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_factorised_weights_are_a_change_of_variables(kind: str) -> None:
    net = network(kind, factorised=True)
    assert isinstance(net, Factorised)
    theta, x = theta_of(net), points_of(3)
    inner, at, s_at = theta[: net.network.size].clone(), 0, net.network.size
    for o, i in net.network.shapes:
        factor = torch.exp(theta[s_at : s_at + o]).unsqueeze(1)
        inner[at : at + o * i].view(o, i).mul_(factor)
        at, s_at = at + o * i + o, s_at + o
    assert s_at == net.size
    assert close(net(theta, x), net.network(inner, x), 1e-14)


# --- starts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("initialisation", ["glorot", "siren"])
def test_factorised_weights_start_where_plain_ones_do(kind: str, initialisation: str) -> None:
    options = {"activation": "sine", "initialisation": initialisation, "frequency": 3.0, "width": 60}
    plain, net = (network(kind, factorised=f, **options) for f in (False, True))  # type: ignore[arg-type]
    assert isinstance(net, Factorised)
    theta = net.initialise(torch.Generator().manual_seed(3))
    assert close(net.weights(theta), plain.initialise(torch.Generator().manual_seed(3)), 1e-14)
    s = theta[plain.size :]
    assert float(s.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(s.std()) == pytest.approx(0.1, rel=0.2)


def test_siren_starts_with_the_distributions_stated() -> None:
    net = network("mlp", features=PLAIN, width=300, activation="sine", initialisation="siren", frequency=12.0)
    assert isinstance(net, MLP)
    (first, hidden, last), _ = net.layers(net.initialise(torch.Generator().manual_seed(0)))
    for (weight, _), bound in zip(
        (first, hidden, last), (6.0, math.sqrt(6 / 300), math.sqrt(6 / 300) / 12), strict=True
    ):
        assert float(weight.abs().max()) <= bound
        assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.06)
    assert float(first[1].std()) == pytest.approx(math.pi / math.sqrt(3), rel=0.06)
    assert not hidden[1].any()
    assert not last[1].any()


def test_sirens_hidden_layers_keep_their_distribution() -> None:
    """Sitzmann et al. 2020, theorem 1.8: preactivations of deviation one, whatever the depth."""
    options = {"activation": "sine", "initialisation": "siren", "frequency": 10.0}
    net = network("mlp", features=PLAIN, width=256, depth=6, **options)  # type: ignore[arg-type]
    assert isinstance(net, MLP)
    (*hidden, _), _ = net.layers(net.initialise(torch.Generator().manual_seed(0)))
    h = net.features(points_of(400))
    for k, (weight, bias) in enumerate(hidden):
        z = torch.nn.functional.linear(h, weight, bias)
        assert k == 0 or float(z.std()) == pytest.approx(1.0, rel=0.15)
        h = torch.sin(z)


def test_layers_on_fourier_features_start_like_hidden_ones() -> None:
    net = network("mlp", fourier=True, width=300)
    assert isinstance(net, MLP)
    ((weight, bias), *_), _ = net.layers(net.initialise(torch.Generator().manual_seed(0)))
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / 306), rel=0.1)
    assert not bias.any()


# --- Fourier features ------------------------------------------------------------------------------


def test_fourier_features_come_from_the_seed_with_the_scales_of_their_coordinates() -> None:
    features = fourier_of(count=4000, scales=(3.0, 0.2))
    assert (features.count, features.lifted) == (8000, True)
    deviations = features.matrix.std(0).tolist()
    assert deviations == pytest.approx([3.0] * 4 + [0.2], rel=0.05)
    assert torch.equal(features.matrix, fourier_of(count=4000, scales=(3.0, 0.2)).matrix)
    assert not torch.equal(fourier_of().matrix, fourier_of(seed=8).matrix)
    x = points_of(4)
    angles = PERIODIC(x) @ fourier_of().matrix.t()
    assert close(fourier_of()(x), torch.cat([angles.cos(), angles.sin()], dim=1), 1e-15)


@pytest.mark.parametrize(("kind", "fourier", "factorised"), CASES)
def test_what_is_periodic_stays_so_with_all_its_derivatives(
    kind: str, fourier: bool, factorised: bool
) -> None:
    net = network(kind, fourier, factorised)
    y = torch.linspace(0.5, 3.5, 4, dtype=torch.float64)
    ends = (torch.stack([torch.full_like(y, x), y], dim=1) for x in (-1.0, 2.0))
    wanted = [Partial("u", (i, j)) for i in range(4) for j in range(2)]
    left, right = (Taylor(("u", "v"), ()).partials(net, theta_of(net), x, wanted) for x in ends)
    assert all(close(left[p], right[p], 1e-11) for p in wanted)


# --- derivatives -----------------------------------------------------------------------------------

WANTED = [
    *[Partial(c, (i, j)) for c in "uv" for i in range(5) for j in range(5 - i)],
    *[Partial(c, (0, 0), laplacian=True) for c in "uv"],
]


@pytest.mark.parametrize(("kind", "fourier", "factorised"), CASES)
@pytest.mark.parametrize("activation", ["tanh", "sine"])
def test_engines_agree_to_order_4_with_their_gradients(
    kind: str, fourier: bool, factorised: bool, activation: str
) -> None:
    net = network(kind, fourier, factorised, activation=activation)
    theta, points = theta_of(net), points_of(3)
    taylor = Taylor(("u", "v"), (0, 1))
    engines: dict[str, Engine] = {"reverse": Reverse(("u", "v"), (0, 1)), "taylor": taylor}
    engines["plain"] = taylor.twice_differentiable()
    found, gradients = {}, {}
    for name, engine in engines.items():
        leaf = theta.clone().requires_grad_()
        found[name] = engine.partials(net, leaf, points, WANTED)
        sizes = {p: float(v.detach().abs().max()) for p, v in found["reverse"].items()}
        total = torch.stack([(v / sizes[p]).sin().sum() for p, v in found[name].items()]).sum()
        (gradients[name],) = torch.autograd.grad(total, leaf)
    for name in ("taylor", "plain"):
        assert all(close(found[name][p], found["reverse"][p], 1e-10) for p in WANTED), name
        assert close(gradients[name], gradients["reverse"], 1e-9), name


def test_the_fused_product_of_jets_is_the_plain_one_with_its_gradients() -> None:
    index = jet_index(2, (Partial("u", (3, 2)), Partial("u", (0, 0), laplacian=True)), (0, 1))
    generator = torch.Generator().manual_seed(1)
    a, b, g = (torch.randn((index.size, 3, 4), generator=generator, dtype=torch.float64) for _ in range(3))
    results = []
    for fused in (True, False):
        x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
        out = (Jet(x, index, fused) * Jet(y, index, fused)).channels
        square = (Jet(x, index, fused) * Jet(x, index, fused)).channels
        results.append([out, square, *torch.autograd.grad((out * g + square * g).sum(), (x, y))])
    assert all(close(mine, plain, 1e-13) for mine, plain in zip(*results, strict=True))


EVERYTHING = """
title = "A complex unknown, an unknown number, order 4"
[unknowns]
h = { kind = "complex" }
[parameters]
k = { initial = 0.3 }
[coordinates]
x = [0, 1]
t = [0, 1]
[conditions]
pde = { on = "interior", equation = "i*h_t + k*h_xxxx/500 + abs(h)^2*h + h_xx/50 = 0" }
initial = { on = "t-", equation = "h = cos(2*pi*x)" }
wall = { on = "x-, x+", equation = "h = 0.1*dn(h)" }
"""


def sets(kind: str, fourier: bool, factorised: bool) -> list[str]:
    return [
        f'network.kind="{kind}"',
        "network.width=4",
        "network.depth=2",
        *(["network.fourier={ count = 3, scale = 2, scales = { x = 1 } }"] if fourier else []),
        *(["network.factorised={}"] if factorised else []),
    ]


def assembled(kind: str, fourier: bool, factorised: bool, dtype: torch.dtype, engine: str) -> Assembly:
    sizes = ["sampling.interior=40", "sampling.boundary=6", f'derivatives.engine="{engine}"']
    text = "\n".join([*sets(kind, fourier, factorised), *sizes, EVERYTHING])
    formulation = formulate(load_text(text, "everything", "everything", Path()))
    choices = choose(formulation)
    made = assemble(formulation, choices, 3, CPU, dtype)
    assert choices.parameters == made.network.size + 1
    return made


@pytest.mark.parametrize(("kind", "fourier", "factorised"), CASES)
def test_recorded_jacobians_are_the_batched_ones(kind: str, fourier: bool, factorised: bool) -> None:
    found = {}
    for engine, dtype in (
        ("taylor", torch.float64),
        ("reverse", torch.float64),
        ("taylor", torch.float32),
        ("reverse", torch.float32),
    ):
        made = assembled(kind, fourier, factorised, dtype, engine)
        start = made.initial_theta()
        noise = torch.randn(start.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        objective = made.objective(made.draw(0, None))
        theta = start + 0.2 * noise.to(dtype)
        r, jacobian = objective.residual_and_jacobian(theta)
        assert r.dtype == jacobian.dtype == dtype
        value, gradient = objective.value_and_grad(theta)
        assert close(gradient, jacobian.t() @ r, 1e-11 if dtype == torch.float64 else 1e-3)
        assert value == pytest.approx(0.5 * float(r.dot(r)), rel=1e-4)
        found[engine, dtype] = jacobian.double()
    exact = found["reverse", torch.float64]
    assert bool(exact.abs().amax(0).gt(0).all())  # every entry of theta counts
    assert close(found["taylor", torch.float64], exact, 1e-11)
    for engine in ("taylor", "reverse"):
        assert close(found[engine, torch.float32], exact, 1e-4)


@pytest.mark.parametrize(("kind", "fourier", "factorised"), CASES)
def test_products_with_the_jacobian_and_the_hessian(kind: str, fourier: bool, factorised: bool) -> None:
    made = assembled(kind, fourier, factorised, torch.float64, "taylor")
    objective = made.objective(made.draw(0, None))
    theta = made.initial_theta() + 0.1
    v = torch.randn(theta.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    r, jacobian = objective.residual_and_jacobian(theta)
    assert close(objective.jvp(theta, v), jacobian @ v, 1e-11)
    linear = objective.linearise(theta)
    assert close(linear.jvp(v), jacobian @ v, 1e-11)
    assert close(linear.vjp(r), jacobian.t() @ r, 1e-11)
    up, down = (objective.value_and_grad(theta + step * v)[1] for step in (1e-5, -1e-5))
    assert close(objective.hvp(theta, v), (up - down) / 2e-5, 1e-6)


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "fourier", "factorised"), CASES)
@pytest.mark.parametrize("problem", ["heat1d", "schrodinger", "kovasznay", "burgers_inverse"])
def test_parameters_are_counted_exactly(problem: str, kind: str, fourier: bool, factorised: bool) -> None:
    settings = [f'network={{kind="{kind}"}}', *sets(kind, fourier, factorised)[3:], "sampling.interior=10"]
    settings = [s.replace(", scales = { x = 1 }", "") for s in settings]
    for more in ([], ["network.width=5", "network.depth=1"]):
        formulation = formulate(load_problem(problem, [*settings, *more]))
        choices = choose(formulation)
        made = assemble(formulation, choices, 0, CPU, torch.float64)
        assert choices.parameters == made.network.size + len(made.parameters.names)
        assert len(made.initial_theta()) == choices.parameters


def test_settings_have_clear_errors() -> None:
    cases = {
        "network={initialisation='siren'}": "siren starts networks of sines",
        "network={frequency=3, fourier={}}": "frequency has no effect on Fourier features",
        "network={kind='piratenet', frequency=3}": "frequency has no effect on Fourier features",
        "network={fourier={scales={y=3}}}": "no coordinate 'y'",
    }
    for override, message in cases.items():
        report = check(load_problem("heat1d", [override]))
        assert [error.message for error in report.errors] == [message]
    fine = "network={kind='piratenet', activation='sine', initialisation='siren', frequency=3}"
    assert not check(load_problem("heat1d", [fine])).errors


# --- solves ----------------------------------------------------------------------------------------

DECAY = """
title = "Decay along a line"
unknowns = ["u"]
sampling = { interior = 200, boundary = 20 }
[coordinates]
x = [0, 1]
t = [0, 1]
[conditions]
pde = { on = "interior", equation = "u_t = u_xx/10 - u^2 + exp(-2*t)*sin(pi*x)^2 + (pi^2/10 - 1)*u" }
initial = { on = "t-", equation = "u = sin(pi*x)" }
walls = { on = "x-, x+", equation = "u = 0" }
[exact]
u = "exp(-t)*sin(pi*x)"
"""
MORE = {
    "mlp": "fourier = { count = 6 }",
    "gated": "factorised = { mean = 1.0, deviation = 0.1 }",
    "piratenet": "fourier = { count = 4, scale = 1.5 }",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_brief_solve_which_continues_bit_for_bit(kind: str, tmp_path: Path) -> None:
    table = f"[network]\nkind = '{kind}'\nwidth = 8\ndepth = 2\n{MORE[kind]}\n"
    stages = "[[stages]]\noptimiser = { kind = 'lm' }\nsteps = 40\n"
    loaded = load_text(DECAY + table + stages, "decay", "decay.toml", tmp_path)
    formulation, options = formulate(loaded), SolveOptions()

    def advance(folder: str, limit: int) -> list[float]:
        store = Run.create(tmp_path / folder, loaded.name, loaded.text, {"seed": 0}, argv=[], resume="auto")
        values: list[float] = []
        with store:
            stop = lambda: "enough" if len(values) >= limit else None  # noqa: E731
            for record in solve_problem(formulation, options, store, stop):
                values.append(record.value)
        return values

    whole = advance("whole", 40)
    assert [*advance("parts", 15), *advance("parts", 25)] == whole
    assert whole[-1] < 1e-4 * whole[0]
    states = [Run.open(tmp_path / folder).load_checkpoint() for folder in ("whole", "parts")]
    assert states[0] is not None and states[1] is not None
    assert torch.equal(states[0]["theta"], states[1]["theta"])
