"""The small notations of the command line: times, grids, points."""

from __future__ import annotations

import math
import re

from pinncli.errors import UsageError

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([dhms]?)")


def parse_time(text: str, option: str) -> float:
    """Seconds of `90`, `60s`, `5m`, `1h30m`, `2d`."""
    parts = _TIME.findall(text)
    whole = "".join(number + unit for number, unit in parts)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not parts or whole != text or seconds <= 0:
        raise UsageError(f"{option}: '{text}' is not a time; write it as 60s, 5m or 1h30m")
    return seconds


def parse_grid(text: str, option: str) -> dict[str, int]:
    """`x=401,t=201` as points per coordinate."""
    sizes: dict[str, int] = {}
    for name, value in _pairs(text, option, "x=401,t=201"):
        if not re.fullmatch(r"\d{1,9}", value) or int(value) < 1:
            raise UsageError(f"{option}: '{name}={value}' needs a whole number of points, as in x=401,t=201")
        sizes[name] = int(value)
    return sizes


def parse_point(text: str, option: str) -> dict[str, float]:
    """`t=0.5` or `x=0,t=0.5` as fixed coordinates."""
    point: dict[str, float] = {}
    for name, value in _pairs(text, option, "t=0.5"):
        try:
            point[name] = float(value)
        except ValueError:
            point[name] = math.nan
        if not math.isfinite(point[name]):
            raise UsageError(f"{option}: '{name}={value}' needs a number, as in t=0.5")
    return point


def check_positive(value: float | None, option: str) -> float | None:
    """The number, if it is finite and above zero."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise UsageError(f"{option}: {value:g} is not a positive number, such as 1e-4")
    return value


def _pairs(text: str, option: str, example: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for item in text.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not (name and equals and value):
            raise UsageError(f"{option}: '{item.strip()}' is not NAME=VALUE, as in {example}")
        if name in dict(pairs):
            raise UsageError(f"{option}: '{name}' is given twice")
        pairs.append((name, value))
    return pairs
