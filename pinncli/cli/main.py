"""The program's entry: streams, the app, the boundary."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pinncli.cli.boundary import guarded
from pinncli.cli.streams import survive_closed_streams


def run(arguments: Sequence[str]) -> int:
    """Run one command line in this process and return its exit code."""
    from typer.main import get_command

    from pinncli.cli.app import app

    return guarded(get_command(app), arguments)


def main() -> NoReturn:
    """Run the process's own command line and exit.

    OpenMP reads how its threads wait once, when torch is loaded. By default they spin, which stalls a
    step of milliseconds for a second whenever another process wants the same core; sleeping at once
    doubles the time of a step on a quiet machine. A short spin, then sleep, costs neither.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    survive_closed_streams()
    sys.exit(run(sys.argv[1:]))
