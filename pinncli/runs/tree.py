"""A nested dict of tensors, arrays and Python scalars as HDF5 groups and datasets, exactly.

    dict            group, in the dict's order
    torch.Tensor    dataset, kind "tensor"; read back on the CPU
    numpy.ndarray   dataset, kind "array"
    None, bool, int, float, str     dataset of JSON text, kind "value"

Numpy scalars become Python scalars. Nothing else can be in a tree: state is data, never code.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, unquote

import h5py
import numpy as np
import torch

from pinncli.errors import CorruptError
from pinncli.runs.hdf5 import read_text, reading, write_array, write_text

Leaf = None | bool | int | float | str | np.ndarray | torch.Tensor
Tree = dict[str, Any]
"""`dict[str, Leaf | Tree]`; mypy has no recursive dict that callers can fill without casts."""

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.complex128,
        torch.complex64,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint64,
        torch.uint32,
        torch.uint16,
        torch.uint8,
        torch.bool,
    )
}


def write_tree(group: Any, tree: Tree, where: str = "") -> None:
    """Write `tree` into an empty group. Raises TypeError for what a tree cannot hold."""
    for key, leaf in tree.items():
        if not isinstance(key, str) or not key:
            raise TypeError(f"{where or '/'}: {key!r} is no name")
        name = quote(key, safe=" ").replace(".", "%2E")
        place = f"{where}/{key}"
        if isinstance(leaf, dict):
            write_tree(group.create_group(name, track_order=True), leaf, place)
        elif isinstance(leaf, torch.Tensor):
            _write_tensor(group, name, leaf, place)
        elif isinstance(leaf, np.ndarray):
            _write_leaf(group, name, leaf, "array", place)
        else:
            value = leaf.item() if isinstance(leaf, np.generic) else leaf
            if not (value is None or isinstance(value, (bool, int, float, str))):
                raise TypeError(f"{place}: {type(value).__name__} cannot be in a checkpoint")
            _write_leaf(group, name, np.array(json.dumps(value).encode("ascii")), "value", place)


def _write_tensor(group: Any, name: str, tensor: torch.Tensor, place: str) -> None:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in _DTYPES or tensor.layout != torch.strided:
        raise TypeError(f"{place}: a tensor of {tensor.dtype}, {tensor.layout} cannot be in a checkpoint")
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:  # numpy has no such type
        tensor = tensor.view(torch.int16)
    write_text(_write_leaf(group, name, tensor.numpy(), "tensor", place), "dtype", dtype)


def _write_leaf(group: Any, name: str, array: np.ndarray, kind: str, place: str) -> Any:
    if array.dtype.kind not in "biufcS":
        raise TypeError(f"{place}: an array of {array.dtype} cannot be in a checkpoint")
    dataset = write_array(group, name, np.atleast_1d(array), compress=False)
    write_text(dataset, "kind", kind)
    dataset.attrs["axes"] = np.int64(array.ndim)
    return dataset


def read_tree(group: Any, where: str) -> Tree:
    """The tree in a group of a file that `hdf5.opened` checked. Raises CorruptError naming the dataset."""
    tree: Tree = {}
    for name in group:
        place = f"{where}: {group.name.rstrip('/')}/{name}"
        with reading(place):
            if isinstance(group.get(name, getlink=True), h5py.SoftLink):
                raise CorruptError(f"{place}: a link has no place in a tree")
            item = group[name]
            tree[unquote(name)] = read_tree(item, where) if isinstance(item, h5py.Group) else _read_leaf(item)
    return tree


def _read_leaf(dataset: Any) -> Leaf:
    array = dataset[()]
    if not dataset.attrs["axes"]:
        array = array.reshape(())
    kind = read_text(dataset, "kind")
    if kind == "array":
        return np.asarray(array)
    if kind == "tensor":
        tensor = torch.from_numpy(array)
        dtype = _DTYPES[read_text(dataset, "dtype")]
        return tensor.view(dtype) if dtype == torch.bfloat16 else tensor
    if kind == "value":
        value = json.loads(array.item())
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
    raise ValueError(f"{kind!r} is no kind of leaf")
