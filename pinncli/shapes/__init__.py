"""Shapes, their boundaries and points in them: geometry in numpy, without torch."""

from pinncli.shapes.domain import Domain, Points, Unit
from pinncli.shapes.geometry import Geometry
from pinncli.shapes.reading import SHAPES, read_shape

__all__ = ["SHAPES", "Domain", "Geometry", "Points", "Unit", "read_shape"]
