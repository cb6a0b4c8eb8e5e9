"""Formulas to straight-line programs; a subexpression that occurs twice is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from pinncli.language.algebra import AlgebraError, Expr, as_float, number, op_of
from pinncli.language.functions import NUMPY
from pinncli.language.jets import Jets
from pinncli.language.lookups import lookup_of
from pinncli.language.program import Input, Instruction, Program
from pinncli.language.quadrature import Integral
from pinncli.language.scope import Scope
from pinncli.language.splines import Spline, derivative

_KINDS = ("coordinate", "parameter", "normal", "column", "partial", "node")
MAX_INSTRUCTIONS = 200_000
"""Of one program: far more than any formula has without integrals."""


def lower(expressions: Sequence[Expr], jets: Jets) -> Program:
    """One program with an output per formula, over the inputs that they use; integrals are written out.

    Raises `AlgebraError` where a constant part has no finite value.
    """
    sums: dict[Expr, _Sum] = {}
    used = {symbol for expr in expressions for symbol in expr.free_symbols}
    integrals = [symbol for symbol in sorted(used, key=str) if symbol in jets.integrals]
    for symbol in integrals:
        sums[symbol] = _Sum.of(jets.integrals[symbol], jets)
    entries = {jets.inputs[symbol] for symbol in used - sums.keys()}
    entries |= {entry for sum_ in sums.values() for _, instance in sum_.terms for entry in instance.inputs}
    inputs = sorted(entries, key=lambda entry: _rank(entry, jets.scope))
    emitter = _Emitter(inputs, jets, sums)
    outputs = tuple(emitter.slot(expr) for expr in expressions)
    if len(emitter.instructions) > MAX_INSTRUCTIONS:
        raise AlgebraError(f"this takes more than {MAX_INSTRUCTIONS} operations at a point: fewer nodes help")
    return Program(tuple(inputs), tuple(emitter.instructions), outputs)


@dataclass(frozen=True)
class _Sum:
    """An integral as its terms: (weight, program) for every node, of programs with one output."""

    terms: tuple[tuple[float, Program], ...]

    @classmethod
    def of(cls, integral: Integral, jets: Jets) -> _Sum:
        """One program for the integrand, with its inputs at every node put in."""
        program = lower([integral.integrand], jets)
        names = [jets.inputs[variable] for variable in integral.variables]
        terms = []
        for weight, places in integral.rows:
            nodes = dict(zip(integral.variables, map(number, places), strict=True))
            values = dict(zip(names, places, strict=True))
            terms.append((weight, _instance(program, values, nodes, jets)))
        return cls(tuple(terms))


def _instance(
    program: Program, values: Mapping[Input, float], nodes: Mapping[Expr, Expr], jets: Jets
) -> Program:
    """The program with nodes as constants, and partials where the nodes place them."""
    held = [entry for entry in program.inputs if entry in values]
    free = [entry for entry in program.inputs if entry not in values]
    order = [*free, *held]
    place = {program.inputs.index(entry): k for k, entry in enumerate(order)}
    shifted = tuple(
        replace(step, arguments=tuple(place.get(k, k) for k in step.arguments))
        for step in program.instructions
    )
    constants = tuple(Instruction("const", value=values[entry]) for entry in held)
    inputs = tuple(
        replace(entry, site=jets.bound(entry.site, nodes)) if entry.kind == "partial" else entry
        for entry in free
    )
    return Program(inputs, (*constants, *shifted), tuple(place.get(k, k) for k in program.outputs))


def _rank(entry: Input, scope: Scope) -> tuple[object, ...]:
    """Sort key of inputs: the same equation always gives the same program."""
    place = (_KINDS.index(entry.kind), entry.site)
    if entry.partial is None:
        order = scope.coordinates.index(entry.name) if entry.name in scope.coordinates else 0
        return (*place, order, entry.name)
    names = [f"{name}{part}" for name in scope.unknowns for part in ("", "_real", "_imag")]
    partial = entry.partial
    descending = tuple(-k for k in partial.orders)
    return (*place, names.index(partial.component), partial.order, partial.laplacian, descending)


class _Emitter:
    """Instructions so far; equal instructions share a slot, constants are folded."""

    def __init__(self, inputs: Sequence[Input], jets: Jets, sums: Mapping[Expr, _Sum]) -> None:
        self.instructions: list[Instruction] = []
        self._functions = jets.scope.functions
        self._sums = sums
        self._inputs = len(inputs)
        self._entries = {entry: k for k, entry in enumerate(inputs)}
        known = {entry: symbol for symbol, entry in jets.inputs.items()}
        self._slots: dict[Expr, int] = {known[entry]: k for k, entry in enumerate(inputs) if entry in known}
        self._numbers: dict[Instruction, int] = {}

    def slot(self, expr: Expr) -> int:
        """The slot that holds `expr`."""
        if expr not in self._slots:
            self._slots[expr] = self._compute(expr)
        return self._slots[expr]

    def _compute(self, expr: Expr) -> int:
        if expr in self._sums:
            return self._total(self._sums[expr])
        if not expr.args:
            return self._constant(as_float(expr))
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul:
            return self._product(*expr.as_coeff_Mul())
        if expr.is_Pow:
            return self._power(*expr.args)
        arguments = [self.slot(argument) for argument in expr.args]
        lookup = lookup_of(op_of(expr))
        if lookup is None:
            return self._emit(op_of(expr), *arguments)
        spline = derivative(self._functions[lookup.name].spline, lookup.orders)
        return self._emit("lookup", *arguments, spline=spline)

    def _total(self, sum_: _Sum) -> int:
        """All terms of an integral, times their weights."""
        terms = []
        for weight, program in sum_.terms:
            slots = [self._entries[entry] for entry in program.inputs]
            for step in program.instructions:
                arguments = [slots[k] for k in step.arguments]
                slots.append(self._emit(step.op, *arguments, value=step.value, spline=step.spline))
            terms.append(self._emit("mul", self._constant(weight), slots[program.outputs[0]]))
        return self._reduce("add", terms)

    def _emit(self, op: str, *arguments: int, value: float = 0.0, spline: Spline | None = None) -> int:
        known = [self._known(argument) for argument in arguments]
        if arguments and None not in known:
            return self._constant(_fold(op, [k for k in known if k is not None], value, spline))
        instruction = Instruction(op, arguments, value, spline)
        if instruction not in self._numbers:
            self._numbers[instruction] = self._inputs + len(self.instructions)
            self.instructions.append(instruction)
        return self._numbers[instruction]

    def _constant(self, value: float) -> int:
        return self._emit("const", value=value)

    def _known(self, slot: int) -> float | None:
        if slot < self._inputs:
            return None
        instruction = self.instructions[slot - self._inputs]
        return instruction.value if instruction.op == "const" else None

    def _sum(self, expr: Expr) -> int:
        terms = [term.as_coeff_Mul() for term in expr.args]
        added = [self._product(c, rest) for c, rest in terms if not c.is_negative]
        subtracted = [self._product(-c, rest) for c, rest in terms if c.is_negative]
        total = self._reduce("add", added) if added else self._emit("neg", subtracted.pop(0))
        return self._reduce("sub", [total, *subtracted])

    def _product(self, coefficient: Expr, rest: Expr) -> int:
        above, below = [], []
        for factor in rest.args if rest.is_Mul else (rest,):
            exponent = factor.exp if factor.is_Pow else None
            if exponent is not None and exponent.is_Number and exponent.is_negative:
                below.append(self._power(factor.base, -exponent))
            else:
                above.append(self.slot(factor))
        if abs(coefficient) != 1 or not above:
            above.insert(0, self._constant(as_float(abs(coefficient))))
        total = self._reduce("mul", above)
        if below:
            total = self._emit("div", total, self._reduce("mul", below))
        return self._emit("neg", total) if coefficient.is_negative else total

    def _reduce(self, op: str, slots: Sequence[int]) -> int:
        return reduce(lambda total, slot: self._emit(op, total, slot), slots)

    def _power(self, base: Expr, exponent: Expr) -> int:
        if exponent.is_Number and exponent.is_negative:
            return self._emit("div", self._constant(1.0), self._power(base, -exponent))
        below = self.slot(base)
        if exponent == 1:
            return below
        if exponent.is_Integer:
            return self._emit("ipow", below, value=float(exponent))
        if exponent.is_Rational and exponent.q == 2 and exponent.p == 1:
            return self._emit("sqrt", below)
        return self._emit("pow", below, self.slot(exponent))


def _fold(op: str, arguments: Sequence[float], value: float, spline: Spline | None) -> float:
    with np.errstate(all="ignore"):
        before = [spline] if op == "lookup" else []
        exponent = [int(value)] if op == "ipow" else []
        result = float(NUMPY[op](*before, *arguments, *exponent))
    if not np.isfinite(result):
        raise AlgebraError("a constant part has no finite value")
    return result
