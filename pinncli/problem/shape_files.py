"""Shapes from files: what is in them is kept with the problem when it is loaded, and read as a shape here."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.diagnostics import nearest
from pinncli.problem.csv_text import read_csv
from pinncli.problem.model import ShapeFile
from pinncli.problem.named_files import DataError, resolve
from pinncli.problem.source import Loaded, printable
from pinncli.shapes.base import Shape
from pinncli.shapes.reading import ShapeError, polygon
from pinncli.shapes.surface import Facets, Surface

MAX_BYTES = 64 * 2**20
MAX_TRIANGLES = 20_000


def with_shape_files(loaded: Loaded) -> tuple[Loaded, list[Diagnostic]]:
    """The problem with what is in the shape files that it names; findings for those that cannot be read."""
    shapes: dict[str, ShapeFile] = {}
    findings: list[Diagnostic] = []
    for name, shape in loaded.problem.shapes.items():
        try:
            shapes[name] = shape.holding(_content(shape.file, loaded))
        except DataError as error:
            shapes[name] = shape
            path = ("shapes", name, "file")
            findings.append(loaded.source.diagnose(path, f"{printable(shape.file)}: {error}"))
    return replace(loaded, problem=loaded.problem.model_copy(update={"shapes": shapes})), findings


def _content(file: str, loaded: Loaded) -> bytes:
    path = resolve(file, loaded)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"larger than {MAX_BYTES // 2**20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from None


def read_shape_file(file: ShapeFile, names: tuple[str, ...]) -> Shape:
    """The shape in a file, in a space of the coordinates `names`; raises `DataError`."""
    kind = PurePosixPath(file.file).suffix.lower()
    if kind not in FORMATS:
        known = ", ".join(FORMATS)
        raise DataError(f"shapes are read from files that end in {known}")
    return FORMATS[kind](file, names)


def _outline(file: ShapeFile, names: tuple[str, ...]) -> Shape:
    """The polygon whose corners are the rows, in turn, of a CSV file with a column for each coordinate."""
    if len(names) != 2:
        raise DataError(f"an outline is for two space coordinates, and the problem has {len(names)}")
    columns = read_csv(file.content or b"")
    for name in names:
        if name not in columns:
            hint = nearest(name, columns)
            raise DataError(f"no column for the coordinate '{name}'" + (f"; {hint}" if hint else ""))
    if len(columns) > 2:
        raise DataError(f"{len(columns)} columns, where {names[0]} and {names[1]} are enough")
    corners = np.stack([columns[name] for name in names], axis=1) * file.scale
    try:
        return polygon(corners.tolist())
    except ShapeError as error:
        raise DataError(str(error)) from None


def _surface(file: ShapeFile, names: tuple[str, ...]) -> Shape:
    """What the triangles of an STL file enclose, whichever way round they are."""
    if len(names) != 3:
        raise DataError(f"a surface is for three space coordinates, and the problem has {len(names)}")
    try:
        import trimesh  # noqa: PLC0415  (an extra)
    except ImportError:
        raise DataError("reading STL needs trimesh: pip install 'pinncli[stl]'") from None
    try:
        mesh = trimesh.load_mesh(io.BytesIO(file.content or b""), file_type="stl")
        corners = np.array(mesh.triangles, dtype=np.float64).reshape(-1, 3, 3) * file.scale
    except Exception:  # whatever a hostile file may cause in there
        raise DataError("not an STL file") from None
    if not len(corners):
        raise DataError("not an STL file: there are no triangles in it")
    if len(corners) > MAX_TRIANGLES:
        raise DataError(f"{len(corners)} triangles, where {MAX_TRIANGLES} are allowed")
    if not np.isfinite(corners).all():
        raise DataError("corners that are not finite")
    if not mesh.is_watertight:
        raise DataError("the surface is not closed: some edge has not two triangles")
    if not mesh.is_winding_consistent:
        raise DataError("neighbouring triangles run in opposite directions, so that no side is the outer one")
    surface = Surface(corners)
    area = surface.pieces()[0].measure
    if not np.min(Facets(corners).areas) > 1e-12 * area:
        raise DataError("a triangle has no area")
    return surface if surface.volume > 0 else Surface(np.ascontiguousarray(corners[:, ::-1]))


FORMATS: Mapping[str, Callable[[ShapeFile, tuple[str, ...]], Shape]] = {
    ".csv": _outline,
    ".stl": _surface,
}
"""By the end of a file's name, what reads it."""
