"""On an accelerator: time of a training step by precision, engine and number of points, and time to an error.

    python benchmarks/gpu.py [--device cuda] [--compile on] [--budget 60]

A step is that of benchmarks/engines.py: value, gradient and Adam at all points; "products" are only the
matrix products that the order needs. Steps are timed by events of the device between synchronisations. Where
there is no such device the program says so and ends with exit code 69, as `pinncli solve` does;
`--device cpu --smoke` runs all of it, briefly, anywhere.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import common
import torch
from engines import NU, Case, Step, engine_step, engines, nested_step, products_step
from engines import assembly_of as assembled

from pinncli.device import choose_device, prepare_cpu
from pinncli.errors import DeviceError

CASES = (
    Case("transport", 2, 2, 3, 20, 1000),
    Case("transport", 2, 2, 4, 64, 1000),
    Case("transport", 4, 2, 4, 64, 1000),
    Case("laplacian", 2, 10, 4, 64, 1000),
    Case("transport", 2, 2, 4, 256, 1000),
)
POINTS = (1_000, 10_000, 100_000, 1_000_000)
PRECISIONS: Mapping[str, torch.dtype] = {"float32": torch.float32, "float64": torch.float64}
PROBLEMS = ("heat1d", "burgers1d", "poisson5d", "helmholtz2d")
LEVELS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
ROUNDS = 5
LONGEST = 20.0
"""Seconds for one variant of one line: after that it has as many rounds as it got."""


def seconds_of(step: Step, count: int, device: torch.device) -> float:
    """Seconds of one step, as the mean over `count` of them, all work of the device included."""
    if device.type != "cuda":
        began = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - began) / count
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    begin.record()
    for _ in range(count):
        step()
    end.record()
    torch.cuda.synchronize(device)
    return float(begin.elapsed_time(end)) / 1e3 / count


def settled(step: Step, turn: float, device: torch.device) -> tuple[float, float]:
    """Median seconds of a step after a warm-up, and gigabytes of the device at most (0 on a CPU)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    step()
    once = seconds_of(step, 1, device)
    count, over = max(1, round(turn / once)), time.perf_counter() + LONGEST
    found = [seconds_of(step, count, device)]
    while len(found) < ROUNDS and time.perf_counter() < over:
        found.append(seconds_of(step, count, device))
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
    return statistics.median(found), peak


def variants(
    case: Case, device: torch.device, dtype: torch.dtype, compiled: bool
) -> dict[str, Callable[[], Step]]:
    """The steps by name, made only when their turn comes, since each may fill the device."""
    assembly = assembled(case, device, dtype)
    found: dict[str, Callable[[], Step]] = {
        name: lambda chosen=chosen: engine_step(chosen)[0]  # type: ignore[misc]
        for name, chosen in engines(assembly, compiled).items()
    }
    found["nested"] = lambda: nested_step(assembly, case)[0]
    found["products"] = lambda: products_step(assembly, case)[0]
    return found


def measure(
    case: Case, device: torch.device, precision: str, asked: argparse.Namespace
) -> dict[str, tuple[float, float] | None]:
    """Seconds and gigabytes of each variant; None where the device's memory does not hold it."""
    found: dict[str, tuple[float, float] | None] = {}
    for name, make in variants(case, device, PRECISIONS[precision], asked.compile == "on").items():
        try:
            found[name] = settled(make(), asked.turn, device)
        except torch.OutOfMemoryError:
            found[name] = None
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return found


def line(case: Case, precision: str, found: Mapping[str, tuple[float, float] | None]) -> list[str]:
    """Milliseconds of each, millions of points a second, ratios, and the memory of the default engine."""
    default = next(iter(found))
    first, bare, nested = found[default], found["products"], found["nested"]
    cells = [case.label, f"{case.depth} x {case.width}", precision, f"{case.points:,}"]
    cells += ["out of memory" if cell is None else f"{1e3 * cell[0]:.3f}" for cell in found.values()]
    cells.append("" if first is None else f"{case.points / first[0] / 1e6:.2f}")
    cells.append(common.ratio(nested and nested[0], first and first[0]))
    cells.append(common.ratio(first and first[0], bare and bare[0]))
    cells.append("" if first is None else f"{first[1]:.2f}")
    return cells


def steps_part(report: common.Report, device: torch.device, asked: argparse.Namespace) -> None:
    """The table and the figures of steps."""
    rows: list[list[str]] = []
    names: list[str] = []
    for case in CASES[:1] if asked.smoke else CASES:
        for precision in asked.precision:
            curves: dict[str, tuple[list[float], list[float]]] = {}
            for count in asked.points:
                one = replace(case, points=count)
                found = measure(one, device, precision, asked)
                names = list(found)
                rows.append(line(one, precision, found))
                print("  ".join(rows[-1]), flush=True)
                for name, cell in found.items():
                    if cell is not None:
                        curve = curves.setdefault(name, ([], []))
                        curve[0].append(float(count))
                        curve[1].append(1e3 * cell[0])
            file = f"gpu-{case.kind}-{case.order}-{case.dimension}d-{case.depth}x{case.width}-{precision}.png"
            title = f"{case.label}, {case.depth} x {case.width}, {precision}"
            common.curves(asked.out / file, title, ("points", "milliseconds of a step"), curves)
    head = ["case", "network", "precision", "points", *names, f"million points/s, {names[0]}"]
    head += [f"nested / {names[0]}", f"{names[0]} / products", f"GB, {names[0]}"]
    report.add("\n## Training step, milliseconds\n\n" + common.table(head, rows))


def errors_part(report: common.Report, asked: argparse.Namespace) -> None:
    """The table of times to errors, by `pinncli solve` on the device."""
    rows = []
    with TemporaryDirectory() as folder:
        for name in asked.only or PROBLEMS:
            arguments = ["--device", asked.device, "--max-time", f"{asked.budget:g}s"]
            arguments += ["--set", "training.measure_every=2"]
            done = common.solve(name, Path(folder) / name, arguments)
            times = [common.first_below(done.curve, level) for level in LEVELS]
            row = [name, str(done.summary["parameters"]), f"{done.error:.1e}"]
            rows.append([*row, *(common.number(t, ".1f") or "-" for t in times)])
            print("  ".join(rows[-1]), flush=True)
    head = ["problem", "parameters", "error at the end", *(f"s to {level:.0e}" for level in LEVELS)]
    report.add(f"\n## Time to an error, {asked.budget:g} s allowed, float64\n\n" + common.table(head, rows))


def hardware(device: torch.device) -> str:
    """The accelerator in words."""
    if device.type != "cuda":
        return f"device {device}: the shape of this report, not a measurement of an accelerator"
    seen = torch.cuda.get_device_properties(device)
    return f"{seen.name}, {seen.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"


def main() -> None:
    """Print and write the tables, or say that there is no such device."""
    parser = argparse.ArgumentParser(description="Step times and times to errors on an accelerator.")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default cuda)")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--points", type=int, nargs="+", default=list(POINTS), help="numbers of points")
    parser.add_argument("--turn", type=float, default=0.3, help="seconds of a timing (default 0.3)")
    parser.add_argument("--compile", choices=("on", "off"), default="off", help="add compiled engines")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for each solve (default 60)")
    parser.add_argument("--only", action="append", choices=PROBLEMS, help="of the solves; may be repeated")
    parser.add_argument("--out", type=Path, default=common.RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="a few milliseconds of everything")
    asked = parser.parse_args()
    if asked.smoke:
        asked.points, asked.turn, asked.budget, asked.only = [100, 1000], 0.002, 1.0, ["heat1d"]
    try:
        device = choose_device(asked.device)
    except DeviceError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    report = common.Report("On an accelerator", "gpu", prepare_cpu(), asked.out)
    report.begin(f"{hardware(device)}; nu = {NU:g}")
    steps_part(report, device, asked)
    errors_part(report, asked)
    report.write()


if __name__ == "__main__":
    main()
