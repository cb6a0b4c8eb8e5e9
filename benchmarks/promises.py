"""What a user may count on: errors within seconds of training, medians over three seeds.

    python benchmarks/promises.py [--seeds 0 1 2] [--only NAME]...

Every solve is `pinncli solve NAME --json` with what the problem's file says. It ends by itself or by the
time; where several errors are asked for, also a little below the last of them. An error that is met on the
way counts from when it was first measured there.
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

BELOW = 0.8
"""A target so far below the last error: the final report looks at more points than the way does."""

HEAD = ("problem", "error", "within", "seeds that reach it", "median", "worst", "final error", "worst", "met")


def seconds_to(solve: common.Solve, error: float) -> float:
    """Seconds of training until the error was reached; infinite where it never was."""
    ends = float(solve.summary["time"]["train_s"]) if solve.error <= error else math.inf
    found = common.first_below(solve.curve, error) if "windows" not in solve.summary else None
    return ends if found is None else min(found, ends)


def rows(problem: str, solves: Sequence[common.Solve]) -> list[list[str]]:
    """One row an error."""
    final, worst = common.median_and_worst([solve.error for solve in solves])
    found = []
    for error, within in PROMISES[problem]:
        times = [seconds_to(solve, error) for solve in solves]
        middle, longest = common.median_and_worst(times)
        reached = sum(t <= within for t in times)
        cells = [problem, f"{error:.0e}", f"{within:g} s", f"{reached} of {len(times)}"]
        cells += [f"{t:.1f} s" if math.isfinite(t) else "" for t in (middle, longest)]
        found.append([*cells, f"{final:.1e}", f"{worst:.1e}", "yes" if middle <= within else "**no**"])
    return found


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description="Errors within seconds of training, medians over seeds.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default 0 1 2)")
    parser.add_argument("--only", action="append", choices=PROMISES, help="a problem; may be repeated")
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
            last, longest = PROMISES[problem][-1]
            arguments = ["--device", "cpu", "--max-time", f"{longest:g}s"]
            if len(PROMISES[problem]) > 1:
                arguments += ["--target", f"{BELOW * last:g}"]
            solves = [
                common.solve(problem, Path(folder) / f"{problem}-{seed}", [*arguments, "--seed", str(seed)])
                for seed in asked.seeds
            ]
            lines += rows(problem, solves)
            print("  ".join(lines[-1]), flush=True)
    report.add("\n" + common.table(HEAD, lines))
    report.write()


if __name__ == "__main__":
    main()
