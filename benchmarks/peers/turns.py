"""The conversation of a peer's training loop with the benchmark: so many steps, then how long they took.

The benchmark writes a number of steps on stdin, the loop makes them and answers with the seconds of a step by
the clock and of the processor, so that several programs can take turns on one machine. Imports nothing but
the standard library.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def say(**values: Any) -> None:
    """One JSON line."""
    print("\n" + json.dumps(values), flush=True)


class Turns:
    """Counts the steps of a loop that has just been asked for some."""

    def __init__(self) -> None:
        self._left = 0
        self._steps = 0
        self._began = self._used = 0.0

    def wait(self) -> bool:
        """Wait to be asked for steps; False where nobody asks any more."""
        line = sys.stdin.readline()
        if not line.strip():
            return False
        self._left = self._steps = int(line)
        self._began, self._used = time.perf_counter(), time.process_time()
        return True

    def step(self) -> bool:
        """After every step of the loop; False where it should end."""
        self._left -= 1
        if self._left:
            return True
        wall, cpu = time.perf_counter() - self._began, time.process_time() - self._used
        say(wall=wall / self._steps, cpu=cpu / self._steps)
        return self.wait()
