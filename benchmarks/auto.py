"""How good are the program's own choices? The errors of `auto` beside hand-written settings, in equal time.

    python benchmarks/auto.py [--budget 20] [--only NAME]... [--jobs N] [--again]

Every problem is solved without any settings of its file, then with each of a handful of settings that a
person who knows the field would write, all with the same seconds of training. The ratio of the error of
`auto` to the best of all is what counts: 3 is the bound that the program holds itself to. Results are
remembered in auto.json after every solve: run again, the program does what is missing.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import common

common.prepare_openmp()

import campaign
from campaign import Record, Task

from pinncli.device import usable_cores

BOUND = 3.0

PROBLEMS = (
    *("damped_oscillator", "euler_beam", "heat1d", "wave1d", "burgers1d", "allen_cahn", "kdv", "schrodinger"),
    *("poisson2d", "helmholtz2d", "kovasznay", "poisson5d", "poisson10d", "heat4d", "kuramoto_sivashinsky"),
)
"""Linear and nonlinear, of every class and many dimensions; all have a known solution."""

UNSET = ('network={kind="auto"}', "stages=auto", "sampling={}", "training={}", "marching={}", "curriculum={}")
"""What a file says of how to solve it is taken back."""


def dense(width: int, depth: int, *optimisers: str, kind: str = "mlp", more: str = "") -> tuple[str, ...]:
    """A network of trained layers; optimisers but the last have 500 steps, the last what time there is."""
    stages = [f'{{optimiser={{kind="{name}"}},steps=500}}' for name in optimisers[:-1]]
    stages += [f'{{optimiser={{kind="{optimisers[-1]}"}},steps=1000000}}']
    network = f'network={{kind="{kind}",width={width},depth={depth}{more}}}'
    return (*UNSET[1:], network, f"stages=[{','.join(stages)}]")


def features(width: int, more: str = "") -> tuple[str, ...]:
    """Frozen features."""
    return (*UNSET[1:], f'network={{kind="features",width={width}{more}}}')


def settings(coordinates: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Name to what `--set` says, for a problem of these coordinates."""
    found = {
        "auto": UNSET,
        "2x20 lm": dense(20, 2, "lm"),
        "3x30 lm": dense(30, 3, "lm"),
        "3x30 lm hard": dense(30, 3, "lm", more=',hard="auto"'),
        "gated 3x20 lm": dense(20, 3, "lm", kind="gated"),
        "3x30 ssbroyden": dense(30, 3, "adam", "ssbroyden"),
        "features 400": features(400),
        "features 1600": features(1600),
    }
    if len(coordinates) <= MOST_PATCHED:
        each = ",".join(f"{name}=4" for name in coordinates)
        found[PATCHED] = features(1600, f",patches={{{each}}}")
    return found


MOST_PATCHED = 2
PATCHED = "features 1600, 4 patches"
NAMES = (*settings(["x"] * (MOST_PATCHED + 1)), PATCHED)
HEAD = ("problem", *NAMES, "auto / best")
TEXT = """\
The largest relative L2 error of an unknown after {budget} s of training, start-up excluded, seed {seed};
`auto` without the settings of the problem's file, which are taken back for the others, too. lm:
Levenberg-Marquardt; hard: conditions by construction; ssbroyden: after 500 steps of Adam; features: frozen,
scale (and patches, where not stated) by trial. Errors below 1e-13 count as 1e-13."""


def row(problem: str, records: Mapping[str, Record]) -> tuple[list[str], float | None]:
    """The cells of one problem, the best error bold, and the ratio of `auto` to it (infinite: failed)."""
    errors = {name: _error(records[name]) for name in NAMES if name in records}
    best = min(errors.values())
    cells = [problem]
    for name in NAMES:
        text = (
            "" if name not in errors else f"{errors[name]:.1e}" if math.isfinite(errors[name]) else "failed"
        )
        cells.append(f"**{text}**" if text and errors[name] == best else text)
    if "auto" not in errors or not math.isfinite(best):
        return [*cells, ""], None
    ratio = 1.0 if errors["auto"] == best else errors["auto"] / max(best, ROUNDING)
    return [*cells, f"{max(ratio, 1.0):.1f}"], max(ratio, 1.0)


ROUNDING = 1e-13
"""Errors below are those of the arithmetic; who is best there has no meaning."""


def _error(record: Record) -> float:
    error = record.get("error")
    return math.inf if error is None or not math.isfinite(error) else max(float(error), ROUNDING)


def main() -> None:
    """Solve what is missing, then write the table."""
    parser = argparse.ArgumentParser(description="The program's own choices beside hand-written settings.")
    parser.add_argument("--budget", type=int, default=20, help="seconds of training (default 20)")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this problem; may be repeated")
    parser.add_argument("--settings", action="append", choices=NAMES, help="only these; may be repeated")
    parser.add_argument(
        "--jobs", type=int, default=1, help="solves at a time, which share the cores (default 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed (default 0)")
    parser.add_argument("--again", action="store_true", help="solve also what is remembered")
    parser.add_argument("--name", default="auto", help="of the result files (default auto)")
    parser.add_argument("--out", type=Path, default=common.RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="one second each, heat1d, two settings")
    asked = parser.parse_args()
    if asked.smoke:
        asked.budget, asked.only = 1, asked.only or ["heat1d"]
        asked.settings = asked.settings or ["auto", "2x20 lm"]
    tasks = [
        Task(entry.name, asked.budget, asked.seed, sets, name)
        for entry in campaign.shipped(asked.only or PROBLEMS)
        for name, sets in settings(list(entry.outline.orders if entry.outline else ())).items()
        if name in (asked.settings or NAMES)
    ]

    def say(task: Task, record: Record) -> None:
        error = (
            record["failed"].splitlines()[0] if "failed" in record else common.number(record["error"], ".1e")
        )
        print(f"{task.problem}  {task.label}  {error}", file=sys.stderr, flush=True)

    store = asked.out / f"{asked.name}.json"
    records = campaign.run(tasks, store, asked.jobs, say, again=asked.again)

    report = common.Report("The program's own choices", asked.name, usable_cores() // asked.jobs, asked.out)
    report.begin(f"{campaign.machines(records)}\n\n{TEXT.format(budget=asked.budget, seed=asked.seed)}")
    rows: list[list[str]] = []
    ratios: dict[str, float] = {}
    for problem in dict.fromkeys(task.problem for task in tasks):
        mine = {task.label: records[task.key] for task in tasks if task.problem == problem}
        cells, ratio = row(problem, mine)
        rows.append(cells)
        ratios |= {} if ratio is None else {problem: ratio}
    report.add(common.table(HEAD, rows))
    if ratios:
        worst = max(ratios, key=lambda problem: ratios[problem])
        within = sum(ratio <= BOUND for ratio in ratios.values())
        report.add(
            f"`auto` is within a factor {BOUND:g} of the best on {within} of {len(ratios)} problems; worst "
            f"{ratios[worst]:.1f} ({worst}), median {statistics.median(ratios.values()):.1f}."
        )
    report.write()


if __name__ == "__main__":
    main()
