"""Composition of a function with a jet, in as few passes over memory as we know of.

With p = f'(h), a variation of h changes the jet of f(h) by p times it, so that the backward pass is
the product with the jet of p transposed, whatever f is (`JetIndex.leibniz`):

    d [f(h)]_alpha = sum_{beta <= alpha} C(alpha, beta) p_{alpha-beta} d h_beta

Where p follows from f(h), both jets come from recurrences, which take far fewer passes than Faa di
Bruno's formula (Griewank & Walther 2008, section 13.2; `JetIndex.recurrence`, `JetIndex.square`):

    f(h)_{beta+e_i} = (p h_i)_beta      tanh: p = 1 - f^2,  p_alpha = -(f^2)_alpha
    sin, cos: each is the other's p up to the sign      exp: p = f
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from pinncli.derivatives.elementwise import ELEMENTWISE, derivatives, fast_tanh
from pinncli.derivatives.jet_index import JetIndex, Monomial

Composed = tuple[Tensor, Tensor]
"""Channels (S, w, n) of f(h), and of f'(h) or at least of those that are asked for."""


def compose(h: Tensor, name: str, index: JetIndex, slope: bool) -> Composed:
    """Channels (S, w, n) of h -> channels of f(h), and those of f'(h) where `slope`."""
    rule = RECURRENCES.get(name)
    if rule is not None:
        return rule(h, index, slope)
    f = derivatives(name, h[0], index.order + slope)
    return _faa_di_bruno(h, f, index), _faa_di_bruno(h, f[1:], index) if slope else h


def product_transposed(grad: Tensor, factor: Tensor, index: JetIndex, out: Tensor) -> Tensor:
    """Cotangents (S, w, n) of the product of a jet and `factor` (S, w, n) -> cotangents of the jet, in `out`.

    That may be `grad` itself: a channel's cotangent has no need of those before it.
    """
    g, p = grad.unbind(), factor.unbind()
    rows = g if out is grad else out.unbind()
    for i, terms in enumerate(index.transposed):
        torch.mul(g[i], p[0], out=rows[i])
        for c, alpha, j in terms:
            rows[i].addcmul_(g[alpha], p[j], value=c)
    return out


def _tanh(h: Tensor, index: JetIndex, slope: bool) -> Composed:
    value, slopes = torch.empty_like(h), torch.empty_like(h)
    x, f, p = h.unbind(), value.unbind(), slopes.unbind()
    fast_tanh(x[0], out=f[0])
    torch.addcmul(_number(1.0, h), f[0], f[0], value=-1.0, out=p[0])
    if index.size > 1:
        torch.mul(h[1:], p[0], out=value[1:])
    for start, stop in index.runs[1:]:
        for alpha in range(start, stop):
            for c, i, j in index.recurrence[alpha]:
                f[alpha].addcmul_(p[i], x[j], value=c)
        if slope or not index.inner.isdisjoint(range(start, stop)):
            _minus_square(value, slopes, index, start, stop)
    return value, slopes


def _minus_square(value: Tensor, slopes: Tensor, index: JetIndex, start: int, stop: int) -> None:
    """Channels `start:stop` of -f^2, of which none is the value."""
    zero = _number(0.0, value)
    torch.addcmul(zero, value[start:stop], value[0], value=-2.0, out=slopes[start:stop])
    for alpha in range(start, stop):
        for c, i, j in index.square[alpha]:
            slopes[alpha].addcmul_(value[i], value[j], value=-c)


def _number(number: float, like: Tensor) -> Tensor:
    """A number () for operations that add tensors only."""
    return _constant(number, like.dtype, like.device)


@lru_cache(maxsize=64)
def _constant(number: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(number, dtype=dtype, device=device)


def _exp(h: Tensor, index: JetIndex, _: bool) -> Composed:
    value = torch.empty_like(h)
    x, f = h.unbind(), value.unbind()
    torch.exp(x[0], out=f[0])
    torch.mul(h[1:], f[0], out=value[1:])
    for alpha in range(1, index.size):
        for c, i, j in index.recurrence[alpha]:
            f[alpha].addcmul_(f[i], x[j], value=c)
    return value, value


def _sine(h: Tensor, index: JetIndex, slope: bool) -> Composed:
    return _waves(h, index, slope, 1.0)


def _cosine(h: Tensor, index: JetIndex, slope: bool) -> Composed:
    return _waves(h, index, slope, -1.0)


def _waves(h: Tensor, index: JetIndex, slope: bool, sign: float) -> Composed:
    """sin (sign 1) or cos (sign -1), and sign times the other: s_i = p h_i, p_i = -s h_i for both."""
    value, slopes = torch.empty_like(h), torch.empty_like(h)
    x, f, p = h.unbind(), value.unbind(), slopes.unbind()
    first, second = (torch.sin, torch.cos) if sign > 0 else (torch.cos, torch.sin)
    first(x[0], out=f[0])
    second(x[0], out=p[0])
    if sign < 0:
        p[0].neg_()
    torch.mul(h[1:], p[0], out=value[1:])
    minus = -f[0]
    for alpha in range(1, index.size):
        for c, i, j in index.recurrence[alpha]:
            f[alpha].addcmul_(p[i], x[j], value=c)
        if slope or alpha in index.inner:
            torch.mul(minus, x[alpha], out=p[alpha])
            for c, i, j in index.recurrence[alpha]:
                p[alpha].addcmul_(f[i], x[j], value=-c)
    return value, slopes


RECURRENCES: dict[str, Callable[[Tensor, JetIndex, bool], Composed]] = {
    "tanh": _tanh,
    "sin": _sine,
    "cos": _cosine,
    "exp": _exp,
}
"""Functions whose slope follows from their value; the others take Faa di Bruno's formula twice."""


def _faa_di_bruno(h: Tensor, f: Sequence[Tensor], index: JetIndex) -> Tensor:
    """Channels of f(h) from f, f', ... at the value of h."""
    out = torch.empty_like(h)
    out[0] = f[0]
    if index.size > 1:
        torch.mul(h[1:], f[1], out=out[1:])
    for alpha, rule in enumerate(index.composition):
        for k, monomials in rule:
            out[alpha].addcmul_(_sum(monomials, h), f[k])
    return out


def _sum(monomials: Sequence[Monomial], h: Tensor) -> Tensor:
    total: Tensor | None = None
    for monomial in monomials:
        *head, last = [h[channel] for channel, power in monomial.factors for _ in range(power)]
        term = head[0]
        for factor in head[1:]:
            term = term * factor
        if total is None:
            total = term * last
            if monomial.coefficient != 1.0:
                total *= monomial.coefficient
        else:
            total = total.addcmul_(term, last, value=monomial.coefficient)
    assert total is not None  # noqa: S101  (a rule has at least one monomial)
    return total


def compose_plain(h: Tensor, name: str, index: JetIndex) -> Tensor:
    """Channels of f(h) by operations that may be differentiated any number of times."""
    f = ELEMENTWISE[name](h[0], index.order)
    rows = [f[0]]
    for alpha, rule in enumerate(index.composition[1:], start=1):
        row = f[1] * h[alpha]
        for k, monomials in rule:
            for monomial in monomials:
                term = f[k] * monomial.coefficient
                for channel, power in monomial.factors:
                    term = term * h[channel] ** power
                row = row + term
        rows.append(row)
    return torch.stack(rows)
