"""Whether weights and points that follow the training suit the problem."""

from __future__ import annotations

from pinncli.errors import Diagnostic
from pinncli.problem.numeric import fixed
from pinncli.problem.settings import FeatureSettings, LocalSettings, ResampleSettings, TrainingSettings
from pinncli.problem.source import SourceMap
from pinncli.problem.terms import Formulation

RULES = ("balance", "attention", "causal")
OF_RESIDUAL = ("power", "floor", "share")
"""Settings of redrawing by residual, which no other way of redrawing uses."""


def check_adaptivity(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """All that contradicts the problem or another setting."""
    problem = formulation.problem
    on = [rule for rule in RULES if getattr(problem.training, rule) != "off"]
    findings = []
    if on and isinstance(problem.network, FeatureSettings | LocalSettings):
        for rule in on:
            message = f"{rule} changes weights during training, and frozen features are fitted at once"
            hint = f'leave {rule} out, or take kind = "mlp" in [network]'
            findings.append(source.diagnose(("training", rule), message, hint=hint))
    if "causal" in on:
        findings += _check_causal(formulation, problem.training, source)
    resample = problem.sampling.resample
    if isinstance(resample, ResampleSettings) and resample.by != "residual":
        for name in OF_RESIDUAL:
            if name in resample.model_fields_set:
                message = f"{name} has no meaning where points are drawn by '{resample.by}'"
                hint = f'leave {name} out, or take by = "residual"'
                findings.append(source.diagnose(("sampling", "resample", name), message, hint=hint))
    return findings


def initial_conditions(formulation: Formulation) -> tuple[str, ...]:
    """The conditions at the beginning of time, on that side or as u(t=0); none without time."""
    time = formulation.problem.time
    if time is None:
        return ()
    low = formulation.problem.coordinates[time].range[0]
    names = []
    for terms in formulation.conditions:
        seen = [fixed(terms.residual.sites[site]).get(time) for site, _ in terms.residual.partials]
        at_once = bool(seen) and all(value == low for value in seen)
        if terms.data is None and (at_once or terms.region.labels == (f"{time}-",)):
            names.append(terms.name)
    return tuple(names)


def _check_causal(
    formulation: Formulation, training: TrainingSettings, source: SourceMap
) -> list[Diagnostic]:
    """Time must have a direction: conditions at its beginning, and none that its end answers to."""
    time = formulation.problem.time
    path = ("training", "causal")
    off = "leave causal out"
    if time is None:
        hint = f'{off}, or mark the coordinate that time is with kind = "time"'
        return [source.diagnose(path, "causal weights follow time, and no coordinate is time", hint=hint)]
    first = initial_conditions(formulation)
    if not first:
        hint = f'{off}, or state initial conditions, on = "{time}-"'
        message = f"causal weights begin at {time}-, where no condition holds"
        return [source.diagnose(path, message, hint=hint)]
    tied = [
        c.name
        for c in formulation.conditions
        if f"{time}+" in c.region.labels
        or (c.name not in first and any(time in fixed(c.residual.sites[k]) for k, _ in c.residual.partials))
    ]
    message = "causal weights solve the beginning first, and condition '{}' ties it to later times"
    findings = [source.diagnose(path, message.format(name), hint=off) for name in tied]
    tolerances = getattr(training.causal, "tolerances", ())
    if list(tolerances) != sorted(set(tolerances)):
        message = "tolerances should rise: each begins where the one before is met"
        findings.append(source.diagnose((*path, "tolerances"), message, hint="sort them"))
    return findings
