"""Progress on the screen: a live table on a terminal, plain lines at intervals elsewhere, or nothing.

A display is a context manager with `show(record)`. The console and the clock are arguments.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pinncli.cli.output import clean, is_unicode
from pinncli.cli.progress import Plan, Progress, advance, duration, line, speed

if TYPE_CHECKING:
    from pinncli.training import StepRecord

_REDRAW = 0.125
"""Seconds between two pictures of the live display."""
_SHADES = "▁▂▃▄▅▆▇█"


class Display(Protocol):
    """Shows step records between `__enter__` and `__exit__`."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, record: StepRecord) -> None:
        """Take in one record, and draw when it is time to."""


def open_display(
    console: Console, plan: Plan, quiet: bool, clock: Callable[[], float] = time.monotonic
) -> Display:
    """The display that fits: silent, live on a terminal, lines elsewhere."""
    if quiet:
        return SilentDisplay()
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console, plan, clock)
    return LineDisplay(console, plan, clock)


class SilentDisplay:
    """Shows nothing (`--quiet`)."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, record: StepRecord) -> None:
        """Nothing."""


class LineDisplay:
    """One line at once, at every new stage, at the end, and between at growing intervals (5 s to 60 s)."""

    def __init__(self, console: Console, plan: Plan, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._progress = Progress(plan)
        self._started = clock()
        self._next = self._started
        self._printed_step = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._printed_step not in (-1, self._progress.step):
            self._print()

    def show(self, record: StepRecord) -> None:
        """Take in one record; print when the interval is over or a new stage begins."""
        place = self._progress.window, self._progress.constants, self._progress.stage
        new_stage = (record.window, record.constants, record.stage) != place and self._printed_step >= 0
        self._progress = advance(self._progress, record)
        now = self._clock()
        if now >= self._next or new_stage:
            self._print()
            self._next = now + min(60.0, max(5.0, (now - self._started) / 20))

    def _print(self) -> None:
        self._printed_step = self._progress.step
        self._console.print(clean(line(self._progress)), soft_wrap=True)


class LiveDisplay:
    """A table redrawn in place at most eight times a second; its last state stays on the screen."""

    def __init__(self, console: Console, plan: Plan, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._progress = Progress(plan)
        self._next = clock()
        self._unicode = is_unicode(console.encoding)
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.optimiser:
            self._draw()
        self._live.stop()

    def show(self, record: StepRecord) -> None:
        """Take in one record; redraw when it is time to."""
        self._progress = advance(self._progress, record)
        now = self._clock()
        if now >= self._next:
            self._draw()
            self._next = now + _REDRAW

    def _draw(self) -> None:
        self._live.update(render(self._progress, self._unicode), refresh=True)


def render(progress: Progress, unicode: bool = True) -> RenderableType:
    """The live table: where the run is, the loss of every condition, error, parameters, speed."""
    plan = progress.plan
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(clean(plan.name), style="bold")
    head.append(f"  {progress.optimiser}", style="cyan")
    if len(plan.stages) > 1:
        head.append(f"  stage {progress.stage + 1}/{len(plan.stages)}")
    head.append(f"  {progress.position}")
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=1.0, completed=progress.fraction, width=30), f"{100 * progress.fraction:.0f} %"
    )

    numbers = Table.grid(padding=(0, 2))
    numbers.add_column(overflow="ellipsis")
    numbers.add_column(justify="right", no_wrap=True)
    numbers.add_column(overflow="crop", style="green")
    total = sum(value for value in progress.losses.values() if math.isfinite(value))
    for name, value in progress.losses.items():
        share = _share(value / total if total else 0.0, unicode)
        numbers.add_row(Text(clean(name)), f"{value:.2e}", share)
    trace = _sparkline(progress.trace, 24) if unicode else ""
    numbers.add_row(Text("loss", style="bold"), Text(f"{progress.loss:.2e}", style="bold"), trace)
    if progress.error is not None:
        target = "" if plan.target is None else f"target {plan.target:.0e}"
        numbers.add_row(Text("error", style="bold"), Text(f"{progress.error:.2e}", style="bold"), target)
    for name, value in progress.parameters.items():
        numbers.add_row(Text(clean(name)), f"{value:.6g}", "")

    foot = Text(f"elapsed {duration(progress.elapsed)}", style="dim", no_wrap=True, overflow="ellipsis")
    if progress.remaining is not None:
        foot.append(f"  left {duration(progress.remaining)}")
    if progress.rate is not None:
        foot.append(f"  {speed(progress.rate)}")
    if progress.event:
        foot.append(f"  {clean(progress.event)}")
    return Group(head, bar, numbers, foot)


def _share(fraction: float, unicode: bool, width: int = 12) -> str:
    if not math.isfinite(fraction):
        return "not finite"
    return ("▪" if unicode else "#") * max(0, min(width, round(width * fraction)))


def _sparkline(values: tuple[float, ...], width: int) -> str:
    """The latest shape of the loss on a logarithmic scale, as `width` block characters at most."""
    logs = [math.log10(v) for v in values if v > 0 and math.isfinite(v)]
    if len(logs) < 2:
        return ""
    count = min(width, len(logs))
    picked = [logs[round(k * (len(logs) - 1) / (count - 1))] for k in range(count)]
    low, high = min(picked), max(picked)
    scale = (len(_SHADES) - 1) / (high - low) if high > low else 0.0
    return "".join(_SHADES[round((v - low) * scale)] for v in picked)
