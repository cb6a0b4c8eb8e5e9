"""The records: errors of the program on the problems that the literature compares on, within stated budgets.

    python benchmarks/records.py [--budget 60 600] [--seeds 0 1 2] [--only NAME]... [--set KEY=VALUE]...

Every solve is `pinncli solve NAME --max-time BUDGET --json` in a process of its own, in float64, with what
the problem's file says and the program's own choices otherwise; `--set` changes that for all of them, or with
NAME:KEY=VALUE for one, which the report states.

The error is relative L2 at 100,000 fresh points where the solution is a formula, else at all points of the
reference file. The residual is the largest root mean square of a condition at fresh points, beside its value
at the training points: much larger on fresh points means too few of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import common

common.prepare_openmp()

from pinncli.device import prepare_cpu
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem


@dataclass(frozen=True)
class Record:
    """What is known of a problem, and what is aimed at in 60 s and in 10 minutes."""

    label: str
    published: str
    aims: Mapping[int, float]


def aims(minute: float, ten_minutes: float) -> Mapping[int, float]:
    """By seconds."""
    return {60: minute, 600: ten_minutes}


RECORDS: Mapping[str, Record] = {
    "heat1d": Record("heat 1+1-d, sin(pi x)", "6e-8, 1,000 s GPU (KFAC/ENGD)", aims(1e-11, 1e-13)),
    "poisson2d": Record("Poisson 2-d sin sin", "1.2e-7, 1,000 s GPU", aims(1e-10, 1e-13)),
    "poisson5d": Record("Poisson 5-d sum of cos", "3.5e-8, 3,000 s GPU", aims(1e-7, 5e-9)),
    "poisson10d": Record("Poisson 10-d sum x1 x2", "8.9e-6, 7,000 s GPU", aims(1e-5, 1e-7)),
    "heat4d": Record("heat 4+1-d", "3.9e-7, 2,900 s GPU", aims(1e-6, 5e-8)),
    "wave1d": Record(
        "wave 1-d, c = 2, two modes", "9.8e-2 (PINNacle), 8e-6 (PirateNet + SOAP)", aims(1e-6, 1e-9)
    ),
    "burgers1d": Record(
        "Burgers nu = 0.01/pi", "1.6e-8, 2,878 s GPU (SSBroyden); 6.7e-4 (Raissi)", aims(1e-6, 1e-8)
    ),
    "allen_cahn": Record("Allen-Cahn 1e-4", "9.4e-7 (SSBroyden)", aims(1e-4, 5e-7)),
    "kdv": Record("KdV 0.022^2", "3.4e-4 (SOAP + PirateNet)", aims(1e-3, 1e-6)),
    "kuramoto_sivashinsky": Record("Kuramoto-Sivashinsky, t <= 0.5", "2.7e-5", aims(1e-2, 1e-5)),
    "helmholtz2d": Record("Helmholtz (1,4), k = 1", "2.0e-9, 540 s GPU", aims(1e-8, 1e-10)),
    "schrodinger": Record("Schrodinger (NLS) 2 sech x", "2e-3 (Raissi); about 1e-6 since", aims(1e-4, 1e-7)),
    "kovasznay": Record("Kovasznay Re 40", "about 1e-7, 120 s GPU", aims(1e-8, 1e-10)),
    "cavity": Record("cavity Re 100, lid 4x(1 - x)", "1.1e-4, 403 s H100", aims(1e-2, 3e-4)),
}
"""The table of the literature; a problem of one's own may be solved too and has neither record nor aim."""

HEAD = (
    *("problem", "budget", "error, median", "worst", "best published", "aim", "met", "time"),
    *("parameters", "points", "residual", "in training", "status"),
)


def sets_of(problem: str, asked: Sequence[str]) -> list[str]:
    """What `--set` says to this problem: KEY=VALUE to all, NAME:KEY=VALUE to one."""
    found = []
    for item in asked:
        name, colon, rest = item.partition(":")
        if not colon or "=" in name:
            found.append(item)
        elif name == Path(problem).stem:
            found.append(rest)
    return found


def points_of(problem: str, sets: Sequence[str]) -> str:
    """Interior points and points per side that the program chooses where the file says nothing."""
    found = choose(formulate(load_problem(problem, list(sets))), timed=True)
    return f"{found.interior:,} + {found.boundary:,} a side"


def worst_residual(summary: Mapping[str, Any]) -> tuple[float, float]:
    """The largest root mean square of a condition at fresh points, and its value at the training points."""
    found = max(summary["residuals"].values(), key=lambda each: float(each["rms"]))
    return float(found["rms"]), float(found["rms_train"])


def row(problem: str, budget: int, solves: Sequence[common.Solve], sets: Sequence[str]) -> list[str]:
    """The cells of all seeds of one problem in one budget."""
    record = RECORDS.get(Path(problem).stem)
    middle, worst = common.median_and_worst([solve.error for solve in solves])
    aim = record.aims.get(budget) if record else None
    summaries = [solve.summary for solve in solves]
    seconds = common.median_and_worst([float(s["time"]["total_s"]) for s in summaries])[0]
    fresh, trained = max(worst_residual(s) for s in summaries)
    cells = [record.label if record else problem, f"{budget} s", f"{middle:.1e}", f"{worst:.1e}"]
    cells += [record.published if record else "", common.number(aim, ".0e")]
    cells += ["" if aim is None else "yes" if worst <= aim else "median" if middle <= aim else "no"]
    cells += [f"{seconds:.0f} s", str(summaries[0]["parameters"]), points_of(problem, sets)]
    statuses = ", ".join(sorted({str(s["status"]) for s in summaries}))
    return [*cells, f"{fresh:.1e}", f"{trained:.1e}", statuses]


def solve_all(problem: str, budget: int, asked: argparse.Namespace, folder: Path) -> list[common.Solve]:
    """Every seed."""
    found = []
    for seed in asked.seeds:
        arguments = ["--max-time", f"{budget}s", "--seed", str(seed), "--device", asked.device]
        arguments += [part for item in sets_of(problem, asked.set) for part in ("--set", item)]
        found.append(common.solve(problem, folder / f"{Path(problem).stem}-{budget}-{seed}", arguments))
    return found


def main() -> None:
    """Print and write the table; every error of every seed goes to a JSON file beside it."""
    parser = argparse.ArgumentParser(description="Errors within budgets, beside the best published.")
    parser.add_argument("--budget", type=int, nargs="+", default=[60, 600], help="seconds (default 60 600)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default 0 1 2)")
    parser.add_argument("--only", action="append", help="a problem's name or file; may be repeated")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE for all, or NAME:KEY=VALUE")
    parser.add_argument("--device", default="cpu", help="as for `pinncli solve` (default cpu)")
    parser.add_argument("--name", default="records", help="of the result files (default records)")
    parser.add_argument("--out", type=Path, default=common.RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="one second, one seed, heat1d")
    asked = parser.parse_args()
    if asked.smoke:
        asked.budget, asked.seeds, asked.only = [1], [0], asked.only or ["heat1d"]
    threads = prepare_cpu()
    report = common.Report("Records", asked.name, threads, asked.out)
    changed = f" With `--set {' --set '.join(asked.set)}`." if asked.set else ""
    report.begin(
        f"Relative L2 errors, float64, device {asked.device}, seeds {' '.join(map(str, asked.seeds))}; time: "
        "of the whole command without start-up; met: whether the worst seed has reached the aim, or the "
        f"median alone; residual: the largest rms of a condition at fresh points.{changed}"
    )
    rows: list[list[str]] = []
    every: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        for problem in asked.only or RECORDS:
            for budget in asked.budget:
                solves = solve_all(problem, budget, asked, Path(folder))
                rows.append(row(problem, budget, solves, sets_of(problem, asked.set)))
                every += [{"budget": budget, "error": s.error, **s.summary, "run": ""} for s in solves]
                print("  ".join(rows[-1]), flush=True)
    report.add("\n" + common.table(HEAD, rows))
    report.write()
    (asked.out / f"{asked.name}.json").write_text(json.dumps(every, indent=1), "utf-8")


if __name__ == "__main__":
    main()
