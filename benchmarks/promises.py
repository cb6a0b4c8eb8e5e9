"""What a user may count on: errors within seconds of training, medians over three seeds.

    python benchmarks/promises.py [--seeds 0 1 2] [--only NAME]... [--within SECONDS]

Every promise is kept by solves of its own, `pinncli solve NAME --json --max-time SECONDS` with what the
problem's file says: the time allowed is among what the program decides by. A solve that goes on until it
is stopped is given the error as a target, a little below since the final report looks at more points than
the way does.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import common

common.prepare_openmp()

from pinncli.device import prepare_cpu

PROMISES: Mapping[str, tuple[tuple[float, float], ...]] = {
    "heat1d": ((1e-9, 10.0),),
    "poisson2d": ((1e-9, 10.0),),
    "damped_oscillator": ((1e-9, 10.0),),
    "wave1d": ((1e-5, 60.0),),
    "helmholtz2d": ((1e-6, 60.0),),
    "kovasznay": ((1e-7, 60.0),),
    "burgers1d": ((1e-3, 15.0), (1e-5, 90.0), (1e-6, 600.0)),
    "allen_cahn": ((1e-4, 600.0),),
    "kdv": ((1e-4, 600.0),),
    "schrodinger": ((1e-5, 600.0),),
}
"""Relative L2 errors, and the seconds of training within which the median is to reach them."""

TRAINED = frozenset({"burgers1d"})
"""Problems whose training goes on until it is stopped."""
BELOW = 0.8
"""Of the error, for the target."""

HEAD = ("problem", "error", "within", "seeds that reach it", "median", "worst", "final error", "worst", "met")


def seconds_to(solve: common.Solve, error: float) -> float:
    """Seconds of training; infinite where the error was not reached at the end."""
    return float(solve.summary["time"]["train_s"]) if solve.error <= error else math.inf


def row(problem: str, error: float, within: float, solves: Sequence[common.Solve]) -> list[str]:
    """The cells of one promise."""
    final, worst = common.median_and_worst([solve.error for solve in solves])
    times = [seconds_to(solve, error) for solve in solves]
    middle, longest = common.median_and_worst(times)
    reached = sum(t <= within for t in times)
    cells = [problem, f"{error:.0e}", f"{within:g} s", f"{reached} of {len(times)}"]
    cells += [f"{t:.1f} s" if math.isfinite(t) else "" for t in (middle, longest)]
    return [*cells, f"{final:.1e}", f"{worst:.1e}", "yes" if middle <= within else "**no**"]


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description="Errors within seconds of training, medians over seeds.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default 0 1 2)")
    parser.add_argument("--only", action="append", choices=PROMISES, help="a problem; may be repeated")
    parser.add_argument("--within", type=float, default=math.inf, help="only promises of so many seconds")
    parser.add_argument("--out", type=Path, default=common.RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="one seed, damped_oscillator")
    asked = parser.parse_args()
    if asked.smoke:
        asked.seeds, asked.only = [0], ["damped_oscillator"]
    report = common.Report("Promises", "promises", prepare_cpu(), asked.out)
    report.begin(
        f"Relative L2 errors, float64, seeds {' '.join(map(str, asked.seeds))}; times are of training, "
        "without start-up; final: at the end of the run, on fresh points or all points of the reference."
    )
    lines: list[list[str]] = []
    with TemporaryDirectory() as folder:
        for problem in asked.only or PROMISES:
            for error, within in PROMISES[problem]:
                if within > asked.within:
                    continue
                arguments = ["--device", "cpu", "--max-time", f"{within:g}s"]
                arguments += ["--target", f"{BELOW * error:g}"] if problem in TRAINED else []
                solves = [
                    common.solve(
                        problem, Path(folder) / f"{problem}-{seed}", [*arguments, "--seed", str(seed)]
                    )
                    for seed in asked.seeds
                ]
                lines.append(row(problem, error, within, solves))
                print("  ".join(lines[-1]), flush=True)
    report.add("\n" + common.table(HEAD, lines))
    report.write()


if __name__ == "__main__":
    main()
