"""Straight-line programs: the one form in which formulas are evaluated, by numpy or by torch.

An expression that was checked and differentiated symbolically is lowered to a short list of
instructions over numbered slots. Running it is a table look-up per instruction, so a problem
file can never execute anything, and the same formula runs under numpy (checks, exact
solutions) and torch (residuals) with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pinncli.language.partials import Partial
from pinncli.language.splines import Spline


@dataclass(frozen=True, slots=True)
class Input:
    """A value that a program is given, one per point (or one for all: parameters).

    kind        name                     also
    coordinate  the coordinate           -
    partial     the label                `partial`, and `site`: which of the residual's sites
    parameter   the unknown number       -
    normal      the coordinate           outward unit normal's component
    column      the data column          -

    Two more are in formulas only, and in no finished program: `node`, a variable of integration that runs
    over [0, 1], and `integral`, a sum over such.
    """

    kind: Literal["coordinate", "partial", "parameter", "normal", "column", "node", "integral"]
    name: str
    partial: Partial | None = None
    site: int = 0


@dataclass(frozen=True, slots=True)
class Instruction:
    """`op` is a key of the function tables; `arguments` are slots; `value` is for `const` and `ipow`.

    `lookup` evaluates `spline`, a function from a file or a derivative of it.
    """

    op: str
    arguments: tuple[int, ...] = ()
    value: float = 0.0
    spline: Spline | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """Slots 0 .. len(inputs)-1 are the inputs; each instruction fills the next slot."""

    inputs: tuple[Input, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    def run(self, values: Sequence[Any], functions: Mapping[str, Callable[..., Any]]) -> list[Any]:
        """Evaluate on `values` (one per input, in order) with a table of functions.

        A `const` becomes a Python float; an output that depends on no input is therefore a
        float, which the caller broadcasts. `ipow` has its integer exponent in `value`.
        """
        slots: list[Any] = list(values)
        for step in self.instructions:
            if step.op == "const":
                slots.append(step.value)
            elif step.op == "lookup":
                slots.append(functions["lookup"](step.spline, *(slots[k] for k in step.arguments)))
            elif step.op == "ipow":
                slots.append(functions["ipow"](slots[step.arguments[0]], int(step.value)))
            else:
                slots.append(functions[step.op](*(slots[k] for k in step.arguments)))
        return [slots[k] for k in self.outputs]

    def only(self, outputs: Sequence[int]) -> Program:
        """The part of the program that fills the slots `outputs`, which become its outputs."""
        first = len(self.inputs)
        needed, waiting = set(outputs), list(outputs)
        while waiting:
            slot = waiting.pop()
            if slot >= first:
                new = set(self.instructions[slot - first].arguments) - needed
                needed |= new
                waiting += new
        kept = sorted(needed)
        place = {slot: k for k, slot in enumerate(kept)}
        instructions = tuple(
            replace(step, arguments=tuple(place[k] for k in step.arguments))
            for slot in kept
            if slot >= first
            for step in [self.instructions[slot - first]]
        )
        inputs = tuple(self.inputs[slot] for slot in kept if slot < first)
        return Program(inputs, instructions, tuple(place[slot] for slot in outputs))
