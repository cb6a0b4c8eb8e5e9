"""Time and error of a peer's training: the clock stands still while the benchmark measures.

Errors are relative L2 on the benchmark's own points and reference values. Besides numpy only the standard
library is imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from turns import say

FIRST, GROWTH = 0.1, 0.03
"""Seconds between measurements at first; later they are this fraction of the time that has passed."""

Predict = Callable[[np.ndarray], np.ndarray]


class Watch:
    """Measures now and then, and knows when the time is over."""

    def __init__(self, asked: dict[str, Any]) -> None:
        with np.load(asked["data"]) as given:
            self._points, self._values = given["points"], given["values"]
        self._norm = float(np.linalg.norm(self._values))
        self._budget = float(asked["budget"])
        self._began = time.perf_counter()
        self._excluded = 0.0
        self._last = 0.0
        self.curve: list[tuple[float, float]] = []
        self.events: list[tuple[str, float, float]] = []

    def start(self) -> None:
        """Training begins: what came before is start-up."""
        self._began = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds of training."""
        return time.perf_counter() - self._began - self._excluded

    def measure(self, predict: Predict) -> float:
        """The error now; its time does not count."""
        seconds, stopped = self.elapsed, time.perf_counter()
        found = np.asarray(predict(self._points), dtype=np.float64).ravel()
        error = float(np.linalg.norm(found - self._values) / self._norm)
        self.curve.append((seconds, error))
        self._last = seconds
        self._excluded += time.perf_counter() - stopped
        return error

    def tick(self, predict: Predict) -> bool:
        """After a step: measure where it is time to; False where the time is over."""
        seconds = self.elapsed
        if seconds >= self._budget:
            return False
        if seconds - self._last >= max(FIRST, GROWTH * seconds):
            self.measure(predict)
        return True

    def event(self, name: str, predict: Predict) -> None:
        """The error at a turning point of the training."""
        self.events.append((name, self.elapsed, self.measure(predict)))

    def finish(self, **values: Any) -> None:
        """Say everything."""
        say(curve=self.curve, events=self.events, **values)
