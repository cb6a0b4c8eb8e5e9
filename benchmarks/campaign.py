"""Many solves, several at a time, each remembered as soon as it is done.

A solve is `pinncli solve NAME --json` in a process of its own. What came out goes to one JSON file after
every solve, so that an interrupted program, run again, does only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import common

from pinncli.device import usable_cores
from pinncli.problem.library import Entry, list_problems, shipped_folder
from pinncli.problem.loading import load_problem

PATIENCE = 240
"""Seconds beyond the budget after which a solve that does not come back is ended."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """One solve: problem, seconds of `--max-time`, what `--set` says, and a name for these settings."""

    problem: str
    budget: int
    seed: int = 0
    sets: tuple[str, ...] = ()
    label: str = ""

    @property
    def key(self) -> str:
        """Under which it is remembered."""
        return " ".join(filter(None, (self.problem, self.label, f"{self.budget}s", f"seed {self.seed}")))

    @property
    def stamp(self) -> str:
        """What a remembered solve must have in common with this one: the file as it is, and the settings."""
        text = load_problem(self.problem).text + "\n".join(self.sets)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def shipped(only: Sequence[str] | None) -> list[Entry]:
    """The problems of the library as `pinncli list` has them; raises SystemExit for names that it lacks.

    They are those of the installed program, or of this checkout where that is the working folder.
    """
    folders = {shipped_folder().resolve(), Path(__file__).resolve().parents[1] / "problems"}
    entries = [e for e in list_problems() if e.path.resolve().parent in folders and not e.error]
    if strange := set(only or ()) - {entry.name for entry in entries}:
        raise SystemExit(f"no shipped problem: {', '.join(sorted(strange))}")
    return [entry for entry in entries if not only or entry.name in only]


def worst_error(summary: Mapping[str, Any], problem: str) -> float | None:
    """The largest relative error of an unknown or a number that was sought; None where nothing is known."""
    found = [float(error["rel_l2"]) for error in summary.get("errors", {}).values()]
    for name, parameter in load_problem(problem).problem.parameters.items():
        if parameter.exact is not None:
            distance = abs(summary["estimates"][name] - parameter.exact)
            found.append(distance / abs(parameter.exact) if parameter.exact else distance)
    return max(found, default=None)


def perform(task: Task, folder: Path, threads: int) -> Record:
    """Solve, and what came out: the JSON object under `summary`, or `failed` with the reason."""
    arguments = ["--max-time", f"{task.budget}s", "--seed", str(task.seed), "--device", "cpu"]
    arguments += [part for item in task.sets for part in ("--set", item)]
    record: dict[str, Any] = {
        "problem": task.problem,
        "label": task.label,
        "budget": task.budget,
        "seed": task.seed,
        "stamp": task.stamp,
        "machine": common.machine(threads),
    }
    try:
        solved = common.solve(
            task.problem,
            folder / task.key.replace(" ", "-"),
            arguments,
            threads=threads,
            patience=task.budget + PATIENCE,
        )
    except RuntimeError as error:
        return {**record, "failed": str(error)}
    summary = {**solved.summary, "run": ""}
    return {**record, "error": worst_error(summary, task.problem), "summary": summary}


def run(
    tasks: Sequence[Task],
    store: Path,
    jobs: int,
    done: Callable[[Task, Record], None],
    *,
    again: bool = False,
) -> dict[str, Record]:
    """Every task's record by its key; those that `store` remembers are solved only `again` if asked.

    `jobs` solves run at a time and share the cores evenly. `done` is told of each as it ends.
    """
    remembered = _remembered(store)
    records: dict[str, Record] = {}
    missing = []
    for task in tasks:
        old = remembered.get(task.key)
        if old is not None and "failed" not in old and old["stamp"] == task.stamp and not again:
            records[task.key] = old
        else:
            missing.append(task)
    threads = int(os.environ.get("OMP_NUM_THREADS", "0")) or max(1, usable_cores() // jobs)
    with TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        running: dict[Future[Record], Task] = {
            pool.submit(perform, task, Path(folder), threads): task for task in missing
        }
        try:
            for future in as_completed(running):
                task = running[future]
                records[task.key] = remembered[task.key] = future.result()
                _write(store, remembered)
                done(task, records[task.key])
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            sys.exit(130)
    return {task.key: records[task.key] for task in tasks}


def machines(records: Mapping[str, Record]) -> str:
    """Where and when the solves were made, without the load."""
    found = dict.fromkeys("; ".join(r["machine"].split("; ")[:2]) for r in records.values())
    return "Measured on " + "; and on ".join(found) + "."


def _remembered(store: Path) -> dict[str, Record]:
    try:
        found: dict[str, Record] = json.loads(store.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _write(store: Path, records: Mapping[str, Record]) -> None:
    """As a whole or not at all."""
    store.parent.mkdir(parents=True, exist_ok=True)
    part = store.with_suffix(".part")
    part.write_text(json.dumps(dict(sorted(records.items())), indent=1) + "\n", "utf-8")
    part.replace(store)
