"""From conditions and partial derivatives to residuals, one number per point and equation.

A `Condition` is a residual program on a group of points. Conditions on the same points form a
`Group` and share every network evaluation. A `Block` is a piece of work that fits in the cache:
some points of some groups, with the engine calls that their residuals need, merged where
several groups ask for the same partials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from pinncli.language.combining import Column, coefficients, combinations, without
from pinncli.language.functions import integer_power
from pinncli.language.partials import Partial, Wanted, in_order, shape_of
from pinncli.language.program import Input, Program
from pinncli.language.scope import Residual, Site
from pinncli.language.splines import Spline, evaluate

USUAL_SITES = 4
"""Places where a condition without integrals evaluates the solution, at most."""

TORCH: Mapping[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "ipow": integer_power,
    "pow": lambda a, b: a**b,
    "sqrt": torch.sqrt,
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "atan2": lambda y, x: torch.atan2(*_pair(y, x)),
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "abs": torch.abs,
    "sign": torch.sign,
    "heaviside": lambda x: 0.5 * (torch.sign(x) + 1.0),
    "min": lambda a, b: torch.minimum(*_pair(a, b)),
    "max": lambda a, b: torch.maximum(*_pair(a, b)),
    "where": torch.where,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "not": lambda a: ~a,
    "lookup": lambda spline, *arguments: _lookup(spline, arguments),
}
"""How torch runs each op of a `Program`; numpy's twin is `pinncli.language.functions.NUMPY`."""


def _lookup(spline: Spline, arguments: Sequence[Tensor | float]) -> Tensor:
    """A function from a file at tensors and numbers, of which one is a tensor."""
    like = next(a for a in arguments if isinstance(a, Tensor))
    knots, coefficients = _on_device(spline, like.device, like.dtype)
    tensors = [torch.as_tensor(a, dtype=like.dtype, device=like.device).contiguous() for a in arguments]
    value: Tensor = evaluate(torch, spline.degrees, knots, coefficients, tensors)
    return value


@lru_cache(maxsize=256)
def _on_device(spline: Spline, device: torch.device, dtype: torch.dtype) -> tuple[list[Tensor], Tensor]:
    """Knots and coefficients of a spline where they are used."""
    knots = [torch.tensor(t, dtype=dtype, device=device) for t in spline.knots]
    return knots, torch.tensor(spline.coefficients, dtype=dtype, device=device)


def _pair(a: Tensor | float, b: Tensor | float) -> tuple[Tensor, Tensor]:
    """Both as tensors on the device of the one that is."""
    like = a if isinstance(a, Tensor) else b
    assert isinstance(like, Tensor)  # noqa: S101  (a program never applies an op to constants only)
    return torch.as_tensor(a, dtype=like.dtype, device=like.device), torch.as_tensor(
        b, dtype=like.dtype, device=like.device
    )


def run_program(program: Program, value_of: Callable[[Input], Any], points: Tensor) -> list[Tensor]:
    """The program's outputs at `points` (n, d), each (n,), with inputs from `value_of`."""

    def where(condition: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """Of two numbers torch.where would make float32, whatever the precision of the points."""
        return torch.where(condition, torch.as_tensor(a, dtype=points.dtype, device=points.device), b)

    outputs = program.run([value_of(i) for i in program.inputs], {**TORCH, "where": where})
    return [
        out.expand(len(points)) if isinstance(out, Tensor) else points.new_full((len(points),), float(out))
        for out in outputs
    ]


def run_on_coordinates(program: Program, points: Tensor, names: Sequence[str]) -> list[Tensor]:
    """A program of coordinates only, at `points` (n, d)."""
    return run_program(program, lambda i: points[:, names.index(i.name)], points)


@dataclass(frozen=True)
class Condition:
    """A named residual and its weight."""

    name: str
    residual: Residual
    weight: float = 1.0

    @property
    def components(self) -> int:
        """Residuals per point: 2 for a complex equation."""
        return len(self.residual.programs.outputs)


@dataclass(frozen=True)
class Sample:
    """Where a group is evaluated: points (n, d), outward normals (n, d), data columns (n,)."""

    points: Tensor
    normals: Tensor
    columns: Mapping[str, Tensor]

    def __len__(self) -> int:
        return self.points.shape[0]

    def __getitem__(self, key: slice | Tensor) -> Sample:
        return Sample(self.points[key], self.normals[key], {n: c[key] for n, c in self.columns.items()})

    def join(self, other: Sample) -> Sample:
        """The points of this sample, then those of another with the same columns."""
        columns = {n: torch.cat([c, other.columns[n]]) for n, c in self.columns.items()}
        points = torch.cat([self.points, other.points])
        return Sample(points, torch.cat([self.normals, other.normals]), columns)

    def to(self, device: torch.device, dtype: torch.dtype) -> Sample:
        """The same sample elsewhere."""
        columns = {n: c.to(device, dtype) for n, c in self.columns.items()}
        return Sample(self.points.to(device, dtype), self.normals.to(device, dtype), columns)


@dataclass(frozen=True)
class Group:
    """Conditions that hold at the same points. `sites` and `wanted` are their unions."""

    name: str
    coordinates: tuple[str, ...]
    conditions: tuple[Condition, ...]
    sites: tuple[Site, ...]
    wanted: tuple[tuple[Wanted, ...], ...]
    """Per site, partials and combinations of such, sorted."""
    programs: tuple[Program, ...]
    """Per condition, its residual in what is wanted."""
    stands: Mapping[tuple[int, Partial], Wanted]
    """What a program's input, a partial at a site of the group, stands for where that is a combination."""
    places: tuple[tuple[int, ...], ...]
    """Per condition, where each of its sites is among `sites`; of one that nothing is wanted at, -1."""

    @classmethod
    def of(cls, name: str, coordinates: tuple[str, ...], conditions: Sequence[Condition]) -> Group:
        """Collect what `conditions` need."""
        needs: dict[Site, None] = {}
        for condition in conditions:
            needs |= {condition.residual.sites[site]: None for site, _ in condition.residual.partials}
        number = {site: k for k, site in enumerate(needs)}
        places = tuple(tuple(number.get(site, -1) for site in c.residual.sites) for c in conditions)
        partials = [
            {i: (p[i.site], i.partial) for i in c.residual.programs.inputs if i.partial is not None}
            for c, p in zip(conditions, places, strict=True)
        ]
        stands = combinations(_columns([c.residual.programs for c in conditions], partials))
        programs, wanted = [], [set[Wanted]() for _ in needs]
        for condition, mine in zip(conditions, partials, strict=True):
            zero = {i for i, key in mine.items() if key in stands and stands[key] is None}
            programs.append(without(condition.residual.programs, zero))
            for i, (place, partial) in mine.items():
                if i not in zero:
                    wanted[place].add(stands.get((place, partial)) or partial)
        return cls(
            name,
            coordinates,
            tuple(conditions),
            tuple(needs),
            tuple(map(in_order, wanted)),
            tuple(programs),
            {key: whole for key, whole in stands.items() if whole is not None},
            places,
        )

    @property
    def components(self) -> int:
        """Residuals per point, of all conditions together."""
        return sum(c.components for c in self.conditions)

    @property
    def cost(self) -> int:
        """How many usual points one point of the group amounts to: those of integrals have many sites."""
        return max(1, len(self.sites) // USUAL_SITES)

    def site_points(self, site: int, sample: Sample) -> Tensor:
        """The sample's points (n, d) as the site sees them."""
        replaced = self.sites[site].replacements
        if not replaced:
            return sample.points
        points = sample.points.clone()
        for name, program in replaced:
            points[:, self.coordinates.index(name)] = run_on_coordinates(
                program, sample.points, self.coordinates
            )[0]
        return points

    def rows(
        self, sample: Sample, partials: Sequence[Mapping[Wanted, Tensor]], parameters: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Residuals (n,), condition by condition, from what is wanted at each site."""
        rows: list[Tensor] = []
        for program, places in zip(self.programs, self.places, strict=True):

            def value(i: Input, places: tuple[int, ...] = places) -> Tensor:
                match i.kind:
                    case "coordinate":
                        return sample.points[:, self.coordinates.index(i.name)]
                    case "normal":
                        return sample.normals[:, self.coordinates.index(i.name)]
                    case "column":
                        return sample.columns[i.name]
                    case "parameter":
                        return parameters[i.name]
                    case "partial":
                        assert i.partial is not None  # noqa: S101  (by construction of Input)
                        place = places[i.site]
                        return partials[place][self.stands.get((place, i.partial), i.partial)]
                    case "node" | "integral":
                        raise ValueError(f"{i.name} is in formulas only")

            rows += run_program(program, value, sample.points)
        return rows


def _columns(
    programs: Sequence[Program], partials: Sequence[Mapping[Input, tuple[int, Partial]]]
) -> dict[tuple[int, Partial], Column | None]:
    """Per partial at its place, its coefficients in all outputs of all programs."""
    keys = {key for mine in partials for key in mine.values()}
    columns: dict[tuple[int, Partial], Column | None] = dict.fromkeys(sorted(keys), ())
    for program, mine in zip(programs, partials, strict=True):
        known: dict[tuple[int, Partial], Column | None] = {}
        for i, more in zip(program.inputs, coefficients(program), strict=True):
            if i in mine:
                known[mine[i]] = None if mine[i] in known else more
        for key, column in columns.items():
            more = known.get(key, (0.0,) * len(program.outputs))
            columns[key] = None if column is None or more is None else (*column, *more)
    return columns


@dataclass(frozen=True)
class Segment:
    """Some points of one group."""

    group: Group
    sample: Sample


@dataclass(frozen=True)
class Use:
    """Points `start:stop` of a call are segment `segment` seen from site `site`."""

    segment: int
    site: int
    start: int
    stop: int


@dataclass(frozen=True)
class Call:
    """One engine call: what is wanted at `points` (N, d), and whose points they are."""

    points: Tensor
    wanted: tuple[Wanted, ...]
    uses: tuple[Use, ...]


@dataclass(frozen=True)
class Block:
    """Segments evaluated together."""

    segments: tuple[Segment, ...]
    calls: tuple[Call, ...]

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> Block:
        """Merge the evaluations that ask for derivatives of the same orders."""
        merged: dict[frozenset[object], list[tuple[int, int]]] = {}
        for s, segment in enumerate(segments):
            for site, wanted in enumerate(segment.group.wanted):
                merged.setdefault(frozenset(map(shape_of, wanted)), []).append((s, site))
        calls = []
        for members in merged.values():
            parts = [segments[s].group.site_points(site, segments[s].sample) for s, site in members]
            wanted = in_order({w for s, site in members for w in segments[s].group.wanted[site]})
            uses, start = [], 0
            for (s, site), part in zip(members, parts, strict=True):
                uses.append(Use(s, site, start, start + len(part)))
                start += len(part)
            calls.append(Call(torch.cat(parts) if len(parts) > 1 else parts[0], wanted, tuple(uses)))
        return cls(tuple(segments), tuple(calls))

    def rows(
        self, results: Sequence[Mapping[Wanted, Tensor]], parameters: Sequence[Mapping[str, Tensor]]
    ) -> list[list[Tensor]]:
        """Residuals (n,) per segment and component, from the calls' results and each segment's parameters."""
        partials: list[list[dict[Wanted, Tensor]]] = [[{} for _ in s.group.sites] for s in self.segments]
        for call, result in zip(self.calls, results, strict=True):
            for use in call.uses:
                wanted = self.segments[use.segment].group.wanted[use.site]
                partials[use.segment][use.site] = {w: _part(result[w], use.start, use.stop) for w in wanted}
        return [
            segment.group.rows(segment.sample, partials[s], parameters[s])
            for s, segment in enumerate(self.segments)
        ]


def _part(values: Tensor, start: int, stop: int) -> Tensor:
    """`values[start:stop]`; the whole is not sliced, which would cost a copy of its gradient."""
    return values if (start, stop) == (0, len(values)) else values[start:stop]
