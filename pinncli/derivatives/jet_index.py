"""The combinatorics of jets: which channels, and how products and compositions mix them.

A jet carries the derivatives (not Taylor coefficients) of a quantity for a downward-closed set
of multi-indices, one channel each, the value first. Derivatives that only a fixed linear combination
L = sum_j c_j d_{alpha_j} is asked of, and no other channel needs, are collapsed into one channel for L: a
Laplacian (Dangel et al. 2025, arXiv 2505.13644), or u_t - nu u_xx, or u_tt - c^2 u_xx. That is possible since
a derivative enters its own channel linearly, next to channels of lower ones:

    composition  d_alpha f(h) = sum over set partitions P of alpha of f^(|P|)(h) prod_{B in P} d_B h
                 (Faa di Bruno), collapsed: L f(h) = f'(h) L h + sum_j c_j (the terms with |P| > 1)
    product      d_alpha (a b) = sum_{beta <= alpha} C(alpha, beta) d_beta a d_{alpha-beta} b
                 (Leibniz), collapsed: L(a b) = a L b + b L a + sum_j c_j (the terms with 0 < beta < alpha_j)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise, product
from math import comb, prod

from pinncli.language.partials import MultiIndex, Wanted, downward_closure, shape_of


@dataclass(frozen=True, slots=True)
class Monomial:
    """`coefficient` times the product of channels to powers, e.g. 4 h_x h_xxx."""

    coefficient: float
    factors: tuple[tuple[int, int], ...]  # (channel, power), channels increasing


Term = tuple[float, int, int]
"""A coefficient and the channels of two factors."""

Combined = tuple[tuple[float, MultiIndex], ...]
"""Coefficients of two or more derivatives, the first one."""


@dataclass(frozen=True, slots=True)
class Source:
    """Channels `start:stop` are f^(q) for the one q in `orders`, times a number each; or one channel is the
    sum over `orders` of f^(q) times a number each. These numbers are those of `parts` from `part` on."""

    orders: tuple[int, ...]
    start: int
    stop: int
    part: int


@dataclass(frozen=True)
class JetIndex:
    """The channels of a jet: `indices` (closed, value first), then one for each of `tops`.

    Every multi-index below one of `tops` is among `indices`.
    """

    dimension: int
    indices: tuple[MultiIndex, ...]
    tops: tuple[Combined, ...] = ()

    @property
    def size(self) -> int:
        """Number of channels."""
        return len(self.indices) + len(self.tops)

    @cached_property
    def order(self) -> int:
        """Highest total order of differentiation."""
        return max(sum(alpha) for terms in self.linear for _, alpha in terms)

    @cached_property
    def position(self) -> dict[MultiIndex, int]:
        """Channel of each multi-index."""
        return {index: k for k, index in enumerate(self.indices)}

    @cached_property
    def linear(self) -> tuple[Combined, ...]:
        """Per channel, the derivatives in it with their coefficients."""
        return (*(((1.0, alpha),) for alpha in self.indices), *self.tops)

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """(start, stop) of neighbouring channels that need none of one another: one order, and all tops."""
        kinds = [*map(sum, self.indices), *(-1 for _ in self.tops)]
        places = [0, *(k for k in range(1, self.size) if kinds[k] != kinds[k - 1]), self.size]
        return tuple(pairwise(places))

    @cached_property
    def parts(self) -> tuple[tuple[int, Combined], ...]:
        """Channel by channel, those of a function of affine features as sums of f^(q) times numbers: q, and
        the derivatives whose products of slopes are the number."""
        return tuple(
            (q, tuple(t for t in terms if sum(t[1]) == q)) for terms in self.linear for q in _orders(terms)
        )

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The channels in the order of `parts`, neighbours of one and the same order together."""
        found: list[Source] = []
        for k, terms in enumerate(self.linear):
            orders = _orders(terms)
            if found and len(orders) == 1 and found[-1].orders == orders:
                found[-1] = replace(found[-1], stop=k + 1)
            else:
                first = (
                    found[-1].part + max(found[-1].stop - found[-1].start, len(found[-1].orders))
                    if found
                    else 0
                )
                found.append(Source(orders, k, k + 1, first))
        return tuple(found)

    def along(self, axis: int) -> tuple[tuple[int, float], ...]:
        """Channels of a linear function of the coordinates that depend on its slope along `axis`, and how."""
        slope = unit(self.dimension, axis)
        return tuple((k, c) for k, terms in enumerate(self.linear) for c, alpha in terms if alpha == slope)

    @cached_property
    def composition(self) -> tuple[tuple[tuple[int, tuple[Monomial, ...]], ...], ...]:
        """Per channel, the terms (k, monomials) of f^(k), k >= 2; f' always multiplies the channel itself."""
        return tuple(_partitions(terms, self.position) for terms in self.linear)

    @cached_property
    def leibniz(self) -> tuple[tuple[Term, ...], ...]:
        """Per channel, the terms (coefficient, channel of a, channel of b) of the product a b."""
        rules: list[tuple[Term, ...]] = []
        for k, terms in enumerate(self.linear):
            inner = tuple(
                (c * _binomial(alpha, beta), self.position[beta], self.position[_minus(alpha, beta)])
                for c, alpha in terms
                for beta in product(*(range(n + 1) for n in alpha))
                if any(beta) and beta != alpha
            )
            rules.append((*((1.0, k, 0), (1.0, 0, k))[: 1 + (k > 0)], *inner))
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
        return tuple(tuple(_gathered(terms)) for terms in rules)

    @cached_property
    def square(self) -> tuple[tuple[Term, ...], ...]:
        """Per channel, the terms of the square of a jet that do not contain its value, with i <= j."""
        return tuple(
            tuple(_gathered((c, min(i, j), max(i, j)) for c, i, j in terms if i and j))
            for terms in self.leibniz
        )

    @cached_property
    def recurrence(self) -> tuple[tuple[Term, ...], ...]:
        """Per channel alpha, the terms (coefficient, channel of p, of h) of f(h)_alpha beside p h_alpha.

        f(h)_{beta+e_i} = (p h_i)_beta, by the axis i that makes the fewest terms.
        """
        return tuple(
            tuple(_gathered((c * b, i, j) for c, alpha in terms for b, i, j in self._recurrence(alpha)))
            for terms in self.linear
        )

    def _recurrence(self, alpha: MultiIndex) -> Iterator[Term]:
        rests = [_minus(alpha, unit(self.dimension, i)) for i, k in enumerate(alpha) if k]
        if not rests:
            return
        beta = min(rests, key=lambda rest: prod(k + 1 for k in rest))
        for gamma in product(*(range(k + 1) for k in beta)):
            if any(gamma):
                yield _binomial(beta, gamma), self.position[gamma], self.position[_minus(alpha, gamma)]

    @cached_property
    def inner(self) -> frozenset[int]:
        """The channels of p that `recurrence` needs."""
        return frozenset(i for terms in self.recurrence for _, i, _ in terms)


def _orders(terms: Combined) -> tuple[int, ...]:
    return tuple(sorted({sum(alpha) for _, alpha in terms}))


def unit(dimension: int, axis: int) -> MultiIndex:
    """The multi-index of one first derivative."""
    return tuple(int(i == axis) for i in range(dimension))


def _minus(alpha: MultiIndex, beta: MultiIndex) -> MultiIndex:
    return tuple(n - k for n, k in zip(alpha, beta, strict=True))


def _binomial(alpha: MultiIndex, beta: MultiIndex) -> float:
    return float(prod(comb(n, k) for n, k in zip(alpha, beta, strict=True)))


def _gathered(terms: Iterable[Term]) -> Iterator[Term]:
    """Terms of the same two channels added up."""
    together: dict[tuple[int, int], float] = {}
    for c, i, j in terms:
        together[i, j] = together.get((i, j), 0.0) + c
    return ((c, i, j) for (i, j), c in together.items() if c)


@dataclass(frozen=True)
class Plan:
    """An index, and what is asked for as sums of (coefficient, channel)."""

    index: JetIndex
    sums: tuple[tuple[tuple[float, int], ...], ...]


@lru_cache(maxsize=256)
def plan_of(
    dimension: int, wanted: tuple[Wanted, ...], lap_axes: tuple[int, ...], lap_factor: float = 1.0
) -> Plan:
    """The fewest channels that hold `wanted`; a Laplacian is `lap_factor` times the sum over `lap_axes`.

    What is carried anyway is left out of combinations. Combinations that share derivatives are carried only
    if they are fewer than these.
    """
    shapes = [_expanded(w, dimension, lap_axes, lap_factor) for w in wanted]
    alone = {(0,) * dimension, *(alpha for s in shapes if len(s) == 1 for alpha in s)}
    while True:
        carried = {beta for alpha in alone for beta in downward_closure([alpha])}
        carried |= {
            beta for s in shapes for alpha in s for beta in downward_closure([alpha]) if beta != alpha
        }
        tops = {_normal(s, carried) for s in shapes} - {()}
        more = {alpha for top in tops if _useless(top, tops) for _, alpha in top}
        if not more:
            break
        alone |= more
    index = JetIndex(dimension, downward_closure(carried), tuple(sorted(tops)))
    sums = []
    for s in shapes:
        terms = [(c, index.position[alpha]) for alpha, c in s.items() if alpha in index.position]
        top = _normal(s, carried)
        terms += [(s[top[0][1]], len(index.indices) + index.tops.index(top))] if top else []
        sums.append(tuple(terms))
    return Plan(index, tuple(sums))


def jet_index(dimension: int, wanted: tuple[Wanted, ...], lap_axes: tuple[int, ...]) -> JetIndex:
    """The index of `plan_of`."""
    return plan_of(dimension, wanted, lap_axes).index


def _expanded(
    wanted: Wanted, dimension: int, lap_axes: tuple[int, ...], lap_factor: float
) -> dict[MultiIndex, float]:
    """Coefficients by multi-index, with Laplacians written out."""
    found: dict[MultiIndex, float] = {}
    for c, orders, laplacian in shape_of(wanted):
        seconds = [tuple(2 * k for k in unit(dimension, axis)) for axis in lap_axes]
        for alpha in seconds if laplacian else [orders]:
            found[alpha] = found.get(alpha, 0.0) + c * (lap_factor if laplacian else 1.0)
    return {alpha: c for alpha, c in found.items() if c}


def _normal(shape: dict[MultiIndex, float], carried: set[MultiIndex]) -> Combined:
    """What of a combination is not `carried`, over its first coefficient, so that multiples are the same."""
    rest = [(alpha, c) for alpha, c in sorted(shape.items()) if alpha not in carried]
    return tuple((c / rest[0][1], alpha) for alpha, c in rest)


def _useless(top: Combined, tops: set[Combined]) -> bool:
    """Whether it is one derivative, or as many combinations as it has derivatives share them."""
    mine = {alpha for _, alpha in top}
    if len(top) == 1:
        return True
    sharing = [other for other in tops if not mine.isdisjoint(alpha for _, alpha in other)]
    return len(sharing) >= len({alpha for other in sharing for _, alpha in other})


def _partitions(
    terms: Combined, position: dict[MultiIndex, int]
) -> tuple[tuple[int, tuple[Monomial, ...]], ...]:
    """Faa di Bruno's monomials with two blocks or more, by the number of blocks."""
    counts: dict[tuple[int, ...], float] = {}
    for c, alpha in terms:
        elements = [axis for axis, k in enumerate(alpha) for _ in range(k)]
        for partition in _set_partitions(elements):
            if len(partition) >= 2:
                key = tuple(sorted(position[_index(block, len(alpha))] for block in partition))
                counts[key] = counts.get(key, 0.0) + c
    by_degree: dict[int, list[Monomial]] = {}
    for channels, count in sorted(counts.items()):
        factors = tuple(sorted(Counter(channels).items()))
        by_degree.setdefault(len(channels), []).append(Monomial(count, factors))
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
