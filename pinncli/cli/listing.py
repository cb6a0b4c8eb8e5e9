"""The library as `list` prints it: one line a problem, grouped by the class of its equations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pinncli.cli.output import clean
from pinncli.problem.outline import CLASSES

if TYPE_CHECKING:
    from pinncli.problem.library import Entry

_ORIGINS = {"folder": "./problems", "environment": "$PINNCLI_PROBLEMS", "shipped": "shipped with pinncli"}
_LONGEST_TITLE = 60
_NARROW_TITLE = 24
_NARROW_TAGS = 12
_GAP = "  "


def library_lines(entries: Sequence[Entry], width: int | None) -> Text:
    """Headings and problems: name, dimension, title, and tags where there is room.

    No line is longer than `width`; without one every line is whole.
    """
    names = max((len(clean(entry.name)) for entry in entries), default=0)
    dimensions = max((len(entry.outline.dimension) for entry in entries if entry.outline), default=0)
    titles = min(max((len(clean(entry.title)) for entry in entries), default=0), _LONGEST_TITLE)
    if width is not None:
        titles = min(titles, max(_NARROW_TITLE, width - names - dimensions - 3 * len(_GAP)))
    lines = []
    for heading, group in _groups(entries):
        lines.append(Text(f"{heading} ({len(group)})", style="bold"))
        for entry in group:
            line = Text.assemble(_GAP, (clean(entry.name).ljust(names), "cyan"), _GAP)
            if entry.error:
                line.append(f"cannot be used: {clean(entry.error)}", style="red")
            else:
                line.append(entry.outline.dimension.ljust(dimensions) if entry.outline else "", style="dim")
                line.append(_GAP + _cut(clean(entry.title), titles if width else None).ljust(titles))
                line.append(_tags(entry, None if width is None else width - len(line)), style="dim")
            line.rstrip()
            if width is not None:
                line.truncate(width, overflow="crop")
            lines.append(line)
        lines.append(Text())
    return Text("\n").join(lines[:-1])


def _groups(entries: Sequence[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """By where they come from, if that differs, and by class; what cannot be read comes last."""
    origins = {entry.origin for entry in entries}
    for origin, place in _ORIGINS.items():
        for kind, heading in CLASSES.items():
            group = [
                e
                for e in entries
                if e.origin == origin and not e.error and e.outline is not None and e.outline.kind == kind
            ]
            if group:
                yield heading + (f", {place}" if len(origins) > 1 else ""), group
    broken = [entry for entry in entries if entry.error]
    if broken:
        yield "Broken", broken


def _cut(text: str, length: int | None) -> str:
    return text if length is None or len(text) <= length else text[: length - 3].rstrip() + "..."


def _tags(entry: Entry, room: int | None) -> str:
    """The tags that say more than heading and dimension, as many as fit."""
    said = {*CLASSES, f"{entry.outline.space}-d" if entry.outline else ""}
    tags = [clean(tag) for tag in entry.tags if tag not in said]
    if room is not None:
        if room < _NARROW_TAGS:
            return ""
        while tags and len(_GAP + ", ".join(tags)) > room:
            tags.pop()
    return _GAP + ", ".join(tags) if tags else ""


def entry_facts(entry: Entry) -> dict[str, Any]:
    """One problem of the library for `list --json`."""
    found = entry.outline
    return {
        "name": entry.name,
        "title": entry.title,
        "class": None if found is None else found.kind,
        "dimension": None if found is None else found.space,
        "time": None if found is None else found.in_time,
        "orders": None if found is None else dict(found.orders),
        "unknowns": None if found is None else found.unknowns,
        "linear": None if found is None else found.linear,
        "tags": list(entry.tags),
        "accuracy": entry.accuracy,
        "reference": entry.reference,
        "path": str(entry.path),
        "origin": entry.origin,
        "description": entry.description,
        "error": entry.error or None,
    }
