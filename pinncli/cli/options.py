"""Options that several commands share, each declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Precision(StrEnum):
    """Floating-point format of the computation."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"


class Compile(StrEnum):
    """Whether activations are compiled."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Resume(StrEnum):
    """What to do with a run directory that already holds this run."""

    AUTO = "auto"
    NEVER = "never"
    MUST = "must"


class ExportFormat(StrEnum):
    """File formats of `export`."""

    VTKHDF = "vtkhdf"
    NETCDF = "netcdf"
    CSV = "csv"


class EquationClass(StrEnum):
    """Groups of `list`."""

    ORDINARY = "ordinary"
    ELLIPTIC = "elliptic"
    PARABOLIC = "parabolic"
    HYPERBOLIC = "hyperbolic"
    DISPERSIVE = "dispersive"
    OTHER = "other"


class FigureFormat(StrEnum):
    """File formats of `plot`."""

    PNG = "png"
    PDF = "pdf"
    SVG = "svg"


# arguments and options of several commands
ProblemName = Annotated[
    str, typer.Argument(metavar="PROBLEM", help="Name of a problem in the library, or path of a TOML file.")
]
RunFolder = Annotated[
    str, typer.Argument(metavar="RUN", help="A run directory, or the name of one in the runs folder.")
]
Device = Annotated[
    str,
    typer.Option(
        envvar="PINNCLI_DEVICE",
        metavar="auto|cpu|cuda[:N]|mps",
        help="Where to compute. A device that is absent is an error, never replaced.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a setting of the file: network.width=64. May be repeated."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is already there.")]
OutFile = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The file to write.")]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings of the checks are errors.")]

# options of solve
SolvePrecision = Annotated[
    Precision, typer.Option("--precision", envvar="PINNCLI_PRECISION", help="Floating-point format.")
]
Seed = Annotated[
    int, typer.Option(envvar="PINNCLI_SEED", min=0, max=2**31 - 1, help="Seed of all random draws.")
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Run directory; by default runs/PROBLEM-sSEED, under $PINNCLI_RUNS if set.",
    ),
]
ResumeChoice = Annotated[
    Resume,
    typer.Option(
        "--resume", envvar="PINNCLI_RESUME", help="Whether to continue the run that is in the directory."
    ),
]
MaxTime = Annotated[
    str | None,
    typer.Option(envvar="PINNCLI_MAX_TIME", metavar="TIME", help="Stop training after 60s, 5m or 1h30m."),
]
Target = Annotated[
    float | None,
    typer.Option(
        envvar="PINNCLI_TARGET",
        help="Stop at this relative L2 error; without a reference, at this relative residual.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", envvar="PINNCLI_QUIET", help="No progress, no warnings: only the result."),
]
CompileChoice = Annotated[
    Compile | None,
    typer.Option(
        "--compile",
        envvar="PINNCLI_COMPILE",
        help="Compile the derivative engine's activations (needs a C++ compiler): derivatives.compiled.",
    ),
]
AllowLarge = Annotated[bool, typer.Option("--allow-large", help="Solve however much memory it takes.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and print the plan; solve nothing.")]

# options of eval
Grid = Annotated[
    str | None, typer.Option("--grid", metavar="x=401,t=201", help="Points per coordinate of a grid.")
]
PointsFile = Annotated[
    Path | None,
    typer.Option("--points", metavar="FILE", help="CSV or HDF5 file with a column per coordinate."),
]
At = Annotated[str | None, typer.Option("--at", metavar="t=0.5", help="Coordinates that are held fixed.")]
EvalPrecision = Annotated[
    Precision | None,
    typer.Option("--precision", envvar="PINNCLI_PRECISION", help="By default that of the run."),
]
FailAbove = Annotated[
    float | None, typer.Option("--fail-above", help="Exit code 3 where a relative L2 error is larger.")
]
