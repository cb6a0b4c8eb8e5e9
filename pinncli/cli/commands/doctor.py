"""`pinncli doctor`: what this machine gives the program to work with, and what is wrong with it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import typer

from pinncli import __version__
from pinncli.cli.options import Json
from pinncli.cli.output import result, result_json
from pinncli.errors import PinncliError

_PACKAGES = (
    "torch",
    "numpy",
    "h5py",
    "sympy",
    "lark",
    "pydantic",
    "tomlkit",
    "filelock",
    "typer",
    "rich",
    "matplotlib",
)


def doctor(json: Json = False) -> None:
    """Check this installation; exit code 1 where something is wrong."""
    facts: dict[str, str] = {}
    problems: list[str] = []
    for name, examine in EXAMINATIONS.items():
        try:
            facts |= dict(examine())
        except Exception as error:  # whatever is wrong here is what the user wants to read
            problems.append(f"{name}: {error or type(error).__name__}")
    if json:
        result_json({"status": "problems" if problems else "ok", "facts": facts, "problems": problems})
    else:
        result("\n".join(f"{name:<16} {value}" for name, value in facts.items()))
        result("\n".join(f"problem: {text}" for text in problems) or "no problems found")
    if problems:
        raise typer.Exit(PinncliError.exit_code)


def _program() -> Iterator[tuple[str, str]]:
    yield "pinncli", __version__
    yield "python", f"{platform.python_version()} ({sys.executable})"
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"


def _packages() -> Iterator[tuple[str, str]]:
    missing = []
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        raise RuntimeError(f"{', '.join(missing)} not installed; install pinncli again with pip")


def _threads() -> Iterator[tuple[str, str]]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "CPU cores", f"{usable} usable by this process"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "SLURM_CPUS_PER_TASK", "CUDA_VISIBLE_DEVICES"):
        if name in os.environ:
            yield name, os.environ[name]


def _devices() -> Iterator[tuple[str, str]]:
    import torch

    yield "torch threads", str(torch.get_num_threads())
    yield "CUDA", f"torch was built for {torch.version.cuda or 'the CPU only'}"
    for k in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(k)
        name = torch.cuda.get_device_name(k)
        yield f"cuda:{k}", f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    if torch.backends.mps.is_available():
        yield "mps", "available (float32 only)"
    solved = torch.linalg.cholesky(torch.full((2, 2), 1.0, dtype=torch.float64) + torch.eye(2))
    if not torch.isfinite(solved).all():
        raise RuntimeError("torch cannot factorise a 2 by 2 matrix; install torch again")


def _files() -> Iterator[tuple[str, str]]:
    import io

    import h5py

    memory = io.BytesIO()
    with h5py.File(memory, "w", libver=("v110", "v110")) as file:
        file.create_dataset("u", data=[1.0, 2.0], fletcher32=True)
    with h5py.File(memory, "r") as file:
        values = list(file["u"][:])
    if values != [1.0, 2.0]:
        raise RuntimeError("HDF5 reads back other numbers than it wrote; install h5py again")
    yield "HDF5", f"{h5py.version.hdf5_version}, writes and reads in memory"


def _figures() -> Iterator[tuple[str, str]]:
    from pinncli.cli.commands.plot import headless

    headless()
    import matplotlib as mpl

    from pinncli.cli.plotting.style import figure_bytes, new_figure

    figure_bytes(new_figure("doctor", (1.0, 1.0)), "png")
    yield "figures", f"matplotlib draws with {mpl.get_backend()}"


def _terminal() -> Iterator[tuple[str, str]]:
    size = os.get_terminal_size(2).columns if sys.stderr.isatty() else None
    yield "terminal", "none" if size is None else f"{size} columns, {sys.stderr.encoding}"


EXAMINATIONS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "program": _program,
    "packages": _packages,
    "threads": _threads,
    "devices": _devices,
    "files": _files,
    "figures": _figures,
    "terminal": _terminal,
}
