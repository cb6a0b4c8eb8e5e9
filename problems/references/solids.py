"""Solids that problems read from files, as closed surfaces of triangles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fourier import Array

PROFILE = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.25), (0.5, 0.25), (0.25, 0.5), (0.25, 1.0), (0.0, 1.0))
"""Corners of the bracket seen along z, all of them in sight of the first."""
WIDTH = 0.5


def bracket() -> Array:
    """Triangles (k, 3, 3), counterclockwise as seen from outside: the profile from z = 0 to the width."""
    lower = np.array([(*corner, 0.0) for corner in PROFILE])
    upper = lower + np.array([0.0, 0.0, WIDTH])
    faces = []
    for k in range(1, len(PROFILE) - 1):
        faces += [(lower[0], lower[k + 1], lower[k]), (upper[0], upper[k], upper[k + 1])]
    for k in range(len(PROFILE)):
        n = (k + 1) % len(PROFILE)
        faces += [(lower[k], lower[n], upper[n]), (lower[k], upper[n], upper[k])]
    return np.array(faces)


SOLIDS: dict[str, Callable[[], Array]] = {"bracket": bracket}


def stl_bytes(triangles: Array) -> bytes:
    """Binary STL: a header, the number of triangles; of each its normal, its corners and two empty bytes."""
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
    records = np.zeros(len(triangles), record)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    records["normal"] = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    records["corners"] = triangles
    return b"made by solids.py".ljust(80) + np.uint32(len(triangles)).tobytes() + records.tobytes()
