"""Figures and terminal pictures of synthetic field sets."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from rich.console import Console

from pinncli.cli.picture import picture
from pinncli.cli.plotting import field_figures, figure_bytes, history_figures
from pinncli.cli.plotting.maps import sections
from pinncli.evaluation import FieldSet

Formula = Callable[..., np.ndarray]
LETTERS = {"t": "T", "x": "X", "y": "Y", "z": "Z"}


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
    axes = {name: LETTERS[name] for name in points}
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
    assert solution.get_cmap().name == reference.get_cmap().name == "viridis"
    assert error.norm.vmin == -error.norm.vmax
    assert error.get_cmap().name == "RdBu_r"


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
