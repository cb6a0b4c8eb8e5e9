"""`pinncli solve`: check, train, publish, and say how well it went."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pinncli.cli.commands.compare import run_summary
from pinncli.cli.commands.plot import print_pictures
from pinncli.cli.commands.problems import is_refused
from pinncli.cli.options import (
    AllowLarge,
    CompileChoice,
    Device,
    DryRun,
    Force,
    Json,
    MaxTime,
    OutFolder,
    Precision,
    ProblemName,
    Quiet,
    Resume,
    ResumeChoice,
    Seed,
    Settings,
    SolvePrecision,
    Strict,
    Target,
)
from pinncli.cli.output import console, note, result, result_json, result_table
from pinncli.cli.parsing import check_positive, parse_time
from pinncli.cli.reports import report as report_text
from pinncli.cli.signals import stop_requests
from pinncli.errors import DivergedError, ProblemError, RunInterruptedError

if TYPE_CHECKING:
    from pinncli.problem.checks import Report
    from pinncli.problem.source import Loaded
    from pinncli.problem.terms import Formulation
    from pinncli.runs.store import Run
    from pinncli.solver import Outcome, SolveOptions

EXIT_CODES = {"interrupted": RunInterruptedError.exit_code, "diverged": DivergedError.exit_code}
"""Exit codes of the statuses that are not a success."""


def solve(
    problem: ProblemName,
    *,
    device: Device = "auto",
    precision: SolvePrecision = Precision.FLOAT64,
    seed: Seed = 0,
    out: OutFolder = None,
    force: Force = False,
    resume: ResumeChoice = Resume.AUTO,
    settings: Settings = None,
    max_time: MaxTime = None,
    target: Target = None,
    compile_: CompileChoice = None,
    allow_large: AllowLarge = False,
    strict: Strict = False,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Solve a problem and leave a run directory. The same command continues an unfinished run."""
    seconds = None if max_time is None else parse_time(max_time, "--max-time")
    check_positive(target, "--target")
    chosen = [*(settings or ()), *([] if compile_ is None else [f'derivatives.compiled="{compile_.value}"'])]
    with stop_requests(announce=not quiet) as stop:
        loaded, report, formulation = _checked(problem, chosen, allow_large, strict, quiet)
        if dry_run:
            _print_plan(loaded, report, json)
            return
        options = _options(device, precision, seed, seconds, target)
        with _open_run(loaded, options, out, force, resume) as run:
            if run.finished:
                note(f"{run.folder}: this run is finished; --force solves it anew")
                summary = run_summary(run)
            else:
                summary = _train(formulation, options, run, stop, quiet)
                _print_picture(run, summary, json or quiet)
    if json:
        result_json(summary)
    else:
        result(report_text(summary))
    if summary["status"] == "interrupted":
        note(f"interrupted; the checkpoint is saved. Continue with\n    {continue_command(sys.argv)}")
    raise typer.Exit(EXIT_CODES.get(summary["status"], 0))


def continue_command(argv: Sequence[str]) -> str:
    """The command line that continues this one: the same, without what would begin anew."""
    program = "pinncli" if Path(argv[0]).name != "__main__.py" else "python -m pinncli"
    kept: list[str] = []
    for word in argv[1:]:
        if kept and kept[-1] == "--resume":
            kept.pop()
        elif word != "--force" and not word.startswith("--resume="):
            kept.append(word)
    return f"{program} {shlex.join(kept)}"


def _checked(
    name: str, settings: Sequence[str], allow_large: bool, strict: bool, quiet: bool
) -> tuple[Loaded, Report, Formulation]:
    """The problem, and its check passed; warnings are printed unless `quiet`."""
    from pinncli.problem.checks import check
    from pinncli.problem.loading import load_problem

    loaded = load_problem(name, settings)
    report = check(loaded, allow_large)
    if report.formulation is None or is_refused(report.diagnostics, strict):
        raise ProblemError(report.diagnostics)
    if not quiet:
        for diagnostic in report.diagnostics:
            note(str(diagnostic))
    return loaded, report, report.formulation


def _print_plan(loaded: Loaded, report: Report, json: bool) -> None:
    from pinncli.cli.problem_sheet import choices_facts, problem_sheet

    if json and report.choices is not None:
        result_json(
            {"status": "dry-run", "problem": loaded.name, **choices_facts(loaded.problem, report.choices)}
        )
    else:
        result_table(problem_sheet(loaded, report))


def _options(
    device: str, precision: Precision, seed: int, max_time: float | None, target: float | None
) -> SolveOptions:
    from pinncli.device import choose_device
    from pinncli.solver import SolveOptions

    return SolveOptions(
        device=str(choose_device(device)),
        precision=precision.value,
        seed=seed,
        max_time=max_time,
        target=target,
    )


def _open_run(loaded: Loaded, options: SolveOptions, out: Path | None, force: bool, resume: Resume) -> Run:
    """The run directory, new or to be continued; refused before anything is computed."""
    from pinncli.problem.bundle import bundle
    from pinncli.runs.folder import locate
    from pinncli.runs.store import Run

    bundled = bundle(loaded)
    device = options.device.partition(":")[0]
    settings: dict[str, str | int | float | bool | None] = {
        "device": device,
        "precision": options.precision,
        "seed": options.seed,
    }
    if bundled.digest:
        settings["data"] = bundled.digest
    return Run.create(
        locate(loaded.name, bundled.text, settings) if out is None else out,
        loaded.name,
        bundled.text,
        settings,
        argv=["pinncli", *sys.argv[1:]],
        force=force,
        resume=resume.value,
        attachments=bundled.files,
    )


def _train(
    formulation: Formulation, options: SolveOptions, run: Run, stop: Callable[[], str | None], quiet: bool
) -> dict[str, Any]:
    """Solve under a display and return the summary."""
    from pinncli.cli.display import open_display
    from pinncli.cli.progress import Plan
    from pinncli.problem.defaults import choose
    from pinncli.problem.legs import legs
    from pinncli.problem.windows import count_windows
    from pinncli.solver import solve as solve_problem

    training = formulation.problem.training
    choices = choose(formulation, timed=options.max_time is not None, allowed=options.max_time)
    stages = [(stage.optimiser.kind, stage.steps) for stage in choices.stages]
    plan = Plan(
        name=formulation.name,
        stages=tuple(stages),
        earlier=sum(min(n, leg.steps or n) for leg in legs(formulation)[:-1] for _, n in stages),
        windows=count_windows(formulation.problem),
        max_steps=training.max_steps,
        max_time=options.max_time,
        target=options.target or training.target,
    )
    if not quiet:
        note(f"{formulation.name}: on {options.device} in {options.precision}, run directory {run.folder}")
    records = solve_problem(formulation, options, run, stop)
    with open_display(console(stderr=True), plan, quiet) as display:
        while True:
            try:
                display.show(next(records))
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome.summary


def _print_picture(run: Run, summary: Mapping[str, Any], unwanted: bool) -> None:
    """The solution in the terminal, where stdout is one and the fields were published."""
    published = summary["status"] not in EXIT_CODES
    if published and not unwanted and sys.stdout.isatty():
        print_pictures(run.fields(), console(stderr=False))
