"""The verdict on a run in words: what was solved, how well, and what that means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pinncli.cli.progress import duration, number

_ENDINGS = {
    "complete": "complete",
    "target": "target reached",
    "time-limit": "stopped at the time limit",
    "interrupted": "interrupted",
    "diverged": "diverged",
    "stalled": "stalled: no stage made further progress",
    "running": "not finished",
}
_OVERFIT = 3.0
"""Fresh-point residual over training residual from which the points are too few."""

Summary = Mapping[str, Any]
"""The JSON object of a solve."""


def report(summary: Summary) -> str:
    """The whole report: heading, numbers, verdict."""
    lines = [heading(summary), ""]
    lines += [f"  {row}" for row in error_rows(summary.get("errors", {}))]
    for name, residual in summary.get("residuals", {}).items():
        numbers = [f"{number(residual['rms'])} rms", f"{number(residual['max'])} largest"]
        if _is_number(residual.get("rms_train")):
            numbers.append(f"{residual['rms_train']:.2e} rms in training")
        lines.append("  " + _row("residual", name, *numbers))
    for name, value in summary.get("estimates", {}).items():
        lines.append("  " + _row("estimate", name, f"{value:.6g}"))
    if summary.get("run"):
        lines.append("  " + _row("run", str(summary["run"])))
    return "\n".join([*lines, "", *verdict(summary)])


def error_rows(errors: Mapping[str, Mapping[str, float]]) -> list[str]:
    """One line an unknown: relative L2 and largest error."""
    return [
        _row("error", name, f"{number(error['rel_l2'])} relative L2", f"{number(error['max_abs'])} largest")
        for name, error in errors.items()
    ]


def heading(summary: Summary) -> str:
    """One line: `heat1d: complete, 300 steps in 0:04 (cpu, float64, taylor, 501 parameters, seed 0)`."""
    status = str(summary.get("status", "running"))
    facts = [str(summary[key]) for key in ("device", "precision", "engine") if key in summary]
    facts += [f"{summary['parameters']} parameters"] if "parameters" in summary else []
    facts += [f"seed {summary['seed']}"] if "seed" in summary else []
    text = f"{summary.get('problem', 'run')}: {_ENDINGS.get(status, status)}"
    if "steps" in summary:
        text += f", {summary['steps']} steps"
    if _is_number(summary.get("time", {}).get("total_s")):
        text += f" in {duration(summary['time']['total_s'])}"
    return f"{text} ({', '.join(facts)})" if facts else text


def verdict(summary: Summary) -> list[str]:
    """Sentences: how far the solution can be trusted, and what would make it better."""
    sentences = []
    errors = {name: error["rel_l2"] for name, error in summary.get("errors", {}).items()}
    if errors and all(_is_number(e) for e in errors.values()):
        name, worst = max(errors.items(), key=lambda item: item[1])
        sentences.append(_error_sentence(name, worst))
    elif summary.get("residuals"):
        sentences.append(
            "There is no reference to compare with: judge the solution by the fresh-point residuals, "
            "each in the units of its equation."
        )
    sentences += [
        f"The residual of '{name}' is {residual['rms'] / residual['rms_train']:.0f} times larger on fresh "
        "points than on the training points: take more points (--set sampling.interior=...)."
        for name, residual in summary.get("residuals", {}).items()
        if _is_number(residual.get("rms_train"))
        and residual["rms_train"] > 0
        and _is_number(residual["rms"])
        and residual["rms"] > _OVERFIT * residual["rms_train"]
    ]
    sentences += _CURES.get(str(summary.get("status")), [])
    return sentences


_CURES = {
    "stalled": [
        "Training stalled before its last step: try another seed (--seed 1), a wider network "
        "(--set network.width=...) or float64."
    ],
    "diverged": [
        "Training diverged and going back did not help; the last good state is saved. Check the conditions "
        "(pinncli check), or begin with gentler steps (stages with adam first)."
    ],
    "time-limit": ["The time limit ended the training: more time would go on improving the solution."],
    "interrupted": ["The training is not finished: the same command continues it."],
    "running": ["The training is not finished: the command that began it continues it."],
}


def _error_sentence(name: str, error: float) -> str:
    if error >= 0.1:
        return f"'{name}' is off by {100 * error:.0f} % of its reference: this is not a solution yet."
    digits = int(-math.log10(max(error, 1e-16)))
    return f"Every unknown agrees with its reference to {digits} digit{'s' if digits > 1 else ''} or more."


def _row(kind: str, name: str, *numbers: str) -> str:
    return (f"{kind:<9} {name:<14}" + "".join(f" {number:<24}" for number in numbers)).rstrip()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
