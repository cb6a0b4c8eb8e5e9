"""Time of training to an error: pinncli with its defaults, DeepXDE and PINA with their shipped settings.

    python benchmarks/time_to_error.py --peers-python PATH [--budget 300] [--only NAME]...

Errors are relative L2 against this project's references (`problems/README.md`), on the same points for all.
Only training counts: no start-up, and for the peers not the measuring either; `pinncli` measures every few
steps (`training.measure_every`) and its time to do so counts. Peers train by their own loops in float32,
their default, with the settings of the example or tutorial named in benchmarks/peers; where that ends before
the time is over, training goes on as described there. A time is the first at which the error was measured at
or below the level; an error that later rises again counts all the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import common

common.prepare_openmp()

import numpy as np
import torch

from pinncli.assembly import assemble
from pinncli.device import prepare_cpu
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem
from pinncli.solution import ROUGH_ERRORS, Solution

PROBLEMS = ("heat1d", "burgers1d", "poisson2d", "wave1d", "allen_cahn", "helmholtz2d")
LEVELS = (1e-2, 1e-3, 1e-4, 1e-6)
PEERS = {"DeepXDE": "deepxde_problems.py", "PINA": "pina_problems.py"}
MEASURE_EVERY = 2
ENDS = ("example ends", "tutorial ends")

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Trained:
    """Seconds and errors of one training, and where it passed a turning point: name, seconds, error."""

    curve: Curve
    events: Sequence[tuple[str, float, float]] = ()

    @property
    def end(self) -> tuple[float, float]:
        """Seconds and error where the shipped settings end, or where the time was over before."""
        ended = [(seconds, error) for name, seconds, error in self.events if name in ENDS]
        return (ended or list(self.curve))[-1]


def reference_points(name: str, path: Path) -> None:
    """Points and values of the reference, those at which pinncli measures during training."""
    formulation = formulate(load_problem(name))
    assembly = assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)
    points, values = Solution.of(assembly, assembly.initial_theta()).error_points(ROUGH_ERRORS)
    np.savez(path, points=points, values=values["u"])


def train_mine(name: str, asked: argparse.Namespace, folder: Path) -> Trained:
    """By `pinncli solve` with its defaults."""
    arguments = ["--max-time", f"{asked.budget:g}s", "--seed", str(asked.seed), "--device", "cpu"]
    arguments += ["--set", f"training.measure_every={MEASURE_EVERY}"]
    return Trained(common.solve(name, folder / name, arguments).curve)


def train_peer(
    script: str, python: str, name: str, asked: argparse.Namespace, data: Path, threads: int
) -> Trained | str:
    """By a peer; why not, where it fails."""
    arguments = {"problem": name, "budget": asked.budget, "seed": asked.seed, "threads": threads}
    peer, hello, why = common.open_peer(python, script, arguments | {"data": str(data)}, threads)
    if peer is None:
        return why
    try:
        if hello["threads"] != threads:
            return f"runs on {hello['threads']} threads, not {threads}"
        found = peer.read()
    except RuntimeError as error:
        return str(error)
    finally:
        peer.close()
    return Trained([(s, e) for s, e in found["curve"]], [(n, s, e) for n, s, e in found["events"]])


def rows_of(name: str, trained: Mapping[str, Trained], others: Sequence[str]) -> list[list[str]]:
    """One line a level: seconds of each, and theirs over ours."""
    rows = []
    for level in LEVELS:
        times = {who: common.first_below(t.curve, level) for who, t in trained.items()}
        row = [
            name,
            f"{level:.0e}",
            *(common.number(times.get(who), ".1f") or "-" for who in ("pinncli", *others)),
        ]
        row += [_times_longer(times.get(who), times["pinncli"], trained.get(who)) for who in others]
        rows.append(row)
    return rows


def _times_longer(theirs: float | None, mine: float | None, trained: Trained | None) -> str:
    """The ratio, or what it is larger than where they did not get there."""
    if not mine or trained is None:
        return "-"
    return f"{theirs / mine:.1f}" if theirs is not None else f"> {trained.curve[-1][0] / mine:.0f}"


def at_the_end(name: str, trained: Mapping[str, Trained], others: Sequence[str]) -> list[str]:
    """Where a peer's shipped settings end, and when pinncli was as good: the fairest single number."""
    last, best = trained["pinncli"].curve[-1]
    cells = [name, f"{best:.1e} at {last:.0f} s"]
    for who in others:
        if who not in trained:
            cells.append("-")
            continue
        seconds, error = trained[who].end
        mine = common.first_below(trained["pinncli"].curve, error)
        there = f"there at {mine:.1f} s, ratio {seconds / mine:.1f}" if mine else "not there"
        cells.append(f"{error:.1e} at {seconds:.0f} s; pinncli {there}")
    return cells


def measure(
    name: str, asked: argparse.Namespace, python: str | None, threads: int, folder: Path
) -> dict[str, Trained]:
    """All programs on one problem, one after the other; those that fail are named and left out."""
    data = folder / f"{name}.npz"
    reference_points(name, data)
    trained = {"pinncli": train_mine(name, asked, folder)}
    for who, script in PEERS.items() if python else ():
        found = train_peer(script, python or "", name, asked, data, threads)
        if isinstance(found, str):
            print(f"{who} left out of {name}: {found}\n", flush=True)
        else:
            trained[who] = found
    return trained


def write_curves(trained: Mapping[str, Mapping[str, Trained]], folder: Path) -> None:
    """Every measured point as JSON, and a figure a problem."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        name: {who: {"curve": list(t.curve), "events": list(t.events)} for who, t in by.items()}
        for name, by in trained.items()
    }
    (folder / "time_to_error.json").write_text(json.dumps(values), "utf-8")
    for name, by in trained.items():
        lines = {who: ([s for s, _ in t.curve], [e for _, e in t.curve]) for who, t in by.items()}
        axes = ("seconds of training", "relative L2 error")
        common.curves(folder / f"time_to_error-{name}.png", name, axes, lines)


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(description="Time of training to an error, beside DeepXDE and PINA.")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds for each solve (default 300)")
    parser.add_argument(
        "--only", action="append", choices=PROBLEMS, help="only this problem; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all programs (default 0)")
    parser.add_argument("--peers-python", help=f"of the peers' environment (or {common.PEERS_VARIABLE})")
    parser.add_argument("--out", type=Path, default=common.RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="two seconds each, and heat1d alone")
    asked = parser.parse_args()
    if asked.smoke:
        asked.budget, asked.only = 2.0, asked.only or ["heat1d"]
    threads = prepare_cpu()
    python = common.peers_python(asked.peers_python)
    report = common.Report("Time to an error", "time_to_error", threads, asked.out)
    peers = "" if python else " DeepXDE and PINA are left out: no `--peers-python`."
    report.begin(
        f"Seconds of training to a relative L2 error, {asked.budget:g} s allowed, seed {asked.seed}, and how "
        "many times longer than pinncli the others took; -: not reached; > n: not within n times its time. "
        f"pinncli: its defaults, float64; peers: their shipped settings, float32.{peers}"
    )
    found: dict[str, dict[str, Trained]] = {}
    others = list(PEERS) if python else []
    rows: list[list[str]] = []
    ends: list[list[str]] = []
    with TemporaryDirectory() as folder:
        for name in asked.only or PROBLEMS:
            found[name] = measure(name, asked, python, threads, Path(folder))
            rows += rows_of(name, found[name], others)
            ends.append(at_the_end(name, found[name], others))
            print("\n".join("  ".join(row) for row in rows[-len(LEVELS) :]), flush=True)
    head = ["problem", "error", "pinncli", *others, *(f"{who} / pinncli" for who in others)]
    report.add("\n" + common.table(head, rows))
    report.add(
        "The error at which each peer's shipped settings end, or the time, and when pinncli was there:"
    )
    report.add(common.table(["problem", "pinncli ends with", *others], ends))
    report.write()
    write_curves(found, asked.out)


if __name__ == "__main__":
    main()
