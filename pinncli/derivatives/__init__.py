"""Derivative engines: the partial derivatives of a network with respect to its coordinates."""

from __future__ import annotations

from collections.abc import Callable

from pinncli.derivatives.base import Engine
from pinncli.derivatives.cellwise import Cellwise
from pinncli.derivatives.reverse import Reverse
from pinncli.derivatives.taylor import Taylor

ENGINES: dict[str, Callable[..., Engine]] = {"taylor": Taylor, "reverse": Reverse}
"""To add an engine: write one file beside `taylor.py` and one line here; the tests compare all of them."""

__all__ = ["ENGINES", "Cellwise", "Engine", "Reverse", "Taylor"]
