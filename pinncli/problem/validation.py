"""From the TOML data to the `Problem` model, every complaint of pydantic turned into a diagnostic."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pinncli.errors import Diagnostic
from pinncli.language.diagnostics import nearest
from pinncli.problem import model, settings
from pinncli.problem.source import KeyPath, SourceMap, printable

MAX_COMPLAINTS = 200
SETTINGS = frozenset(
    (
        *("network", "sampling", "derivatives", "stages", "output", "marching", "curriculum"),
        *("training", "accuracy"),
    )
)
"""Tables that say how to solve: a mistake there leaves the mathematics readable."""

_OPTIMISERS: dict[str, type[BaseModel]] = {
    "adam": settings.AdamSettings,
    "soap": settings.SoapSettings,
    "lbfgs": settings.LbfgsSettings,
    "bfgs": settings.QuasiNewtonSettings,
    "ssbfgs": settings.QuasiNewtonSettings,
    "ssbroyden": settings.QuasiNewtonSettings,
    "lm": settings.LevenbergMarquardtSettings,
    "lsq": settings.LeastSquaresSettings,
    "engd_w": settings.EngdSettings,
    "spring": settings.SpringSettings,
    "hessian_free": settings.HessianFreeSettings,
}
_NETWORKS: dict[str, type[BaseModel]] = {
    "auto": settings.AutoNetworkSettings,
    "mlp": settings.MlpSettings,
    "gated": settings.GatedSettings,
    "piratenet": settings.PirateNetSettings,
    "features": settings.FeatureSettings,
    "local": settings.LocalSettings,
}
_KINDS: dict[str, dict[str, type[BaseModel]]] = {"optimiser": _OPTIMISERS, "network": _NETWORKS}
"""By the key of a table with a `kind`, its model for each."""

_TABLES: dict[tuple[str, ...], type[BaseModel]] = {
    (): model.Problem,
    ("coordinates", "*"): model.Coordinate,
    ("unknowns", "*"): model.Unknown,
    ("parameters", "*"): model.Parameter,
    ("functions", "*"): model.Function,
    ("shapes", "*"): model.ShapeFile,
    ("conditions", "*"): model.Condition,
    ("reference_data",): model.ReferenceData,
    ("network", "fourier"): settings.FourierSettings,
    ("network", "factorised"): settings.FactorisedSettings,
    ("sampling",): settings.SamplingSettings,
    ("sampling", "resample"): settings.ResampleSettings,
    ("derivatives",): settings.DerivativeSettings,
    ("stages", "*"): settings.StageSettings,
    ("output",): settings.OutputSettings,
    ("marching",): settings.MarchingSettings,
    ("curriculum", "*"): settings.CurriculumSettings,
    ("training",): settings.TrainingSettings,
    ("training", "balance"): settings.BalanceSettings,
    ("training", "attention"): settings.AttentionSettings,
    ("training", "causal"): settings.CausalSettings,
    **{("stages", "*", "optimiser", kind): table for kind, table in _OPTIMISERS.items()},
    **{("network", kind): table for kind, table in _NETWORKS.items()},
}
"""The model of every table in a problem file, to name the keys that it has."""


def _number_wanted(kind: str) -> Callable[[ErrorDetails], str]:
    return lambda error: f"should be {kind}, not {shown(error['input'])}"


_SHORT = {
    "coordinates": (2, "a range such as [0, 1], or a table"),
    "unknowns": (1, "a list of names, or a table"),
}
"""Depth of what may be written shorter than as a table, and how."""

_MESSAGES: dict[str, Callable[[ErrorDetails], str]] = {
    "int_type": _number_wanted("a whole number"),
    "int_parsing_size": _number_wanted("a smaller whole number"),
    "int_from_float": _number_wanted("a whole number"),
    "float_type": _number_wanted("a number"),
    "finite_number": _number_wanted("a finite number"),
    "string_type": _number_wanted("text"),
    "tuple_type": _number_wanted("a list"),
    "dict_type": _number_wanted("a table"),
    "model_type": _number_wanted("a table"),
    "model_attributes_type": _number_wanted("a table"),
    "greater_than": lambda e: f"should be greater than {e['ctx']['gt']:g}, not {shown(e['input'])}",
    "greater_than_equal": lambda e: f"should be at least {e['ctx']['ge']:g}, not {shown(e['input'])}",
    "less_than": lambda e: f"should be less than {e['ctx']['lt']:g}, not {shown(e['input'])}",
    "less_than_equal": lambda e: f"should be at most {e['ctx']['le']:g}, not {shown(e['input'])}",
    "too_long": lambda e: f"should have {e['ctx']['max_length']} entries, has {e['ctx']['actual_length']}",
    "too_short": lambda e: f"should not have fewer entries than {e['ctx']['min_length']}",
    "literal_error": lambda e: f"should be {e['ctx']['expected']}, not {shown(e['input'])}",
    "union_tag_not_found": lambda e: f"missing key 'kind': {', '.join(_kinds(e))}",
    "union_tag_invalid": lambda e: (
        f"unknown kind {shown(e['ctx']['tag'])}: should be one of {', '.join(_kinds(e))}"
    ),
}


def _kinds(error: ErrorDetails) -> dict[str, type[BaseModel]]:
    """The kinds of the table that a complaint is about."""
    return _KINDS[str(error["loc"][-1])]


def shown(value: object) -> str:
    """A wrong value as a message shows it: short, quoted where it is text, never raw."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"'{printable(value, 40)}'"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else printable(repr(value), 40)


def validate(data: Mapping[str, Any], source: SourceMap) -> tuple[model.Problem | None, list[Diagnostic]]:
    """Check normalised `data` against the model.

    Returns the problem and all findings. With findings, the problem is what is left without the
    wrong keys, so that its formulas can be checked in the same go; None where that cannot be.
    """
    try:
        return _model(data), []
    except ValidationError as error:
        complaints = error.errors(include_url=False)[:MAX_COMPLAINTS]
    findings: list[Diagnostic] = []
    wrong: list[KeyPath] = []
    repairable = True
    for complaint in complaints:
        path, branch = _locate(complaint, data)
        if path is None:
            continue
        findings.append(_diagnose(complaint, path, branch, source))
        wrong.append(path)
        repairable &= path[0] in SETTINGS or complaint["type"] == "extra_forbidden"
    if not repairable or len(complaints) == MAX_COMPLAINTS:
        return None, findings
    try:
        return _model(_without(data, wrong)), findings
    except ValidationError:
        return None, findings


def _model(data: Mapping[str, Any]) -> model.Problem:
    # JSON in strict mode takes a list for a tuple, but neither "64" nor true for a number.
    return model.Problem.model_validate_json(json.dumps(data, default=str), strict=True)


def _locate(complaint: ErrorDetails, data: Any) -> tuple[KeyPath | None, str]:
    """The key path of a complaint, without the names that pydantic gives to branches of unions.

    Returns the path and the last branch; no path where the complaint comes from a branch that
    the value was never meant for (a table measured against a word, or a word against a table).
    """
    node: Any = data
    path: list[str | int] = []
    branch = ""
    loc = complaint["loc"]
    for position, part in enumerate(loc):
        if _has(node, part):
            node = node[part]
        elif complaint["type"] == "missing" and position == len(loc) - 1:
            pass
        else:
            branch = str(part)
            kind = bool(path) and branch in _KINDS.get(str(path[-1]), {})
            if not kind and branch.startswith("literal[") == isinstance(node, dict | list):
                return None, branch
            continue
        path.append(part)
    return tuple(path), branch


def _has(node: Any, part: str | int) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, dict) and part in node


def _diagnose(complaint: ErrorDetails, path: KeyPath, branch: str, source: SourceMap) -> Diagnostic:
    kind, last = complaint["type"], path[-1] if path else ""
    if kind == "missing" and isinstance(last, int):
        return source.diagnose(path[:-1], "should have 2 entries")  # only pairs have a fixed length
    if kind == "missing":
        return source.diagnose(path[:-1], f"missing key '{last}'")
    if kind == "extra_forbidden":
        name = printable(str(last), 40)
        hint = nearest(name, _fields(path[:-1], branch))
        return source.diagnose(path, f"unknown key '{name}'", where=path[:-1], hint=hint)
    hint = ""
    if kind == "union_tag_invalid":
        hint = nearest(str(complaint["ctx"]["tag"])[:80], _kinds(complaint))
        path = (*path, "kind")
    elif kind == "literal_error" and isinstance(complaint["input"], str):
        words = str(complaint["ctx"]["expected"]).replace(" or ", ", ").split(", ")
        hint = nearest(complaint["input"][:80], [word.strip("'") for word in words])
    say = _MESSAGES.get(kind)
    message = say(complaint) if say else complaint["msg"][:1].lower() + complaint["msg"][1:]
    if branch.startswith("literal["):
        other: dict[KeyPath, str] = {
            ("stages",): "a list of tables",
            ("network", "hard"): "a list of conditions",
        }
        message += f", or {other.get(path, 'a table')}"
    elif kind in ("model_type", "dict_type") and path[0] in _SHORT and len(path) == _SHORT[path[0]][0]:
        message = f"should be {_SHORT[path[0]][1]}, not {shown(complaint['input'])}"
    return source.diagnose(path, message, hint=hint)


def _fields(path: KeyPath, branch: str) -> list[str]:
    """The keys that the table at `path` may have."""
    for pattern, table in _TABLES.items():
        kinds = _KINDS.get(pattern[-2], {}) if len(pattern) > 1 else {}
        actual = (*path, branch) if pattern and pattern[-1] in kinds else path
        if len(pattern) == len(actual) and all(p in ("*", a) for p, a in zip(pattern, actual, strict=True)):
            return list(table.model_fields)
    return []


def _without(data: Any, wrong: list[KeyPath]) -> Any:
    """A copy of `data` less the entries at the paths `wrong`."""
    copy = json.loads(json.dumps(data, default=str))
    for path in sorted(set(wrong), key=lambda p: [str(part).rjust(6, "0") for part in p], reverse=True):
        node = copy
        for part in path[:-1]:
            node = node[part] if _has(node, part) else {}
        if isinstance(node, dict):
            node.pop(path[-1], None)
        elif isinstance(path[-1], int) and path[-1] < len(node):
            del node[path[-1]]
    return copy
