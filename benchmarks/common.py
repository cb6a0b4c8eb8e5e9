"""What the benchmark programs share: the machine in words, Markdown reports, figures, solves and peers.

Only measured things belong in a report, with the command, the machine and the versions that gave them.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import matplotlib as mpl

import pinncli

mpl.use("Agg")  # before pyplot
from matplotlib import pyplot

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PEERS_VARIABLE = "PINNCLI_PEERS_PYTHON"
OPENMP_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Of this program's own process; peers run with their runtime's defaults."""


def prepare_openmp() -> None:
    """As `pinncli` does, and like it before torch is loaded: threads that wait do not spin."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def machine(threads: int) -> str:
    """Date, processor, threads, load and versions in one line."""
    load = f"load {os.getloadavg()[0]:.1f} at the start; " if hasattr(os, "getloadavg") else ""
    cores = f"{threads} thread" if threads == 1 else f"{threads} threads"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {processor()}, {cores}; {load}"
        f"pinncli {pinncli.__version__}, torch {version('torch')}, Python {platform.python_version()}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def ratio(other: float | None, mine: float | None) -> str:
    """`other` over `mine`, empty where either is missing."""
    return "" if other is None or not mine else f"{other / mine:.2f}"


def number(value: float | None, form: str = ".2f") -> str:
    """`value` as text, empty where it is missing."""
    return "" if value is None else format(value, form)


@dataclass
class Report:
    """A Markdown page that is printed as it grows and written at the end."""

    title: str
    name: str
    threads: int
    folder: Path
    parts: list[str] = field(default_factory=list)

    def begin(self, text: str) -> None:
        """The head: what is measured, by which command, where and when."""
        command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
        self.add(f"# {self.title}\n\n    {command}\n\n{machine(self.threads)}\n\n{text}")

    def add(self, text: str) -> None:
        """One more paragraph or table."""
        print(text + "\n", flush=True)
        self.parts.append(text)

    def write(self) -> Path:
        """To results/NAME.md."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}.md"
        path.write_text("\n\n".join(self.parts) + "\n", "utf-8")
        return path


def curves(
    path: Path,
    title: str,
    axes: tuple[str, str],
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
) -> None:
    """A figure of doubly logarithmic curves; those without positive points are left out."""
    figure, place = pyplot.subplots(figsize=(6.4, 4.4), constrained_layout=True)
    for label, (x, y) in lines.items():
        kept = [(a, b) for a, b in zip(x, y, strict=True) if a > 0 and b > 0]
        if kept:
            place.loglog(*zip(*kept, strict=True), marker=".", linewidth=1, label=label)
    place.set(title=title, xlabel=axes[0], ylabel=axes[1])
    place.grid(alpha=0.3)
    if place.has_data():
        place.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(figure)


def median_and_worst(values: Sequence[float]) -> tuple[float, float]:
    """Of errors or times."""
    return statistics.median(values), max(values)


# ---- solves of this program


@dataclass(frozen=True)
class Solve:
    """One `pinncli solve --json`: its JSON object and the history of its run."""

    summary: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]

    @property
    def curve(self) -> list[tuple[float, float]]:
        """Seconds of training and relative L2 error of the whole solution, wherever it was measured.

        A march through time windows measures each in turn: all of time is known at its end alone.
        """
        if self.history and self.history[-1]["windows"] > 1:
            return [(self.history[-1]["elapsed"], self.error)]
        return [(h["elapsed"], h["error"]) for h in self.history if h["error"] is not None]

    @property
    def error(self) -> float:
        """The largest relative L2 error of an unknown at the end, on the points of the final report."""
        found = [float(error["rel_l2"]) for error in self.summary["errors"].values()]
        return max(found)


def solve(
    problem: str,
    folder: Path,
    arguments: Sequence[str],
    *,
    threads: int | None = None,
    patience: float | None = None,
) -> Solve:
    """Solve in a process of its own, into `folder`; raises RuntimeError where the command fails.

    `threads` are all that there are where nothing is said; `patience` is when a solve that does not come
    back is ended.
    """
    command = [sys.executable, "-m", "pinncli", "solve", problem, "--json", "--quiet", "--force"]
    environment = {k: v for k, v in os.environ.items() if k not in OPENMP_VARIABLES}
    environment |= {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    command += ["--out", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=environment, timeout=patience
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"pinncli solve {problem}: no answer in {patience:g} s") from None
    if done.returncode:
        raise RuntimeError(
            f"pinncli solve {problem}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )
    lines = (folder / "history.jsonl").read_text("ascii").splitlines()
    return Solve(json.loads(done.stdout), [json.loads(line) for line in lines])


def first_below(curve: Sequence[tuple[float, float]], error: float) -> float | None:
    """Seconds at which the error was first measured at or below `error`."""
    return next((seconds for seconds, measured in curve if measured <= error), None)


# ---- peers


def peers_python(asked: str | None) -> str | None:
    """The interpreter of the peers' environment: the option, else the environment; None without one."""
    found = asked or os.environ.get(PEERS_VARIABLE)
    if not found:
        return None
    return found if Path(found).is_file() else str(Path(found) / "bin" / "python")


class Peer:
    """A script of benchmarks/peers in its own process and environment, which answers JSON lines.

    It gets as many threads as this program and its runtime's own defaults otherwise.
    """

    def __init__(self, python: str, script: str, arguments: Mapping[str, object], threads: int) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in OPENMP_VARIABLES}
        environment |= {"OMP_NUM_THREADS": str(threads), "DDE_BACKEND": "pytorch", "PYTHONWARNINGS": "ignore"}
        environment.pop("PYTHONPATH", None)
        self._errors = TemporaryFile("w+")  # noqa: SIM115  a pipe that nobody reads would block the peer
        try:
            self._process = subprocess.Popen(
                [python, str(HERE / "peers" / script), json.dumps(dict(arguments))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=environment,
            )
        except OSError:
            self._errors.close()
            raise

    def read(self) -> dict[str, Any]:
        """The next line that is JSON, whatever else the library prints. Raises RuntimeError at the end."""
        assert self._process.stdout is not None  # noqa: S101  (a pipe was asked for)
        for line in self._process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        self._process.wait()
        self._errors.seek(0)
        raise RuntimeError(f"ended with {self._process.returncode}: {self._errors.read().strip()[-600:]}")

    def ask(self, line: str) -> dict[str, Any]:
        """Send a line, read the answer."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.read()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        with suppress(OSError):
            self._process.communicate()
        self._errors.close()


def open_peer(
    python: str | None, script: str, arguments: Mapping[str, object], threads: int
) -> tuple[Peer | None, dict[str, Any], str]:
    """A peer that has announced itself, its announcement, and why there is none where there is none."""
    if python is None:
        return None, {}, "no environment of peers given"
    try:
        peer = Peer(python, script, arguments, threads)
    except OSError as error:
        return None, {}, f"{python}: {error.strerror}"
    try:
        return peer, peer.read(), ""
    except RuntimeError as error:
        peer.close()
        return None, {}, str(error)


def interleaved(variants: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """Seconds of each variant, which take turns, so that the machine's moods hit all alike."""
    found: list[list[float]] = [[] for _ in variants]
    for _ in range(rounds):
        for times, variant in zip(found, variants, strict=True):
            times.append(variant())
    return found
