"""Tables for stdout: the library and the comparison of runs. Data in, Rich renderables out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from pinncli.cli.output import clean
from pinncli.cli.progress import duration, number

if TYPE_CHECKING:
    from pinncli.problem.library import Entry

_WIDTH_FOR_TAGS = 60
_ORIGINS = {"folder": "./problems", "environment": "$PINNCLI_PROBLEMS", "shipped": "shipped with pinncli"}


def library_table(entries: Sequence[Entry], width: int) -> Table:
    """Problems grouped by where they come from: name, title, and tags where the screen is wide enough."""
    table = plain_table("problem", "title", *(["tags"] if width >= _WIDTH_FOR_TAGS else []))
    table.columns[0].no_wrap = True
    for origin, heading in _ORIGINS.items():
        group = [entry for entry in entries if entry.origin == origin]
        if group and len({entry.origin for entry in entries}) > 1:
            table.add_row(Text(heading, style="dim"))
        for entry in group:
            title = Text(clean(entry.title))
            if entry.error:
                title = Text(f"cannot be used: {clean(entry.error)}", style="red")
            name, tags = Text(clean(entry.name), style="bold cyan"), Text(clean(", ".join(entry.tags)))
            cells = [name, title, tags]
            table.add_row(*cells[: len(table.columns)])
    return table


def entry_facts(entry: Entry) -> dict[str, Any]:
    """One problem of the library for `list --json`."""
    return {
        "name": entry.name,
        "title": entry.title,
        "tags": list(entry.tags),
        "path": str(entry.path),
        "origin": entry.origin,
        "description": entry.description,
        "error": entry.error or None,
    }


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
