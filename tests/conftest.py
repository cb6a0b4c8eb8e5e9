"""What several test files share: devices, reference solvers, and hypothesis without clocks or chance."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import torch

REFERENCES = Path(__file__).parents[1] / "problems" / "references"

settings.register_profile("pinncli", deadline=None, derandomize=True)
settings.load_profile("pinncli")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device that a numerical test runs on."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    return torch.device(request.param)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of problems/references by name."""
    monkeypatch.syspath_prepend(str(REFERENCES))
    before = set(sys.modules)
    yield importlib.import_module
    for name in {path.stem for path in REFERENCES.glob("*.py")} - before:
        sys.modules.pop(name, None)
