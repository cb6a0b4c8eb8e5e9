"""Fields on a grid as one HDF5 file that h5py, xarray, netCDF tools and ParaView open.

    /t /y /x          coordinates: dimension scales, float64; a parameter coordinate says so by `role`
    /u /residual_...  fields, C order t, z, y, x, parameters before them, a scale attached on every axis
                      (netCDF-4, CF)
    /domain_mask      uint8, 0 where every field is NaN; only where there are such points
    /VTKHDF           soft links to the same arrays (vtkHDFReader); uniform grids in space only

The dimensions carry no `_Netcdf4Dimid`: with it the netCDF library reads the linked time values as a
second dimension of the same number and gives `t` its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import pinncli
from pinncli.errors import CorruptError
from pinncli.evaluation import FieldSet
from pinncli.runs.files import Files
from pinncli.runs.hdf5 import build, opened, read_text, reading, write_array, write_text

KIND = "pinncli fields"
FORMAT = (1, 0)
MASK = "domain_mask"
VTK = "VTKHDF"
PARAMETER = "parameter"
"""`role` of a coordinate that is neither space nor time."""


def fields_bytes(fields: FieldSet, *, history: str = "", identity: str = "") -> bytes:
    """The file of these fields; `history` is the CF attribute (the command), `identity` the run's.

    Complex fields become two, `_real` and `_imag`. The same fields give the same bytes.
    Raises ValueError where a field's shape is not that of the coordinates.
    """

    def fill(root: Any) -> None:
        write_root(root, fields.title, history, identity)
        write_text(root, "dimensions", " ".join(fields.coordinates))
        for name, values in fields.coordinates.items():
            array = np.asarray(values, dtype=np.float64)
            scale = write_variable(root, name, array, fields.units, fields.long_names)
            if fields.axes.get(name) == "P":
                write_text(scale, "role", PARAMETER)
            elif name in fields.axes:
                write_text(scale, "axis", fields.axes[name])
            scale.make_scale(name)
        names = _write_fields(root, fields)
        if VTK not in names and is_uniform(fields):
            _write_vtk(root, fields, names)

    return build(KIND, FORMAT, fill)


def write_root(root: Any, title: str, history: str, identity: str) -> None:
    """The attributes that every published file has."""
    write_text(root, "Conventions", "CF-1.11")
    write_text(root, "title", title)
    write_text(root, "history", history)
    write_text(root, "source", f"pinncli {pinncli.__version__}")
    write_text(root, "identity", identity)


def write_variable(
    root: Any,
    name: str,
    array: NDArray[Any],
    units: dict[str, str],
    long_names: dict[str, str],
    *,
    chunk: tuple[int, ...] | None = None,
    fill: float | None = None,
) -> Any:
    """A netCDF variable; units are "1" where there are none."""
    variable = write_array(root, name, array, chunk=chunk, fill=fill)
    write_text(variable, "units", units.get(name) or "1")
    write_text(variable, "long_name", long_names.get(name) or name)
    return variable


def split_complex(fields: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.floating[Any]]]:
    """Every complex field as two, and every field as float64 or float32."""
    real: dict[str, NDArray[np.floating[Any]]] = {}
    for name, values in fields.items():
        if np.iscomplexobj(values):
            real |= {f"{name}_real": values.real, f"{name}_imag": values.imag}
        else:
            real[name] = values if values.dtype == np.float32 else np.asarray(values, dtype=np.float64)
    return real


def _write_fields(root: Any, fields: FieldSet) -> list[str]:
    """Write the fields and, where it is needed, the mask; their names."""
    shape = tuple(len(values) for values in fields.coordinates.values())
    real = split_complex(fields.fields)
    for name, values in real.items():
        if values.shape != shape:
            raise ValueError(f"{name}: shape {values.shape}, but the coordinates have {shape}")
        _write_field(root, name, values, fields, np.nan)
    outside = (
        np.logical_and.reduce([np.isnan(values) for values in real.values()]) if real else np.array(False)
    )
    if not outside.any() or MASK in real:
        return list(real)
    mask = _write_field(root, MASK, (~outside).astype(np.uint8), fields, None)
    mask.attrs["flag_values"] = np.array([0, 1], dtype=np.uint8)
    write_text(mask, "flag_meanings", "outside inside")
    return [*real, MASK]


def _write_field(root: Any, name: str, values: NDArray[Any], fields: FieldSet, fill: float | None) -> Any:
    """One field in chunks of one time step and parameter, a scale attached on every axis."""
    axes = [fields.axes.get(coordinate) for coordinate in fields.coordinates]
    chunk = tuple(
        1 if axis in ("T", "P") and axes[k + 1 :] else size
        for k, (axis, size) in enumerate(zip(axes, values.shape, strict=True))
    )
    field = write_variable(root, name, values, fields.units, fields.long_names, chunk=chunk, fill=fill)
    if fill is not None:
        field.attrs["_FillValue"] = values.dtype.type(fill)
    for axis, coordinate in enumerate(fields.coordinates):
        field.dims[axis].attach_scale(root[coordinate])
    return field


def space_axes(fields: FieldSet) -> dict[str, str]:
    """Axis "X", "Y" or "Z" to the coordinate along it."""
    return {axis: name for name, axis in fields.axes.items() if axis in "XYZ" and name in fields.coordinates}


def is_uniform(fields: FieldSet) -> bool:
    """Whether VTK's image data can hold the grid: 1 to 3 axes of space, evenly spaced, and time only."""
    space = space_axes(fields)
    others = [name for name in fields.coordinates if name not in space.values()]
    if not space or any(fields.axes.get(name) != "T" for name in others):
        return False
    for name in space.values():
        steps = np.diff(fields.coordinates[name])
        if steps.size and not np.allclose(steps, steps.mean(), rtol=1e-6, atol=0):
            return False
    return True


def _write_vtk(root: Any, fields: FieldSet, names: list[str]) -> None:
    """The group that VTK reads: an image of `WholeExtent` whose arrays are links to the fields."""
    extent: list[int] = []
    origin: list[float] = []
    spacing: list[float] = []
    space = space_axes(fields)
    for axis in "XYZ":
        values = fields.coordinates[space[axis]] if axis in space else np.zeros(1)
        extent += [0, len(values) - 1]
        origin.append(float(values[0]))
        spacing.append(float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 1.0)
    group = vtk_group(root, "ImageData")
    group.attrs["WholeExtent"] = np.array(extent, dtype=np.int64)
    group.attrs["Origin"] = np.array(origin)
    group.attrs["Spacing"] = np.array(spacing)
    group.attrs["Direction"] = np.eye(3).ravel()
    link_all(group.create_group("PointData"), names)
    time = [name for name, axis in fields.axes.items() if axis == "T" and name in fields.coordinates]
    if time:
        steps = group.create_group("Steps")
        steps.attrs["NSteps"] = np.int64(len(fields.coordinates[time[0]]))
        steps["Values"] = h5py.SoftLink(f"/{time[0]}")


def vtk_group(root: Any, kind: str) -> Any:
    """The /VTKHDF group of this kind; VTK wants the name in fixed-length ASCII."""
    group = root.create_group(VTK)
    group.attrs["Version"] = np.array([2, 2], dtype=np.int64)
    group.attrs.create("Type", np.bytes_(kind), dtype=f"S{len(kind)}")
    return group


def link_all(group: Any, names: list[str]) -> None:
    """Soft links in `group` to root datasets of the same names."""
    for name in names:
        group[name] = h5py.SoftLink(f"/{name}")


def read_fields(path: Path, files: Files | None = None, *, identity: str | None = None) -> FieldSet:
    """The fields of a file that `fields_bytes` made, as it was given them (complex fields as two).

    Raises NotFoundError, CorruptError (damaged, foreign, newer, or of another run than `identity`).
    """
    data = (files or Files()).read_bytes(path)
    with opened(data, str(path), KIND, FORMAT) as root, reading(str(path)):
        check_identity(root, path, identity)
        dimensions = read_text(root, "dimensions").split()
        arrays, units, long_names, axes = read_variables(root, path, [name for name in root if name != MASK])
        shape = tuple(arrays[name].size for name in dimensions)
        coordinates = {name: arrays.pop(name) for name in dimensions}
        for name, values in arrays.items():
            if values.shape != shape:
                raise CorruptError(f"{path}: /{name}: shape {values.shape}, but the coordinates have {shape}")
        return FieldSet(read_text(root, "title"), coordinates, arrays, units, long_names, axes)


def check_identity(root: Any, path: Path, identity: str | None) -> None:
    """Raise CorruptError where the file is not of the run with this identity."""
    if identity is not None and read_text(root, "identity") != identity:
        raise CorruptError(f"{path}: belongs to another problem or other settings than this run")


def read_variables(
    root: Any, path: Path, names: list[str]
) -> tuple[dict[str, NDArray[Any]], dict[str, str], dict[str, str], dict[str, str]]:
    """The arrays, units, long names and axes of these root datasets, as far as they have them."""
    arrays: dict[str, NDArray[Any]] = {}
    units: dict[str, str] = {}
    long_names: dict[str, str] = {}
    axes: dict[str, str] = {}
    for name in names:
        with reading(f"{path}: /{name}"):
            variable = root[name]
            if isinstance(variable, h5py.Group):  # VTKHDF: the same data
                continue
            arrays[name] = variable[()]
            units[name] = read_text(variable, "units")
            long_names[name] = read_text(variable, "long_name")
            if "axis" in variable.attrs:
                axes[name] = read_text(variable, "axis")
            elif "role" in variable.attrs and read_text(variable, "role") == PARAMETER:
                axes[name] = "P"
    return arrays, units, long_names, axes
