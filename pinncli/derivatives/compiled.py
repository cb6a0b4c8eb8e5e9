"""Compiled kernels of the jet activations: one pass over memory forward, one backward.

The eager rules of `jet.py` and `affine.py` run one kernel per term of Faa di Bruno's formula, and
every term reads and writes whole channels. Here the same formulas are traced once as straight-line
code for an activation and an index set and given to torch.compile, which makes each of them a single
loop. The number of points stays free. A C++ compiler is needed at run time, and seconds per kernel.

A layer is then the matrix product and one kernel. `prepare_compiler` says where the compiler works.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from operator import add, mul
from typing import Any

import torch
from torch import Tensor

from pinncli.derivatives.elementwise import ELEMENTWISE, FROM_VALUE
from pinncli.derivatives.jet_index import JetIndex, Monomial

Kernel = Callable[..., Any]


@lru_cache(maxsize=1)
def prepare_compiler() -> None:
    """Let the compiler write to a temporary folder of this process, removed at its exit, and start no others.

    Settings that the environment already holds are kept.
    """
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="pinncli-compile-")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


@lru_cache(maxsize=64)
def compose_forward(name: str, index: JetIndex) -> Kernel:
    """channels of h (S, w, n) -> channels of f(h)."""

    def formula(h: Any) -> Any:
        f = ELEMENTWISE[name](h[0], index.order)
        rows = [f[0]]
        for alpha in range(1, index.size):
            terms = [_total(monomials, h) * f[k] for k, monomials in index.composition[alpha]]
            rows.append(reduce(add, [f[1] * h[alpha], *terms]))
        return torch.stack(rows)

    return _compiled(formula)


@lru_cache(maxsize=64)
def compose_backward(name: str, index: JetIndex) -> Kernel:
    """Cotangents (S, w, n) of f(h), channels of h and the value f(h) (w, n) -> cotangents of h."""

    def formula(grad: Any, h: Any, value: Any) -> Any:
        f = _derivatives(name, h[0], value, index.order + 1)
        result = [grad[k] * f[1] for k in range(index.size)]
        for alpha in range(1, index.size):
            result[0] = result[0] + grad[alpha] * h[alpha] * f[2]
            for k, monomials in index.composition[alpha]:
                result[0] = result[0] + grad[alpha] * f[k + 1] * _total(monomials, h)
                weighted = grad[alpha] * f[k]
                for monomial in monomials:
                    for channel, power in monomial.factors:
                        rest = _product(_without(monomial, channel), h)
                        result[channel] = result[channel] + weighted * rest * (monomial.coefficient * power)
        return torch.stack(result)

    return _compiled(formula)


@lru_cache(maxsize=64)
def affine_forward(name: str, index: JetIndex) -> Kernel:
    """Value (w, n) of h and factors (P, w) of the channels' parts -> channels of f(h)."""

    def formula(h: Any, factors: Any) -> Any:
        f = ELEMENTWISE[name](h, index.order)
        return torch.stack([_mixture(terms, f, factors) for terms in _parts_of_channels(index)])

    return _compiled(formula)


@lru_cache(maxsize=64)
def affine_backward(name: str, index: JetIndex) -> Kernel:
    """Cotangents (S, w, n), value (w, n) of h, f(h), factors (P, w) -> cotangents of value and factors."""

    def formula(grad: Any, h: Any, value: Any, factors: Any) -> tuple[Any, Any]:
        f = _derivatives(name, h, value, index.order + 1)
        channels = _parts_of_channels(index)
        terms = [grad[k] * _mixture(terms, f[1:], factors) for k, terms in enumerate(channels)]
        along = [(grad[k] * f[order]).sum(1) for k, terms in enumerate(channels) for _, order in terms]
        return reduce(add, terms), torch.stack(along)

    return _compiled(formula)


def _parts_of_channels(index: JetIndex) -> list[list[tuple[int, int]]]:
    """Per channel, the numbers and orders of its parts."""
    numbered = iter(enumerate(order for order, _ in index.parts))
    counts = [len({sum(alpha) for _, alpha in terms}) for terms in index.linear]
    return [[next(numbered) for _ in range(count)] for count in counts]


def _mixture(parts: Sequence[tuple[int, int]], f: Any, factors: Any) -> Any:
    return reduce(add, [f[order] * factors[k].unsqueeze(1) for k, order in parts])


def _compiled(formula: Kernel) -> Kernel:
    """The formula as straight-line code, compiled at its first call for any number of points."""
    prepare_compiler()
    return torch.compile(torch.fx.symbolic_trace(formula), dynamic=True, fullgraph=True)


def _derivatives(name: str, h: Tensor, value: Tensor, order: int) -> list[Tensor]:
    return FROM_VALUE[name](value, order) if name in FROM_VALUE else ELEMENTWISE[name](h, order)


def _total(monomials: Sequence[Monomial], h: Tensor) -> Tensor:
    return reduce(add, [_product(m.factors, h) * m.coefficient for m in monomials])


def _product(factors: Sequence[tuple[int, int]], h: Tensor) -> Tensor:
    return reduce(mul, [h[channel] for channel, power in factors for _ in range(power)])


def _without(monomial: Monomial, channel: int) -> tuple[tuple[int, int], ...]:
    """The monomial's factors with one of `channel` less; never empty, since its degree is at least 2."""
    return tuple((c, power - (c == channel)) for c, power in monomial.factors)
