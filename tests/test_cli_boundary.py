"""The error boundary, signals, streams, and the program as other programs see it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pinncli import errors
from pinncli.cli.boundary import guarded
from pinncli.cli.commands.solve import continue_command
from pinncli.cli.main import run
from pinncli.cli.signals import STOP_SIGNALS, stop_requests

KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PinncliError)
]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pinncli", *arguments],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=120, check=False,
    )  # fmt: skip


def raising(error: BaseException) -> Any:
    """A command line that ends in this exception."""

    def command(args: Sequence[str], prog_name: str) -> None:
        raise error

    return command


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_exit_code(
    kind: type[errors.PinncliError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(kind("what went wrong")), []) == kind.exit_code
    assert capsys.readouterr() == ("", "what went wrong\n")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 71, "out of memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 71, "CUDA out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 71, "smaller"),
        (OSError(errno.ENOSPC, "No space left on device"), 74, "No space left"),
        (ValueError("a slip"), 1, "This is a bug in pinncli"),
    ],
)
def test_other_exceptions(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(error), ["--json"]) == code
    out, err = capsys.readouterr()
    assert text in err
    assert "Traceback" not in err
    content = json.loads(out)
    assert (content["schema"], content["status"], content["exit"]) == (1, "error", code)
    assert text in content["message"]


def test_the_traceback_of_a_bug_is_there_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINNCLI_DEBUG", "1")
    assert guarded(raising(ValueError("a slip")), []) == 1
    assert "Traceback" in capsys.readouterr().err


def test_messages_are_not_markup_and_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    guarded(raising(errors.ProblemError("[bold red]u[/] \x1b[2J {x}")), [])
    assert capsys.readouterr().err == "[bold red]u[/] \\x1b[2J {x}\n"


@pytest.mark.parametrize("arguments", [["frobnicate"], ["solve"], ["solve", "a", "b"], ["list", "--nope"]])
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr().out == ""
    assert run([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit"] == 2


def test_control_c(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pinncli.problem.library.list_problems", interrupted)
    assert run(["list", "--json"]) == 130
    out, err = capsys.readouterr()
    assert (json.loads(out)["exit"], err) == (130, "interrupted\n")


def test_first_signal_is_remembered() -> None:
    for number in STOP_SIGNALS:
        before = signal.getsignal(number)
        with stop_requests(False, {}) as stop:
            assert stop() is None
            signal.raise_signal(number)
            assert stop() == signal.Signals(number).name
        assert signal.getsignal(number) is before


def test_a_job_ends_before_its_time_is_up() -> None:
    now = [0.0]
    with stop_requests(False, {"SLURM_JOB_END_TIME": "1000"}, lambda: now[0]) as stop:
        assert stop() is None
        now[0] = 950.0
        assert "time is up" in str(stop())
    with stop_requests(False, {"SLURM_JOB_END_TIME": "soon"}, lambda: 1e12) as stop:
        assert stop() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_leaves_at_once(number: int) -> None:
    code = f"""
        import signal
        from pinncli.cli.signals import stop_requests
        with stop_requests(True, {{}}) as stop:
            signal.raise_signal({int(number)})
            print(stop(), flush=True)
            signal.raise_signal({int(number)})
            print("still here", flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 128 + number
    assert done.stdout == f"{signal.Signals(number).name}\n"
    assert done.stderr.endswith("a second signal leaves at once\n")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/bin/pinncli", "solve", "heat1d"], "pinncli solve heat1d"),
        (["/x/pinncli/__main__.py", "solve", "my file.toml"], "python -m pinncli solve 'my file.toml'"),
        (["pinncli", "solve", "a", "--force", "--seed", "1"], "pinncli solve a --seed 1"),
        (["pinncli", "solve", "a", "--resume", "never", "-q"], "pinncli solve a -q"),
        (
            ["pinncli", "solve", "a", "--resume=never", "--set", "x=[1, 2]"],
            "pinncli solve a --set 'x=[1, 2]'",
        ),
    ],
)
def test_the_command_that_continues(argv: list[str], expected: str) -> None:
    assert continue_command(argv) == expected


def test_python_m_pinncli_is_the_program() -> None:
    assert program("--version").stdout.startswith("pinncli ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["solve", "--help"],
        ["list"],
        ["show", "heat1d"],
        ["check", "heat1d"],
        ["new", "a"],
    ],
)
def test_torch_is_not_imported(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not imported_by(arguments) & {"torch", "matplotlib"}


def test_help_imports_little() -> None:
    assert not imported_by(["--help"]) & {"pydantic", "sympy", "lark", "numpy", "h5py", "rich.live"}


def imported_by(arguments: list[str]) -> set[str]:
    """Modules imported by a command line, in a process of its own."""
    code = f"""
        import sys
        from pinncli.cli.main import run
        run({arguments!r})
        print("\\n".join(sys.modules), file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    return set(done.stderr.split())


def closing_early(arguments: str, shell: str) -> subprocess.CompletedProcess[str]:
    command = f"set -o pipefail; {shell.format(program=f'{sys.executable} -m pinncli {arguments}')}"
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )


@pytest.mark.parametrize("arguments", ["list", "--help", "show heat1d"])
@pytest.mark.parametrize(
    "shell", ["{program} | head -1", "{program} | true", "{program} >&-", "{program} 2>&- >&-"]
)
def test_closed_output_is_not_an_error(arguments: str, shell: str) -> None:
    done = closing_early(arguments, shell)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_result_that_cannot_be_written_is_an_error() -> None:
    done = closing_early("list", "{program} > /dev/full")
    assert done.returncode == 74
    assert "No space left" in done.stderr
    assert closing_early("list", "{program} 2> /dev/full").returncode == 0
