"""What several test files share: devices, and hypothesis without clocks or chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import torch

settings.register_profile("pinncli", deadline=None, derandomize=True)
settings.load_profile("pinncli")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device that a numerical test runs on."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    return torch.device(request.param)
