"""Solve the shipped problems by the command line, each in its budget, and print what came out.

    python benchmarks/accuracy.py [--only NAME]... [--seeds 0 1 2]

A problem is met where every error of an unknown, and of an unknown number whose true value is known,
is at most the `accuracy` that its file states. Exit code 1 where one is not. All of them take up to 40
minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import machine, table

from pinncli.device import usable_cores
from pinncli.problem.loading import load_problem
from pinncli.problem.model import Problem

BUDGETS: Mapping[str, int] = {
    "heat1d": 20,
    "poisson2d": 50,
    "wave1d": 50,
    "kovasznay": 50,
    "damped_oscillator": 50,
    "euler_beam": 50,
    "burgers1d": 120,
    "burgers_inverse": 110,
    "schrodinger": 290,
    "allen_cahn": 290,
    "kdv": 290,
    "helmholtz2d": 110,
    "poisson5d": 110,
    "heat4d": 110,
    "poisson10d": 110,
    "kuramoto_sivashinsky": 290,
}
"""Seconds of training: `--max-time`."""

HEAD = ("problem", "seed", "status", "error", "asked", "met", "residual", "in training", "parameters", "time")


def solve(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """The JSON object of one solve in a process of its own; raises where the command fails."""
    command = [sys.executable, "-m", "pinncli", "solve", name, "--seed", str(seed), "--json", "--quiet"]
    command += ["--max-time", f"{BUDGETS[name]}s", "--out", str(folder / f"{name}-s{seed}")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def worst_error(result: Mapping[str, Any], problem: Problem) -> float:
    """The largest relative error of an unknown or of a number that was to be found."""
    found: list[float] = [error["rel_l2"] for error in result["errors"].values()]
    for name, parameter in problem.parameters.items():
        if parameter.exact is not None:
            found.append(abs(result["estimates"][name] / parameter.exact - 1.0))
    return max(found)


def row(result: Mapping[str, Any], problem: Problem) -> tuple[list[str], bool]:
    """The cells of one solve, and whether it met what its file asks for."""
    error, asked = worst_error(result, problem), problem.accuracy
    met = asked is None or error <= asked
    name, residual = max(result["residuals"].items(), key=lambda item: item[1]["rms"])
    cells = [result["problem"], str(result["seed"]), result["status"], f"{error:.1e}"]
    cells += ["" if asked is None else f"{asked:.0e}", "yes" if met else "no"]
    cells += [f"{residual['rms']:.1e} ({name})", f"{residual['rms_train']:.1e}"]
    cells += [str(result["parameters"]), f"{result['time']['total_s']:.0f} s"]
    return cells, met


def main() -> None:
    """Print the table as Markdown, line by line."""
    parser = argparse.ArgumentParser(description="Solve the shipped problems, each in its budget.")
    parser.add_argument("--only", action="append", choices=BUDGETS, help="only this problem; may be repeated")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds (default 0)")
    asked = parser.parse_args()
    print(machine(usable_cores()))
    print("\nerror: the largest relative one; residual: the largest rms, on fresh points\n")
    print(table(HEAD, []))
    all_met = True
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.only or BUDGETS:
            problem = load_problem(name).problem
            for seed in asked.seeds:
                cells, met = row(solve(name, seed, Path(folder)), problem)
                all_met &= met
                print("| " + " | ".join(cells) + " |", flush=True)
    sys.exit(0 if all_met else 1)


if __name__ == "__main__":
    main()
