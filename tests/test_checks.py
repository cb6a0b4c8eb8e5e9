"""Well-posed problems pass without a word; ill-posed ones are told what they lack."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pinncli.problem.checks import Report, check, gibibytes
from pinncli.problem.library import list_problems, shipped_folder
from pinncli.problem.loading import load_problem, load_text

LINE = "[coordinates]\nx = [0, 1]\n"
TIME = "[coordinates]\nt = [0, 1]\n"
STRIP = "[coordinates]\nx = [0, 1]\nt = [0, 1]\n"
SQUARE = "[coordinates]\nx = [0, 1]\ny = [0, 1]\n"


def report(text: str, folder: Path = Path(), **options: bool) -> Report:
    unknowns = "" if "unknowns" in text else 'unknowns = ["u"]\n'
    return check(load_text(f'title = "T"\n{unknowns}{text}', "p", "p.toml", folder), **options)


def messages(text: str, folder: Path = Path()) -> list[str]:
    """Severity, place and text of each finding, without the lines."""
    found = report(text, folder).diagnostics
    return [f"{d.severity} {d.where}: {d.message}" + (f" | {d.hint}" if d.hint else "") for d in found]


WELL_POSED = {
    "heat with flux and Robin sides": STRIP
    + """[conditions]
heat = { equation = "u_t = u_xx" }
start = { on = "t-", equation = "u = x" }
left = { on = "x-", equation = "dn(u) = 0" }
right = { on = "x+", equation = "dn(u) + u = 2" }""",
    "pure Neumann, level fixed": SQUARE
    + """[conditions]
p = { equation = "lap(u) = 0" }
sides = { on = "boundary", equation = "dn(u) = 0" }
level = { equation = "u(x=0, y=0) = 1" }""",
    "Helmholtz, pure Neumann": SQUARE
    + """[conditions]
p = { equation = "lap(u) + u = 1" }
sides = { on = "boundary", equation = "dn(u) = 0" }""",
    "transport, inflow only": STRIP
    + """[conditions]
p = { equation = "u_t + 2*u_x = 0" }
start = { on = "t-", equation = "u = 0" }
inflow = { on = "x-", equation = "u = 0" }""",
    "eikonal, from one side": SQUARE
    + """[conditions]
p = { equation = "norm(grad(u)) = 1" }
a = { on = "y-", equation = "u = 0" }""",
    "obstacle": SQUARE
    + """[conditions]
p = { equation = "min(u - 1, -lap(u)) = 0" }
a = { on = "boundary", equation = "u = 2" }""",
    "boundary value problem": LINE
    + """[conditions]
p = { equation = "u_xx + u^3 = 1" }
ends = { on = "boundary", equation = "u = 0" }""",
    "ordinary system": 'unknowns = ["a", "b"]\n'
    + TIME
    + """[conditions]
p = { equation = "a_t = b" }
q = { equation = "b_t = -a" }
start_a = { on = "t-", equation = "a = 1" }
start_b = { on = "t-", equation = "b = 0" }""",
    "first-order heat": 'unknowns = ["u", "q"]\n'
    + STRIP
    + """[conditions]
flux = { equation = "q = -u_x" }
heat = { equation = "u_t + q_x = 0" }
start = { on = "t-", equation = "u = 0" }
sides = { on = "x-, x+", equation = "u = 0" }""",
    "first-order wave": 'unknowns = ["p", "v"]\n'
    + STRIP
    + """[conditions]
mass = { equation = "p_t + v_x = 0" }
momentum = { equation = "v_t + p_x = 0" }
p0 = { on = "t-", equation = "p = sin(pi*x)" }
v0 = { on = "t-", equation = "v = 0" }
closed = { on = "x-, x+", equation = "v = 0" }""",
    "biharmonic plate": SQUARE
    + """[conditions]
plate = { equation = "lap(lap(u)) = 1" }
edge = { on = "boundary", equation = "u = 0" }
slope = { on = "boundary", equation = "dn(u) = 0" }""",
    "stream function and vorticity": 'unknowns = ["psi", "w"]\n'
    + SQUARE
    + """[conditions]
poisson = { equation = "lap(psi) = -w" }
transport = { equation = "d(psi, y)*w_x - d(psi, x)*w_y = lap(w)" }
wall = { on = "boundary", equation = "psi = 0" }
slip = { on = "boundary", equation = "dn(psi) = 0" }""",
    "unsteady Stokes, pressure fixed": 'unknowns = ["u", "v", "p"]\n'
    + """[coordinates]
x = [0, 1]
y = [0, 1]
t = [0, 1]
[conditions]
mx = { equation = "u_t + p_x = lap(u)" }
my = { equation = "v_t + p_y = lap(v)" }
mass = { equation = "u_x + v_y = 0" }
u0 = { on = "t-", equation = "u = 0" }
v0 = { on = "t-", equation = "v = 0" }
uw = { on = "boundary", equation = "u = 0" }
vw = { on = "boundary", equation = "v = 0" }
level = { equation = "p(x=0, y=0) = 0" }""",
    "two materials": LINE
    + """[conditions]
left = { where = "x < 0.5", equation = "u_xx = 1" }
right = { where = "x >= 0.5", equation = "3*u_xx = 1" }
ends = { on = "x-, x+", equation = "u = 0" }""",
    "side in two parts": SQUARE
    + """[conditions]
p = { equation = "lap(u) + u = 0" }
hot = { on = "x-", where = "y < 0.5", equation = "dn(u) = 1" }
cold = { on = "x-", where = "y >= 0.5", equation = "u = 0" }
rest = { on = "x+, y-, y+", equation = "dn(u) = 0" }""",
    "Black-Scholes, degenerate at S = 0": """[coordinates]
S = [0, 2]
t = [0, 1]
[conditions]
p = { equation = "u_t = 0.02*S^2*d(u, S, S) + 0.05*S*d(u, S) - 0.05*u" }
payoff = { on = "t-", equation = "u = max(S - 1, 0)" }
far = { on = "S+", equation = "d(u, S) = 1" }""",
    "periodic by sides": STRIP
    + """[conditions]
p = { equation = "u_t = u_xx" }
start = { on = "t-", equation = "u = 1" }
value = { on = "x-", equation = "u = u(x=1)" }
slope = { on = "x-", equation = "u_x = d(u, x)(x=1)" }""",
    "Goursat": SQUARE
    + """[conditions]
p = { equation = "u_xy = u" }
a = { on = "x-", equation = "u = 1" }
b = { on = "y-", equation = "u = 1" }""",
    "conditions at the start written as points": TIME
    + """[conditions]
p = { equation = "u_tt + u = 0" }
a = { equation = "u(t=0) = 1" }
b = { equation = "d(u, t)(t=0) = 0" }""",
    "exact wave with numbers as text": """[coordinates]
x = [0, "pi"]
t = [0, "2*pi"]
[constants]
c = "1/2"
[conditions]
p = { equation = "u_tt = c^2*u_xx" }
a = { on = "t-", equation = "u = sin(x)" }
b = { on = "t-", equation = "u_t = 0" }
s = { on = "x-, x+", equation = "u = 0" }
[exact]
u = "sin(x)*cos(c*t)" """,
    "soliton cut off where it is small": """[coordinates]
x = [-20, 20]
t = [0, 0.1]
[conditions]
p = { equation = "u_t + 6*u*u_x + u_xxx = 0" }
a = { on = "t-", equation = "u = 2/cosh(x)^2" }
s = { on = "x-, x+", equation = "u = 0" }
f = { on = "x+", equation = "u_x = 0" }
[exact]
u = "2/cosh(x - 4*t)^2" """,
    "exact complex": """[unknowns.h]
kind = "complex"
[coordinates]
x = [0, 1]
t = [0, 1]
[conditions]
p = { equation = "i*h_t + h_xx = 0" }
a = { on = "t-", equation = "h = exp(2*pi*i*x)" }
v = { equation = "h(x=0) = h(x=1)" }
s = { equation = "d(h, x)(x=0) = d(h, x)(x=1)" }
[exact]
h = "exp(2*pi*i*x - 4*pi^2*i*t)" """,
}


@pytest.mark.parametrize("name", WELL_POSED)
def test_well_posed(name: str) -> None:
    assert messages(WELL_POSED[name]) == []


HEAT = '[conditions]\np = { equation = "u_t = u_xx" }\n'
START = 'start = { on = "t-", equation = "u = 0" }\n'
SIDES = 'sides = { on = "x-, x+", equation = "u = 0" }\n'

SIZES = """
stages = [{ optimiser = { kind = "KIND" } }]
network = { width = WIDTH, depth = 3 }
sampling = { interior = INTERIOR, boundary = 200 }
"""


def sized(kind: str = "adam", width: int = 30, interior: int = 2048) -> str:
    chosen = SIZES.replace("KIND", kind).replace("WIDTH", str(width)).replace("INTERIOR", str(interior))
    return chosen + STRIP + HEAT + START + SIDES


ILL_POSED = {
    "wave with one initial condition": (
        STRIP + '[conditions]\np = { equation = "u_tt = u_xx" }\n' + START + SIDES,
        [
            "error conditions.p: second order in t, which needs 2 conditions; there is 1"
            " | add one with on = \"t-\", such as 'd(u, t) = 0'"
        ],
    ),
    "heat without a start": (
        STRIP + HEAT + SIDES,
        [
            "error conditions.p: first order in t, which needs 1 condition; there are none"
            " | add one with on = \"t-\", such as 'u = 0'"
        ],
    ),
    "side without a condition": (
        STRIP + HEAT + START + 'left = { on = "x-", equation = "u = 0" }',
        [
            "error conditions.p: second order in x, which needs 2 conditions; there is 1"
            " | nothing is said on x+"
        ],
    ),
    "part of a side without a condition": (
        STRIP + HEAT + START + 'sides = { on = "x-, x+", where = "t < 0.9", equation = "u = 0" }',
        [
            "error conditions.p: second order in x, which needs 2 conditions; there are none"
            " | add one on x- or x+"
        ],
    ),
    "periodic in value only": (
        STRIP + HEAT + START + 'periodic = { equation = "u(x=0) = u(x=1)" }',
        [
            "error conditions.p: second order in x, which needs 2 conditions; there is 1"
            " | a periodic pair needs its derivatives: add 'd(u, x)(x=0) = d(u, x)(x=1)'"
        ],
    ),
    "beam with three conditions": (
        LINE
        + """[conditions]
p = { equation = "u_xxxx = 1" }
a = { on = "x-, x+", equation = "u = 0" }
b = { on = "x-", equation = "u_x = 0" }""",
        [
            "error conditions.p: fourth order in x, which needs 4 conditions; there are 3"
            " | add one on x- or x+"
        ],
    ),
    "transport without an inflow": (
        STRIP + '[conditions]\np = { equation = "u_t + u_x = 0" }\n' + START,
        [
            "warning conditions.p: first order in x, which needs 1 condition; there are none"
            " | nothing is said on x- and x+"
        ],
    ),
    "slope of a line": (
        LINE + '[conditions]\np = { equation = "u_x = u" }\n',
        [
            "error conditions.p: first order in x, which needs 1 condition; there are none"
            " | nothing is said on x- and x+"
        ],
    ),
    "system with too few sides": (
        'unknowns = ["u", "v"]\n'
        + LINE
        + """[conditions]
p = { equation = "u_xx = v" }
q = { equation = "v_xx = u" }
a = { on = "x-, x+", equation = "u = 0" }""",
        [
            "error conditions.p: the system has order 4 in x, which needs 4 conditions; there are 2"
            " | add one on x- or x+"
        ],
    ),
    "fewer equations than unknowns": (
        'unknowns = ["u", "v"]\n' + LINE + '[conditions]\np = { equation = "u_x = 1" }\n',
        [
            "warning unknowns: only derivatives of u appear in the conditions: it is known up to a constant"
            " | fix its level, for example with 'u(x=0) = 0'",
            "error unknowns: no condition is about v",
            "error conditions.p: 1 equation on the interior for 2 unknown functions"
            " | add an equation, or data",
        ],
    ),
    "no equation": (
        LINE + '[conditions]\na = { on = "x-", equation = "u = 1" }\n',
        ["error conditions: no equation holds on the interior"],
    ),
    "pure Neumann": (
        SQUARE
        + """[conditions]
p = { equation = "lap(u) = 0" }
sides = { on = "boundary", equation = "dn(u) = 0" }""",
        [
            "warning unknowns: only derivatives of u appear in the conditions: it is known up to a constant"
            " | fix its level, for example with 'u(x=0, y=0) = 0'"
        ],
    ),
    "periodic level": (
        LINE
        + """[conditions]
p = { equation = "u_xx = sin(2*pi*x)" }
v = { equation = "u(x=0) = u(x=1)" }
s = { equation = "d(u, x)(x=0) = d(u, x)(x=1)" }""",
        [
            "warning unknowns: only derivatives of u appear in the conditions: it is known up to a constant"
            " | fix its level, for example with 'u(x=0) = 0'"
        ],
    ),
    "corner": (
        STRIP
        + HEAT
        + START
        + 'left = { on = "x-", equation = "u = 2 + t" }\nr = { on = "x+", equation = "u = 0" }',
        [
            "warning conditions.left: disagrees with 'start' where they meet:"
            " u = 2 here and 0 there at x = 0, t = 0"
        ],
    ),
    "corner of a complex unknown": (
        '[unknowns.h]\nkind = "complex"\n'
        + STRIP
        + """[conditions]
p = { equation = "i*h_t + h_xx = 0" }
a = { on = "t-", equation = "h = i" }
s = { on = "x-, x+", equation = "2*h = 0" }""",
        [
            "warning conditions.s: disagrees with 'a' where they meet:"
            " h_imag = 0 here and 1 there at x = 0, t = 0"
        ],
    ),
    "same side twice": (
        LINE
        + """[conditions]
p = { equation = "u_xx = 0" }
a = { on = "x-, x+", equation = "u = 1" }
b = { on = "x+", equation = "u = 3" }""",
        ["warning conditions.b: disagrees with 'a' where they meet: u = 3 here and 1 there at x = 1"],
    ),
    "exact breaks the equation": (
        STRIP + HEAT + START + SIDES + '[exact]\nu = "0*x + 1"',
        [
            "error conditions.start: the exact solution breaks this: off by 1, where its terms are of size 1,"
            " at x = 0.9401, t = 0",
            "error conditions.sides: the exact solution breaks this: off by 1, where its terms are of size 1,"
            " at x = 0, t = 0.9213",
        ],
    ),
    "exact is rough": (
        TIME
        + """[conditions]
p = { equation = "u_t = u" }
a = { on = "t-", equation = "u = 1" }
[exact]
u = "exp(1.00001*t)" """,
        [
            "warning conditions.p: the exact solution satisfies this only roughly: off by 2.71e-05,"
            " where its terms are of size 5.41, at t = 0.9953"
        ],
    ),
    "exact is not finite": (
        TIME
        + """[conditions]
p = { equation = "u_t = u" }
a = { on = "t-", equation = "u = 1" }
[exact]
u = "log(t - 2)" """,
        ["error exact.u: is not a finite number at t = 0.8541"],
    ),
    "equation is never finite": (
        TIME
        + """[conditions]
p = { equation = "u_t = log(t - 2)" }
a = { on = "t-", equation = "u = 1" }""",
        ["error conditions.p: has no finite value at any of the points tried"],
    ),
    "empty where": (
        STRIP + HEAT + START + SIDES + 'more = { where = "x > 1", equation = "u = 0" }',
        ["error conditions.more.where: none of 65536 random points of interior satisfy this: too few"],
    ),
    "point outside": (
        LINE
        + """[conditions]
p = { equation = "u_xx = 0" }
a = { equation = "u(x=0) = u(x=2)" }
b = { on = "x+", equation = "u = 0" }
c = { on = "x-", equation = "u = 0" }""",
        ["error conditions.a: x = 2 is outside its range 0 to 1"],
    ),
    "unused names": (
        '[constants]\nk = 1\nm = 2\nn = "m + 1"\n[parameters.q]\ninitial = 1\n'
        + LINE.replace("1]", '"n"]')
        + """[conditions]
p = { equation = "u_xx = 0" }
a = { on = "boundary", equation = "u = 0" }""",
        [
            "warning constants.k: is not used",
            "error parameters.q: no condition uses it, so it cannot be found",
        ],
    ),
    "too many parameters": (
        sized("ssbroyden", width=10**8),
        [
            "error network: too large: about 8.94e+24 GiB of memory, 8.94e+24 GiB of it for the optimiser"
            " (20,000,000,600,000,001 parameters, 2,648 points) | the limit is 64 GiB; --allow-large lifts it"
        ],
    ),
    "too many points": (
        sized(interior=10**12),
        [
            "error sampling: too large: about 44,703 GiB of memory, 44,703 GiB of it for the points"
            " (1,981 parameters, 1,000,000,000,600 points) | the limit is 64 GiB; --allow-large lifts it"
        ],
    ),
    "too fine a grid": (
        sized() + "[output]\ngrid = { x = 1000000, t = 1000000 }\n",
        [
            "error output.grid: too large: about 44,703 GiB of memory, 44,703 GiB of it for the output fields"
            " (1,981 parameters, 2,648 points) | the limit is 64 GiB; --allow-large lifts it"
        ],
    ),
}


@pytest.mark.parametrize("name", ILL_POSED)
def test_ill_posed(name: str) -> None:
    text, expected = ILL_POSED[name]
    assert messages(text) == expected


def test_large_sizes_can_be_allowed() -> None:
    text = STRIP + HEAT + START + SIDES + "[sampling]\ninterior = 1000000000000"
    assert report(text, allow_large=True).diagnostics == ()


def test_data_stand_in_for_conditions(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,t,seen\n0.5,0.5,1\n", "utf-8")
    text = STRIP + HEAT + 'd = { data = "d.csv", equation = "u = seen" }'
    assert messages(text, tmp_path) == []
    unused = text.replace("u = seen", "u = 0")
    assert messages(unused, tmp_path) == [
        "warning conditions.d: the equation uses no column of the data (seen)"
    ]


def test_shipped_problems_have_nothing_to_say() -> None:
    for entry in list_problems():
        if entry.origin == "shipped":
            found = check(load_problem(entry.name))
            assert [str(d) for d in found.diagnostics] == []
            assert found.plan is not None


def test_checking_all_shipped_problems_is_fast_and_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from pinncli.problem.checks import check\n"
        "from pinncli.problem.library import list_problems\n"
        "from pinncli.problem.loading import load_problem\n"
        "for entry in list_problems(): check(load_problem(entry.name))\n"
        "sys.exit('torch' in sys.modules)"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=shipped_folder().parent)
    assert done.returncode == 0
    assert time.perf_counter() - began < 20  # 1 s on a quiet machine


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 KiB"), (2048, "2 KiB"), (3 * 2**20, "3 MiB"), (2**30, "1 GiB"), (2**42, "4,096 GiB")],
)
def test_bytes_in_words(count: int, words: str) -> None:
    assert gibibytes(count) == words
