"""How a problem is solved: network, sampling, derivatives, stages, output.

Every option and its default is stated here once. A setting left out of the file is `None` or
"auto" where the program chooses (`pinncli.problem.defaults`); the numerical classes receive
plain keyword arguments and have no defaults of their own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MlpSettings(Settings):
    """`[network] kind = "mlp"`: a multilayer perceptron."""

    kind: Literal["mlp"] = "mlp"
    width: int | None = Field(default=None, ge=1, le=10**9)
    depth: int | None = Field(default=None, ge=1, le=1000)
    activation: Literal["tanh", "sine", "gelu", "silu"] = "tanh"
    periodic: Literal["auto", "off"] = "auto"
    """Embed coordinates that the conditions make periodic as cosines and sines."""
    harmonics: int = Field(default=1, ge=1, le=64)
    """Cosine-sine pairs per periodic coordinate."""
    frequency: float = Field(default=1.0, gt=0, le=1e4)
    """Deviation of the first layer's initial weights, on coordinates scaled to [-1, 1]: about the number
    of waves that the solution has across the domain, times pi, where it has many."""


class FeatureSettings(Settings):
    """`[network] kind = "features"`: features frozen at random, whose output layer alone is trained.

    Width, patches and scale that are left out are chosen by trial, by the residual at fresh points.
    """

    kind: Literal["features"]
    width: int | None = Field(default=None, ge=1, le=100_000)
    """Number of features, over all patches."""
    patches: dict[str, Annotated[int, Field(ge=1, le=64)]] | None = None
    """Overlapping pieces of a coordinate, each with features of its own; 1 for those not named."""
    scale: float | None = Field(default=None, gt=0, le=1e4)
    """Weights and biases are uniform in [-scale, scale], on patches scaled to [-1, 1]."""
    activation: Literal["tanh", "sine", "gelu", "silu"] = "tanh"
    periodic: Literal["auto", "off"] = "auto"
    harmonics: int = Field(default=1, ge=1, le=64)


def _network_kind(value: object) -> object:
    """The kind that a table names; a table without one, or no table at all, is judged as a perceptron."""
    if isinstance(value, Settings):
        return getattr(value, "kind", None)
    return value.get("kind", "mlp") if isinstance(value, dict) else "mlp"


NetworkSettings = Annotated[
    Annotated[MlpSettings, Tag("mlp")] | Annotated[FeatureSettings, Tag("features")],
    Discriminator(_network_kind),
]
"""`[network]`."""


class ResampleSettings(Settings):
    """`[sampling] resample`: draw the points anew every `every` steps, `by` residual or uniformly."""

    every: int = Field(default=500, ge=1)
    by: Literal["residual", "uniform"] = "residual"
    power: float = Field(default=1.0, gt=0)
    """RAD's k: density proportional to |r|^k / mean(|r|^k) + c (Wu et al. 2023, eq. 2)."""
    floor: float = Field(default=1.0, ge=0)
    """RAD's c."""


class SamplingSettings(Settings):
    """`[sampling]`."""

    method: Literal["uniform", "latin", "sobol", "grid"] = "sobol"
    interior: int | None = Field(default=None, ge=1)
    boundary: int | None = Field(default=None, ge=1)
    """Points per side or other lower-dimensional region."""
    resample: ResampleSettings | Literal["auto", "off"] = "auto"


class DerivativeSettings(Settings):
    """`[derivatives]`."""

    engine: Literal["auto", "taylor", "reverse"] = "auto"
    block: int | None = Field(default=None, ge=1)
    """Points per block; chosen from the cache size when left out."""
    compile: Literal["on", "off"] = "off"
    """Compile the activations of the taylor engine at the start of a run: needs a C++ compiler."""


class AdamSettings(Settings):
    """Adam (Kingma & Ba 2015)."""

    kind: Literal["adam"]
    learning_rate: float = Field(default=1e-3, gt=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    decay_rate: float = Field(default=0.9, gt=0, le=1)
    """Factor on the learning rate every `decay_steps` steps."""
    decay_steps: int = Field(default=1000, ge=1)


class LbfgsSettings(Settings):
    """L-BFGS with a strong Wolfe search (Nocedal & Wright 2006, algorithms 7.4, 3.5, 3.6)."""

    kind: Literal["lbfgs"]
    memory: int = Field(default=50, ge=1, le=10_000)
    c1: float = Field(default=1e-4, gt=0, lt=1)
    c2: float = Field(default=0.9, gt=0, lt=1)


class QuasiNewtonSettings(Settings):
    """BFGS, self-scaled BFGS and self-scaled Broyden with a dense inverse Hessian."""

    kind: Literal["bfgs", "ssbfgs", "ssbroyden"]
    c1: float = Field(default=1e-4, gt=0, lt=1)
    c2: float = Field(default=0.9, gt=0, lt=1)


class LevenbergMarquardtSettings(Settings):
    """Levenberg-Marquardt: Gauss-Newton with damping from the ratio of actual to predicted decrease."""

    kind: Literal["lm"]
    damping: float = Field(default=1e-2, gt=0)
    """Initial damping, relative to the largest diagonal entry of the Gram matrix."""


class LeastSquaresSettings(Settings):
    """Gauss-Newton by orthogonal factorisation: one step where the residual is linear in theta."""

    kind: Literal["lsq"]
    tolerance: float = Field(default=1e-3, gt=0, lt=1)
    """Converged where a step promises less than this fraction of the value."""


OptimiserSettings = Annotated[
    AdamSettings | LbfgsSettings | QuasiNewtonSettings | LevenbergMarquardtSettings | LeastSquaresSettings,
    Field(discriminator="kind"),
]


class StageSettings(Settings):
    """One `[[stages]]` entry."""

    optimiser: OptimiserSettings
    steps: int = Field(default=1000, ge=1)


class OutputSettings(Settings):
    """`[output]`."""

    grid: dict[str, int] = Field(default_factory=dict)
    """Points per coordinate of the published fields; chosen where left out."""


class MarchingSettings(Settings):
    """`[marching]`: time windows solved in turn."""

    windows: int = Field(default=1, ge=1)


class TrainingSettings(Settings):
    """`[training]`: what ends a run besides its stages."""

    max_steps: int | None = Field(default=None, ge=1)
    target: float | None = Field(default=None, gt=0)
    """Relative L2 error (or relative fresh-point residual where there is no reference)."""
    weights: Literal["scaled", "plain"] = "scaled"
    """`scaled` divides every equation by the size of its largest term before its `weight` counts."""
    checkpoint_seconds: float = Field(default=300.0, gt=0)
