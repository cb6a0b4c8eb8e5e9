"""Field sets made of a field set: complex unknowns in polar form, and unknowns on their own coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pinncli.evaluation import FieldSet

PHASE = "arg "
"""How the name of a phase begins."""
_NO_PHASE = 1e-3
"""Part of the largest modulus below which a phase means nothing."""


def complex_names(names: Sequence[str]) -> list[str]:
    """The complex unknowns `h` of which there are `h_real` and `h_imag`."""
    bases = [name.removesuffix("_real") for name in names if name.endswith("_real")]
    return [base for base in bases if f"{base}_imag" in names]


def in_polar_form(fields: FieldSet, base: str) -> FieldSet:
    """Modulus `|h|` and phase `arg h`, with reference and error; the phase of what is nearly zero is NaN."""
    values = _complex(fields, "", base)
    made = {f"|{base}|": np.abs(values), f"{PHASE}{base}": _phase(values)}
    if f"reference_{base}_real" in fields.fields and f"reference_{base}_imag" in fields.fields:
        true = _complex(fields, "reference_", base)
        made |= {f"reference_|{base}|": np.abs(true), f"reference_{PHASE}{base}": _phase(true)}
        made[f"error_|{base}|"] = np.abs(values) - np.abs(true)
        turned = np.angle(values * np.conj(true))  # within (-pi, pi], across the cut, too
        made[f"error_{PHASE}{base}"] = np.where(np.isfinite(_phase(true)), turned, np.nan)
    return replace(fields, fields={**fields.fields, **made})


def on_own_axes(fields: FieldSet, name: str, of: Sequence[str]) -> FieldSet:
    """An unknown of fewer coordinates, with its reference and error, without the coordinates it lacks."""
    index = tuple(slice(None) if n in of else 0 for n in fields.coordinates)
    names = [n for n in (name, f"reference_{name}", f"error_{name}") if n in fields.fields]
    return replace(
        fields,
        coordinates={n: axis for n, axis in fields.coordinates.items() if n in of},
        fields={n: fields.fields[n][index] for n in names},
        axes={n: axis for n, axis in fields.axes.items() if n in of},
    )


def _complex(fields: FieldSet, prefix: str, base: str) -> NDArray[np.complex128]:
    real, imag = (np.asarray(fields.fields[f"{prefix}{base}_{part}"]) for part in ("real", "imag"))
    return real + 1j * imag


def _phase(values: NDArray[np.complex128]) -> NDArray[np.float64]:
    sizes = np.abs(values)
    finite = sizes[np.isfinite(sizes)]
    least = _NO_PHASE * float(finite.max()) if finite.size else 0.0
    return np.where(sizes > least, np.angle(values), np.nan)
