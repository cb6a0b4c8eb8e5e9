"""A wrong problem file: every mistake at once, each with its place, a caret and a cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinncli.errors import PinncliError, ProblemError, UsageError
from pinncli.language.calls import CALLS
from pinncli.problem.checks import check
from pinncli.problem.loading import load_problem
from pinncli.problem.names import RESERVED

HEAT = """\
title = "1-D heat equation"
unknowns = ["u"]

[coordinates]
x = [0, 1]
t = [0, 1]

[constants]
alpha = 0.1

[conditions]
heat    = { equation = "u_t = alpha*u_xx" }
initial = { on = "t-",       equation = "u = sin(pi*x)" }
walls   = { on = "x-, x+",   equation = "u = 0" }
"""
PLAIN = 'u = 0" }'

# what is replaced, by what, and every line that is printed
WRONG: dict[str, tuple[str, str, str]] = {
    "unknown name": (  # the example of the design, word for word
        "alpha*u_xx",
        "alfa*u_xx",
        """\
heat1d.toml:12:31: conditions.heat: unknown name 'alfa'
    u_t = alfa*u_xx
          ^^^^
did you mean 'alpha'?""",
    ),
    "unknown function": (
        "u = sin(pi*x)",
        "u = sn(pi*x)",
        """\
heat1d.toml:13:46: conditions.initial: unknown function 'sn'
    u = sn(pi*x)
        ^^
did you mean 'sin'?""",
    ),
    "no equation": (
        PLAIN,
        'u" }',
        """\
heat1d.toml:14:43: conditions.walls: the text ends too early
    u
     ^
an equation reads left = right""",
    ),
    "code": (
        PLAIN,
        "u = __import__('os').system('x')\" }",
        """\
heat1d.toml:14:57: conditions.walls: unexpected character '''
    u = __import__('os').system('x')
                   ^
there is no text inside an expression""",
    ),
    "side of another coordinate": (
        "x-, x+",
        "z-, x+",
        """\
heat1d.toml:14:19: conditions.walls.on: no region 'z-'
    z-, x+
    ^^
there are interior, boundary, x-, x+, t-, t+""",
    ),
    "misspelt region": (
        "x-, x+",
        "x-, boundry",
        """\
heat1d.toml:14:23: conditions.walls.on: no region 'boundry'
    x-, boundry
        ^^^^^^^
did you mean 'boundary'?""",
    ),
    "interior and side": (
        "x-, x+",
        "x-, interior",
        """\
heat1d.toml:14:23: conditions.walls.on: interior and sides cannot share a condition
    x-, interior
        ^^^^^^^^
write one condition for each""",
    ),
    "where is no comparison": (
        PLAIN,
        'u = 0", where = "t" }',
        """\
heat1d.toml:14:59: conditions.walls.where: should be a comparison, such as 'y > 0.5'
    t
    ^""",
    ),
    "range down": (
        "x = [0, 1]",
        "x = [1, 0]",
        "heat1d.toml:5:1: coordinates.x: the range should go up, not from 1 to 0",
    ),
    "long range": (
        "x = [0, 1]",
        "x = [0, 1, 2]",
        "heat1d.toml:5:1: coordinates.x.range: should have 2 entries, has 3",
    ),
    "short range": (
        "x = [0, 1]",
        "x = []",
        "heat1d.toml:5:1: coordinates.x.range: should have 2 entries",
    ),
    "formula of a range": (
        "x = [0, 1]",
        'x = [0, "pii/2"]',
        """\
heat1d.toml:5:10: coordinates.x: unknown name 'pii'
    pii/2
    ^^^
did you mean 'pi'?""",
    ),
    "word for a coordinate": (
        "x = [0, 1]",
        'x = "abc"',
        "heat1d.toml:5:1: coordinates.x: should be a range such as [0, 1], or a table, not 'abc'",
    ),
    "formula of a constant": (
        "alpha = 0.1",
        'alpha = "0.1/beta"',
        """\
heat1d.toml:9:14: constants.alpha: unknown name 'beta'
    0.1/beta
        ^^^^""",
    ),
    "infinite constant": (
        "alpha = 0.1",
        "alpha = inf",
        "heat1d.toml:9:1: constants.alpha: should be a finite number, not inf",
    ),
    "true for a number": (
        "alpha = 0.1",
        "alpha = true",
        "heat1d.toml:9:1: constants.alpha: should be a number, not true",
    ),
    "too many digits": (
        "alpha = 0.1",
        "alpha = 1" + "0" * 5000,
        "heat1d.toml: a number has too many digits",
    ),
    "not TOML": (
        "alpha = 0.1",
        "alpha = foo",
        """\
heat1d.toml:9:9: not a TOML value (text needs quotes)
    alpha = foo
            ^""",
    ),
    "key twice": (
        "alpha = 0.1",
        "alpha = 0.1\nalpha = 0.2",
        """\
heat1d.toml:10:12: this key is there already
    alpha = 0.2
               ^""",
    ),
    "unknowns of the wrong kind": (
        '["u"]',
        '["u", 3, "u"]',
        """\
heat1d.toml:2:18: unknowns: should be a name in quotes
heat1d.toml:2:21: unknowns: 'u' is there twice""",
    ),
    "no title": (
        'title = "1-D heat equation"\n',
        "",
        "heat1d.toml: missing key 'title'",
    ),
    "misspelt table": (
        "[constants]",
        "[constnats]",
        """\
heat1d.toml:8:1: unknown key 'constnats'
did you mean 'constants'?
heat1d.toml:12:31: conditions.heat: unknown name 'alpha'
    u_t = alpha*u_xx
          ^^^^^""",
    ),
    "clashing names": (
        "alpha = 0.1",
        "alpha = 0.1\nx = 3\nu_x = 3\nerror_u = 2",
        """\
heat1d.toml:10:1: constants: 'x' is already the name of one of the coordinates
heat1d.toml:11:1: constants: 'u_x' reads as a derivative of 'u'
heat1d.toml:12:1: constants: 'error_u' begins with a word that the output uses for its own fields""",
    ),
    "no names": (
        "alpha = 0.1",
        'alpha = 0.1\n"a b" = 3\n"\\u001b[31m" = 2\npi = 3',
        "\n".join(
            f"heat1d.toml:{line}:1: constants: '{name}' cannot be a name: "
            "letters, digits and _ (at most 64), and no word of the language"
            for line, name in ((10, "a b"), (11, "\ufffd[31m"), (12, "pi"))
        ),
    ),
    "escape in the title": (
        "1-D heat",
        "1-D \\u001b[31m heat",
        "heat1d.toml:1:1: title: control character U+001B is not allowed",
    ),
    "raw control character": (
        "1-D heat",
        "1-D \x1b[31m heat",
        "heat1d.toml:1:14: control character U+001B is not allowed",
    ),
    "reordered text": (
        "1-D heat",
        "1-D \u202e heat",
        "heat1d.toml:1:14: control character U+202E is not allowed",
    ),
}

# what is added to the right file, and every line that is printed
ADDED: dict[str, tuple[str, str]] = {
    "settings and formulas at once": (
        '[network]\nwidht = 3\ndepth = "4"\nactivation = "tahn"\n[exact]\nu = "sn(x)"\n',
        """\
heat1d.toml:16:1: network: unknown key 'widht'
did you mean 'width'?
heat1d.toml:17:1: network.depth: should be a whole number, not '4'
heat1d.toml:18:1: network.activation: should be 'tanh', 'sine', 'gelu' or 'silu', not 'tahn'
did you mean 'tanh'?
heat1d.toml:20:6: exact.u: unknown function 'sn'
    sn(x)
    ^^
did you mean 'sin'?""",
    ),
    "optimiser kind": (
        '[[stages]]\noptimiser = { kind = "adamm" }\n',
        """\
heat1d.toml:16:15: stages.0.optimiser.kind: unknown kind 'adamm': \
should be one of adam, soap, lbfgs, bfgs, ssbfgs, ssbroyden, lm, lsq, engd_w, spring, hessian_free
did you mean 'adam'?""",
    ),
    "optimiser without kind": (
        "[[stages]]\noptimiser = {}\n",
        "heat1d.toml:16:1: stages.0.optimiser: missing key 'kind': "
        "adam, soap, lbfgs, bfgs, ssbfgs, ssbroyden, lm, lsq, engd_w, spring, hessian_free",
    ),
    "optimiser setting": (
        '[[stages]]\noptimiser = { kind = "adam", learning_rat = 1 }\nsteps = 0\n',
        """\
heat1d.toml:16:30: stages.0.optimiser: unknown key 'learning_rat'
did you mean 'learning_rate'?
heat1d.toml:17:1: stages.0.steps: should be at least 1, not 0""",
    ),
    "resample": (
        "[sampling]\nresample = { evry = 3 }\n",
        """\
heat1d.toml:16:14: sampling.resample: unknown key 'evry'
did you mean 'every'?""",
    ),
    "resample word": (
        '[sampling]\nresample = "of"\n',
        """\
heat1d.toml:16:1: sampling.resample: should be 'auto' or 'off', not 'of', or a table
did you mean 'off'?""",
    ),
    "grid of unknown coordinate": (
        "[output]\ngrid = { y = 10, t = 0 }\n",
        """\
heat1d.toml:16:10: output.grid: no coordinate 'y'
heat1d.toml:16:18: output.grid.t: should be at least 1, not 0""",
    ),
    "exact of unknown": (
        '[exact]\nw = "x"\n',
        """\
heat1d.toml:15:1: exact: no formula for u: all unknowns are needed, or none
heat1d.toml:16:1: exact: no unknown 'w'""",
    ),
    "parameter outside its bounds": (
        "[parameters.nu]\ninitial = 3\nbounds = [0, 1]\n",
        "heat1d.toml:16:1: parameters.nu.initial: 3 is outside the bounds 0 to 1",
    ),
    "circular definitions": (
        '[definitions]\na = "b + 1"\nb = "a - 1"\n',
        """\
heat1d.toml:16:6: definitions.a: definitions go in a circle: a -> b -> a
    b + 1
    ^""",
    ),
    "deep nesting": (
        "[x]\ny = " + "[" * 20 + "]" * 20 + "\n",
        "heat1d.toml: tables or lists nested too deeply",
    ),
    "very deep nesting": (
        "[x]\ny = " + "[" * 50_000 + "]" * 50_000 + "\n",
        "heat1d.toml: tables or lists nested too deeply",
    ),
    "many dots": (
        "a." * 60_000 + "b = 1\n",
        "heat1d.toml:15:1: a name with too many dots",
    ),
    "integral": (
        'mass = { equation = "integral(u, s, 0, w) = 1" }\n',
        """\
heat1d.toml:15:40: conditions.mass: unknown name 'w'
    integral(u, s, 0, w) = 1
                      ^""",
    ),
    "shape": (
        '[geometry]\nhole = "interval(0.3, r)"\ndomain = "box - holes"\n',
        """\
heat1d.toml:16:23: geometry.hole: unknown name 'r'
    interval(0.3, r)
                  ^
heat1d.toml:17:17: geometry.domain: no shape 'holes' is named before
    box - holes
          ^^^^^
did you mean 'hole'?""",
    ),
    "domain beyond its range": (
        '[geometry]\ndomain = "interval(0.5, 1.5)"\n',
        """\
heat1d.toml:16:11: geometry.domain: the domain goes from about 0.5 to 1.5 in x, beyond its range 0 to 1
    interval(0.5, 1.5)
    ^^^^^^^^^^^^^^^^^^
enlarge the range, or intersect with the box: (...) & box""",
    ),
    "empty domain": (
        '[geometry]\ndomain = "box - interval(-1, 2)"\n',
        """\
heat1d.toml:16:11: geometry.domain: the domain is empty
    box - interval(-1, 2)
    ^^^^^^^^^^^^^^^^^^^^^""",
    ),
}


def printed(path: Path, *overrides: str) -> str:
    """What a person reads about the file."""
    try:
        return "\n".join(str(d) for d in check(load_problem(path.name, overrides)).diagnostics)
    except PinncliError as error:
        return str(error)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "heat1d.toml"
    path.write_text(HEAT, "utf-8")
    return path


def test_right_file_has_nothing_to_say(file: Path) -> None:
    assert not printed(file)


@pytest.mark.parametrize("case", WRONG)
def test_replaced(file: Path, case: str) -> None:
    old, new, expected = WRONG[case]
    assert old in HEAT
    file.write_text(HEAT.replace(old, new), "utf-8")
    assert printed(file).split("\n") == expected.split("\n")


@pytest.mark.parametrize("case", ADDED)
def test_added(file: Path, case: str) -> None:
    text, expected = ADDED[case]
    file.write_text(HEAT + text, "utf-8")
    assert printed(file).split("\n") == expected.split("\n")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "network.widht=64",
            "--set network.widht=64: network: unknown key 'widht'\ndid you mean 'width'?",
        ),
        ("constants.alfa=2", "--set constants.alfa=2: no constant 'alfa'\ndid you mean 'alpha'?"),
        ("network.width=abc", "--set network.width=abc: network.width: should be a whole number, not 'abc'"),
        ("title.x=3", "--set title.x=3: title is not a table"),
        ("stages.1.steps=3", "--set stages.1.steps=3: stages has 0 entries, numbered from 0"),
        ("stages.0.steps=3", "--set stages.0.steps=3: stages.0: missing key 'optimiser'"),
        (
            "conditions.heat.equation=u_t = alfa*u_xx",
            "--set conditions.heat.equation=u_t = alfa*u_xx: conditions.heat: unknown name 'alfa'\n"
            "    u_t = alfa*u_xx\n          ^^^^\ndid you mean 'alpha'?",
        ),
        (
            "coordinates.x=[1,0]",
            "--set coordinates.x=[1,0]: coordinates.x: the range should go up, not from 1 to 0",
        ),
        ("output.grid={y=3}", "--set output.grid={y=3}: output.grid: no coordinate 'y'"),
    ],
)
def test_override(file: Path, override: str, expected: str) -> None:
    found = printed(file, override)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    "words",
    ["", "network", "=3", "network.width=", "a b=3", "a..b=3", "a=[1", "a=\x1b", "a=" + "[" * 20 + "]" * 20],
)
def test_malformed_override_is_usage(file: Path, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_problem(file.name, [words])
    assert "\x1b" not in str(caught.value)


def test_every_word_of_the_language_is_reserved() -> None:
    assert CALLS.keys() <= RESERVED


def test_several_lines_of_one_string(file: Path) -> None:
    """The caret and the line lie in the part of the text that is wrong."""
    text = HEAT.replace('"u_t = alpha*u_xx"', '"""\nu_t\n  = alfa*u_xx"""')
    file.write_text(text.replace("{ equation", "{equation"), "utf-8")
    assert printed(file).split("\n")[:3] == [
        "heat1d.toml:14:5: conditions.heat: unknown name 'alfa'",
        "      = alfa*u_xx",
        "        ^^^^",
    ]


def test_long_expression_is_cut_around_the_caret(file: Path) -> None:
    file.write_text(HEAT.replace(PLAIN, "u = " + "0 + " * 100 + 'v" }'), "utf-8")
    first, excerpt, caret, *_ = printed(file).split("\n")
    assert first.endswith("unknown name 'v'")
    assert len(excerpt) < 110
    assert excerpt[caret.index("^")] == "v"


def test_many_findings_are_capped(file: Path) -> None:
    file.write_text(HEAT + "[network]\n" + "".join(f"a{k} = 1\n" for k in range(300)), "utf-8")
    with pytest.raises(ProblemError) as caught:
        load_problem(file.name)
    assert len(caught.value.diagnostics) == 51
    assert caught.value.diagnostics[-1].message == "and 150 more"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfe", "heat1d.toml:1:1: not UTF-8 text"),
        (b"title = '\xff'", "heat1d.toml:1:10: not UTF-8 text"),
        (b"#" * (256 * 1024 + 1), "heat1d.toml: larger than 256 KiB"),
        (b"", "heat1d.toml: missing key 'title'"),
        (b"\0", "heat1d.toml:1:1: control character U+0000 is not allowed"),
    ],
)
def test_content_that_is_no_problem(file: Path, content: bytes, expected: str) -> None:
    file.write_bytes(content)
    assert printed(file).startswith(expected)


def test_windows_newlines_and_byte_order_mark(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + HEAT.replace("alpha*", "alfa*").replace("\n", "\r\n").encode())
    assert printed(file).startswith("heat1d.toml:12:31: conditions.heat: unknown name 'alfa'")
