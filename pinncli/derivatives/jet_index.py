"""The combinatorics of jets: which channels, and how products and compositions mix them.

A jet carries the derivatives (not Taylor coefficients) of a quantity for a downward-closed set
of multi-indices, one channel each, the value first, and optionally the Laplacian over some
coordinates as one collapsed channel (Dangel et al. 2025, arXiv 2505.13644).

    composition  d_alpha f(h) = sum over set partitions P of alpha of f^(|P|)(h) prod_{B in P} d_B h
                 (Faa di Bruno), collapsed: lap f(h) = f'(h) lap h + f''(h) sum_i (d_i h)^2
    product      d_alpha (a b) = sum_{beta <= alpha} C(alpha, beta) d_beta a d_{alpha-beta} b
                 (Leibniz), collapsed: lap(a b) = a lap b + 2 sum_i d_i a d_i b + b lap a
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise, product
from math import comb, prod

from pinncli.language.partials import MultiIndex, Partial, downward_closure


@dataclass(frozen=True, slots=True)
class Monomial:
    """`coefficient` times the product of channels to powers, e.g. 4 h_x h_xxx."""

    coefficient: float
    factors: tuple[tuple[int, int], ...]  # (channel, power), channels increasing


Term = tuple[float, int, int]
"""A coefficient and the channels of two factors."""


@dataclass(frozen=True)
class JetIndex:
    """The channels of a jet: `indices` (closed, value first), then maybe one Laplacian over `lap_axes`."""

    dimension: int
    indices: tuple[MultiIndex, ...]
    lap_axes: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Number of channels."""
        return len(self.indices) + bool(self.lap_axes)

    @property
    def order(self) -> int:
        """Highest total order of differentiation."""
        return max(sum(self.indices[-1]), 2 if self.lap_axes else 0)

    @cached_property
    def position(self) -> dict[MultiIndex, int]:
        """Channel of each multi-index."""
        return {index: k for k, index in enumerate(self.indices)}

    @cached_property
    def first(self) -> tuple[int | None, ...]:
        """Channel of the first derivative in each coordinate, None where not carried."""
        return tuple(self.position.get(unit(self.dimension, i)) for i in range(self.dimension))

    @property
    def lap(self) -> int | None:
        """Channel of the Laplacian."""
        return len(self.indices) if self.lap_axes else None

    @cached_property
    def orders(self) -> tuple[int, ...]:
        """Total order of differentiation of each channel."""
        return (*map(sum, self.indices), 2)[: self.size]

    @cached_property
    def runs(self) -> tuple[tuple[int, int, int], ...]:
        """(order, start, stop) of neighbouring channels of one order, which are worked on together."""
        places = [0, *(k for k in range(1, self.size) if self.orders[k] != self.orders[k - 1]), self.size]
        return tuple((self.orders[start], start, stop) for start, stop in pairwise(places))

    def channel(self, partial: Partial) -> int:
        """Channel that holds `partial`."""
        if partial.laplacian:
            return len(self.indices)
        return self.position[partial.orders]

    @cached_property
    def composition(self) -> tuple[tuple[tuple[int, tuple[Monomial, ...]], ...], ...]:
        """Per channel, the terms (k, monomials) of f^(k), k >= 2; f' always multiplies the channel itself."""
        rules = [_partitions(index, self.position) for index in self.indices]
        if self.lap_axes:
            squares = tuple(
                Monomial(1.0, ((self.position[unit(self.dimension, i)], 2),)) for i in self.lap_axes
            )
            rules.append(((2, squares),))
        return tuple(rules)

    @cached_property
    def leibniz(self) -> tuple[tuple[Term, ...], ...]:
        """Per channel, the terms (coefficient, channel of a, channel of b) of the product a b."""
        rules: list[tuple[Term, ...]] = []
        for alpha in self.indices:
            rules.append(
                tuple(
                    (_binomial(alpha, beta), self.position[beta], self.position[_minus(alpha, beta)])
                    for beta in product(*(range(n + 1) for n in alpha))
                )
            )
        if self.lap is not None:
            ones = [self.position[unit(self.dimension, i)] for i in self.lap_axes]
            rules.append(((1.0, 0, self.lap), (1.0, self.lap, 0), *((2.0, k, k) for k in ones)))
        return tuple(rules)

    @cached_property
    def transposed(self) -> tuple[tuple[Term, ...], ...]:
        """Per channel of a, the terms (coefficient, channel of a b, channel of b) that it enters with b's
        derivatives: the products' channels come after it."""
        rules: list[list[Term]] = [[] for _ in range(self.size)]
        for alpha, terms in enumerate(self.leibniz):
            for c, i, j in terms:
                if j:
                    rules[i].append((c, alpha, j))
        return tuple(map(tuple, rules))

    @cached_property
    def square(self) -> tuple[tuple[Term, ...], ...]:
        """Per channel, the terms of the square of a jet that do not contain its value, with i <= j."""
        rules = []
        for terms in self.leibniz:
            together: dict[tuple[int, int], float] = {}
            for c, i, j in terms:
                if i and j:
                    pair = (min(i, j), max(i, j))
                    together[pair] = together.get(pair, 0.0) + c
            rules.append(tuple((c, i, j) for (i, j), c in together.items()))
        return tuple(rules)

    @cached_property
    def recurrence(self) -> tuple[tuple[Term, ...], ...]:
        """Per channel alpha, the terms (coefficient, channel of p, of h) of f(h)_alpha beside p h_alpha.

        f(h)_{beta+e_i} = (p h_i)_beta, by the axis i that makes the fewest terms.
        """
        rules: list[tuple[Term, ...]] = [()]
        for alpha in self.indices[1:]:
            rests = [_minus(alpha, unit(self.dimension, i)) for i, k in enumerate(alpha) if k]
            beta = min(rests, key=lambda rest: prod(k + 1 for k in rest))
            rules.append(
                tuple(
                    (_binomial(beta, gamma), self.position[gamma], self.position[_minus(alpha, gamma)])
                    for gamma in product(*(range(k + 1) for k in beta))
                    if any(gamma)
                )
            )
        if self.lap is not None:
            ones = [self.position[unit(self.dimension, i)] for i in self.lap_axes]
            rules.append(tuple((1.0, k, k) for k in ones))
        return tuple(rules)

    @cached_property
    def inner(self) -> frozenset[int]:
        """The channels of p that `recurrence` needs."""
        return frozenset(i for terms in self.recurrence for _, i, _ in terms)


def unit(dimension: int, axis: int) -> MultiIndex:
    """The multi-index of one first derivative."""
    return tuple(int(i == axis) for i in range(dimension))


def _minus(alpha: MultiIndex, beta: MultiIndex) -> MultiIndex:
    return tuple(n - k for n, k in zip(alpha, beta, strict=True))


def _binomial(alpha: MultiIndex, beta: MultiIndex) -> float:
    return float(prod(comb(n, k) for n, k in zip(alpha, beta, strict=True)))


@lru_cache(maxsize=256)
def jet_index(dimension: int, partials: tuple[Partial, ...], lap_axes: tuple[int, ...]) -> JetIndex:
    """Smallest index set that holds `partials`; `lap_axes` are what a Laplacian partial sums over.

    A Laplacian whose second derivatives are all carried anyway would be cheaper as their sum, but
    it costs one channel only, so the rule stays simple: asked for, it is carried.
    """
    wanted = [p.orders for p in partials if not p.laplacian] or [(0,) * dimension]
    if any(p.laplacian for p in partials):
        wanted += [unit(dimension, i) for i in lap_axes]
        return JetIndex(dimension, downward_closure(wanted), lap_axes)
    return JetIndex(dimension, downward_closure(wanted))


def _partitions(
    alpha: MultiIndex, position: dict[MultiIndex, int]
) -> tuple[tuple[int, tuple[Monomial, ...]], ...]:
    elements = [axis for axis, k in enumerate(alpha) for _ in range(k)]
    counts: Counter[tuple[int, ...]] = Counter()
    for partition in _set_partitions(elements):
        if len(partition) >= 2:
            counts[tuple(sorted(position[_index(block, len(alpha))] for block in partition))] += 1
    by_degree: dict[int, list[Monomial]] = {}
    for channels, count in sorted(counts.items()):
        factors = tuple(sorted(Counter(channels).items()))
        by_degree.setdefault(len(channels), []).append(Monomial(float(count), factors))
    return tuple((k, tuple(by_degree[k])) for k in sorted(by_degree))


def _index(block: Iterable[int], dimension: int) -> MultiIndex:
    counts = Counter(block)
    return tuple(counts[axis] for axis in range(dimension))


def _set_partitions(elements: Sequence[int]) -> Iterator[list[list[int]]]:
    if not elements:
        yield []
        return
    head, *tail = elements
    for partition in _set_partitions(tail):
        yield [[head], *partition]
        for k, block in enumerate(partition):
            yield [*partition[:k], [head, *block], *partition[k + 1 :]]
