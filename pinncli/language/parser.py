"""Problem text to nodes, by an LALR grammar: no recursion on the input, nothing is executed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, Never

import lark

from pinncli.language.diagnostics import LanguageError
from pinncli.language.nodes import (
    At,
    Binary,
    Call,
    Equation,
    Index,
    Name,
    Node,
    Number,
    Span,
    Unary,
    Vector,
)

MAX_LENGTH = 4096
MAX_NESTING = 64
MAX_NODES = 2000
_BALANCE_ABOVE = 16

_LOOKALIKES = {
    "−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "²": "^2", "³": "^3",
    "≤": "<=", "≥": ">=", "π": "pi", "√": "sqrt(...)", "∂": "d(...)", "∇": "grad(...)", "Δ": "lap(...)",
    "{": "(", "}": ")", "!": "not", "|": "abs(...)", "∫": "integral(...)",
}  # fmt: skip


def parse_expression(text: str) -> Node:
    """Read one expression; raises `LanguageError`."""
    return _parse(text, "disjunction").node  # type: ignore[no-any-return]


def parse_shape(text: str) -> Node:
    """Read a shape: calls combined by `+` (union), `-` (difference), `&` (intersection)."""
    return parse_expression(text)


def parse_equation(text: str) -> Equation:
    """Read `left = right`; raises `LanguageError`."""
    return _parse(text, "equation")  # type: ignore[no-any-return]


def parse_labels(text: str) -> tuple[str, ...]:
    """Read the labels of a region: `x-, x+` gives `("x-", "x+")`; raises `LanguageError`."""
    labels: tuple[str, ...] = _parse(text, "labels")
    for k, label in enumerate(labels):
        if label in labels[:k]:
            raise LanguageError(f"label '{label}' is there twice", (0, len(text)))
    return labels


def _parse(text: str, start: str) -> Any:
    if len(text.encode("utf-8", "replace")) > MAX_LENGTH:
        raise LanguageError(
            f"longer than {MAX_LENGTH} bytes",
            (MAX_LENGTH, MAX_LENGTH),
            "move parts of it into [definitions]",
        )
    try:
        return _parser().parse(text, start=start)
    except lark.UnexpectedCharacters as error:
        position = error.pos_in_stream or 0
        _refuse_character(text[position], position)
    except lark.UnexpectedToken as error:
        _refuse_token(text, error)


@cache
def _parser() -> lark.Lark:
    grammar = files("pinncli.language").joinpath("grammar.lark").read_text("utf-8")
    return lark.Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        start=["disjunction", "equation", "labels"],
        transformer=_Builder(),
    )


def _refuse_character(character: str, position: int) -> Never:
    span = (position, position + 1)
    name = unicodedata.name(character, "")
    shown = f"'{character}'" if character.isprintable() else f"U+{ord(character):04X}"
    message = f"unexpected character {shown}"
    if not character.isascii() and name:
        message += f" ({name.lower()})"
    hint = ""
    if character in _LOOKALIKES:
        hint = f"write '{_LOOKALIKES[character]}'"
    elif name.startswith("GREEK"):
        hint = f"write '{name.split()[-1].lower()}'"
    elif character == ".":
        hint = "a name has no attributes; a number needs a digit beside its point"
    elif character in "'\"":
        hint = "there is no text inside an expression"
    raise LanguageError(message, span, hint)


def _refuse_token(text: str, error: lark.UnexpectedToken) -> Never:
    token = error.token
    if token.type == "$END":
        what = "ends too early" if text.strip() else "is empty"
        hint = "an equation reads left = right" if "EQUAL" in error.accepts else ""
        if text.count("(") > text.count(")"):
            hint = "a ')' is missing"
        raise LanguageError(f"the text {what}", (len(text), len(text)), hint)
    span = (token.start_pos or 0, token.end_pos or 0)
    hint = ""
    before = text[: span[0]].rstrip()
    if token.type == "EQUAL":
        doubled = before.endswith(("=", "<", ">"))
        hint = "write a single '='" if doubled else "there is one '=' in an equation, none in an expression"
    elif token.type == "COMPARE":
        hint = "comparisons don't chain: write 0 < x and x < 1"
    elif token.type in {"NAME", "NUMBER", "LPAR"} and "TIMES" in error.accepts:
        hint = "an operator is missing: products are written with '*'"
    elif token.type == "RPAR" and "RPAR" not in error.accepts and before.count("(") <= before.count(")"):
        hint = "there is no '(' for it"
    raise LanguageError(f"unexpected '{token}'", span, hint)


class _Built(NamedTuple):
    """A node with what the caps are about: how deeply it is nested and how many nodes it has."""

    node: Node
    depth: int
    size: int


def _built(make: Callable[..., Node], span: Span, parts: Sequence[_Built]) -> _Built:
    """Make a node over `parts` within the caps; raises `LanguageError` outside them."""
    depth = 1 + max((part.depth for part in parts), default=0)
    size = 1 + sum(part.size for part in parts)
    if depth > MAX_NESTING:
        raise LanguageError(
            f"nested deeper than {MAX_NESTING} levels", span, "move parts of it into [definitions]"
        )
    if size > MAX_NODES:
        raise LanguageError(f"more than {MAX_NODES} terms", span, "move parts of it into [definitions]")
    return _Built(make(*(part.node for part in parts), span=span), depth, size)


def _span(*items: _Built | lark.Token) -> Span:
    """From the start of the first item to the end of the last."""
    ends = [
        (item.start_pos or 0, item.end_pos or 0) if isinstance(item, lark.Token) else item.node.span
        for item in (items[0], items[-1])
    ]
    return ends[0][0], ends[1][1]


def _integer(token: lark.Token) -> int:
    if not token.isdigit() or len(token) > 9:
        raise LanguageError("an index is a whole number", _span(token))
    return int(token)


def _value(token: lark.Token) -> float:
    value = float(token)
    span = _span(token)
    if value == float("inf"):
        raise LanguageError("number too large", span, "the largest is about 1.8e308")
    mantissa = token.lower().partition("e")[0]
    if value == 0 and mantissa.strip("0."):
        raise LanguageError("number too small", span, "the smallest is about 4.9e-324")
    return value


def _binary(left: _Built, operator: str, right: _Built) -> _Built:
    return _built(lambda a, b, span: Binary(operator, a, b, span), _span(left, right), (left, right))  # type: ignore[arg-type]


def _chain(items: Sequence[Any]) -> _Built:
    """`a + b - c` leaning left, as usual; a long chain balanced, so that it is not deep.

    Balanced at a `-` or `/`, the right half starts with `-c` or `1/c` to keep its meaning.
    """
    operands: list[_Built] = list(items[::2])
    operators = [str(operator) for operator in items[1::2]]
    if len(operands) > _BALANCE_ABOVE:
        half = len(operands) // 2
        operator, first = operators[half - 1], operands[half]
        if operator == "-":
            operator = "+"
            first = _built(lambda a, span: Unary("-", a, span), first.node.span, (first,))
        elif operator == "/":
            operator = "*"
            first = _binary(_Built(Number(1.0, first.node.span), 1, 1), "/", first)
        left = _chain(items[: 2 * half - 1])
        right = _chain([first, *items[2 * half + 1 :]])
        return _binary(left, operator, right)
    result = operands[0]
    for operator, operand in zip(operators, operands[1:], strict=True):
        result = _binary(result, operator, operand)
    return result


class _Builder(lark.Transformer[lark.Token, Any]):
    """One callback per grammar rule or alias, called bottom-up while the text is parsed."""

    disjunction = conjunction = sum = product = comparison = staticmethod(_chain)

    def equation(self, items: list[_Built]) -> Equation:
        left, right = items
        return Equation(left.node, right.node, (left.node.span[0], right.node.span[1]))

    def labels(self, items: list[str]) -> tuple[str, ...]:
        return tuple(items)

    def label(self, items: list[lark.Token]) -> str:
        return "".join(items)

    def prefix(self, items: list[Any]) -> _Built:
        operator, operand = items
        if operator == "+":
            return _built(lambda a, span: replace(a, span=span), _span(*items), (operand,))
        return _built(lambda a, span: Unary(operator.value, a, span), _span(*items), (operand,))

    def power(self, items: list[Any]) -> _Built:
        base, _, exponent = items
        return _binary(base, "^", exponent)

    def call(self, items: list[Any]) -> _Built:
        function, *arguments, _ = items
        if not isinstance(function.node, Name):
            raise LanguageError("only a name can be called", function.node.span, "products need a '*'")
        name = function.node.id
        return _built(lambda *a, span: Call(name, a, span), _span(*items), arguments)

    def at(self, items: list[Any]) -> _Built:
        operand, *bindings, _ = items
        names = [name.value for name, _ in bindings]
        for k, (name, _) in enumerate(bindings):
            if name in names[:k]:
                raise LanguageError(f"'{name}' is given twice", _span(name))
        return _built(
            lambda a, *values, span: At(a, tuple(zip(names, values, strict=True)), span),
            _span(*items),
            (operand, *(value for _, value in bindings)),
        )

    def binding(self, items: list[Any]) -> tuple[lark.Token, _Built]:
        name, value = items
        return name, value

    def index(self, items: list[Any]) -> _Built:
        operand, number, _ = items
        position = _integer(number)
        return _built(lambda a, span: Index(a, position, span), _span(*items), (operand,))

    def number(self, items: list[lark.Token]) -> _Built:
        value = _value(items[0])
        return _built(lambda span: Number(value, span), _span(*items), ())

    def name(self, items: list[lark.Token]) -> _Built:
        identifier = items[0].value
        return _built(lambda span: Name(identifier, span), _span(*items), ())

    def group(self, items: list[Any]) -> _Built:
        return _built(lambda a, span: replace(a, span=span), _span(*items), items[1:2])

    def vector(self, items: list[Any]) -> _Built:
        return _built(lambda *a, span: Vector(a, span), _span(*items), items[1:-1])
