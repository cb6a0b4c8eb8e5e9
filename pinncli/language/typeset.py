"""Equations as people print them, in Unicode or LaTeX, from the nodes as written."""

from __future__ import annotations

from collections.abc import Sequence

from pinncli.language.nodes import At, Binary, Call, Equation, Index, Name, Node, Number, Unary, Vector
from pinncli.language.scope import Scope
from pinncli.language.styles import LATEX, UNICODE, Style

# How tightly a piece of text holds together, loosest first.
_OR, _AND, _NOT, _COMPARE, _SUM, _DERIVATIVE, _PRODUCT, _POWER, _ATOM = range(1, 10)

Piece = tuple[str, int]


def pretty(what: Equation | Node, scope: Scope) -> str:
    """One line of Unicode: `∂u/∂t = α ∂²u/∂x²`."""
    return _typeset(what, scope, UNICODE)


def latex(what: Equation | Node, scope: Scope) -> str:
    r"""LaTeX for mathematics mode: `\frac{\partial u}{\partial t} = \alpha ...`."""
    return _typeset(what, scope, LATEX)


def _typeset(what: Equation | Node, scope: Scope, style: Style) -> str:
    writer = _Writer(scope, style)
    if isinstance(what, Equation):
        return f"{writer.text(what.left)} = {writer.text(what.right)}"
    return writer.text(what)


class _Writer:
    """Puts pieces together with the brackets that their levels need."""

    def __init__(self, scope: Scope, style: Style) -> None:
        self._scope, self._style = scope, style

    def text(self, node: Node, level: int = _OR) -> str:
        """The node as text, in brackets where it is looser than `level`."""
        text, own = self._piece(node)
        return text if own >= level else self._style.group(text)

    def _piece(self, node: Node) -> Piece:
        style = self._style
        match node:
            case Number(value):
                return style.number(value), _ATOM
            case Name(name):
                return self._name(name)
            case Unary("not", operand):
                return style.operators.get("not ", "not ") + self.text(operand, _NOT), _NOT
            case Unary(_, operand):
                return style.minus + self.text(operand, _DERIVATIVE), _SUM
            case Binary():
                return self._binary(node)
            case Call(function, arguments):
                return self._call(function, arguments)
            case At(operand, point):
                place = ", ".join(f"{style.name(name)} = {self.text(value)}" for name, value in point)
                return style.at(self.text(operand, _ATOM), place), _ATOM
            case Index(operand, index):
                return style.index(self.text(operand, _ATOM), index), _ATOM
            case Vector(items):
                return f"[{', '.join(map(self.text, items))}]", _ATOM

    def _name(self, name: str) -> Piece:
        scope = self._scope
        plain = {
            *scope.unknowns,
            *scope.coordinates,
            *scope.vectors,
            *scope.constants,
            *scope.parameters,
            *scope.definitions,
        }
        split = None if name in plain else scope.subscripted(name)
        if split is None:
            return self._style.name(name), _ATOM
        return self._derivative(self._style.name(split[0]), split[1])

    def _derivative(self, operand: str, by: Sequence[str]) -> Piece:
        ordinary = len(self._scope.coordinates) == 1
        return self._style.derivative(ordinary, operand, [self._style.name(c) for c in by]), _DERIVATIVE

    def _binary(self, node: Binary) -> Piece:
        style, left, right = self._style, node.left, node.right
        match node.op:
            case "+" | "-":
                after = self.text(right, _SUM if node.op == "+" else _DERIVATIVE)
                if node.op == "+" and after.startswith(style.minus):
                    return f"{self.text(left, _SUM)} {style.minus} {after[len(style.minus) :]}", _SUM
                sign = "+" if node.op == "+" else style.minus
                return f"{self.text(left, _SUM)} {sign} {after}", _SUM
            case "*":
                before, level = self._first(left, _DERIVATIVE)
                return style.product(before, self.text(right, _DERIVATIVE)), level
            case "/":
                if style is LATEX:
                    return style.fraction(self.text(left), self.text(right)), _PRODUCT
                before, level = self._first(left, _PRODUCT)
                return style.fraction(before, self.text(right, _POWER)), level
            case "^":
                exponent, level = self._piece(right)
                return style.power(self.text(left, _ATOM), exponent, level == _ATOM), _POWER
            case "and" | "or" as op:
                level = _AND if op == "and" else _OR
                word = style.operators.get(op, op)
                return f"{self.text(left, level)} {word} {self.text(right, level)}", level
            case "&":
                sides = self.text(left, _PRODUCT), self.text(right, _PRODUCT)
                return f" {style.operators['&']} ".join(sides), _PRODUCT
            case op:
                word = style.operators.get(op, op)
                return f"{self.text(left, _SUM)} {word} {self.text(right, _SUM)}", _COMPARE

    def _integral(self, operand: Node, by: Sequence[Node]) -> str:
        """Over coordinates, or over one variable between limits."""
        names = [node.id for node in by if isinstance(node, Name)]
        known = {*self._scope.coordinates, *self._scope.regions}
        whole = len(names) == len(by) and all(name in known for name in names)
        limits = None if whole or len(by) != 3 else (self.text(by[1]), self.text(by[2]))
        over = [self.text(node) for node in (by if limits is None else by[:1])]
        return self._style.integral(self.text(operand, _DERIVATIVE), over, limits)

    def _first(self, node: Node, level: int) -> Piece:
        """First factor of a product: `−a b` needs no brackets, but the whole is then a sum's term."""
        if isinstance(node, Unary) and node.op == "-":
            return self.text(node), _SUM
        text, own = self._piece(node)
        if own == _SUM and isinstance(node, Binary) and node.op in "*/":
            return text, _SUM
        return (text if own >= level else self._style.group(text)), _PRODUCT

    def _call(self, function: str, arguments: tuple[Node, ...]) -> Piece:
        style = self._style
        match function, arguments:
            case "d", (operand, *by):
                names = [self.text(variable, _ATOM) for variable in by]
                ordinary = len(self._scope.coordinates) == 1
                return style.derivative(ordinary, self.text(operand, _ATOM), names), _DERIVATIVE
            case "integral", (operand, *by):
                return self._integral(operand, by), _SUM
            case "lap", (operand,):
                return style.laplacian + self.text(operand, _ATOM), _PRODUCT
            case "grad", (operand,):
                return style.gradient + self.text(operand, _ATOM), _PRODUCT
            case "div", (operand,):
                return style.divergence + self.text(operand, _ATOM), _PRODUCT
            case "dn", (operand,):
                return style.derivative(False, self.text(operand, _ATOM), [style.normal]), _DERIVATIVE
            case "dot", (left, right):
                return self.text(left, _PRODUCT) + style.dot + self.text(right, _PRODUCT), _DERIVATIVE
        return style.function(function, [self.text(argument) for argument in arguments]), _ATOM
