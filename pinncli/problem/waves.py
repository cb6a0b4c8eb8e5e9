"""Short waves of the initial values, led on by the linear part of the equations: values, and jets, anywhere.

    A_j(x, t) = Re sum over waves k and eigenvalues l of M(k) of  w_klj exp(i k.(x - x0) + l (t - t0))

with the Fourier coefficients of the initial values in the eigenvectors of M(k), see
`pinncli.problem.propagation`, as weights w. A derivative of orders (a, b) has the factor (i k)^a l^b, so that
all of them are products with one matrix of waves.

Long waves are left as they are at t0: what becomes of them is the network's to find, which represents them
well, and the linear part alone would have them oscillate where they do not (a soliton is made of waves that
nonlinearity holds together). Which waves are short is decided by the initial values: those that together make
up a given part of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinncli.language.partials import Partial
from pinncli.problem.numeric import run
from pinncli.problem.terms import LinearPart
from pinncli.shapes import Domain

SAMPLES = {1: 1024, 2: 128, 3: 32}
"""Points along each periodic coordinate, by their number."""
LONGEST = 1.3
"""From the first of the short waves to those so many times shorter, the part led on rises from 0 to 1."""
NEGLIGIBLE = 1e-17
"""Of the largest weight: waves below are left out."""
GROWTH = 1.0
"""Most growth of a wave over the window, as an exponent; that of others is held to it."""
ROUNDING = 1e-12
"""Of an eigenvalue: a smaller real part is rounding of none."""
SKEWED = 1e8
"""Condition number of the eigenvectors of M(k) above which a wave is left as it is."""

Array = np.ndarray[Any, np.dtype[np.float64]]
Complex = np.ndarray[Any, np.dtype[np.complex128]]


def places(domain: Domain, part: LinearPart) -> Array:
    """Where initial values are sampled (K^d, coordinates): K points a period, at the lower end of time."""
    count = SAMPLES[len(part.space)]
    axes = [
        np.linspace(low, high, count, endpoint=False) if axis in part.space else np.array([low])
        for axis, (low, high) in enumerate(zip(domain.low, domain.high, strict=True))
    ]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


@dataclass(frozen=True)
class Spectrum:
    """Initial values as the real part of a sum over waves: `numbers` (k, d), `amplitudes` (k, m).

    Of a wave and its mirror image, one is there for both. That of the shortest waves, whose images are
    themselves, is left out.
    """

    numbers: Array
    amplitudes: Complex

    @classmethod
    def of(cls, values: Array, d: int) -> Spectrum:
        """Of values (K^d, m) at `places`."""
        count, m = SAMPLES[d], values.shape[1]
        found = np.fft.rfftn(values.reshape((count,) * d + (m,)), axes=range(d)) / count**d
        axes = [np.fft.fftfreq(count, 1.0 / count)] * (d - 1) + [np.arange(count // 2 + 1.0)]
        numbers = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
        kept = np.all(np.abs(numbers) < count // 2, axis=1)
        twice = np.where(numbers[:, -1:] > 0.0, 2.0, 1.0)
        return cls(numbers[kept], (found.reshape(-1, m) * twice)[kept])

    def values(self, factor: Complex, component: int) -> Array:
        """One component (K^d,) at `places`, every wave times `factor` (k,)."""
        d = self.numbers.shape[1]
        count = SAMPLES[d]
        whole = np.zeros((count,) * d, dtype=np.complex128)
        whole[tuple(self.numbers.astype(np.intp).T)] = factor * self.amplitudes[:, component]
        return np.asarray(np.fft.ifftn(whole).real.ravel() * count**d)

    def led(self, share: float) -> Array:
        """The part (k,) of every wave that is led on, for those that make up `share` of the values (L2)."""
        if share >= 1.0:
            return np.ones(len(self.numbers))
        sizes = np.linalg.norm(self.numbers, axis=1)
        energies = np.sum(np.abs(self.amplitudes) ** 2, axis=1) * np.where(
            self.numbers[:, -1] > 0.0, 0.5, 1.0
        )
        order = np.argsort(-sizes, kind="stable")
        beyond = np.cumsum(energies[order])
        count = int(np.searchsorted(beyond, share**2 * beyond[-1], side="right"))
        first = max(1.0, sizes[order[min(count, len(order) - 1)]])
        z = np.clip((sizes / first - 1.0) / (LONGEST - 1.0), 0.0, 1.0)
        rising: Array = z**3 * (10.0 - 15.0 * z + 6.0 * z**2)
        return rising


@dataclass(frozen=True)
class Exponentials:
    """A as the real part of a sum: `exponents` (q, coordinates), zero at `start`, and `weights` (q, m)."""

    start: Array
    exponents: Complex
    weights: Complex


def propagated(values: Array, part: LinearPart, share: float, domain: Domain) -> Exponentials:
    """A from initial values (K^d, m) at `places`, of which waves that make up `share` are led on."""
    spectrum = Spectrum.of(values, len(part.space))
    waves = 2.0 * np.pi * spectrum.numbers / _lengths(domain, part.space)
    first, zeroth = symbols(part, waves, mean_slopes(part, spectrum, waves, domain))
    rates, shares = _eigen(first, zeroth, spectrum.amplitudes)
    most = GROWTH / float(_lengths(domain, [part.time])[0])
    real = np.where(np.abs(rates.real) > ROUNDING * np.abs(rates), rates.real, 0.0)
    rates = np.minimum(real, most) + 1j * rates.imag
    led, count = spectrum.led(share)[:, None], rates.shape[1]
    exponents = np.zeros((len(waves) * (count + 1), len(domain.low)), dtype=np.complex128)
    exponents[:, part.time] = np.concatenate([rates.ravel(), np.zeros(len(waves))])
    exponents[:, list(part.space)] = 1j * np.concatenate([np.repeat(waves, count, axis=0), waves])
    weights = np.concatenate(
        [(led[:, :, None] * shares).reshape(-1, count), (1.0 - led) * spectrum.amplitudes]
    )
    sizes = np.abs(weights).max(axis=1)
    kept = sizes >= NEGLIGIBLE * sizes.max()
    kept &= (sizes > 0.0) | (np.arange(len(sizes)) == 0)
    return Exponentials(np.array(domain.low), exponents[kept], weights[kept])


def mean_slopes(part: LinearPart, spectrum: Spectrum, waves: Array, domain: Domain) -> list[float]:
    """The mean over space of every slope at the initial values."""
    points = dict(zip(domain.names, places(domain, part).T, strict=True))
    known = {
        (0, p): spectrum.values(differentiated(p, waves, part), part.components.index(p.component))
        for p in part.wanted
    }
    return [float(np.mean(run(term.slope, points, known)[0])) for term in part.terms]


def differentiated(partial: Partial, waves: Array, part: LinearPart) -> Complex:
    """What the derivatives by space of a partial make of exp(i k.x), by `waves` k (k, d): a factor (k,)."""
    if partial.laplacian:
        return np.asarray(-np.sum(waves**2, axis=1) + 0j)
    orders = np.array([partial.orders[axis] for axis in part.space])
    return np.asarray(np.prod((1j * waves) ** orders, axis=1))


def symbols(part: LinearPart, waves: Array, slopes: Sequence[float]) -> tuple[Complex, Complex]:
    """T and S (k, m, m), for the amplitudes u of exp(i k.x) in T u' + S u = 0."""
    m = len(part.components)
    first, zeroth = np.zeros((2, len(waves), m, m), dtype=np.complex128)
    for term, slope in zip(part.terms, slopes, strict=True):
        symbol = first if term.partial.orders[part.time] else zeroth
        column = part.components.index(term.partial.component)
        symbol[:, term.row, column] += slope * differentiated(term.partial, waves, part)
    return first, zeroth


def _lengths(domain: Domain, axes: Sequence[int]) -> Array:
    return np.array([domain.high[axis] - domain.low[axis] for axis in axes])


def _eigen(first: Complex, zeroth: Complex, amplitudes: Complex) -> tuple[Complex, Complex]:
    """Eigenvalues (k, l) of M(k), and what the eigenvectors make up of `amplitudes` (k, m): (k, l, m)."""
    singular = ~(np.linalg.cond(first) < SKEWED)
    first = np.where(singular[:, None, None], np.eye(first.shape[1]), first)
    rates, vectors = np.linalg.eig(-np.linalg.solve(first, zeroth))
    still = singular | ~(np.linalg.cond(vectors) < SKEWED)
    vectors[still], rates[still] = np.eye(vectors.shape[1]), 0.0
    within = np.linalg.solve(vectors, amplitudes[:, :, None])[:, :, 0]
    return rates, np.swapaxes(vectors, 1, 2) * within[:, :, None]
