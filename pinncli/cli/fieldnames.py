"""What the fields of a field set are called, and how an axis is labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinncli.evaluation import FieldSet


def component_names(fields: FieldSet) -> list[str]:
    """The solution's fields: neither residual nor reference nor error, and not the mask."""
    derived = ("residual_", "reference_", "error_")
    return [n for n in fields.fields if not n.startswith(derived) and n != "mask"]


def residual_names(fields: FieldSet) -> list[str]:
    """The residual maps."""
    return [n for n in fields.fields if n.startswith("residual_")]


def label(fields: FieldSet, name: str) -> str:
    """`x`, or `x (m)` where there is a unit."""
    unit = fields.units.get(name, "1")
    return name if unit in ("", "1") else f"{name} ({unit})"
