"""Checkpoints: everything the training loop carries, exactly, in one sealed HDF5 file.

Saving replaces the previous checkpoint only after the new one has been read back (`files.write_atomic`),
so that a crash at any moment leaves one of the two, whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pinncli.errors import CorruptError, NotFoundError
from pinncli.runs.files import Files
from pinncli.runs.hdf5 import build, opened, read_text, reading, write_text
from pinncli.runs.tree import Tree, read_tree, write_tree

KIND = "pinncli checkpoint"
FORMAT = (1, 0)


@dataclass(frozen=True)
class Checkpoint:
    """`state` is what the loop carries, `history` the bytes of history.jsonl when it was saved."""

    state: Tree
    history: int


def save_checkpoint(files: Files, path: Path, identity: str, checkpoint: Checkpoint) -> bytes:
    """Publish the checkpoint of the run with this identity; the bytes written.

    Raises TypeError for a state that a tree cannot hold, OutputError, StorageError.
    """

    def fill(root: object) -> None:
        write_text(root, "identity", identity)
        write_tree(root, {"history": checkpoint.history, "state": checkpoint.state})

    data = build(KIND, FORMAT, fill)
    files.write_atomic(path, data)
    return data


def load_checkpoint(files: Files, path: Path, identity: str) -> Checkpoint | None:
    """The checkpoint, or None where there is none; tensors are on the CPU.

    Raises CorruptError where it is damaged, of a newer format, or of another run.
    """
    try:
        data = files.read_bytes(path)
    except NotFoundError:
        return None
    with opened(data, str(path), KIND, FORMAT) as root, reading(str(path)):
        if read_text(root, "identity") != identity:
            raise CorruptError(f"{path}: belongs to another problem or other settings than this run")
        tree = read_tree(root, str(path))
        return Checkpoint(state=dict(tree["state"]), history=int(tree["history"]))
