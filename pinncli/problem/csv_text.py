"""Tables of numbers in CSV text: the first row names the columns. Read with care, from anybody."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import numpy as np

from pinncli.problem.named_files import DataError
from pinncli.problem.source import printable

Array = np.ndarray[Any, np.dtype[np.float64]]


def read_csv(content: bytes) -> dict[str, Array]:
    """The columns (n,) by the names in the first row; raises `DataError`.

    Rows are counted from 1, the header not among them; empty lines and those of comments (#) are passed over.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("not UTF-8 text") from None
    lines = (line for line in io.StringIO(text, newline=None) if line.strip() and not line.startswith("#"))
    reader = csv.reader(lines, skipinitialspace=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header)
        values: list[float] = []
        for row, cells in enumerate(reader, 1):
            values += _numbers(cells, header, row)
    except csv.Error as error:
        raise DataError(f"not a CSV file: {error}") from None
    if not values:
        raise DataError("there are no rows")
    table = np.array(values, dtype=np.float64).reshape(-1, len(header))
    return {name: np.ascontiguousarray(table[:, k]) for k, name in enumerate(header)}


def _check_header(header: list[str]) -> None:
    if not header:
        raise DataError("is empty; the first row should name the columns")
    if len(header) > 1000:
        raise DataError("more than 1000 columns")
    if all(_is_number(name) for name in header):
        raise DataError("the first row should name the columns, not hold numbers")
    for position, name in enumerate(header, 1):
        if not name:
            raise DataError(f"column {position} has no name in the first row")
        if name in header[: position - 1]:
            raise DataError(f"two columns are named '{printable(name, 40)}'")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python's own way of writing 1_000


def _numbers(cells: list[str], header: list[str], row: int) -> list[float]:
    if len(cells) != len(header):
        raise DataError(f"row {row} has {len(cells)} entries, the first row names {len(header)} columns")
    try:
        numbers = [float(cell) for cell in cells]
        if all(map(math.isfinite, numbers)) and not any("_" in cell for cell in cells):
            return numbers
    except ValueError:
        pass
    for name, cell in zip(header, cells, strict=True):
        place = f"row {row}, column '{printable(name, 40)}'"
        if not cell.strip():
            raise DataError(f"{place}: no value")
        if not _is_number(cell):
            raise DataError(f"{place}: '{printable(cell, 40)}' is not a number")
        if not math.isfinite(float(cell)):
            raise DataError(f"{place}: {float(cell)} is not a finite number")
    raise DataError(f"row {row}: not numbers")
