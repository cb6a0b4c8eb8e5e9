"""JSON as pinncli writes and reads it: strict, so that every other tool reads it too.

Numbers that JSON has no word for (NaN, infinities) are written as null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pinncli.errors import CorruptError


def plain(value: object) -> Any:
    """The value in JSON's own types; numpy and torch scalars become Python's. Raises TypeError."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        return plain(value.item())
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def dumps(value: object) -> str:
    """One line of ASCII."""
    return json.dumps(plain(value), allow_nan=False)


def canonical(value: object) -> bytes:
    """The same bytes for equal values: sorted keys, no blanks."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def loads(data: bytes, where: str) -> Any:
    """Parse; raises CorruptError that says where."""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{where}: not readable as JSON ({error})") from None
