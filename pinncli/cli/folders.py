"""Where runs are: the runs folder, the directory of a new run, and a run named on the command line."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from pinncli.errors import NotFoundError


def runs_folder() -> Path:
    """`runs` in the current folder, or $PINNCLI_RUNS."""
    return Path(os.environ.get("PINNCLI_RUNS") or "runs")


def find_run(name: str) -> Path:
    """The directory of a run given by path, or by its name in the runs folder.

    Raises NotFoundError with near names.
    """
    for candidate in (Path(name), runs_folder() / name):
        if "\0" not in name and candidate.exists():
            return candidate
    parent = runs_folder()
    names = sorted(p.name for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []
    near = get_close_matches(Path(name).name, names, 3, 0.4)
    hint = (
        f"did you mean {', '.join(near)}?" if near else f"runs are in {parent}/ unless --out said otherwise"
    )
    raise NotFoundError(f"no run '{name}'\n{hint}")
