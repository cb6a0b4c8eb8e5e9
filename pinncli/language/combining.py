"""Derivatives that equations need only together: u_t and u_xx of u_t + u*u_x = nu*u_xx, as u_t - nu*u_xx.

A derivative enters a program affinely with a constant coefficient, or it does not. Of those that do, the ones
of an unknown at one place whose coefficients in all outputs are in proportion are needed as one sum alone,
which is then the program's input in place of the first; the others are put to zero. What is gained by that is
the engine's to say (`pinncli.derivatives.jet_index`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from pinncli.language.partials import Combination, Partial, Wanted
from pinncli.language.program import Input, Instruction, Program

Column = tuple[float, ...]
"""Coefficients of an input in every output of every program."""


def coefficients(program: Program) -> list[Column | None]:
    """Per input, its constant coefficient in every output; None where it enters in any other way."""
    zero: dict[int, float] = {}
    forms = [({k: 1.0}, frozenset[int]()) for k in range(len(program.inputs))]
    numbers: dict[int, float] = {}
    for step in program.instructions:
        parts = [forms[k] for k in step.arguments]
        known = [numbers.get(k) for k in step.arguments]
        rest = frozenset[int]().union(*(other for _, other in parts))
        match step.op, known:
            case "const", _:
                numbers[len(forms)] = step.value
                forms.append((zero, rest))
            case "add", _:
                forms.append((_sum(parts[0][0], parts[1][0], 1.0), rest))
            case "sub", _:
                forms.append((_sum(parts[0][0], parts[1][0], -1.0), rest))
            case "neg", _:
                forms.append((_sum(zero, parts[0][0], -1.0), rest))
            case "mul", [float(c), _]:
                forms.append((_sum(zero, parts[1][0], c), rest))
            case "mul", [_, float(c)]:
                forms.append((_sum(zero, parts[0][0], c), rest))
            case "div", [_, float(c)] if c:
                forms.append((_sum(zero, parts[0][0], 1.0 / c), rest))
            case _:
                forms.append((zero, rest.union(*(linear.keys() for linear, _ in parts))))
    outputs = [forms[k] for k in program.outputs]
    return [
        None
        if any(k in other for _, other in outputs)
        else tuple(linear.get(k, 0.0) for linear, _ in outputs)
        for k in range(len(program.inputs))
    ]


def _sum(a: Mapping[int, float], b: Mapping[int, float], factor: float) -> dict[int, float]:
    return {k: a.get(k, 0.0) + factor * b.get(k, 0.0) for k in {*a, *b}}


def combinations(
    columns: Mapping[tuple[int, Partial], Column | None],
) -> dict[tuple[int, Partial], Wanted | None]:
    """From the columns of every partial at its place, what stands for it: a sum, or None, put to zero.

    Those that stand for themselves are left out. Coefficients in a sum are over the first one's.
    """
    alike: dict[tuple[int, str, Column], list[tuple[float, int, Partial]]] = {}
    for (place, partial), column in columns.items():
        first = next((c for c in column or () if c), None)
        if column is not None and first is not None:
            direction = tuple(c / first for c in column)
            alike.setdefault((place, partial.component, direction), []).append((first, place, partial))
    found: dict[tuple[int, Partial], Wanted | None] = {}
    for members in alike.values():
        if len(members) > 1:
            (first, place, leader), *others = sorted(members, key=lambda m: m[2])
            terms = [(c / first, partial) for c, _, partial in others]
            found[place, leader] = Combination(((1.0, leader), *terms))
            found |= {(place, partial): None for _, _, partial in others}
    return found


def without(program: Program, inputs: Collection[Input]) -> Program:
    """The program where some inputs, which its outputs are affine in, are zero: nothing is left of them."""
    at = [None if entry in inputs else k for k, entry in enumerate(program.inputs)]
    steps = list(program.instructions)
    for k, step in enumerate(program.instructions):
        here, slots = len(program.inputs) + k, [at[j] for j in step.arguments]
        place: int | None = here
        match step.op, slots:
            case ("add", [None, other] | [other, None]) | ("sub", [other, None]):
                place = other
            case "sub", [None, int(other)]:
                steps[k] = Instruction("neg", (other,))
            case ("neg", [None]) | ("mul", [None, _] | [_, None]) | ("div", [None, _]):
                place = None
            case _:
                steps[k] = replace(step, arguments=tuple(j for j in slots if j is not None))
        at.append(place)
    outputs = [at[k] for k in program.outputs]
    left = [k for k in outputs if k is not None]
    if len(left) < len(outputs):
        raise ValueError("an output without anything in it")
    return Program(program.inputs, tuple(steps), tuple(left)).only(left)
