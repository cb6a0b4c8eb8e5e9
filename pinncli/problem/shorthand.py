"""The short ways of writing a problem spelled out: lists for tables, and numbers written as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.diagnostics import LanguageError
from pinncli.language.parser import parse_expression
from pinncli.problem.source import KeyPath, SourceMap

Numbers = Mapping[str, float]


def spell_out(data: Mapping[str, Any], source: SourceMap) -> tuple[dict[str, Any], list[Diagnostic]]:
    """`data` in the shape of the model, and what is wrong with the numbers written as text.

    `unknowns = ["u"]` becomes a table, `x = [0, 1]` a coordinate, `"0.01/pi"` a number; `t` is
    time where nothing else is said. What has the wrong type is left for the model to refuse; a
    number that cannot be computed becomes 1 so that the rest can still be checked.
    """
    findings: list[Diagnostic] = []
    full = dict(data)
    numbers: dict[str, float] = {}
    if isinstance(data.get("constants"), dict):
        full["constants"] = {}
        for name, value in data["constants"].items():
            path = ("constants", name)
            full["constants"][name] = result = _number(value, path, numbers, source, findings)
            if isinstance(result, int | float) and not isinstance(result, bool):
                numbers[name] = _as_float(result)
    if isinstance(data.get("coordinates"), dict):
        full["coordinates"] = {
            name: _coordinate(name, value, numbers, source, findings)
            for name, value in data["coordinates"].items()
        }
    if isinstance(data.get("unknowns"), list):
        full["unknowns"] = _unknowns(data["unknowns"], source, findings)
    if isinstance(data.get("parameters"), dict):
        full["parameters"] = {
            name: _parameter(name, value, numbers, source, findings)
            for name, value in data["parameters"].items()
        }
    return full, findings


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _coordinate(
    name: str, value: Any, numbers: Numbers, source: SourceMap, findings: list[Diagnostic]
) -> Any:
    table = {"range": value} if isinstance(value, list) else value
    if not isinstance(table, dict):
        return table
    path: KeyPath = ("coordinates", name) if isinstance(value, list) else ("coordinates", name, "range")
    if isinstance(table.get("range"), list):
        ends = [_number(v, (*path, k), numbers, source, findings) for k, v in enumerate(table["range"])]
        table = {**table, "range": ends}
    return {"kind": "time", **table} if name == "t" else table


def _unknowns(names: list[Any], source: SourceMap, findings: list[Diagnostic]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for position, name in enumerate(names):
        path: KeyPath = ("unknowns", position)
        if not isinstance(name, str):
            findings.append(source.diagnose(path, "should be a name in quotes", where=("unknowns",)))
        elif name in table:
            findings.append(source.diagnose(path, f"'{name}' is there twice", where=("unknowns",)))
        else:
            table[name] = {}
    return table


def _parameter(name: str, value: Any, numbers: Numbers, source: SourceMap, findings: list[Diagnostic]) -> Any:
    if not isinstance(value, dict):
        return value
    path = ("parameters", name)
    table = dict(value)
    for key in ("initial", "exact"):
        if key in table:
            table[key] = _number(table[key], (*path, key), numbers, source, findings)
    if isinstance(table.get("bounds"), list):
        table["bounds"] = [
            _number(v, (*path, "bounds", k), numbers, source, findings) for k, v in enumerate(table["bounds"])
        ]
    return table


def _number(
    value: Any, path: KeyPath, numbers: Numbers, source: SourceMap, findings: list[Diagnostic]
) -> Any:
    """`value`, computed where it is text; 1.0 and a finding where that fails."""
    if not isinstance(value, str):
        return value
    where = path[:-1] if isinstance(path[-1], int) else path
    try:
        result = evaluate(value, numbers)
    except LanguageError as error:
        findings += [
            source.diagnose(path, f.message, text=value, span=f.span, where=where, hint=f.hint)
            for f in error.findings
        ]
        return 1.0
    if math.isfinite(result):
        return result
    message = f"should be a finite number, not {result}"
    findings.append(source.diagnose(path, message, text=value, span=(0, len(value)), where=where))
    return 1.0


def evaluate(text: str, numbers: Numbers) -> float:
    """The number that `text` stands for, with the names in `numbers`; raises `LanguageError`."""
    from pinncli.language.calculus import Scope, compile_expression  # noqa: PLC0415  (sympy)
    from pinncli.language.functions import NUMPY  # noqa: PLC0415

    try:
        return float(text)
    except ValueError:
        node = parse_expression(text)
    scope = Scope((), (), None, {}, numbers, (), {}, {})
    with np.errstate(all="ignore"):
        return float(compile_expression(node, scope).run([], NUMPY)[0])
