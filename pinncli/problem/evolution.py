"""Evolution problems that local features can march through without being asked.

What is here says whether a problem is one, and what the march is like for some numbers of windows and
patches; `pinncli.pilot` finds the numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pinncli.problem.defaults import LocalNetwork, features_first, local_network
from pinncli.problem.domains import is_box
from pinncli.problem.settings import LocalSettings
from pinncli.problem.source import SourceMap
from pinncli.problem.terms import Formulation
from pinncli.problem.windows import check_windows

WINDOWS, PATCHES, SCALE = 10, 32, 0.7
"""With which a pilot begins: coarse, for a few seconds. The scale suits patches of any size."""
EACH, ALONE = 60, 40
"""Features on a patch, and in a window of an ordinary differential equation."""


@dataclass(frozen=True)
class March:
    """Equal time windows, in each of which `network` is fitted anew."""

    windows: int
    network: LocalNetwork
    components: int

    @property
    def operations(self) -> float:
        """Of one Gauss-Newton step in every window.

        A patch takes two triangular factorisations of a front that is three patches wide.
        """
        share = self.network.each * self.components
        return 180.0 * self.windows * math.prod(self.network.patches) * share**3

    def cut(self, formulation: Formulation) -> Formulation:
        """The same problem, to be solved in these windows."""
        problem = formulation.problem
        marching = problem.marching.model_copy(update={"windows": self.windows})
        return replace(formulation, problem=problem.model_copy(update={"marching": marching}))

    @property
    def finer(self) -> tuple[March, ...]:
        """Twice the patches, or twice the windows, or a third more features on every patch."""
        network = self.network
        patches = tuple(2 * k if k > 1 else 1 for k in network.patches)
        more = replace(network, each=math.ceil(network.each * 4 / 3))
        moves = [replace(self, windows=2 * self.windows), replace(self, network=more)]
        if patches != network.patches:
            moves.insert(0, replace(self, network=replace(network, patches=patches)))
        return tuple(moves)


def first_march(formulation: Formulation) -> March | None:
    """The coarsest march to try; None where the problem is not made for one, or its file says how.

    There must be a time whose moments no condition compares, at most one coordinate besides, and nothing
    that is known only from all of time.
    """
    problem = formulation.problem
    automatic = features_first(formulation) is not None and not problem.curriculum
    if not automatic or problem.time is None or problem.marching.model_fields_set or problem.varied:
        return None
    if len(problem.coordinates) > 2 or not is_box(problem) or len(problem.parts) > 1:
        return None
    if problem.time in formulation.periodic or any(terms.data for terms in formulation.conditions):
        return None
    settings = LocalSettings(
        kind="local",
        width=EACH if problem.space else ALONE,
        patches=dict.fromkeys(problem.space, PATCHES),
        scale=SCALE,
    )
    march = March(
        WINDOWS, local_network(settings, formulation, formulation.periodic), len(problem.components)
    )
    return None if check_windows(march.cut(formulation), SourceMap("")) else march
