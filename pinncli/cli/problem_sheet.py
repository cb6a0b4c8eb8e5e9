"""The sheet that `show` prints: a problem as it was understood, and the plan for solving it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pinncli.cli.output import clean
from pinncli.cli.tables import plain_table
from pinncli.problem.outline import CLASSES, Outline, outline

if TYPE_CHECKING:
    from pinncli.problem.checks import Report
    from pinncli.problem.defaults import Choices
    from pinncli.problem.model import Problem
    from pinncli.problem.plan import Plan
    from pinncli.problem.source import Loaded
    from pinncli.problem.terms import Formulation


def problem_sheet(loaded: Loaded, report: Report) -> RenderableType:
    """Title and description; with a problem that compiles also equations, conditions and plan."""
    parts = [*_heading(loaded), *_section("Coordinates", _coordinates(loaded))]
    parts += _section("Geometry", _geometry(loaded))
    if report.formulation is not None:
        parts += _section("Equations", _equations(report.formulation))
        parts += _section("Conditions", _conditions(report.formulation, report.plan))
        parts += _section("Known values", _known(report.formulation))
    if report.choices is not None:
        parts += _section("Solved with", _choices(report.choices, _adaptive(loaded)))
    if not report.errors:
        parts += _section("In turn", _legs(loaded.problem))
    if report.choices is not None:
        parts += _section("Why", [_bullets(_reasons(report.choices, report.formulation))])
    if report.formulation is not None and report.plan is not None:
        parts += _section("Derivatives", _derivatives(report.formulation, report.plan))
        parts += _section("Memory", [_memory(report.plan)])
    return Group(*parts)


def _heading(loaded: Loaded) -> Iterator[RenderableType]:
    problem = loaded.problem
    yield Text.assemble((clean(loaded.name), "bold cyan"), f"  {clean(problem.title)}")
    if problem.description:
        yield _text(" ".join(problem.description.split()))
    found = outline(tomllib.loads(loaded.text))
    table = _grid()
    table.add_row("Kind", _kind(found))
    if tags := [tag for tag in problem.tags if tag not in (*CLASSES, *found.traits)]:
        table.add_row("Tags", clean(", ".join(tags)))
    if problem.reference:
        table.add_row("Source", clean(problem.reference))
    if problem.accuracy is not None:
        table.add_row(
            "Accuracy", f"{_power(problem.accuracy)}, the relative L2 error that the benchmark asks for"
        )
    yield Text()
    yield table


def _kind(found: Outline) -> str:
    """Class, linearity, dimension and size in words."""
    linear = "linear" if found.linear else "nonlinear"
    order = max(found.orders.values(), default=0)
    words = [found.kind if found.kind != "other" else "", linear]
    words += [f"order {order}" if order else "", f"{found.space}-d in space" if found.space else ""]
    words += ["in time" if found.in_time else ""]
    words += [f"{found.unknowns} unknowns" if found.unknowns > 1 else ""]
    extra = ("complex", "inverse", "unknown number", "parametric", "geometry", "coefficient file", "integral")
    words += [trait for trait in extra if trait in found.traits]
    return ", ".join(filter(None, words))


def _section(title: str, content: Iterable[RenderableType]) -> Iterator[RenderableType]:
    content = list(content)
    if content:
        yield Text(f"\n{title}", style="bold")
        yield from (Padding(part, (0, 0, 0, 2)) for part in content)


def _coordinates(loaded: Loaded) -> Iterator[RenderableType]:
    table = _grid()
    vectors = loaded.problem.vectors
    for part, coordinate in loaded.problem.coordinates.items():
        name = part.partition("[")[0]
        if name in vectors and part != vectors[name][0]:
            continue
        name = f"{name}[1..{len(vectors[name])}]" if name in vectors else name
        low, high = coordinate.range
        unit = "" if coordinate.units == "1" else f" {coordinate.units}"
        table.add_row(
            clean(name), f"{low:g} to {high:g}{clean(unit)}", coordinate.kind, clean(coordinate.long_name)
        )
    yield table


def _geometry(loaded: Loaded) -> Iterator[RenderableType]:
    """The shapes, with the length or area of what of their boundaries is in the domain."""
    from pinncli.problem.domains import geometry_of

    problem = loaded.problem
    geometry = geometry_of(problem)
    if not problem.shape_names or geometry is None:
        return
    unit = {1: "ends", 2: "length", 3: "area"}.get(len(problem.space), "measure")
    table = _grid()
    texts = {name: f"from {shape.file}" for name, shape in problem.shapes.items()}
    texts |= {name: f"= {text}" for name, text in problem.geometry.items()}
    for name, text in texts.items():
        measure = geometry.measure("boundary" if name == "domain" else name)
        table.add_row(clean(name), clean(text), f"boundary of {unit} {measure:.6g}")
    yield table
    if not geometry.is_box:
        yield _text(f"The domain fills {100 * geometry.share:.3g} % of the box.")


def _equations(formulation: Formulation) -> Iterator[RenderableType]:
    """Each equation typeset, which may take several lines, under its condition's name."""
    from pinncli.language.typeset import pretty

    for terms in formulation.conditions:
        yield Text(clean(terms.name), style="cyan")
        equation = Text(clean(pretty(terms.equation, formulation.scope)), no_wrap=True, overflow="ignore")
        yield Padding(equation, (0, 0, 0, 2))


def _conditions(formulation: Formulation, plan: Plan | None) -> Iterator[RenderableType]:
    table = plain_table("condition", "on", "order", "points", "weight")
    points = {n: str(s.points) for s in plan.point_sets for n in s.conditions} if plan else {}
    points |= {terms.name: "by construction" for terms in formulation.met}
    every = len(formulation.scope.coordinates)
    fixed = {
        name: ", ".join(points_of.sites[0].moved)
        for points_of in (plan.point_sets if plan else ())
        for name in points_of.conditions
        if len(points_of.sites) == 1 and len(points_of.sites[0].moved) == every
    }
    for terms in formulation.conditions:
        settings = formulation.problem.conditions[terms.name]
        where = settings.on if terms.data is None else f"data {terms.data.file}"
        where = fixed.get(terms.name, where) + (f" where {settings.where}" if settings.where else "")
        orders = _orders(terms.residual.orders)
        table.add_row(
            clean(terms.name), clean(where), ", ".join(orders) or "value", points.get(terms.name, ""),
            f"{terms.weight:g}",
        )  # fmt: skip
    yield table


def _orders(orders: Mapping[str, int]) -> list[str]:
    """`2 in x, 1 in t`; components of a vector coordinate of the same order once."""
    found = {(name.partition("[")[0], order): None for name, order in orders.items() if order}
    return [f"{order} in {name}" for name, order in found]


def _known(formulation: Formulation) -> Iterator[RenderableType]:
    problem = formulation.problem
    table = _grid()
    for name, value in problem.constants.items():
        table.add_row(clean(name), f"= {value:g}", "constant")
    for name, parameter in problem.parameters.items():
        bounds = (
            "" if parameter.bounds is None else f", in {parameter.bounds[0]:g} to {parameter.bounds[1]:g}"
        )
        table.add_row(clean(name), f"from {parameter.initial:g}{bounds}", "to be found")
    for name, formula in problem.definitions.items():
        table.add_row(clean(name), f"= {clean(formula)}", "definition")
    for name, formula in problem.exact.items():
        table.add_row(clean(name), f"= {clean(formula)}", "exact solution")
    if problem.reference_data is not None:
        file = clean(problem.reference_data.file)
        table.add_row(", ".join(problem.components), f"in {file}", "reference solution")
    if table.row_count:
        yield table


def _legs(problem: Problem) -> Iterator[RenderableType]:
    """Time windows and the values of a curriculum."""
    from pinncli.problem.curriculum import courses
    from pinncli.problem.windows import count_windows, edges

    table = _grid()
    if count_windows(problem) > 1:
        *cuts, last = (f"{end:g}" for end in edges(problem)[1:])
        table.add_row("time windows", f"{len(cuts) + 1}, which end at {', '.join(cuts)} and {last}")
    for name in problem.curriculum:
        values = ", then ".join(f"{constants[name]:.3g}" for constants in courses(problem))
        table.add_row("curriculum", f"{clean(name)} = {values}")
    if table.row_count:
        yield table


def _adaptive(loaded: Loaded) -> list[str]:
    """The weights that follow the training, in words."""
    training = loaded.problem.training
    words = []
    if training.balance != "off":
        words.append(f"balance by {training.balance.by} every {training.balance.every} steps")
    if training.attention != "off":
        words.append("attention to large residuals")
    if training.causal != "off":
        words.append(f"causal in {training.causal.chunks} chunks of time")
    return words


def _reasons(choices: Choices, formulation: Formulation | None) -> list[str]:
    """Those of the choices, and what else is tried before them."""
    from pinncli.problem.evolution import first_march

    if formulation is None or first_march(formulation) is None:
        return list(choices.reasons)
    march = "a march in windows of time with local features is tried next, and taken where it works"
    return [choices.reasons[0], march, *choices.reasons[1:]]


_LAYERS = {"mlp": "layers", "gated": "gated layers", "piratenet": "residual blocks"}


def _choices(choices: Choices, adaptive: Sequence[str]) -> Iterator[RenderableType]:
    from pinncli.problem.defaults import DenseNetwork

    network = choices.network
    table = _grid()
    embedded = f", periodic in {', '.join(network.periodic)}" if network.periodic else ""
    layers = f"{network.width} frozen"
    if isinstance(network, DenseNetwork):
        words = _LAYERS[network.kind].removesuffix("s" if network.depth == 1 else "")
        layers = f"{network.depth} {words} of {network.width}"
        embedded += f", {2 * network.fourier.count} Fourier features" if network.fourier else ""
        embedded += ", factorised" if network.factorised else ""
    table.add_row("network", f"{network.kind}, {layers}, {network.activation}{embedded}")
    table.add_row("parameters", str(choices.parameters))
    redrawn = ", kept"
    if choices.resample is not None:
        redrawn = f", redrawn by {choices.resample.by} every {choices.resample.every} steps"
    table.add_row(
        "points", f"{choices.interior} interior, {choices.boundary} a side, {choices.method}{redrawn}"
    )
    stages = ", then ".join(f"{stage.steps} steps of {stage.optimiser.kind}" for stage in choices.stages)
    table.add_row("training", stages)
    if adaptive:
        table.add_row("adaptive weights", ", ".join(adaptive))
    table.add_row("output grid", ", ".join(_grid_words(choices.grid)))
    yield table


def _grid_words(grid: Mapping[str, int]) -> list[str]:
    held = [name for name, n in grid.items() if n == 1]
    words = [f"{name}={n}" for name, n in grid.items() if n > 1]
    return words + ([f"the other {len(held)} in the middle"] if held else [])


_MOST_PARTIALS = 12
"""Partials that are listed by name."""


def _derivatives(formulation: Formulation, plan: Plan) -> Iterator[RenderableType]:
    coordinates = formulation.scope.coordinates
    yield _text(f"engine {plan.engine}, order {plan.order}, {plan.points} points, {plan.rows} residuals")
    table = plain_table("points of", "number", "partials", "channels at most")
    for points in plan.point_sets:
        for site in points.sites:
            moved = f" at {', '.join(site.moved)}" if site.moved else ""
            moved += f" ({site.nodes} nodes)" if site.nodes > 1 else ""
            names = [partial.label(coordinates) for partial in site.partials]
            more = [f"... {len(names)} in all"] if len(names) > _MOST_PARTIALS else []
            labels = ", ".join([*names[:_MOST_PARTIALS], *more])
            table.add_row(
                clean(", ".join(points.conditions) + moved),
                str(points.points),
                clean(labels),
                str(site.width),
            )
    yield table


def _memory(plan: Plan) -> RenderableType:
    from pinncli.problem.checks import gibibytes

    part, most = max(plan.memory.items(), key=lambda item: item[1], default=("", 0))
    return _text(f"about {gibibytes(plan.total_memory)}, most of it for {part} ({gibibytes(most)})")


def choices_facts(problem: Problem, choices: Choices) -> Mapping[str, Any]:
    """What `--dry-run --json` says of the plan: windows and curriculum, and the choices for every window."""
    from pinncli.problem.curriculum import courses
    from pinncli.problem.windows import edges

    return {
        "windows": [] if problem.time is None else list(edges(problem)),
        "curriculum": [dict(constants) for constants in courses(problem) if constants],
        "network": {"width": choices.network.width, "depth": choices.network.depth},
        "parameters": choices.parameters,
        "points": {"interior": choices.interior, "boundary": choices.boundary},
        "engine": choices.engine,
        "stages": [{"optimiser": s.optimiser.kind, "steps": s.steps} for s in choices.stages],
        "grid": dict(choices.grid),
    }


def _grid() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    for _ in range(3):
        table.add_column(overflow="fold")
    return table


def _bullets(lines: Sequence[str]) -> Table:
    """A list whose folded lines hang."""
    table = Table.grid(padding=(0, 1, 0, 0))
    for line in lines:
        table.add_row("-", clean(line))
    return table


def _power(value: float) -> str:
    """`1e-7` rather than `1e-07`."""
    return f"{value:g}".replace("e-0", "e-")


def _text(text: str) -> Text:
    return Text(clean(text))
