"""HDF5 in memory: files are built to bytes and read from bytes, never edited in place.

Measured reasons (HDF5 2.0): a full disk leaves a file that opens as if complete, and an open file
is unreadable after kill -9. So a file is built in memory and published by `files.write_atomic`.

The bounds ("v110", "v110") give every piece of metadata a checksum, `fletcher32` gives one to every
chunk of data. The heap that netCDF-4's dimension lists live in has none, so the file ends in a seal:
one line of text with the SHA-256 of everything before it. HDF5 readers ignore what follows the end
of the file; pinncli parses nothing before the seal is verified.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h5py
from numpy.typing import NDArray

from pinncli.errors import CorruptError

CHUNK_BYTES = 2**24
"""Size that a chunk does not pass (unless one row is larger)."""
ARRAY_LIMIT = 2**34
"""Bytes of the largest array that is read."""

_SEAL = re.compile(rb"\nPINNCLI SEAL 1 sha256 ([0-9a-f]{64}) of ([0-9]{16}) bytes\n")
_SEAL_LENGTH = len(b"\nPINNCLI SEAL 1 sha256  of  bytes\n") + 64 + 16
_FILTERS = frozenset((h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32))
_MOST_OBJECTS = 100_000
_DEEPEST = 32


def build(kind: str, version: tuple[int, int], fill: Callable[[Any], None]) -> bytes:
    """The sealed bytes of a file of this kind ("pinncli fields") and format that `fill(root)` fills."""
    with h5py.File(
        "memory",
        "w",
        driver="core",
        backing_store=False,
        block_size=2**20,
        libver=("v110", "v110"),
        track_order=True,
    ) as file:
        write_text(file, "type", kind)
        write_text(file, "format", f"{version[0]}.{version[1]}")
        fill(file)
        file.flush()
        return seal(file.id.get_file_image())


def seal(data: bytes) -> bytes:
    """`data` and the line that vouches for it."""
    digest = hashlib.sha256(data).hexdigest()
    return data + f"\nPINNCLI SEAL 1 sha256 {digest} of {len(data):016d} bytes\n".encode("ascii")


def unseal(sealed: bytes, where: str) -> memoryview:
    """The bytes before the seal. Raises CorruptError where it is missing or does not fit."""
    match = _SEAL.fullmatch(sealed, max(0, len(sealed) - _SEAL_LENGTH))
    if match is None:
        raise CorruptError(f"{where}: truncated, or not a file that pinncli wrote (its seal is missing)")
    data = memoryview(sealed)[:-_SEAL_LENGTH]
    if int(match[2]) != len(data) or hashlib.sha256(data).hexdigest().encode() != match[1]:
        raise CorruptError(f"{where}: corrupt or changed since it was written (its SHA-256 does not fit)")
    return data


def write_text(place: Any, name: str, value: str) -> None:
    """A fixed-length UTF-8 attribute of a file, group or dataset."""
    data = value.encode("utf-8", "backslashreplace").replace(b"\0", b"\\0")
    place.attrs.create(name, data, dtype=h5py.string_dtype("utf-8", max(1, len(data))))


def read_text(place: Any, name: str, default: str | None = None) -> str:
    """A text attribute. Raises KeyError where it is missing and there is no default."""
    value = place.attrs[name] if default is None else place.attrs.get(name, default)
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def write_array(
    group: Any,
    name: str,
    array: NDArray[Any],
    *,
    chunk: tuple[int, ...] | None = None,
    compress: bool = True,
    fill: float | None = None,
) -> Any:
    """A chunked, checksummed dataset of at least one axis; `compress` adds shuffle and gzip 4."""
    packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if compress else {}
    return group.create_dataset(
        name,
        data=array,
        chunks=_chunk_shape(chunk or array.shape, array.dtype.itemsize),
        maxshape=tuple(n or None for n in array.shape),  # a chunk does not fit in an axis of none
        fletcher32=True,
        fillvalue=fill,
        **packing,
    )


def _chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """`shape`, shortened from the first axis on until a chunk has at most CHUNK_BYTES."""
    chunk = [max(1, n) for n in shape]
    for axis, n in enumerate(chunk):
        size = itemsize * math.prod(chunk)
        if size > CHUNK_BYTES:
            chunk[axis] = max(1, n * CHUNK_BYTES // size)
    return tuple(chunk)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Whatever goes wrong inside is a CorruptError that says where."""
    try:
        yield
    except CorruptError:
        raise
    except Exception as error:
        raise CorruptError(f"{where}: cannot be read: {type(error).__name__}: {error}") from error


@contextmanager
def opened(sealed: bytes, where: str, kind: str, version: tuple[int, int]) -> Iterator[Any]:
    """The root group of a file of `kind`, after its seal, kind, format and every object are checked.

    A newer minor format is read, a newer major one refused. Raises CorruptError.
    """
    data = unseal(sealed, where)
    with reading(where), h5py.File(h5py.h5f.open_file_image(bytes(data))) as file:
        found = read_text(file, "type", "of another program")
        if found != kind:
            raise CorruptError(f"{where}: is {found!r}, not {kind!r}")
        check_format(read_text(file, "format"), version, where)
        _check_group(file, where, 0, [0])
        yield file


def check_format(found: str, known: tuple[int, int], where: str) -> None:
    """Raise CorruptError where the major format is newer than what this program knows."""
    match = re.fullmatch(r"([0-9]{1,6})\.([0-9]{1,6})", found)
    if match is None:
        raise CorruptError(f"{where}: {found!r} is no format version")
    if int(match[1]) > known[0]:
        raise CorruptError(
            f"{where}: has format {found}, this program reads up to {known[0]}.x; use a newer pinncli"
        )


def _check_group(group: Any, where: str, depth: int, count: list[int]) -> None:
    """Refuse what reaches outside the file, what this program never writes, and endless nesting."""
    if depth > _DEEPEST:
        raise CorruptError(f"{where}: groups are nested more than {_DEEPEST} deep")
    for name in group:
        count[0] += 1
        if count[0] > _MOST_OBJECTS:
            raise CorruptError(f"{where}: more than {_MOST_OBJECTS:,} objects")
        place = f"{where}: {group.name.rstrip('/')}/{name}"
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):  # never followed here
            continue
        if not isinstance(link, h5py.HardLink):
            raise CorruptError(f"{place}: a link to another file")
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_group(item, where, depth + 1, count)
        elif isinstance(item, h5py.Dataset):
            _check_dataset(item, place)
        else:
            raise CorruptError(f"{place}: neither a group nor a dataset")


def _check_dataset(dataset: Any, place: str) -> None:
    plist = dataset.id.get_create_plist()
    filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if dataset.external is not None or dataset.is_virtual:
        raise CorruptError(f"{place}: its data are in another file")
    if dataset.dtype.kind not in "biufcS":
        raise CorruptError(f"{place}: data of type {dataset.dtype} are not read")
    if dataset.chunks is None or h5py.h5z.FILTER_FLETCHER32 not in filters or filters - _FILTERS:
        raise CorruptError(f"{place}: not stored with a checksum")
    itemsize = dataset.dtype.itemsize
    size = itemsize * math.prod(dataset.shape)
    if max(size, itemsize * math.prod(dataset.chunks)) > ARRAY_LIMIT:
        raise CorruptError(f"{place}: {size:,} bytes are more than the limit of {ARRAY_LIMIT:,} bytes")
    chunks = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() != chunks:
        raise CorruptError(f"{place}: incomplete: some of its {chunks} chunks were never written")
