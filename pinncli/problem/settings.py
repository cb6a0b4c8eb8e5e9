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


class FourierSettings(Settings):
    """`[network] fourier`: random Fourier features of the inputs, drawn from the seed and never trained."""

    count: int | None = Field(default=None, ge=1, le=100_000)
    """Number of pairs of cosine and sine."""
    scale: float = Field(default=1.0, gt=0, le=1e4)
    """Deviation of the wave numbers, on coordinates scaled to [-1, 1]."""
    scales: dict[str, Annotated[float, Field(gt=0, le=1e4)]] = Field(default_factory=dict)
    """The same for coordinates that want one of their own."""


class FactorisedSettings(Settings):
    """`[network] factorised`: weights diag(exp(s)) V with s and V trained."""

    mean: float = Field(default=0.5, ge=-10, le=10)
    """Mean of s at the start."""
    deviation: float = Field(default=0.1, ge=0, le=10)
    """Deviation of s at the start."""


class AnyNetworkSettings(Settings):
    """What all networks have in common."""

    kind: str
    activation: Literal["tanh", "sine", "gelu", "silu"] = "tanh"
    periodic: Literal["auto", "off"] = "auto"
    """Embed coordinates that the conditions make periodic as cosines and sines."""
    harmonics: int = Field(default=1, ge=1, le=64)
    """Cosine-sine pairs per periodic coordinate."""
    hard: Literal["off", "auto"] | tuple[str, ...] = "off"
    """Conditions met by construction: those named, or with "auto" all for which that is possible."""
    propagated: float | None = Field(default=None, gt=0, le=1)
    """Lead the shortest waves of the initial values, which make up this part of them, on by the linear part
    of the equations; the network adds what is missing."""


class AutoNetworkSettings(AnyNetworkSettings):
    """`[network] kind = "auto"`, or no table: frozen features where they prove good enough, else "mlp"."""

    kind: Literal["auto"] = "auto"


class DenseSettings(AnyNetworkSettings):
    """What all networks of trained layers have in common."""

    width: int | None = Field(default=None, ge=1, le=10**9)
    depth: int | None = Field(default=None, ge=1, le=1000)
    initialisation: Literal["glorot", "siren"] = "glorot"
    frequency: float = Field(default=1.0, gt=0, le=1e4)
    """Deviation of the first layer's initial weights, on coordinates scaled to [-1, 1]: about the number
    of waves that the solution has across the domain, times pi, where it has many. SIREN's omega."""
    fourier: FourierSettings | None = None
    factorised: FactorisedSettings | None = None


class MlpSettings(DenseSettings):
    """`[network] kind = "mlp"`: a multilayer perceptron."""

    kind: Literal["mlp"] = "mlp"


class GatedSettings(DenseSettings):
    """`[network] kind = "gated"`: a perceptron whose hidden layers two encoders gate."""

    kind: Literal["gated"]


class PirateNetSettings(DenseSettings):
    """`[network] kind = "piratenet"`: gated residual blocks that start as the identity."""

    kind: Literal["piratenet"]


class FeatureSettings(AnyNetworkSettings):
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


class LocalSettings(AnyNetworkSettings):
    """`[network] kind = "local"`: frozen features on many patches, of which few meet at any point."""

    kind: Literal["local"]
    width: int = Field(default=60, ge=1, le=10_000)
    """Number of features on each patch."""
    patches: dict[str, Annotated[int, Field(ge=1, le=100_000)]]
    """Pieces of a coordinate; 1 for those not named."""
    scale: float = Field(default=1.0, gt=0, le=1e4)
    """Weights and biases are uniform in [-scale, scale], on patches scaled to [-1, 1]."""


def _network_kind(value: object) -> object:
    """The kind that a table names; a table without one, or no table at all, is judged as a perceptron."""
    if isinstance(value, Settings):
        return getattr(value, "kind", None)
    return value.get("kind", "mlp") if isinstance(value, dict) else "mlp"


NetworkSettings = Annotated[
    Annotated[AutoNetworkSettings, Tag("auto")]
    | Annotated[MlpSettings, Tag("mlp")]
    | Annotated[GatedSettings, Tag("gated")]
    | Annotated[PirateNetSettings, Tag("piratenet")]
    | Annotated[FeatureSettings, Tag("features")]
    | Annotated[LocalSettings, Tag("local")],
    Discriminator(_network_kind),
]
"""`[network]`."""


class ResampleSettings(Settings):
    """`[sampling] resample`: draw the points anew every `every` steps, `by` residual or otherwise."""

    every: int = Field(default=500, ge=1)
    by: Literal["residual", "uniform", "retain"] = "residual"
    power: float = Field(default=1.0, gt=0)
    """RAD's k: density proportional to |r|^k / mean(|r|^k) + c (Wu et al. 2023, eq. 2)."""
    floor: float = Field(default=1.0, ge=0)
    """RAD's c."""
    share: float = Field(default=0.0, ge=0, lt=1)
    """Of the points that stay where `method` put them; the rest follows the residual."""


class SamplingSettings(Settings):
    """`[sampling]`."""

    method: Literal["uniform", "latin", "sobol", "grid"] = "sobol"
    interior: int | None = Field(default=None, ge=1)
    boundary: int | None = Field(default=None, ge=1)
    """Points per side or other lower-dimensional region."""
    nodes: int | None = Field(default=None, ge=1, le=256)
    """Gauss-Legendre nodes per variable of integration; fewer for double integrals when left out."""
    resample: ResampleSettings | Literal["auto", "off"] = "auto"


class DerivativeSettings(Settings):
    """`[derivatives]`."""

    engine: Literal["auto", "taylor", "reverse"] = "auto"
    block: int | None = Field(default=None, ge=1)
    """Points per block; chosen from the cache size when left out."""
    compiled: Literal["auto", "on", "off"] = "off"
    """Compile the activations of the taylor engine at the start of a run: needs a C++ compiler."""
    directions: int | None = Field(default=None, ge=1)
    """Coordinates of space, drawn anew with the points, that a Laplacian is estimated from in training."""


class AdamSettings(Settings):
    """Adam (Kingma & Ba 2015)."""

    kind: Literal["adam"]
    learning_rate: float = Field(default=1e-3, gt=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled: AdamW (Loshchilov & Hutter 2019)."""
    warmup: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises from zero."""
    decay_rate: float = Field(default=0.9, gt=0, le=1)
    """Factor on the learning rate every `decay_steps` steps."""
    decay_steps: int = Field(default=1000, ge=1)


class SoapSettings(Settings):
    """SOAP (Vyas et al. 2024) with the moments of Wang et al. 2025."""

    kind: Literal["soap"]
    learning_rate: float = Field(default=3e-3, gt=0)
    beta1: float = Field(default=0.99, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    frequency: int = Field(default=2, ge=1)
    """Steps between updates of the eigenbases."""
    weight_decay: float = Field(default=0.0, ge=0)
    warmup: int = Field(default=100, ge=0)
    decay_rate: float = Field(default=0.9, gt=0, le=1)
    decay_steps: int = Field(default=2000, ge=1)


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


class EngdSettings(Settings):
    """ENGD-W: Gauss-Newton through the kernel matrix, for fewer residuals than parameters."""

    kind: Literal["engd_w"]
    damping: float = Field(default=1e-8, gt=0)
    """Least damping, relative to the mean eigenvalue of the kernel matrix."""


class SpringSettings(Settings):
    """SPRING: ENGD-W with momentum, for points that are redrawn often."""

    kind: Literal["spring"]
    damping: float = Field(default=1e-4, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    learning_rate: float = Field(default=0.1, gt=0, le=1)
    """Largest share of a step that is taken; with the momentum, not above 1 - momentum by much."""


class HessianFreeSettings(Settings):
    """Gauss-Newton by preconditioned conjugate gradients on products with the Jacobian."""

    kind: Literal["hessian_free"]
    damping: float = Field(default=1e-2, gt=0)
    """Initial damping, relative to the largest diagonal entry of the Gram matrix."""
    iterations: int = Field(default=200, ge=1)
    """Of conjugate gradients, at most."""
    tolerance: float = Field(default=5e-4, gt=0, lt=1)
    """They end where the model gains less than this fraction per iteration."""
    rank: int = Field(default=50, ge=1, le=10_000)
    """Of the preconditioner."""
    every: int = Field(default=20, ge=1)
    """Steps that a preconditioner serves."""


OptimiserSettings = Annotated[
    AdamSettings
    | SoapSettings
    | LbfgsSettings
    | QuasiNewtonSettings
    | LevenbergMarquardtSettings
    | LeastSquaresSettings
    | EngdSettings
    | SpringSettings
    | HessianFreeSettings,
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
    vectors: Literal["auto"] | tuple[tuple[str, ...], ...] = "auto"
    """Components of vectors along x, y (and z), for figures."""


class MarchingSettings(Settings):
    """`[marching]`: time windows solved in turn, each from where the last one ended."""

    windows: int = Field(default=1, ge=1, le=10_000)
    """Equal pieces of the range of time."""
    cuts: tuple[float, ...] | None = None
    """Times at which the range is cut instead."""
    warm: bool = True
    """Whether a window's training begins with what the window before has learnt."""


class CurriculumSettings(Settings):
    """`[curriculum.nu]`: a constant that is led from an easier value to its own."""

    start: float
    values: int = Field(default=5, ge=2, le=1000)
    """Values in turn, `start` and the constant's own included."""
    spacing: Literal["log", "linear"] = "log"
    steps: int = Field(default=100, ge=1)
    """Most steps of each stage, at all values but the last."""


class BalanceSettings(Settings):
    """`[training] balance`: weights between conditions, `by` their gradients or their tangent kernels."""

    by: Literal["gradient", "ntk"] = "gradient"
    every: int = Field(default=100, ge=1)
    smoothing: float = Field(default=0.9, ge=0, lt=1)


class AttentionSettings(Settings):
    """`[training] attention`: weights over the points of each condition, by their residuals."""

    rate: float = Field(default=0.01, gt=0)
    decay: float = Field(default=0.999, ge=0, lt=1)
    every: int = Field(default=1, ge=1)


class CausalSettings(Settings):
    """`[training] causal`: weights along time."""

    tolerances: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(1e-2, 1e-1, 1.0, 10.0, 100.0), min_length=1
    )
    chunks: int = Field(default=32, ge=2, le=10_000)
    every: int = Field(default=1, ge=1)


class TrainingSettings(Settings):
    """`[training]`: what ends a run besides its stages."""

    max_steps: int | None = Field(default=None, ge=1)
    target: float | None = Field(default=None, gt=0)
    """Relative L2 error (or relative fresh-point residual where there is no reference)."""
    weights: Literal["scaled", "plain"] = "scaled"
    """`scaled` divides every equation by the size of its largest term before its `weight` counts."""
    balance: BalanceSettings | Literal["off"] = "off"
    attention: AttentionSettings | Literal["off"] = "off"
    causal: CausalSettings | Literal["off"] = "off"
    measure_every: int | None = Field(default=None, ge=1)
    """Steps between measurements of losses and error; by the optimiser where left out."""
    checkpoint_seconds: float = Field(default=300.0, gt=0)

    @property
    def needs_jacobian(self) -> bool:
        """Whether the weights need it, whatever the optimiser."""
        return isinstance(self.balance, BalanceSettings) and self.balance.by == "ntk"
