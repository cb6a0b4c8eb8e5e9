"""What the packages hold, and that the versions written in several places agree."""

from __future__ import annotations

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pinncli
from pinncli.problem.library import shipped_folder

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROBLEMS = sorted((ROOT / "problems").glob("*.toml"))


def test_every_package_is_listed():
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "pinncli").rglob("__init__.py")}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == found | {"pinncli.problems"}


@pytest.mark.parametrize("path", PROBLEMS, ids=lambda path: path.stem)
def test_every_problem_ships_with_its_files(path):
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["pinncli.problems"]
    data = tomllib.loads(path.read_text("utf-8"))
    named = [c["data"] for c in data["conditions"].values() if "data" in c]
    named += [data["reference_data"]["file"]] if "reference_data" in data else []
    for file in (path.name, *named):
        assert any(fnmatch(file, pattern) for pattern in patterns), file
        assert (ROOT / "problems" / file).read_bytes() == (shipped_folder() / file).read_bytes()


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert PYPROJECT["project"]["version"] == pinncli.__version__
    assert f"\nversion: {pinncli.__version__}\n" in citation
    assert f"## {pinncli.__version__} " in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_constraints_pin_every_dependency():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = [*PYPROJECT["project"]["dependencies"], *extras["test"], *extras["dev"]]
    for requirement in map(Requirement, wanted):
        if requirement.name != "pinncli":
            assert pins[requirement.name.lower()] in requirement.specifier, requirement


def test_git_ignores_no_source_file():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    sources = [
        p for folder in ("pinncli", "problems") for p in (ROOT / folder).rglob("*.*") if p.suffix != ".pyc"
    ]
    names = "\n".join(p.relative_to(ROOT).as_posix() for p in sources)
    command = ["git", "check-ignore", "--stdin"]
    ignored = subprocess.run(command, check=False, input=names, cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout == ""
