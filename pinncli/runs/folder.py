"""What is in a folder, and whether a run may start, be continued or be replaced there."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pinncli.errors import CorruptError, NotFoundError, OutputError, UsageError
from pinncli.runs.files import Files, is_leftover
from pinncli.runs.lease import LEASE_NAME
from pinncli.runs.manifest import (
    KIND,
    SIZE_LIMIT,
    Manifest,
    Option,
    decode,
    differences,
    encode,
    identify,
    now,
    this_writer,
    versions,
)

MANIFEST, PROBLEM, HISTORY = "run.json", "problem.toml", "history.jsonl"
CHECKPOINT, FIELDS, POINTS = "checkpoint.h5", "fields.h5", "points.vtkhdf"
RUN_FILES = (MANIFEST, PROBLEM, HISTORY, CHECKPOINT, FIELDS, POINTS)
"""Every file that a run may write; no other name is ever touched."""

ATTACHMENT_LIMIT = 2**30
"""Bytes of one data file."""

Resume = Literal["auto", "never", "must"]


@dataclass(frozen=True)
class Asked:
    """What `Run.create` was asked for."""

    folder: Path
    name: str
    text: str
    options: dict[str, Option]
    force: bool
    resume: Resume
    attachments: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Of the run that was asked for."""
        return identify(self.text, self.options)


def strangers(entries: Sequence[str]) -> list[str]:
    """What is in a folder besides the lease and the leftovers of a run that never came to be."""
    return [name for name in entries if not (name.startswith(LEASE_NAME) or is_leftover(name, RUN_FILES))]


def inspect(files: Files, asked: Asked) -> Manifest | None:
    """The run that is there and may be continued (with `force`: replaced), None where one may start.

    Raises where neither may be; touches nothing.
    """
    folder = asked.folder
    if asked.force and asked.resume == "must":
        raise UsageError("--force replaces a run and --resume must continues one: choose one of them")
    entries = files.entries(folder)
    manifest = None
    if MANIFEST in entries:
        manifest = _replaceable(files, folder) if asked.force else read_manifest(files, folder)
    else:
        strange = strangers(entries)
        if strange:
            raise OutputError(
                f"{folder}: not empty and not a run ({', '.join(strange[:3])}{' ...' * (len(strange) > 3)});"
                " nothing was touched: choose another folder with --out"
            )
    if manifest is None or manifest.status == "creating" or asked.force:
        if asked.resume == "must":
            raise NotFoundError(f"{folder}: no run to continue; leave out --resume must to start one")
        return manifest
    text = read_text(files, folder, manifest)
    if manifest.identity != asked.identity:
        lines = differences(manifest, text, asked.text, asked.options)
        raise OutputError(
            "\n    ".join((f"{folder}: holds another run, which differs:", *lines))
            + "\nchoose another folder with --out, or replace the run with --force"
        )
    if asked.resume == "never":
        raise OutputError(
            f"{folder}: holds this run already; continue it (--resume auto) or replace it (--force)"
        )
    return manifest


def begin(files: Files, asked: Asked, argv: Sequence[str], old: Manifest | None) -> Manifest:
    """Write what a run begins with: for a new one after removing the files of the one it replaces.

    Until the status is "running" nothing in the folder counts: a crash here is a run that never was.
    """
    path = asked.folder / MANIFEST
    contents = {PROBLEM: asked.text.encode("utf-8"), **asked.attachments}
    manifest = Manifest(
        status="creating",
        name=asked.name,
        options=asked.options,
        identity=asked.identity,
        argv=list(argv),
        versions=versions(),
        writer=this_writer(),
        created=now(),
        updated=now(),
        checksums={name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
        summary={},
    )
    if old is None or old.status == "creating":
        files.write_atomic(path, encode(manifest))
        for entry in {*files.entries(asked.folder)} & {*RUN_FILES} - {MANIFEST}:
            files.remove(asked.folder / entry)
        for name, data in contents.items():
            files.make_folder((asked.folder / name).parent)
            files.write_atomic(asked.folder / name, data)
    else:
        manifest = manifest.model_copy(update={"created": old.created})
    manifest = manifest.model_copy(update={"status": "running"})
    files.write_atomic(path, encode(manifest))
    return manifest


def read_manifest(files: Files, folder: Path) -> Manifest | None:
    """The manifest, None where there is none. Raises CorruptError, StorageError."""
    path = folder / MANIFEST
    try:
        return decode(files.read_bytes(path, SIZE_LIMIT), str(path))
    except NotFoundError:
        return None


def _replaceable(files: Files, folder: Path) -> Manifest | None:
    """The manifest of a run that `force` replaces; None where it is damaged, but pinncli's."""
    try:
        return read_manifest(files, folder)
    except CorruptError:
        if KIND.encode() not in files.read_bytes(folder / MANIFEST, SIZE_LIMIT):
            raise
        return None


def read_text(files: Files, folder: Path, manifest: Manifest) -> str:
    """The problem's text. Raises CorruptError where it is not what the run was made from."""
    path = folder / PROBLEM
    try:
        text = files.read_bytes(path, SIZE_LIMIT).decode("utf-8")
    except (NotFoundError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path}: missing or damaged ({error})") from None
    if identify(text, manifest.options) != manifest.identity:
        raise CorruptError(f"{path}: changed since the run was made; solve the new text into another folder")
    return text


def check_attachments(files: Files, folder: Path, manifest: Manifest) -> None:
    """Compare the data files that came with the problem with run.json. Raises CorruptError."""
    for name, checksum in manifest.checksums.items():
        if name in RUN_FILES:
            continue
        try:
            data = files.read_bytes(folder / name, ATTACHMENT_LIMIT)
        except NotFoundError:
            raise CorruptError(f"{folder / name}: missing; the run was made with it") from None
        if hashlib.sha256(data).hexdigest() != checksum:
            raise CorruptError(f"{folder / name}: changed since the run was made")


def near_runs(files: Files, folder: Path) -> str:
    """A hint with the runs beside `folder` whose names are like its name."""
    if not folder.parent.is_dir():
        return ""
    beside = [name for name in files.entries(folder.parent) if (folder.parent / name / MANIFEST).is_file()]
    near = difflib.get_close_matches(folder.name, beside, n=3, cutoff=0.4)
    return f"; did you mean {' or '.join(str(folder.parent / name) for name in near)}?" if near else ""


def default_folder(name: str, seed: int) -> Path:
    """`runs/<problem>-s<seed>`, in $PINNCLI_RUNS if that is set, whatever characters the name has."""
    safe = re.sub(r"[^A-Za-z0-9_.+-]", "_", name).lstrip(".")[:100] or "problem"
    return Path(os.environ.get("PINNCLI_RUNS") or "runs") / f"{safe}-s{seed}"


def locate(name: str, text: str, options: Mapping[str, Option], files: Files | None = None) -> Path:
    """Where `solve` without --out puts a run; `options` has the seed.

    It is the default folder, or, where another run is there already, that name with the first
    digits of the identity, so that other settings never meet a refusal.
    """
    folder, identity = default_folder(name, int(options["seed"] or 0)), identify(text, options)
    try:
        manifest = read_manifest(files or Files(), folder)
    except CorruptError:
        return folder  # `Run.create` says what is wrong with it
    if manifest is None or manifest.identity == identity:
        return folder
    return folder.with_name(f"{folder.name}-{identity[:8]}")
