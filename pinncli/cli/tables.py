"""Tables for stdout: the comparison of runs. Data in, Rich renderables out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from pinncli.cli.output import clean
from pinncli.cli.progress import duration, number


def comparison_table(summaries: Sequence[Mapping[str, Any]]) -> Table:
    """Runs side by side, one column each; rows are what any of them reports."""
    table = plain_table("", *(_run_name(summary) for summary in summaries))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, cells in comparison_rows(summaries):
        table.add_row(clean(name), *(clean(cell) for cell in cells))
    return table


def comparison_rows(summaries: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Row names, each with one cell a run; `-` where a run does not have it."""
    facts = [_facts(summary) for summary in summaries]
    names = dict.fromkeys(name for fact in facts for name in fact)
    order = sorted(names, key=lambda name: _ROW_ORDER.index(name.split(" ")[0]))
    return [(name, [fact.get(name, "-") for fact in facts]) for name in order]


_ROW_ORDER = (
    "problem", "status", "device", "precision", "engine", "seed", "parameters", "steps", "time",
    "training", "loss", "error", "residual", "estimate",
)  # fmt: skip


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        name: str(summary[name])
        for name in ("problem", "status", "device", "precision", "engine", "seed", "parameters", "steps")
        if summary.get(name) is not None
    }
    times = summary.get("time") or {}
    facts |= {"time": duration(times["total_s"])} if times.get("total_s") is not None else {}
    facts |= {"training": duration(times["train_s"])} if times.get("train_s") is not None else {}
    facts |= {"loss": number(summary["loss"])} if "loss" in summary else {}
    facts |= {f"error {n}": number(e.get("rel_l2")) for n, e in (summary.get("errors") or {}).items()}
    facts |= {f"residual {n}": number(r.get("rms")) for n, r in (summary.get("residuals") or {}).items()}
    facts |= {f"estimate {n}": f"{value:.6g}" for n, value in (summary.get("estimates") or {}).items()}
    return facts


def plain_table(*headings: str) -> Table:
    """A table with a rule under its headings and nothing else."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(clean(heading), overflow="fold")
    return table


def _run_name(summary: Mapping[str, Any]) -> str:
    return str(summary.get("run") or summary.get("problem") or "run").rstrip("/").rsplit("/", 1)[-1]
