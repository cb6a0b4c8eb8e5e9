"""Files and `--set` words become the same problem, whatever way it is written."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinncli.errors import NotFoundError, PinncliError, ProblemError, UsageError
from pinncli.problem import settings as problem_settings
from pinncli.problem.library import find_problem, list_problems, shipped_folder
from pinncli.problem.loading import load_problem, load_text
from pinncli.problem.overrides import apply, parse_override
from pinncli.problem.settings import Settings
from pinncli.problem.source import Loaded, is_control, scan
from pinncli.problem.validation import _TABLES

HEAT = """\
# a comment that stays
title = "Heat"
unknowns = ["u"]
[coordinates]
x = [0, "pi/2"]       # half a turn
t = [0, 1]
[constants]
k = 2
alpha = "0.1/k^2"
[conditions]
heat = { equation = "u_t = alpha*u_xx" }
initial.on = "t-"
initial.equation = "u = 0"
[conditions.walls]
on = "x-, x+"
equation = "u = 0"
"""


def load(text: str, tmp_path: Path, *overrides: str) -> Loaded:
    path = tmp_path / "heat.toml"
    path.write_text(text, "utf-8")
    return load_problem(str(path), overrides)


def test_shorthand_is_spelled_out(tmp_path: Path) -> None:
    problem = load(HEAT, tmp_path).problem
    assert problem.coordinates["x"].range == pytest.approx((0, 1.5707963267948966))
    assert (problem.coordinates["x"].kind, problem.coordinates["t"].kind) == ("space", "time")
    assert problem.constants == pytest.approx({"k": 2.0, "alpha": 0.025})
    assert problem.unknowns["u"].kind == "real"
    assert (problem.time, problem.space) == ("t", ("x",))


def test_layouts_of_toml_say_the_same(tmp_path: Path) -> None:
    other = HEAT.replace('initial.on = "t-"\ninitial.equation = "u = 0"\n', "").replace(
        '[conditions.walls]\non = "x-, x+"\nequation = "u = 0"',
        "initial = { on = 't-', \"equation\" = '''u = 0''' }\n"
        'walls = { equation = """\nu \\\n   = 0""", on = "x-, x+" }',
    )
    assert load(other, tmp_path).problem == load(HEAT, tmp_path).problem


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("network.width=64", lambda p: p.network.width == 64),
        ("network.activation=sine", lambda p: p.network.activation == "sine"),
        ("output.grid={x=21,t=11}", lambda p: p.output.grid == {"x": 21, "t": 11}),
        ("output.grid.x=21", lambda p: p.output.grid == {"x": 21}),
        ("constants.alpha=0.2", lambda p: p.constants["alpha"] == 0.2),
        ("constants.alpha=k/4", lambda p: p.constants["alpha"] == 0.5),
        ("coordinates.x=[0, 3]", lambda p: p.coordinates["x"].range == (0, 3)),
        (
            "coordinates.x.units=m",
            lambda p: p.coordinates["x"].units == "m" and p.coordinates["x"].range[0] == 0,
        ),
        ("unknowns.u.units=K", lambda p: p.unknowns["u"].units == "K"),
        ("conditions.heat.weight=10", lambda p: p.conditions["heat"].weight == 10),
        (
            "conditions.initial.equation=u = sin(x)",
            lambda p: p.conditions["initial"].equation == "u = sin(x)",
        ),
        ('stages=[{optimiser={kind="adam"},steps=5}]', lambda p: p.stages[0].steps == 5),
        ("sampling.resample=off", lambda p: p.sampling.resample == "off"),
        ("title=Another # one", lambda p: p.title == "Another # one"),
    ],
)
def test_override_is_applied_and_kept_in_the_text(tmp_path: Path, override: str, expected: object) -> None:
    loaded = load(HEAT, tmp_path, override)
    assert expected(loaded.problem)  # type: ignore[operator]
    again = load_text(loaded.text, loaded.name, "problem.toml", tmp_path)
    assert again.problem == loaded.problem
    assert "# a comment that stays" in loaded.text


def test_later_override_wins_and_stages_are_numbered(tmp_path: Path) -> None:
    stages = '[[stages]]\noptimiser = { kind = "adam" }\nsteps = 7\n[[stages]]\noptimiser.kind = "lm"\n'
    loaded = load(HEAT + stages, tmp_path, "stages.0.steps=100", "stages.1.steps=5", "stages.1.steps=6")
    assert [stage.steps for stage in loaded.problem.stages] == [100, 6]
    grown = load(HEAT + stages, tmp_path, "stages.2.optimiser.kind=lbfgs")
    assert grown.problem.stages[2].optimiser.kind == "lbfgs"
    for text in (loaded.text, grown.text):
        assert load_text(text, "heat", "", tmp_path).problem in (loaded.problem, grown.problem)


words = st.text("abcxyz0123456789_-.", min_size=1, max_size=8)
leaves = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text("ab \"'\\#=[]{}µ\u202e\x1b", max_size=8),
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)


def toml(value: object) -> str:
    """A value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        safe = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in value)
        return f'"{safe}"'
    return str(value).lower() if isinstance(value, bool) else repr(value)


KEYS = """\
title network network.width output.grid output.grid.x new.a.b exact exact.u conditions.heat
conditions.walls.on conditions.initial.equation stages stages.0 coordinates.x coordinates.x.range
coordinates.x.range.1 constants unknowns tags"""


@given(
    st.sampled_from(KEYS.split()),
    values,
)
@settings(max_examples=300, deadline=None)
def test_override_sets_exactly_that_value(key: str, value: object) -> None:
    override = parse_override(f"{key}={toml(value)}")
    assert override.value == value
    text, data = apply(HEAT, [override])
    assert tomllib.loads(text) == data
    node = data
    for part in override.path:
        node = node[part]  # type: ignore[index]
    assert node == value


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_hostile_override_is_refused_or_harmless(key: str, value: str) -> None:
    try:
        override = parse_override(f"{key}={value}")
        text, data = apply(HEAT, [override])
    except (UsageError, ProblemError) as error:
        assert not any(is_control(c) for c in str(error).replace("\n", ""))
    else:
        assert tomllib.loads(text) == data


WORDS = "[ ] { } \" ' ''' \"\"\" = . , # \\ u x 1 é conditions exact title unknowns equation __class__ u_t=0"
fragments = st.sampled_from([*WORDS.split(), " ", "\n", "\x1b", "\0", "\u202e", "[[stages]]\n"])


@given(st.one_of(st.text(max_size=200), st.lists(fragments, max_size=60).map("".join)))
@settings(max_examples=400, deadline=None)
def test_hostile_text_gives_messages_only(text: str) -> None:
    for candidate in (text, HEAT + text, HEAT.replace("u_t = alpha*u_xx", text.replace('"', ""))):
        try:
            load_text(candidate, "x", "x.toml", Path())
        except PinncliError as error:
            assert error.exit_code == 65
            assert not any(is_control(c) for c in str(error).replace("\n", ""))


@given(st.lists(fragments, max_size=40).map("".join))
@settings(max_examples=300, deadline=None)
def test_places_cover_whatever_toml_accepts(text: str) -> None:
    for candidate in (text, f"a = {text}", f'[t]\na = """{text}"""', f"a = '''{text}'''"):
        try:
            data = tomllib.loads(candidate)
        except ValueError:
            continue
        places = scan(candidate)
        assert_places(data, (), places)


def assert_places(node: object, path: tuple[str | int, ...], places: object) -> None:
    if path:
        assert path in places  # type: ignore[operator]
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        assert_places(child, (*path, key), places)
        if isinstance(child, str):
            place = places[(*path, key)]  # type: ignore[index]
            assert place.text == child
            assert len(place.characters) == len(child) + 1


def test_every_table_of_the_model_can_name_its_keys() -> None:
    models = {
        model
        for model in vars(problem_settings).values()
        if isinstance(model, type) and issubclass(model, Settings) and not model.__subclasses__()
    }
    assert models <= set(_TABLES.values())


def problem_file(folder: Path, name: str, title: str = "T") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(HEAT.replace('"Heat"', f'"{title}"'), "utf-8")
    return path


def test_lookup_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("PINNCLI_PROBLEMS", os.pathsep.join([str(first), "", str(second)]))
    assert find_problem("heat1d").origin == "shipped"
    for origin, folder in (
        ("environment", second),
        ("environment", first),
        ("folder", tmp_path / "problems"),
    ):
        path = problem_file(folder, "heat1d")
        entry = find_problem("heat1d")
        assert (entry.origin, entry.path.resolve()) == (origin, path)
    assert find_problem("heat1d").shown == "problems/heat1d.toml"
    path = problem_file(tmp_path, "heat1d")
    assert find_problem("heat1d.toml").path.resolve() == path
    assert find_problem(str(path)).origin == "path"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("heat1", "no problem 'heat1'\ndid you mean heat1d"),
        ("nothing_like_it", "no problem 'nothing_like_it'\n`pinncli list` shows those there are"),
        ("../heat1d", "../heat1d: no such problem file"),
        ("..", "'..' is not the name of a problem"),
        ("heat1d.toml", "heat1d.toml: no such problem file"),
        ("a\0.toml", "a\ufffd.toml: no such problem file"),
        ("~root", "'~root' is not the name of a problem"),
        ("\x1b[31m", "'\ufffd[31m' is not the name of a problem"),
        ("", "'' is not the name of a problem"),
        ("a" * 5000, "'aaa"),
    ],
)
def test_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError) as caught:
        load_problem(name)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.toml"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(ProblemError, match="not a file"):
        load_problem(str(path))


def test_list_shows_broken_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problem_file(tmp_path / "problems", "good", "A \\u001b[31m title")
    (tmp_path / "problems" / "broken.toml").write_text("title = ", "utf-8")
    (tmp_path / "problems" / "untitled.toml").write_text("title = 3\ntags = 4", "utf-8")
    (tmp_path / "problems" / "not a name.toml").write_text("", "utf-8")
    entries = {entry.name: entry for entry in list_problems()}
    assert entries["good"].title == "A [31m title"
    assert entries["broken"].error.startswith("Invalid value")
    assert entries["untitled"].error == "no title"
    assert entries["heat1d"].origin == "shipped"
    assert "not a name" not in entries


def test_list_is_light() -> None:
    code = (
        "import sys; from pinncli.problem.library import list_problems; list_problems();"
        "sys.exit(any(name in sys.modules for name in ('sympy', 'torch', 'h5py')))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, cwd=shipped_folder().parent).returncode == 0
    )


def test_shipped_problems_round_trip_with_an_override(tmp_path: Path) -> None:
    for entry in list_problems():
        if entry.origin == "shipped":
            loaded = load_problem(entry.name, ["network.width=17"])
            assert loaded.problem.network.width == 17
            again = load_text(loaded.text, entry.name, entry.name, entry.path.parent)
            assert again.problem == loaded.problem
