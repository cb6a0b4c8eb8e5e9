"""Two ways to print mathematics: Unicode on one line, and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

_GREEK = dict(
    zip(
        ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
         "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma",
         "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"),
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ",
        strict=True,
    )
)  # fmt: skip
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPTS = str.maketrans("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class Style(Protocol):
    """What differs between Unicode and LaTeX; every method returns finished text."""

    minus: str
    operators: dict[str, str]
    laplacian: str
    gradient: str
    divergence: str
    normal: str
    dot: str

    def number(self, value: float) -> str:
        """A number."""
        ...

    def name(self, name: str) -> str:
        """A name: Greek letters, digits and what follows `_` as subscripts."""
        ...

    def group(self, text: str) -> str:
        """Brackets around something loose."""
        ...

    def derivative(self, d: bool, operand: str, by: Sequence[str]) -> str:
        """Derivative of `operand` by coordinates; `d` for ordinary, else partial."""
        ...

    def product(self, left: str, right: str) -> str:
        """Two factors."""
        ...

    def fraction(self, left: str, right: str) -> str:
        """A quotient; the sides have the brackets they need."""
        ...

    def power(self, base: str, exponent: str, atom: bool) -> str:
        """A power; `atom` says that the exponent needs no brackets."""
        ...

    def function(self, name: str, arguments: Sequence[str]) -> str:
        """A function of arguments."""
        ...

    def integral(self, operand: str, by: Sequence[str], limits: tuple[str, str] | None) -> str:
        """An integral over coordinates, or between limits."""
        ...

    def at(self, operand: str, place: str) -> str:
        """Evaluation at a place."""
        ...

    def index(self, operand: str, k: int) -> str:
        """A component of a vector."""
        ...


def _split(name: str) -> tuple[str, str]:
    """`u_in` to `u`, `in`; `x1` to `x`, `1`."""
    base, _, rest = name.partition("_")
    if base and rest:
        return base, rest
    stem = name.rstrip("0123456789")
    return (stem, name[len(stem) :]) if stem else (name, "")


def _digits(value: float) -> tuple[str, int]:
    """A number as its shortest digits and a power of ten (0 for none)."""
    mantissa, _, exponent = repr(value).partition("e")
    return mantissa.removesuffix(".0"), int(exponent or 0)


class _Unicode:
    minus = "−"
    operators: dict[str, str] = {"<=": "≤", ">=": "≥", "&": "∩"}  # noqa: RUF012
    laplacian, gradient, divergence, normal, dot = "∇²", "∇", "∇·", "n", "·"

    def number(self, value: float) -> str:
        mantissa, exponent = _digits(value)
        if not exponent:
            return mantissa
        power = "10" + str(exponent).replace("-", "−").translate(_SUPERSCRIPTS)
        return power if mantissa == "1" else f"{mantissa}×{power}"

    def name(self, name: str) -> str:
        base, rest = _split(name)
        base = _GREEK.get(base, base)
        if rest.isdigit():
            return base + rest.translate(_SUBSCRIPTS)
        return f"{base}_{rest}" if rest else base

    def group(self, text: str) -> str:
        return f"({text})"

    def derivative(self, d: bool, operand: str, by: Sequence[str]) -> str:
        sign = "d" if d else "∂"
        order = str(len(by)).translate(_SUPERSCRIPTS) if len(by) > 1 else ""
        below = "".join(
            sign + name + (str(by.count(name)).translate(_SUPERSCRIPTS) if by.count(name) > 1 else "")
            for name in dict.fromkeys(by)
        )
        return f"{sign}{order}{operand}/{below}"

    def product(self, left: str, right: str) -> str:
        return f"{left}·{right}" if right[0].isdigit() or right[0] == "(" else f"{left} {right}"

    def fraction(self, left: str, right: str) -> str:
        return f"{left}/{right}"

    def power(self, base: str, exponent: str, atom: bool) -> str:
        if exponent.lstrip("−").isdigit():
            return base + exponent.translate(_SUPERSCRIPTS)
        return f"{base}^{exponent}" if atom else f"{base}^({exponent})"

    def function(self, name: str, arguments: Sequence[str]) -> str:
        inside = ", ".join(arguments)
        around = {"abs": "|{}|", "norm": "‖{}‖", "sqrt": "√({})", "real": "Re({})", "imag": "Im({})"}
        return around.get(name, self.name(name) + "({})").format(inside)

    def integral(self, operand: str, by: Sequence[str], limits: tuple[str, str] | None) -> str:
        ends = "" if limits is None else f"[{limits[0]}, {limits[1]}]"
        return f"∫{ends} {operand} " + " ".join(f"d{name}" for name in by)

    def at(self, operand: str, place: str) -> str:
        return f"{operand}({place})"

    def index(self, operand: str, k: int) -> str:
        return operand + str(k).translate(_SUBSCRIPTS)


class _Latex:
    minus = "-"
    operators: dict[str, str] = {  # noqa: RUF012
        "<=": r"\le", ">=": r"\ge", "&": r"\cap", "and": r"\text{ and }", "or": r"\text{ or }",
        "not ": r"\text{not }",
    }  # fmt: skip
    laplacian, gradient, divergence, normal, dot = r"\nabla^2 ", r"\nabla ", r"\nabla\cdot ", "n", r"\cdot "

    def number(self, value: float) -> str:
        mantissa, exponent = _digits(value)
        if not exponent:
            return mantissa
        return f"10^{{{exponent}}}" if mantissa == "1" else rf"{mantissa} \times 10^{{{exponent}}}"

    def name(self, name: str) -> str:
        base, rest = _split(name)
        symbol = "\\" + base if base in _GREEK else base if len(base) == 1 else rf"\mathrm{{{base}}}"
        rest = rest.replace("_", r"\_")
        below = rest if rest.isdigit() else rf"\mathrm{{{rest}}}"
        return f"{symbol}_{{{below}}}" if rest else symbol

    def group(self, text: str) -> str:
        return rf"\left({text}\right)"

    def derivative(self, d: bool, operand: str, by: Sequence[str]) -> str:
        sign = r"\mathrm{d}" if d else r"\partial "
        order = f"^{{{len(by)}}} " if len(by) > 1 else ""
        below = " ".join(
            sign + name + (f"^{{{by.count(name)}}}" if by.count(name) > 1 else "")
            for name in dict.fromkeys(by)
        )
        return rf"\frac{{{sign}{order}{operand}}}{{{below}}}"

    def product(self, left: str, right: str) -> str:
        return rf"{left} \cdot {right}" if right[0].isdigit() else rf"{left} \, {right}"

    def fraction(self, left: str, right: str) -> str:
        return rf"\frac{{{left}}}{{{right}}}"

    def power(self, base: str, exponent: str, atom: bool) -> str:  # noqa: ARG002
        return f"{base}^{{{exponent}}}"

    def function(self, name: str, arguments: Sequence[str]) -> str:
        inside = ", ".join(arguments)
        around = {"abs": r"\left|%s\right|", "norm": r"\left\|%s\right\|", "sqrt": r"\sqrt{%s}"}
        if name in around:
            return around[name] % inside
        known = {"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "min", "max"}
        shown = {"real": r"\operatorname{Re}", "imag": r"\operatorname{Im}"}.get(name)
        escaped = name.replace("_", r"\_")
        shown = shown or ("\\" + name if name in known else rf"\operatorname{{{escaped}}}")
        return shown + self.group(inside)

    def integral(self, operand: str, by: Sequence[str], limits: tuple[str, str] | None) -> str:
        ends = "" if limits is None else rf"_{{{limits[0]}}}^{{{limits[1]}}}"
        return rf"\int{ends} {operand} " + " ".join(rf"\, \mathrm{{d}}{name}" for name in by)

    def at(self, operand: str, place: str) -> str:
        return rf"\left. {operand} \right|_{{{place}}}"

    def index(self, operand: str, k: int) -> str:
        return f"{operand}_{{{k}}}"


UNICODE: Style = _Unicode()
LATEX: Style = _Latex()
