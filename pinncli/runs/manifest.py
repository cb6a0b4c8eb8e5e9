"""run.json: what was run, by which program, and how it ended.

The file ends in the SHA-256 of its own content, so that a damaged one is told from a sound one.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import platform
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Literal, TypeAlias

import h5py
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

import pinncli
from pinncli.errors import CorruptError
from pinncli.runs.hdf5 import check_format
from pinncli.runs.strictjson import canonical, loads, plain

KIND: Literal["pinncli run"] = "pinncli run"
FORMAT = (1, 0)
SIZE_LIMIT = 2**26

Option: TypeAlias = str | int | float | bool | None
Status = Literal[
    "creating", "running", "complete", "target", "time-limit", "interrupted", "diverged", "stalled"
]
FINISHED = frozenset(("complete", "target", "stalled"))
"""Statuses with nothing left to do; every other run is continued by the same command."""


class Writer(BaseModel):
    """The process that writes the run."""

    model_config = ConfigDict(frozen=True)

    host: str
    pid: int
    job: str


class Manifest(BaseModel):
    """The content of run.json. Unknown keys, of a newer minor format, are passed over."""

    model_config = ConfigDict(frozen=True)

    type: Literal["pinncli run"] = KIND
    format: str = f"{FORMAT[0]}.{FORMAT[1]}"
    status: Status
    name: str
    """Of the problem."""
    options: dict[str, Option]
    """What must agree, besides the problem's text, for a run to be continued: seed, device, precision."""
    identity: str
    """SHA-256 of the text and the options; every other file of the run carries it."""
    argv: list[str]
    versions: dict[str, str]
    writer: Writer
    created: str
    updated: str
    checksums: dict[str, str]
    """File name to the SHA-256 of the whole file (as `sha256sum` prints it)."""
    summary: dict[str, JsonValue]
    """The JSON object of `solve --json`; empty until the run ends."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in FINISHED


def identify(text: str, options: Mapping[str, Option]) -> str:
    """SHA-256 of a problem's text and the options that change its solution."""
    return hashlib.sha256(canonical({"text": text, "options": options})).hexdigest()


def now() -> str:
    """The time in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def this_writer() -> Writer:
    """This process; the job is that of Slurm, PBS or LSF."""
    jobs = (os.environ.get(name, "") for name in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"))
    return Writer(host=socket.gethostname(), pid=os.getpid(), job=next(filter(None, jobs), ""))


def versions() -> dict[str, str]:
    """Of everything that can change a number."""
    return {
        "pinncli": pinncli.__version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "h5py": version("h5py"),
        "hdf5": h5py.version.hdf5_version,
        "platform": platform.platform(),
    }


def encode(manifest: Manifest) -> bytes:
    """The bytes of run.json."""
    content = plain(manifest.model_dump())
    content["sha256"] = hashlib.sha256(canonical(content)).hexdigest()
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("ascii")


def decode(data: bytes, where: str) -> Manifest:
    """The manifest in the bytes of run.json. Raises CorruptError: damaged, foreign or newer."""
    content = loads(data, where)
    if not isinstance(content, dict) or content.get("type") != KIND:
        raise CorruptError(f"{where}: damaged, or not the file of a pinncli run")
    check_format(str(content.get("format")), FORMAT, where)
    digest = content.pop("sha256", None)
    if digest != hashlib.sha256(canonical(content)).hexdigest():
        raise CorruptError(f"{where}: corrupt or edited since it was written (its SHA-256 does not fit)")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise CorruptError(
            f"{where}: {error.error_count()} wrong entries: {error.errors()[0]['msg']}"
        ) from None


def differences(manifest: Manifest, old_text: str, text: str, options: Mapping[str, Option]) -> list[str]:
    """What differs between a run and what is asked for now, a line each, for a person."""
    lines = [
        f"{name}: {manifest.options.get(name)} in the run, {options.get(name)} now"
        for name in sorted({*manifest.options, *options})
        if manifest.options.get(name) != options.get(name)
    ]
    changes = difflib.unified_diff(
        old_text.splitlines(), text.splitlines(), "the run", "now", lineterm="", n=0
    )
    changed = [line for line in changes if not line.startswith(("---", "+++", "@@"))]
    lines += changed[:20]
    if len(changed) > 20:
        lines.append(f"... and {len(changed) - 20} more lines of the problem")
    return lines
