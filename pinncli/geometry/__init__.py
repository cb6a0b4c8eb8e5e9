"""Where points lie: regions of the domain and samplers of them."""

from pinncli.geometry.box import Box, Points, Predicate
from pinncli.geometry.samplers import SAMPLERS, Sampler, stream_seed

__all__ = ["SAMPLERS", "Box", "Points", "Predicate", "Sampler", "stream_seed"]
