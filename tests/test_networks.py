"""Networks: shapes, initial weights, features, periodicity."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pinncli.derivatives import Reverse
from pinncli.language.partials import Partial
from pinncli.networks import MLP, NETWORKS, Features
from pinncli.networks.dense import ACTIVATIONS

PLAIN = Features(low=(-2.0, 1.0), high=(3.0, 1.5), periodic=(False, False))
PERIODIC = Features(low=(-2.0, 1.0), high=(3.0, 1.5), periodic=(True, False), harmonics=2)


def mlp(
    features: Features = PLAIN,
    *,
    outputs: int = 2,
    width: int = 7,
    depth: int = 3,
    activation: str = "tanh",
    frequency: float = 1.0,
) -> MLP:
    return MLP(
        features=features,
        outputs=outputs,
        width=width,
        depth=depth,
        activation=activation,
        initialisation="glorot",
        frequency=frequency,
    )


def start(net: MLP, seed: int = 0) -> Tensor:
    return net.initialise(torch.Generator().manual_seed(seed))


def test_the_table_holds_the_network_of_the_settings() -> None:
    assert NETWORKS["mlp"] is MLP


@pytest.mark.parametrize("features", [PLAIN, PERIODIC])
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("outputs", [1, 3])
def test_shapes(features: Features, depth: int, outputs: int) -> None:
    net = mlp(features, depth=depth, outputs=outputs)
    assert (net.inputs, net.outputs, net.width) == (2, outputs, 7)
    assert net.size == (features.count + 1) * 7 + (depth - 1) * 8 * 7 + 8 * outputs
    theta = start(net)
    assert (theta.shape, theta.dtype) == ((net.size,), torch.float64)
    assert net(theta, torch.zeros((5, 2), dtype=torch.float64)).shape == (5, outputs)
    assert net(theta.float(), torch.zeros((0, 2))).shape == (0, outputs)


REFERENCE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "sine": np.sin,
    "gelu": lambda h: h * 0.5 * (1.0 + np.vectorize(math.erf)(h / math.sqrt(2.0))),
    "silu": lambda h: h / (1.0 + np.exp(-h)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_are_those_of_the_formula(activation: str) -> None:
    net = mlp(depth=2, activation=activation)
    theta, x = start(net).numpy(), np.array([[-1.5, 1.1], [2.0, 1.4]])
    scaled = np.stack([2 * (x[:, 0] + 2) / 5 - 1, 2 * (x[:, 1] - 1) / 0.5 - 1], axis=1)
    f = REFERENCE[activation]
    h = f(scaled @ theta[:14].reshape(7, 2).T + theta[14:21])
    h = f(h @ theta[21:70].reshape(7, 7).T + theta[70:77])
    expected = h @ theta[77:91].reshape(2, 7).T + theta[91:93]
    np.testing.assert_allclose(
        net(torch.tensor(theta), torch.tensor(x)).numpy(), expected, rtol=1e-13, atol=1e-13
    )


def test_initial_weights_are_a_pure_function_of_the_seed() -> None:
    net = mlp()
    torch.manual_seed(1)
    first = start(net, 3)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(start(net, 3), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(start(net, 4), first)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("frequency", [1.0, 2.5])
def test_initial_weights_have_the_deviations_stated(activation: str, frequency: float) -> None:
    net = mlp(width=300, depth=2, activation=activation, frequency=frequency)
    first, first_bias, hidden, hidden_bias, last, last_bias = torch.split(
        start(net), [600, 300, 90_000, 300, 600, 2]
    )
    gain = ACTIVATIONS[activation][1]
    assert float(first.std()) == pytest.approx(frequency, rel=0.1)
    assert float(hidden.std()) == pytest.approx(gain * math.sqrt(2 / 600), rel=0.02)
    assert float(last.std()) == pytest.approx(math.sqrt(2 / 302), rel=0.1)
    assert not hidden_bias.any()
    assert not last_bias.any()
    # a first bias is -w.c with c in [-1, 1]^2, so that every neuron's front crosses the domain
    assert bool((first_bias.abs() <= first.reshape(300, 2).abs().sum(1)).all())
    assert float(first_bias.std()) == pytest.approx(frequency * math.sqrt(2 / 3), rel=0.15)


# --- features --------------------------------------------------------------------------------------


@given(
    low=st.floats(-1e3, 1e3),
    span=st.floats(1e-3, 1e3),
    share=st.floats(0, 1),
)
def test_features_are_scaled_to_minus_one_and_one(low: float, span: float, share: float) -> None:
    features = Features(low=(low,), high=(low + span,), periodic=(False,))
    ends = torch.tensor([[low], [low + span], [low + share * span]], dtype=torch.float64)
    left, right, inside = features(ends).flatten().tolist()
    slack = 1e-12 * (abs(low) + span) / span
    assert left == pytest.approx(-1, abs=slack)
    assert right == pytest.approx(1, abs=slack)
    assert inside == pytest.approx(2 * share - 1, abs=slack)


def test_features_keep_the_order_of_the_coordinates_and_of_the_harmonics() -> None:
    x = torch.tensor([[-2.0 + 5.0 / 6.0, 1.5]], dtype=torch.float64)  # a sixth of the period
    assert PERIODIC.count == 5
    half, root = 0.5, math.sqrt(3) / 2
    assert PERIODIC(x).flatten().tolist() == pytest.approx([half, root, -half, root, 1.0])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_periodic_network_is_periodic_with_all_its_derivatives(activation: str) -> None:
    net = mlp(PERIODIC, activation=activation)
    theta = start(net)
    y = torch.linspace(1.0, 1.5, 4, dtype=torch.float64)
    ends = [torch.stack([torch.full_like(y, x), y], dim=1) for x in (-2.0, 3.0, 0.5)]
    wanted = [Partial("u", (i, j)) for i in range(5) for j in range(2)]
    left, right, middle = (Reverse(("u", "v"), ()).partials(net, theta, x, wanted) for x in ends)
    for partial in wanted:
        a, b, c = (values[partial].detach() for values in (left, right, middle))
        scale = float(a.abs().max()) + 1.0
        assert float((a - b).abs().max()) <= 1e-11 * scale, partial
        assert float((a - c).abs().max()) > 1e-3 * scale, partial


def test_a_plain_network_is_not_periodic() -> None:
    net = mlp()
    x = torch.tensor([[-2.0, 1.2], [3.0, 1.2]], dtype=torch.float64)
    a, b = net(start(net), x)
    assert float((a - b).abs().max()) > 1e-2
