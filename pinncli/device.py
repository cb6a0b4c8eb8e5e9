"""The machine: which device, how many threads, and an allocator that keeps its memory."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

from pinncli.errors import DeviceError, UsageError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEEP_BYTES = 32 << 20  # the largest value that glibc takes for the mmap threshold


def choose_device(asked: str) -> torch.device:
    """`auto`, `cpu`, `cuda`, `cuda:N` or `mps` as a device; `auto` takes CUDA where there is one.

    Raises DeviceError where the device is absent, saying what torch sees, and UsageError for a
    name that is no device.
    """
    if asked == "auto":
        return torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
    kind, _, number = asked.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise UsageError(f"--device {asked}: choose auto, cpu, cuda, cuda:N or mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= count:
        raise DeviceError(f"--device {asked}: {_seen(count)}; run with --device cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(f"--device mps: {_seen(count)}; run with --device cpu")
    return torch.device(asked)


def _seen(count: int) -> str:
    if count:
        names = ", ".join(f"cuda:{k} {torch.cuda.get_device_name(k)}" for k in range(count))
        return f"torch {torch.__version__} sees {names}"
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = f", CUDA_VISIBLE_DEVICES={visible!r}" if visible is not None else ""
    return f"torch {torch.__version__} ({built}) sees no CUDA device{hidden}"


def usable_cores() -> int:
    """Cores that this process may use: Slurm's word if given, else the affinity mask."""
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if granted.isdecimal() and int(granted) > 0:
        return int(granted)
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def prepare_cpu() -> int:
    """Set torch's threads (OMP_NUM_THREADS wins) and keep freed memory; returns the threads.

    glibc hands large blocks back to the system at every free, and a training step then spends
    most of its time on page faults; two of its tunables make it keep them.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable_cores())
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    return torch.get_num_threads()
