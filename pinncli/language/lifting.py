"""Lift G and factor D with which u = G + D N meets what is given on sides, whatever N is.

Along one coordinate on [low, high], with L = high - low, s = (x - low)/L and r = 1 - s, a number `a` of
data at the lower end (1: the value, 2: value and slope) and `b` at the upper, the interpolant P u is

    (1, 0)  u0                                (2, 0)  u0 + L sigma s/(s + sigma) u0'
    (1, 1)  r u0 + s u1                       (2, 1)  (1 - s^2) u0 + L s r u0' + s^2 u1
    (2, 2)  (1 + 2 s) r^2 u0 + L s r^2 u0' + (1 + 2 r) s^2 u1 - L r s^2 u1'       (Hermite)

and mirrored. Over several coordinates it is their Boolean sum (Gordon & Hall 1973),
G <- G + P_k (u - G) coordinate by coordinate, which holds everything given if the data agree where
sides meet. The factor is the product over coordinates of

    ((1 + sigma) s/(s + sigma))^a             data at the lower end only, mirrored at the upper
    s^a r^b / max(s^a r^b)                    data at both

It vanishes to exactly the order of the data and is of order one elsewhere: s^a alone would, over a long
time, be nearly zero just where the solution starts, and N would have to be huge there. The quotient is
linear in 1/s, so that N = (u - G)/D is as smooth as u - G: it has no poles but the one that u - G cancels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

from pinncli.language.algebra import ONE, ZERO, Expr, add, div, mul, number, power, replace, sub
from pinncli.language.given import Given, Ranges
from pinncli.language.jets import Jets
from pinncli.language.lowering import lower
from pinncli.language.partials import MultiIndex
from pinncli.language.program import Program

SIGMA_TIME, SIGMA_SPACE = 0.25, 1.0
"""Part of time, or of another coordinate, over which a factor with data at one end alone saturates. Time
may be long against what happens in it; in space a sharp factor spoils derivatives of high order."""

_TWO = number(2.0)


def lift_of(jets: Jets, data: Sequence[Given], ranges: Ranges) -> Expr:
    """G of one component; raises `AlgebraError` where it grows too large."""
    lift = ZERO
    for axis in sorted({d.axis for d in data}):
        mine = [d for d in data if d.axis == axis]
        weights = _weights(jets, axis, mine, ranges)
        gaps = [mul(weights[d.high, d.order], sub(d.formula, _on_side(jets, lift, d, ranges))) for d in mine]
        lift = add(lift, *gaps)
    return lift


def factor_of(jets: Jets, data: Sequence[Given], ranges: Ranges) -> Expr:
    """D of one component: one where nothing is given."""
    factors = []
    for axis in sorted({d.axis for d in data}):
        s, r = _shares(jets, axis, ranges)
        a, b = (sum(d.axis == axis and d.high == high for d in data) for high in (False, True))
        if a and b:
            most = (a / (a + b)) ** a * (b / (a + b)) ** b
            factors.append(mul(number(1.0 / most), _power(s, a), _power(r, b)))
        else:
            sigma = _sigma(jets, axis)
            factors.append(_power(mul(add(ONE, sigma), _saturating(s if a else r, sigma)), a or b))
    return mul(*factors) if factors else ONE


def gaps_of(jets: Jets, lift: Expr, data: Sequence[Given], ranges: Ranges) -> Program:
    """Per datum two outputs: what the lift misses on its side, and what was given; all zero if data agree."""
    pairs = [(sub(_on_side(jets, lift, d, ranges), d.formula), d.formula) for d in data]
    return lower([part for pair in pairs for part in pair], jets)


def roots_of(jets: Jets, data: Sequence[Given]) -> Program:
    """Everything that a formula of `data` takes a root of: no derivative exists where it vanishes."""
    found: dict[Expr, None] = {}
    stack = [d.formula for d in data]
    while stack:
        part = stack.pop()
        if part.is_Pow and not part.args[1].is_Integer and part.args[0].free_symbols:
            found[part.args[0]] = None
        stack += part.args
    return lower(list(found), jets)


def seam_of(jets: Jets, lift: Expr, axis: int, order: int, ranges: Ranges) -> Program:
    """Per derivative by a coordinate from 0 to `order`, its values at the lower and the upper end."""
    name, outputs = jets.scope.coordinates[axis], []
    scale = number(ranges[axis][1] - ranges[axis][0])
    for _ in range(order + 1):
        outputs += [_at(jets, lift, axis, end) for end in ranges[axis]]
        lift = mul(scale, jets.derivative(lift, name))
    return lower(outputs, jets)


def channels_of(jets: Jets, formulas: Sequence[Expr], indices: Iterable[MultiIndex]) -> Program:
    """Every derivative of every formula: outputs by multi-index, then by formula.

    `indices` are downward closed with lower orders first. Raises `AlgebraError` where one grows too large.
    """
    known: dict[MultiIndex, list[Expr]] = {}
    for index in indices:
        if not any(index):
            known[index] = list(formulas)
            continue
        axis = max(k for k, order in enumerate(index) if order)
        below = known[tuple(order - (k == axis) for k, order in enumerate(index))]
        known[index] = [jets.derivative(f, jets.scope.coordinates[axis]) for f in below]
    return lower([f for index in known.values() for f in index], jets)


def _shares(jets: Jets, axis: int, ranges: Ranges) -> tuple[Expr, Expr]:
    """s and 1 - s as formulas that are exactly 0 at their ends."""
    low, high = (number(end) for end in ranges[axis])
    x, length = jets.coordinate(jets.scope.coordinates[axis]), sub(high, low)
    return div(sub(x, low), length), div(sub(high, x), length)


def _sigma(jets: Jets, axis: int) -> Expr:
    return number(SIGMA_TIME if jets.scope.coordinates[axis] == jets.scope.time else SIGMA_SPACE)


def _saturating(s: Expr, sigma: Expr) -> Expr:
    return div(s, add(s, sigma))


def _power(base: Expr, exponent: int) -> Expr:
    return base if exponent == 1 else power(base, number(float(exponent)))


def _weights(jets: Jets, axis: int, data: Sequence[Given], ranges: Ranges) -> dict[tuple[bool, int], Expr]:
    """The interpolant's functions, one for every datum of this coordinate by (upper, order)."""
    s, r = _shares(jets, axis, ranges)
    length = sub(*(number(end) for end in reversed(ranges[axis])))
    counts = [sum(d.high == high for d in data) for high in (False, True)]
    weights: dict[tuple[bool, int], Expr] = {}
    for high in (False, True):
        mine, other = counts[high], counts[not high]
        s, r = (r, s) if high else (s, r)
        out = mul(number(-1.0), length) if high else length  # d/dx of the distance from this end, inverted
        if mine and not other:
            weights[high, 0] = ONE
            sigma = _sigma(jets, axis)
            weights[high, 1] = mul(out, sigma, _saturating(s, sigma))
        elif mine == 1:
            weights[high, 0] = r if other == 1 else _power(r, 2)
        elif mine:
            weights[high, 0] = (
                sub(ONE, _power(s, 2)) if other == 1 else mul(add(ONE, mul(_TWO, s)), _power(r, 2))
            )
            weights[high, 1] = mul(out, s, _power(r, other))
        s, r = (r, s) if high else (s, r)
    return weights


def _on_side(jets: Jets, formula: Expr, datum: Given, ranges: Ranges) -> Expr:
    """The value or slope of `formula` where `datum` is given."""
    name = jets.scope.coordinates[datum.axis]
    derived = reduce(lambda f, _: jets.derivative(f, name), range(datum.order), formula)
    return _at(jets, derived, datum.axis, ranges[datum.axis][datum.high])


def _at(jets: Jets, formula: Expr, axis: int, end: float) -> Expr:
    symbol, value = jets.coordinate(jets.scope.coordinates[axis]), number(end)
    return replace(formula, lambda s: value if s == symbol else s)
