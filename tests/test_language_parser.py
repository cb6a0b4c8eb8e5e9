"""Text to nodes: precedence, the whole table of needs, spans, messages, hostile text."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from importlib.resources import files

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinncli.language.diagnostics import LanguageError, nearest
from pinncli.language.nodes import At, Binary, Call, Equation, Index, Name, Node, Number, Unary, Vector, walk
from pinncli.language.parser import parse_equation, parse_expression, parse_labels, parse_shape

LEVELS = {"or": 1, "and": 2, "<": 4, "<=": 4, ">": 4, ">=": 4, "+": 5, "-": 5, "*": 6, "/": 6, "&": 6, "^": 8}


def to_text(node: Node) -> str:
    """Nodes as text that reads back as the same nodes."""

    def at(part: Node, level: int) -> str:
        text, own = piece(part)
        return text if own >= level else f"({text})"

    def piece(part: Node) -> tuple[str, int]:
        match part:
            case Number(value):
                return repr(value), 9
            case Name(name):
                return name, 9
            case Unary("not", operand):
                return f"not {at(operand, 3)}", 3
            case Unary(_, operand):
                return f"-{at(operand, 7)}", 7
            case Binary("^", left, right):
                return f"{at(left, 9)}^{at(right, 7)}", 8
            case Binary(op, left, right):
                level = LEVELS[op]
                return f"{at(left, level + (level == 4))} {op} {at(right, level + 1)}", level
            case Call(function, arguments):
                return f"{function}({', '.join(at(a, 0) for a in arguments)})", 9
            case At(operand, point):
                return f"{at(operand, 9)}({', '.join(f'{n}={at(v, 0)}' for n, v in point)})", 9
            case Index(operand, index):
                return f"{at(operand, 9)}[{index}]", 9
            case Vector(items):
                return f"[{', '.join(at(item, 0) for item in items)}]", 9
        raise AssertionError(part)

    return at(node, 0)


names = st.sampled_from(["u", "v", "x", "t", "u_xx", "alpha", "order", "nothing", "_a1", "d"])
leaves = st.one_of(
    st.builds(Number, st.floats(0, 1e308, allow_subnormal=False)), st.builds(Name, names)
)  # fmt: skip


def grow(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    points = st.dictionaries(st.sampled_from("xyt"), inner, min_size=1, max_size=2)
    return st.one_of(
        st.builds(Unary, st.sampled_from(["-", "not"]), inner),
        st.builds(Binary, st.sampled_from(sorted(LEVELS)), inner, inner),
        st.builds(Call, names, st.lists(inner, max_size=3).map(tuple)),
        st.builds(At, inner, points.map(lambda p: tuple(p.items()))),
        st.builds(Index, inner, st.integers(0, 99)),
        st.builds(Vector, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    )


trees = st.recursive(leaves, grow, max_leaves=12)


@given(trees)
@settings(max_examples=300, deadline=None)
def test_text_of_any_tree_reads_back_as_the_tree(tree: Node) -> None:
    assert parse_expression(to_text(tree)) == tree


@given(st.text(alphabet="ux012.e+-*/^()[]=<>, &_\n\x00αé²", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_expression, parse_equation, parse_labels):
        try:
            parse(text)
        except LanguageError as error:
            start, end = error.span
            assert 0 <= start <= end <= len(text)
            assert error.message


a, b, c = Name("a"), Name("b"), Name("c")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a - b - c", Binary("-", Binary("-", a, b), c)),
        ("a + b*c", Binary("+", a, Binary("*", b, c))),
        ("a/b*c", Binary("*", Binary("/", a, b), c)),
        ("-a^2", Unary("-", Binary("^", a, Number(2.0)))),
        ("a^-b^c", Binary("^", a, Unary("-", Binary("^", b, c)))),
        ("a**b", Binary("^", a, b)),
        ("+a", a),
        ("not a < b and c or a", Binary("or", Binary("and", Unary("not", Binary("<", a, b)), c), a)),
        ("d(u, x)(x=1)", At(Call("d", (Name("u"), Name("x"))), (("x", Number(1.0)),))),
        ("u(x=0, t=a)", At(Name("u"), (("x", Number(0.0)), ("t", a)))),
        ("sum(x[3])", Call("sum", (Index(Name("x"), 3),))),
        ("a & b + c", Binary("+", Binary("&", a, b), c)),
        (".5e-3 + 2.", Binary("+", Number(0.0005), Number(2.0))),
        ("android", Name("android")),
    ],
)
def test_precedence(text: str, tree: Node) -> None:
    assert parse_expression(text) == tree


@pytest.mark.parametrize(
    "text",
    [
        "u_t = alpha*u_xx",
        "d((1 + x^2)*d(u, x), x) = lap(u) + div(a*grad(u))",
        "dn(u) + h*u = g",
        "u(x=0) = u(x=1)",
        "d(u,x)(x=0) = d(u,x)(x=1)",
        "i*h_t + 0.5*h_xx + abs(h)^2*h = 0",
        "u = u_measured",
        "d(a(x, y)*u_x, x) = 0",
        "integral(u, x) = 1",
        "min(u - g, -lap(u)) = 0",
        "where(x < 0.5 and y >= 0, a, b)*heaviside(x) = sign(u)",
        "lap(u) = norm(x)^2 + sum(x) + x[3]",
        "dot(grad(u), [1, 2]) = 0",
    ],
)
def test_the_table_of_needs_parses(text: str) -> None:
    assert isinstance(parse_equation(text), Equation)


def test_labels_and_shapes() -> None:
    assert parse_labels(" x- , x+") == ("x-", "x+")
    assert parse_labels("interior") == ("interior",)
    disk = Call("disk", (Vector((Number(0.3), Number(0.3))), Number(0.1)))
    assert parse_shape("box - disk([0.3, 0.3], 0.1)") == Binary("-", Name("box"), disk)


def test_spans_cover_what_was_written() -> None:
    text = "u_t = (alpha + 1) * sin( u ) - [u, x]"
    equation = parse_equation(text)
    pieces = {text[slice(*node.span)] for node in walk(equation.right)}
    assert {"(alpha + 1)", "sin( u )", "(alpha + 1) * sin( u )", "[u, x]", "u", "1"} <= pieces
    assert text[slice(*equation.span)] == text


def test_long_chains_are_balanced_and_mean_the_same() -> None:
    def value(node: Node) -> float:
        match node:
            case Number(number):
                return number
            case Unary(_, operand):
                return -value(operand)
            case Binary(op, left, right):
                x, y = value(left), value(right)
                return {"+": x + y, "-": x - y, "*": x * y, "/": x / y if y else 0.0}[op]
        raise AssertionError(node)

    signs = "".join("+-"[k % 3 == 1] + str(k % 7) for k in range(500))
    total = sum((-1 if k % 3 == 1 else 1) * (k % 7) for k in range(500))
    assert value(parse_expression("1" + signs)) == 1 + total
    product = parse_expression("1" + "*2/4*2" * 200)
    assert value(product) == 1.0


@pytest.mark.parametrize(
    ("text", "message", "span", "hint"),
    [
        ("u_t", "ends too early", (3, 3), "left = right"),
        ("", "is empty", (0, 0), ""),
        ("u == 1", "unexpected '='", (3, 4), "single '='"),
        ("u = v = 1", "unexpected '='", (6, 7), "one '='"),
        ("u = 2x", "unexpected 'x'", (5, 6), "'*'"),
        ("u = sin(x", "ends too early", (9, 9), "')' is missing"),
        ("u = x)", "unexpected ')'", (5, 6), "no '('"),
        ("u = 0 < x < 1", "unexpected '<'", (10, 11), "don't chain"),
        ("u.real = 1", "unexpected character '.'", (1, 2), "attributes"),
        ("u = α", "greek small letter alpha", (4, 5), "write 'alpha'"),
        ("u = 2×x", "multiplication sign", (5, 6), "write '*'"),
        ("u = x²", "superscript two", (5, 6), "write '^2'"),
        ("u = 'a'", "unexpected character", (4, 5), "no text"),
        ("u = \x07", "U+0007", (4, 5), ""),
        ("u = \u202ex", "U+202E", (4, 5), ""),
        ("u = １", "fullwidth digit one", (4, 5), ""),
        ("u = 1e400", "too large", (4, 9), "1.8e308"),
        ("u = " + "9" * 2000, "too large", (4, 2004), ""),
        ("u = 1e-400", "too small", (4, 10), ""),
        ("u(x=1, x=2) = 1", "'x' is given twice", (7, 8), ""),
        ("u(x=1, 2) = 1", "unexpected '2'", (7, 8), ""),
        ("f(x)(y) = 1", "only a name can be called", (0, 4), ""),
        ("x[1.5] = u", "whole number", (2, 5), ""),
        ("x[99999999999] = u", "whole number", (2, 13), ""),
        ("x = " + "1+" * 2100 + "1", "longer than 4096 bytes", (4096, 4096), "[definitions]"),
    ],
)
def test_messages(text: str, message: str, span: tuple[int, int], hint: str) -> None:
    with pytest.raises(LanguageError) as raised:
        parse_equation(text)
    assert message in raised.value.message
    assert raised.value.span == span
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "(" * 2000 + "x" + ")" * 2000,
        "-" * 4000 + "x",
        "not " * 1000 + "x",
        "2" + "^2" * 2000,
        "sin(" * 800 + "x" + ")" * 800,
        "[" * 2000 + "x" + "]" * 2000,
        "x" + "(x=1)" * 800,
        "x" + "[1]" * 1000,
        "a+" * 2047 + "a",
        "(" * 4000,
        "a(b=" * 1000,
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "lambda: 0",
        "x if x else y",
        "u; v",
        "{x}",
        "@x",
        "\\x",
        "9" * 4096,
        "\ud800",
    ],
)
def test_hostile_text_is_refused_fast(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(LanguageError):
        parse_expression(text)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("text", ["x-,x-", "x--", "1", "", "x-;", "a/b"])
def test_wrong_labels(text: str) -> None:
    with pytest.raises(LanguageError):
        parse_labels(text)


def test_grammar_has_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    grammar = files("pinncli.language").joinpath("grammar.lark").read_text("utf-8")
    with caplog.at_level(logging.DEBUG, logger="lark"):
        lark.Lark(grammar, parser="lalr", start=["disjunction", "equation", "labels"], debug=True)
    assert not [record for record in caplog.records if "onflict" in record.getMessage()]


def test_parsing_needs_no_sympy() -> None:
    code = (
        "import sys; from pinncli.language.parser import parse_equation; parse_equation('u_t = u_xx');"
        "sys.exit(bool({'sympy', 'torch', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nearest() -> None:
    assert nearest("alfa", ["alpha", "beta"]) == "did you mean 'alpha'?"
    assert nearest("zzz", ["alpha"]) == ""
