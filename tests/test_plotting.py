"""Figures and terminal pictures of synthetic field sets."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from rich.console import Console

from pinncli.cli.picture import picture
from pinncli.cli.plotting import Scene, field_figures, figure_bytes, history_figures, scene_of
from pinncli.cli.plotting.maps import sections
from pinncli.cli.plotting.parts import in_polar_form
from pinncli.cli.plotting.scene import Samples
from pinncli.errors import ProblemError
from pinncli.evaluation import FieldSet
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem
from pinncli.shapes import Geometry, read_shape

Formula = Callable[..., np.ndarray]
LETTERS = {"t": "T", "x": "X", "y": "Y", "z": "Z", "p": ""}


def fields_of(
    points: Mapping[str, int],
    components: Mapping[str, Formula],
    reference: bool = True,
    title: str = "A title",
) -> FieldSet:
    """Formulas on a grid (coordinates in storage order), with errors and one residual."""
    coordinates = {name: np.linspace(0.0, 1.0, n) for name, n in points.items()}
    grid = dict(zip(coordinates, np.meshgrid(*coordinates.values(), indexing="ij"), strict=True))
    fields: dict[str, Any] = {}
    for name, formula in components.items():
        true = formula(**grid)
        fields[name] = true + 1e-3 * np.cos(9 * sum(grid.values()))
        if reference:
            fields[f"reference_{name}"] = true
            fields[f"error_{name}"] = fields[name] - true
    fields["residual_law"] = 1e-4 * np.sin(9 * sum(grid.values()))
    axes = {name: LETTERS[name] for name in points if LETTERS[name]}
    return FieldSet(title, coordinates, fields, {"x": "m", "u": "K"}, {}, axes)


def wave(**grid: np.ndarray) -> np.ndarray:
    return np.sin(3 * sum(grid.values()))


def flat(**grid: np.ndarray) -> np.ndarray:
    return 0 * sum(grid.values())


CASES: dict[str, tuple[dict[str, int], dict[str, Formula]]] = {
    "ode": ({"t": 21}, {"u": wave}),
    "one dimension, steady": ({"x": 21}, {"u": wave, "v": wave}),
    "one dimension, time": ({"t": 9, "x": 11}, {"u": wave}),
    "complex": ({"t": 9, "x": 11}, {"h_real": wave, "h_imag": wave}),
    "plane": ({"y": 9, "x": 11}, {"u": wave, "v": wave, "p": wave}),
    "plane, time": ({"t": 5, "y": 6, "x": 7}, {"u": wave}),
    "space": ({"z": 5, "y": 6, "x": 7}, {"u": wave}),
    "space, time": ({"t": 3, "z": 4, "y": 5, "x": 6}, {"u": wave}),
    "four dimensions, time": ({"t": 2, "p": 3, "z": 4, "y": 5, "x": 6}, {"u": wave}),
    "constant": ({"t": 9, "x": 11}, {"u": flat}),
}


def laid_out(figures: Mapping[str, Figure]) -> None:
    """Everything that drawing does but for the pixels."""
    for figure in figures.values():
        figure.draw_without_rendering()


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_field_set_draws(case: str) -> None:
    figures = field_figures(fields_of(*CASES[case]))
    assert {"solution", "residuals"} <= {name.partition("_")[0] for name in figures}
    laid_out(figures)


@pytest.mark.parametrize("case", CASES)
def test_without_a_reference_only_the_solution_is_drawn(case: str) -> None:
    for name, figure in field_figures(fields_of(*CASES[case], reference=False)).items():
        titles = " ".join(ax.get_title() for ax in figure.axes)
        assert "reference" not in titles and "error" not in titles, name


def test_solution_and_reference_share_one_scale_and_the_error_has_its_own() -> None:
    (solution, reference, error) = (
        ax.collections[0]
        for ax in field_figures(fields_of(*CASES["one dimension, time"]))["solution"].axes[:3]
    )
    assert solution.norm is reference.norm
    assert solution.get_cmap().name == reference.get_cmap().name == "RdBu_r"  # both signs
    assert solution.norm.vmin == -solution.norm.vmax
    assert error.norm.vmin == -error.norm.vmax
    assert error.get_cmap().name == "PuOr_r"


def test_a_field_of_one_sign_is_drawn_from_its_least_to_its_largest() -> None:
    figure = field_figures(fields_of({"t": 5, "x": 6}, {"u": lambda t, x: 2 + t + x}))["solution"]
    image = figure.axes[0].collections[0]
    assert image.get_cmap().name == "viridis"
    assert (image.norm.vmin, image.norm.vmax) == pytest.approx((2, 4), abs=0.01)


def test_residuals_are_magnitudes_on_a_logarithmic_scale() -> None:
    image = field_figures(fields_of(*CASES["plane"]))["residuals"].axes[0].collections[0]
    assert isinstance(image.norm, LogNorm)
    assert image.get_array().min() > 0


def test_axes_carry_units_and_time_runs_to_the_right() -> None:
    figure = field_figures(fields_of(*CASES["one dimension, time"]))["solution"]
    assert figure.axes[0].get_xlabel() == "t"
    assert figure.axes[0].get_ylabel() == "x (m)"
    assert figure.axes[0].get_title() == "u (K)"


def test_a_map_is_not_transposed() -> None:
    fields = fields_of({"t": 3, "x": 4}, {"u": lambda t, x: 10 * t + x})
    image = field_figures(fields)["solution"].axes[0].collections[0]
    values = np.reshape(image.get_array(), (4, 3))  # rows are x, columns are t
    assert values[0, -1] - values[0, 0] == pytest.approx(10, abs=0.01)
    assert values[-1, 0] - values[0, 0] == pytest.approx(1, abs=0.01)


def test_sections_of_a_plane_in_time_are_at_four_times() -> None:
    assert [cut.label for cut in sections(fields_of({"t": 31, "y": 5, "x": 5}, {"u": wave}))] == [
        "t = 0",
        "t = 0.3333",
        "t = 0.6667",
        "t = 1",
    ]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("title", ["$x^{", "[bold]no markup[/]", "漢字 \u0600", "x" * 500, ""])
def test_titles_are_taken_literally(title: str) -> None:
    fields = fields_of(*CASES["plane"], title=title)
    assert figure_bytes(field_figures(fields)["slices"], "png")


def test_nan_and_infinity_are_left_out() -> None:
    fields = fields_of(*CASES["plane"])
    fields.fields["u"][0, 0] = np.nan
    fields.fields["residual_law"][:, 0] = np.inf
    fields.fields["error_u"][:] = np.nan
    laid_out(field_figures(fields))


@pytest.mark.parametrize(("kind", "begins"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_formats_are_reproducible(kind: str, begins: bytes) -> None:
    first, second = (
        figure_bytes(field_figures(fields_of(*CASES["ode"]))["solution"], kind) for _ in range(2)
    )
    assert first == second
    assert first.startswith(begins)


def test_scales_are_those_of_what_is_shown() -> None:
    """In space and time only the last time is drawn: its largest value is the end of the scale."""
    fields = fields_of(
        {"t": 3, "z": 5, "y": 5, "x": 5}, {"u": lambda t, z, y, x: 9 - 8 * t + 0 * (x + y + z)}
    )
    assert field_figures(fields)["solution"].axes[0].collections[0].norm.vmax == pytest.approx(1, abs=0.01)


def punched(points: Mapping[str, int], components: Mapping[str, Formula]) -> FieldSet:
    """A disk of radius 1/2 about the middle, NaN outside."""
    fields = fields_of(points, components)
    x, y = np.meshgrid(fields.coordinates["x"], fields.coordinates["y"])
    inside = np.hypot(x - 0.5, y - 0.5) <= 0.5
    for name, values in fields.fields.items():
        fields.fields[name] = np.where(inside, values, np.nan)
    return fields


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("points", [{"y": 21, "x": 21}, {"t": 3, "y": 9, "x": 9}, {"z": 3, "y": 9, "x": 9}])
def test_a_curved_domain_is_masked_and_outlined(points: dict[str, int]) -> None:
    fields = punched(points, {"u": wave, "v": wave} if len(points) == 2 else {"u": wave})
    figures = field_figures(fields, Scene(vectors=(("u", "v"),)))
    first = figures["solution"].axes[0]
    laid_out({name: figures[name] for name in figures if name in ("solution", "flow_uv")})
    image, outline = first.collections[:2]
    assert np.isnan(np.ma.filled(image.get_array(), np.nan)).any()
    ends = np.concatenate([path.vertices for path in outline.get_paths()])
    assert len(ends) > 8
    if "z" not in points:
        radius = np.hypot(ends[:, 0] - 0.5, ends[:, 1] - 0.5)
        assert abs(radius - 0.5).max() < 0.13  # a cell


def test_the_boundary_is_drawn_where_it_is() -> None:
    """Curves in the plane, not transposed, interfaces too; the zero level on a plane through space."""
    texts = {"core": "disk([0.5, 0.7], 0.1)", "domain": "ellipse([0.5, 0.5], [0.45, 0.3])"}
    shapes = {name: read_shape(text, {}, {}, 2) for name, text in texts.items()}
    scene = Scene(geometry=Geometry(("x", "y"), (0.0, 0.0), (1.0, 1.0), shapes))
    ax = field_figures(punched({"y": 21, "x": 21}, {"u": wave}), scene)["solution"].axes[0]
    lines = [np.array(line.get_data()) for line in ax.lines]
    assert len(lines) == 2 and not ax.collections[1:]
    assert ((lines[0][0] - 0.5) / 0.45) ** 2 + ((lines[0][1] - 0.5) / 0.3) ** 2 == pytest.approx(1.0)
    assert np.hypot(lines[1][0] - 0.5, lines[1][1] - 0.7) == pytest.approx(0.1)
    ball = {"domain": read_shape("ball([0.5, 0.5, 0.5], 0.3)", {}, {}, 3)}
    scene = Scene(geometry=Geometry(("x", "y", "z"), (0.0,) * 3, (1.0,) * 3, ball))
    ax = field_figures(fields_of({"z": 7, "y": 7, "x": 7}, {"u": wave}), scene)["solution"].axes[0]
    (path,) = ax.collections[1].get_paths()
    assert np.hypot(*(path.vertices - 0.5).T) == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize(
    ("points", "parts"),
    [({"y": 9, "x": 11}, "uv"), ({"t": 3, "y": 5, "x": 6}, "uv"), ({"z": 4, "y": 5, "x": 6}, "uvw")],
)
def test_a_vector_field_is_drawn_by_its_length(points: dict[str, int], parts: str) -> None:
    fields = fields_of(points, {part: lambda x, **_: 3 + 0 * x for part in parts})
    for part in parts:
        fields.fields[part][:] = fields.fields[f"reference_{part}"]
        fields.fields[f"error_{part}"][:] = 0
    figure = field_figures(fields, Scene(vectors=(tuple(parts),)))[f"flow_{parts}"]
    laid_out({"flow": figure})
    image = figure.axes[0].collections[0]
    assert np.allclose(image.get_array(), 3 * np.sqrt(len(parts)))


def test_arrows_point_along_the_axes_that_are_shown() -> None:
    """w along z in the planes through z: in x-z the arrows of w alone go up."""
    fields = fields_of({"z": 4, "y": 5, "x": 6}, {"u": wave, "v": wave, "w": wave}, reference=False)
    for part, value in (("u", 0), ("v", 0), ("w", 1)):
        fields.fields[part][:] = value
    figure = field_figures(fields, Scene(vectors=(("u", "v", "w"),)))["flow_uvw"]
    arrows = {(ax.get_xlabel()[:1], ax.get_ylabel()[:1]): ax.collections[-1] for ax in figure.axes[:3]}
    assert np.allclose(arrows["x", "z"].U, 0) and np.allclose(arrows["x", "z"].V, 1)
    assert not isinstance(arrows["x", "y"], type(arrows["x", "z"]))  # nothing moves in that plane


def test_complex_unknowns_have_modulus_and_phase() -> None:
    fields = fields_of(
        {"t": 5, "x": 7}, {"h_real": lambda t, x: np.cos(9 * t), "h_imag": lambda t, x: np.sin(9 * t)}
    )
    for part in ("real", "imag"):
        fields.fields[f"h_{part}"] = fields.fields[f"reference_h_{part}"]
    polar = in_polar_form(fields, "h")
    assert np.allclose(polar.fields["|h|"], 1)
    expected = np.angle(np.exp(9j * fields.coordinates["t"]))
    assert np.allclose(polar.fields["arg h"], expected[:, None])
    assert np.allclose(polar.fields["error_arg h"], 0)
    figure = field_figures(fields)["polar_h"]
    phase = next(ax for ax in figure.axes if ax.get_title() == "arg h").collections[0]
    assert phase.get_cmap().name == "twilight"
    assert (phase.norm.vmin, phase.norm.vmax) == (-np.pi, np.pi)


def test_the_error_of_a_phase_is_taken_around_the_circle() -> None:
    angles = np.array([[3.1, 3.1]])
    near = {"h_real": np.cos(angles + 0.1), "h_imag": np.sin(angles + 0.1)}
    true = {"reference_h_real": np.cos(angles), "reference_h_imag": np.sin(angles)}
    axes = {"t": np.array([0.0]), "x": np.array([0.0, 1.0])}
    polar = in_polar_form(FieldSet("", axes, near | true, {}, {}, {"t": "T", "x": "X"}), "h")
    assert np.allclose(polar.fields["error_arg h"], 0.1)


@pytest.mark.parametrize("count", [2, 3])
def test_systems_in_time_have_a_phase_portrait(count: int) -> None:
    names = ("u", "v", "w")[:count]
    fields = fields_of({"t": 21}, dict.fromkeys((*names, "energy"), wave))
    figures = field_figures(fields, Scene(unknowns=names))
    laid_out(figures)
    portrait = figures["phase"].axes[-1].lines[0]  # of three unknowns, the shadow on the last two
    assert len(figures["phase"].axes) == (1 if count == 2 else 4)
    assert np.allclose(portrait.get_data()[0], fields.fields[names[-2]])
    assert "phase" not in field_figures(fields, Scene(unknowns=("u",)))


def test_an_unknown_of_fewer_coordinates_is_drawn_on_its_own() -> None:
    fields = fields_of(
        {"t": 3, "y": 5, "x": 6}, {"u": wave, "a": lambda t, y, x: x + 2 * y, "k": lambda t, y, x: x}
    )
    for name in ("a", "k"):
        fields.fields[name] = fields.fields[f"reference_{name}"]
    figures = field_figures(fields, Scene(fewer={"a": ("x", "y"), "k": ("x",)}))
    laid_out(figures)
    image = figures["field_a"].axes[0].collections[0]
    assert np.allclose(np.reshape(image.get_array(), (5, 6))[:, 0], 2 * fields.coordinates["y"])
    assert np.allclose(figures["field_k"].axes[0].lines[0].get_ydata(), fields.coordinates["x"])
    assert all(ax.get_title().partition(",")[0] != "a" for ax in figures["solution"].axes)


def test_data_are_drawn_over_the_solution() -> None:
    places = {"t": np.array([0.1, 0.2]), "x": np.array([0.3, 0.4])}
    plane = fields_of({"t": 9, "x": 11}, {"u": wave})
    samples = Samples("seen", places, {"u": np.array([5.0, 6.0])})
    figure = field_figures(plane, Scene(samples=(samples,)))["solution"]
    assert [len(ax.lines) for ax in figure.axes[:3]] == [1, 0, 0]
    assert np.allclose(figure.axes[0].lines[0].get_data(), [places["t"], places["x"]])
    curve = field_figures(fields_of({"t": 9}, {"u": wave}), Scene(samples=(samples,)))["solution"]
    dots = next(line for line in curve.axes[0].lines if line.get_label() == "seen")
    assert np.allclose(dots.get_data(), [places["t"], [5.0, 6.0]])


def scene(text: str, tmp_path: Path) -> Scene:
    path = tmp_path / "made.toml"
    path.write_text(text, "utf-8")
    return scene_of(formulate(load_problem(str(path))))


FLOW = """
title = "made up"
unknowns = ["u", "v"]
coordinates = { x = [0, 1], y = [0, 1], t = [0, 1] }
[conditions]
"""


@pytest.mark.parametrize(
    ("equation", "vectors"),
    [
        ("u_t + u*u_x + v*u_y = lap(u)", (("u", "v"),)),
        ("u_x + v_y = 0", (("u", "v"),)),
        ("u_t = lap(u) - u*v^2", ()),
    ],
)
def test_a_velocity_is_told_by_what_the_equations_do(
    equation: str, vectors: tuple[tuple[str, ...], ...], tmp_path: Path
) -> None:
    text = FLOW + f'a = {{ equation = "{equation}" }}\nb = {{ equation = "v_t = lap(v)" }}\n'
    assert scene(text, tmp_path).vectors == vectors
    said = scene(text + '[output]\nvectors = [["v", "u"]]\n', tmp_path)
    assert said.vectors == (("v", "u"),)
    assert said.unknowns == ("u", "v")


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ('[["u", "w"]]', "no component 'w'"),
        ('[["u"]]', "a component for each space coordinate, 2"),
    ],
)
def test_a_vector_that_is_none_is_refused(vectors: str, message: str, tmp_path: Path) -> None:
    text = FLOW + 'a = { equation = "u_t = lap(u)" }\nb = { equation = "v_t = lap(v)" }\n'
    with pytest.raises(ProblemError, match=message):
        scene(f"{text}[output]\nvectors = {vectors}\n", tmp_path)


def test_measured_values_are_known_where_the_condition_says_so(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y,t,seen\n0.1,0.2,0.3,4\n0.5,0.5,0.5,5\n", "utf-8")
    text = (
        FLOW
        + 'a = { data = "d.csv", equation = "seen = u" }\nb = { data = "d.csv", equation = "u*v = seen" }\n'
    )
    plain, other = scene(text, tmp_path).samples
    assert list(plain.values["u"]) == [4, 5]
    assert list(plain.coordinates) == ["x", "y", "t"]
    assert other.values == {}


def history(steps: int) -> list[dict[str, Any]]:
    return [
        {
            "stage": int(k > steps // 2),
            "optimiser": "adam" if k <= steps // 2 else "lm",
            "step": k,
            "value": 10.0 ** (-k / 50),
            "losses": {"law": 0.5 * 10.0 ** (-k / 50), "sides": 0.0} if k % 10 == 0 else None,
            "error": 1e-2 if k % 20 == 0 else None,
            "parameters": {"nu": 0.1 / k, "c": -1.0},
        }
        for k in range(1, steps)
    ]


def test_history_figures() -> None:
    figures = history_figures("A title", history(100), {"nu": 0.01})
    assert set(figures) == {"history", "parameters"}
    losses, error = figures["history"].axes
    assert [line.get_label() for line in losses.lines if not str(line.get_label()).startswith("_")] == [
        "law",
        "sides",
        "loss",
    ]
    assert losses.get_yscale() == error.get_yscale() == "log"
    assert "true value 0.01" in figures["parameters"].axes[0].get_title()
    laid_out(figures)


def test_history_of_a_run_that_never_was_finite() -> None:
    records = [{"step": 1, "value": None, "losses": None, "error": None, "parameters": {"nu": None}}]
    laid_out(history_figures("A title", records, {}))
    assert history_figures("A title", [], {}) == {}


def test_long_histories_are_thinned() -> None:
    losses = history_figures("A title", history(30_000), {})["history"].axes[0]
    assert all(len(line.get_xdata()) < 5000 for line in losses.lines)


def drawn(
    fields: FieldSet, name: str = "u", *, width: int = 60, colour: bool = True, unicode: bool = True
) -> str:
    console = Console(
        file=io.StringIO(), width=80, force_terminal=colour, color_system="truecolor" if colour else None
    )
    console.print(picture(fields, name, width, 10, colour=colour, unicode=unicode))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("colour", "unicode"), [(True, True), (False, True), (False, False)])
def test_every_kind_of_field_set_has_a_picture(case: str, colour: bool, unicode: bool) -> None:
    fields = fields_of(*CASES[case])
    name = next(iter(fields.fields))
    text = drawn(fields, name, colour=colour, unicode=unicode)
    assert ("\x1b[" in text) is colour
    assert text.isascii() or unicode
    assert 10 <= len(text.splitlines()) <= 13


def test_colours_of_a_picture() -> None:
    fields = fields_of({"y": 4, "x": 4}, {"u": lambda y, x: x})
    fields.fields["u"][:] = fields.fields["reference_u"]
    text = drawn(fields, width=2)
    assert "38;2;68;1;84" in text  # viridis begins
    assert "38;2;253;231;37" in text  # and ends


def test_space_is_drawn_upwards() -> None:
    text = drawn(fields_of({"y": 9, "x": 9}, {"u": lambda y, x: y}), colour=False)
    rows = [row for row in text.splitlines() if set(row.strip()) & set("@")]
    assert rows[0] == text.splitlines()[1]


def test_holes_stay_empty() -> None:
    fields = fields_of({"y": 9, "x": 9}, {"u": wave})
    fields.fields["u"][:] = np.nan
    assert drawn(fields, colour=False).splitlines()[1].strip() == ""
    assert "▀" not in drawn(fields)
