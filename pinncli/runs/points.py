"""Fields at scattered points as one HDF5 file: columns for xarray, PolyData for ParaView.

/point            0 .. n-1, the dimension
/x /t /u ...      one column each, float64
/VTKHDF           PolyData: the points, one vertex each, soft links to the columns
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pinncli.evaluation import PointSet
from pinncli.runs.fields import (
    VTK,
    check_identity,
    link_all,
    read_variables,
    split_complex,
    vtk_group,
    write_root,
    write_variable,
)
from pinncli.runs.files import Files
from pinncli.runs.hdf5 import build, opened, read_text, reading, write_array, write_text

KIND = "pinncli points"
FORMAT = (1, 0)
DIMENSION = "point"


def points_bytes(points: PointSet, *, history: str = "", identity: str = "") -> bytes:
    """The file of these points. The first three coordinates other than `t` are where VTK puts them.

    Raises ValueError where the columns are not equally long.
    """
    columns = split_complex({**points.coordinates, **points.fields})
    lengths = {column.shape for column in columns.values()}
    if len(lengths) != 1 or len(shape := lengths.pop()) != 1:
        raise ValueError("the columns of a point set have one length")

    def fill(root: Any) -> None:
        write_root(root, points.title, history, identity)
        write_text(root, "coordinates", " ".join(points.coordinates))
        write_array(root, DIMENSION, np.arange(shape[0], dtype=np.int64)).make_scale(DIMENSION)
        for name, column in columns.items():
            variable = write_variable(root, name, column, points.units, points.long_names)
            variable.dims[0].attach_scale(root[DIMENSION])
            if name not in points.coordinates:
                write_text(variable, "coordinates", " ".join(points.coordinates))
        if not {VTK, DIMENSION} & columns.keys():
            space = [columns[name] for name in points.coordinates if name != "t"][:3]
            _write_vtk(root, space, shape[0], list(columns))

    return build(KIND, FORMAT, fill)


def _write_vtk(root: Any, space: list[np.ndarray], n: int, names: list[str]) -> None:
    """Points (n, 3), one vertex cell a point, no lines, polygons or strips."""
    group = vtk_group(root, "PolyData")
    places = np.zeros((n, 3))
    for axis, column in enumerate(space):
        places[:, axis] = column
    write_array(group, "NumberOfPoints", np.array([n], dtype=np.int64))
    write_array(group, "Points", places)
    for kind in ("Vertices", "Lines", "Polygons", "Strips"):
        cells = n if kind == "Vertices" else 0
        part = group.create_group(kind)
        write_array(part, "NumberOfCells", np.array([cells], dtype=np.int64))
        write_array(part, "NumberOfConnectivityIds", np.array([cells], dtype=np.int64))
        write_array(part, "Offsets", np.arange(cells + 1, dtype=np.int64))
        write_array(part, "Connectivity", np.arange(cells, dtype=np.int64))
    link_all(group.create_group("PointData"), names)


def read_points(path: Path, files: Files | None = None, *, identity: str | None = None) -> PointSet:
    """The point set of a file that `points_bytes` made. Raises NotFoundError, CorruptError."""
    data = (files or Files()).read_bytes(path)
    with opened(data, str(path), KIND, FORMAT) as root, reading(str(path)):
        check_identity(root, path, identity)
        names = [name for name in root if name != DIMENSION]
        arrays, units, long_names, _ = read_variables(root, path, names)
        coordinates = {name: arrays.pop(name) for name in read_text(root, "coordinates").split()}
        return PointSet(read_text(root, "title"), coordinates, arrays, units, long_names)
