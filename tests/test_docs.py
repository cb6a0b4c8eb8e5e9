"""The documentation against the program: every command runs, every setting and function is described."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from pinncli.cli.main import run
from pinncli.cli.reference import reference
from pinncli.language.calls import CALLS
from pinncli.problem import model
from pinncli.problem.checks import check
from pinncli.problem.loading import load_text
from pinncli.problem.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])
LANGUAGE = ROOT / "docs" / "language.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\bpinncli (?=[a-z])[^\n&|;#]*")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced code blocks of a page in these languages, in order."""
    return [body for language, body in FENCE.findall(page.read_text("utf-8")) if language in languages]


def commands(page: Path) -> list[str]:
    """Every command line of the program in a page's code blocks; with a variable, for 0, 1 and 2."""
    found = [c for body in blocks(page, "", "sh") for c in COMMAND.findall(body)]
    filled = [re.sub(r"\$\w+", value, command).strip() for command in found for value in "012"]
    return list(dict.fromkeys(filled))


def settings_classes(base: type[Settings]) -> Iterator[type[Settings]]:
    for kind in base.__subclasses__():
        yield kind
        yield from settings_classes(kind)


def literals(annotation: object) -> Iterator[str]:
    """Every word that a setting may be."""
    for part in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield str(part)
        else:
            yield from literals(part)


def test_the_command_reference_is_the_programs_own_help():
    written = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert written == reference(), "run: python -m pinncli.cli.reference > docs/commands.md"


@pytest.mark.parametrize("kind", list(settings_classes(Settings)), ids=lambda kind: kind.__name__)
def test_every_key_of_a_problem_file_is_described(kind):
    text = LANGUAGE.read_text("utf-8")
    for name, field in kind.model_fields.items():
        assert re.search(rf"`(\w+\.)*{name}`", text), f"{kind.__name__}.{name}"
        for word in literals(field.annotation):
            assert re.search(rf'[`"]{word}[`"]', text), f"{kind.__name__}.{name}: {word}"


def test_every_function_is_described():
    text = LANGUAGE.read_text("utf-8")
    missing = [name for name in CALLS if not re.search(rf"`{name}[`(]", text)]
    assert not missing
    assert model.Problem in set(settings_classes(Settings))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_resolve(page):
    for link in LINK.findall(page.read_text("utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_toml_blocks_are_toml_and_whole_problems_pass_the_checks(page):
    for text in blocks(page, "toml"):
        if "title" in tomllib.loads(text):
            assert not check(load_text(text, "example", "example.toml", ROOT / "problems")).errors


@pytest.mark.parametrize("page", [ROOT / "README.md", LANGUAGE], ids=lambda page: page.name)
def test_commands_run_as_written(page, tmp_path, monkeypatch, capsys):
    """In the order of the page, in an empty folder; a solve stops after a few steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PINNCLI_RUNS", raising=False)
    examples = [text for text in blocks(page, "toml") if re.match(r"# \w+\.toml\n", text)]
    for command in commands(page):
        for text in examples:
            (tmp_path / text.split("\n")[0].removeprefix("# ")).write_text(text, "utf-8")
        arguments = shlex.split(command)[1:]
        if arguments[0] == "solve":
            arguments += ["--set", "training.max_steps=3"]
        if arguments[0] == "new":
            (tmp_path / f"{arguments[1]}.toml").unlink(missing_ok=True)
        monkeypatch.setattr(sys, "argv", ["pinncli", *arguments])
        code = run(arguments)
        output = capsys.readouterr()
        assert code == 0, f"{command}: exit {code}\n{output.err}"
