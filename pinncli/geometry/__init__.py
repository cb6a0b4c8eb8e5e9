"""Where points lie: samplers, and what they draw from regions of the domain."""

from pinncli.geometry.drawing import Drawn, draw_points
from pinncli.geometry.samplers import SAMPLERS, Sampler, stream_seed

__all__ = ["SAMPLERS", "Drawn", "Sampler", "draw_points", "stream_seed"]
