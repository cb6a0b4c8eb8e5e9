"""How much memory does a solve take, whatever the number of points?

    python benchmarks/memory.py [--points 1000000] [--only lm]...

Solves the heat equation at so many interior points by `pinncli solve`, each time by another optimiser, with
points redrawn by the residual after every two, and publishes its fields and residuals on
a grid of as many points. The peak of the resident memory is what the system counted for the whole process
(`ru_maxrss`), the interpreter and torch included. Exit code 1 where it is above the limit.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import common

common.prepare_openmp()

from pinncli.device import usable_cores

LIMIT = 2048
"""Mebibytes."""

KINDS = {"adam": 4, "soap": 4, "lbfgs": 4, "ssbroyden": 4, "lm": 2, "hessian_free": 2, "lsq": 2}
"""Optimisers and their steps; those whose memory does not grow with the points by their nature."""

NETWORK = {"lsq": 'kind="features",width=200,patches={x=1,t=1},scale=2.0'}
PLAIN = 'kind="mlp",width=15,depth=3'
UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which the system counts."""


def command(kind: str, points: int, folder: Path) -> list[str]:
    """A stage with redraws, and a published grid."""
    side = round(math.sqrt(points))
    stage = f'{{optimiser={{kind="{kind}"}},steps={KINDS[kind]}}}'
    settings = (
        f"network={{{NETWORK.get(kind, PLAIN)}}}",
        f"stages=[{stage}]",
        f'sampling={{interior={points},boundary=4096,resample={{every={KINDS[kind] // 2},by="residual"}}}}',
        f"output={{grid={{x={side},t={side}}}}}",
        "training={measure_every=1}",
    )
    asked = [part for setting in settings for part in ("--set", setting)]
    head = [sys.executable, "-m", "pinncli", "solve", "heat1d", "--json", "--quiet", "--allow-large"]
    return [*head, "--out", str(folder), *asked]


def peak(asked: list[str]) -> tuple[float, float]:
    """Mebibytes at the highest, and seconds. Raises RuntimeError where the command fails."""
    environment = {k: v for k, v in os.environ.items() if k not in common.OPENMP_VARIABLES}
    began = time.perf_counter()
    with TemporaryFile("w+") as said:
        process = subprocess.Popen(asked, stdout=said, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode:
            raise RuntimeError(f"exit code {process.returncode}\n{said.read()[-2000:]}")
    return usage.ru_maxrss * UNIT / 2**20, time.perf_counter() - began


def main() -> int:
    """Print and write the table; 1 where the limit is not kept."""
    parser = argparse.ArgumentParser(description="Peak memory of a solve at very many points.")
    parser.add_argument("--points", type=int, default=1_000_000, help="interior points, and of the grid")
    parser.add_argument("--only", action="append", choices=tuple(KINDS), help="this optimiser (repeatable)")
    parser.add_argument("--out", type=Path, default=common.RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="few points, two optimisers")
    asked = parser.parse_args()
    kinds = asked.only or (["adam", "lm"] if asked.smoke else list(KINDS))
    points = 2500 if asked.smoke else asked.points
    report = common.Report("Memory", "memory", usable_cores(), asked.out)
    report.begin(
        f"Peak resident memory of `pinncli solve` at {points:,} interior points in float64, redrawn by the "
        f"residual, and as many points of the published grid. At most {LIMIT:,} MiB are allowed."
    )
    rows, kept = [], True
    with TemporaryDirectory() as folder:
        for kind in kinds:
            run = Path(folder) / kind
            most, seconds = peak(command(kind, points, run))
            shutil.rmtree(run)
            rows.append([kind, str(KINDS[kind]), f"{most:,.0f}", f"{seconds:.0f}"])
            kept &= most <= LIMIT
            print(" ".join(rows[-1]), flush=True)
    report.add(common.table(["optimiser", "steps", "peak, MiB", "seconds"], rows))
    report.write()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
