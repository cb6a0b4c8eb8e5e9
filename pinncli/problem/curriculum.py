"""Constants led from an easier value to their own: `[curriculum.nu] start = 0.1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.calculus import compile_equation, compile_expression
from pinncli.language.diagnostics import LanguageError, nearest
from pinncli.language.parser import parse_expression
from pinncli.language.scope import Scope
from pinncli.problem.ansatz import derived_again
from pinncli.problem.formulation import condition_scope
from pinncli.problem.model import Problem
from pinncli.problem.settings import CurriculumSettings
from pinncli.problem.source import Loaded, computed_from, printable
from pinncli.problem.terms import ConditionTerms, Formulation


def courses(problem: Problem) -> tuple[Mapping[str, float], ...]:
    """What the constants of the curriculum are in turn; the last entry holds their own values.

    A constant with fewer values than another arrives earlier and stays.
    """
    paths = {n: _values(settings, problem.constants[n]) for n, settings in problem.curriculum.items()}
    length = max(map(len, paths.values()), default=1)
    return tuple({n: path[min(k, len(path) - 1)] for n, path in paths.items()} for k in range(length))


def most_steps(problem: Problem) -> int:
    """Steps of a stage at all values but the last."""
    return max(settings.steps for settings in problem.curriculum.values())


def with_constants(formulation: Formulation, constants: Mapping[str, float]) -> Formulation:
    """The conditions compiled anew with other values of constants; raises `LanguageError`.

    Nothing is known of that problem's solution: it has neither formula nor reference. Choices that
    depend on the equations (linear, periodic, definitions) stay those of the problem itself.
    """
    values = {**formulation.problem.constants, **constants}
    scope = replace(formulation.scope, constants=values)
    led = replace(
        formulation,
        problem=formulation.problem.model_copy(update={"constants": values}),
        scope=scope,
        conditions=tuple(_compiled(terms, formulation.problem, scope) for terms in formulation.conditions),
        exact={},
        exact_nodes={},
        reference=None,
    )
    return derived_again(led)


def _values(settings: CurriculumSettings, end: float) -> tuple[float, ...]:
    space = np.geomspace if settings.spacing == "log" else np.linspace
    return (*(float(value) for value in space(settings.start, end, settings.values)[:-1]), end)


def _compiled(terms: ConditionTerms, problem: Problem, scope: Scope) -> ConditionTerms:
    where = problem.conditions[terms.name].where
    region = terms.region
    if where is not None:
        region = replace(region, where=compile_expression(parse_expression(where), scope))
    residual = compile_equation(terms.equation, condition_scope(scope, region.labels, terms.data))
    return replace(terms, region=region, residual=residual)


def check_curriculum(formulation: Formulation, loaded: Loaded) -> list[Diagnostic]:
    """Whether every value on the way makes sense."""
    problem, source = loaded.problem, loaded.source
    findings = []
    for name, settings in problem.curriculum.items():
        if name not in problem.constants:
            message, hint = f"no constant '{printable(name, 40)}'", nearest(name, problem.constants)
            findings.append(source.diagnose(("curriculum", name), message, where=("curriculum",), hint=hint))
            continue
        end = problem.constants[name]
        if settings.start == end:
            message = f"is the value of {name} already"
            findings.append(source.diagnose(("curriculum", name, "start"), message))
        if settings.spacing == "log" and not settings.start * end > 0:
            message = f"no geometric way leads from {settings.start:g} to {end:g}"
            hint = 'take spacing = "linear"'
            findings.append(source.diagnose(("curriculum", name, "start"), message, hint=hint))
        if name in computed_from(loaded):
            message = f"another number of the file is computed from {name}, and would not follow it"
            hint = "use the constant in the equations themselves"
            findings.append(source.diagnose(("curriculum", name), message, hint=hint))
    return findings or _check_values(formulation, loaded)


def _check_values(formulation: Formulation, loaded: Loaded) -> list[Diagnostic]:
    for constants in courses(formulation.problem)[:-1]:
        try:
            with_constants(formulation, constants)
        except LanguageError as error:
            shown = ", ".join(f"{name} = {value:g}" for name, value in constants.items())
            return [
                loaded.source.diagnose(("curriculum",), f"with {shown}: {f.message}") for f in error.findings
            ]
    return []
