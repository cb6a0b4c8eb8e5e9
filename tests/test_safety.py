"""No way from data to code: what the package must never call or import, found in its syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pinncli

ROOT = Path(pinncli.__file__).parent
FILES = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in sorted(ROOT.rglob("*.py"))}

CALLS = {"eval", "exec", "compile", "__import__", "globals", "locals", "breakpoint", "input"}
"""Builtins that run text or reach into a running program."""

UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "copyreg"}
NETWORK = {
    "socket", "socketserver", "ssl", "urllib", "http", "ftplib", "smtplib", "poplib", "imaplib", "xmlrpc",
    "webbrowser", "requests", "httpx", "aiohttp", "asyncio", "selectors", "torch.distributed", "torch.hub",
}  # fmt: skip
PROCESSES = {"subprocess", "multiprocessing", "pty", "code", "codeop", "runpy", "imp"}
DYNAMIC = {"importlib"}
MODULES = UNPICKLING | NETWORK | PROCESSES | DYNAMIC

HARMLESS = {"urllib.parse", "importlib.metadata", "importlib.resources"}
"""Parts of those that neither connect nor import code."""

ALLOWED = {("runs", "socket")}
"""The lease and the manifest name the host; `test_sockets_only_name_the_host` sees to that."""

ATTRIBUTES = {
    "torch.load", "torch.save", "torch.jit.load", "torch.package", "typing.get_type_hints",
    "sympy.sympify", "sympy.S", "sympy.lambdify", "sympy.parse_expr", "sympy.parsing", "sympy.utilities",
    "numpy.load", "numpy.lib.format", "os.system", "os.popen", "os.fork", "os.startfile",
}  # fmt: skip
ATTRIBUTES |= {
    f"os.{kind}{suffix}" for kind in ("exec", "spawn") for suffix in ("l", "le", "lp", "v", "ve", "vp", "vpe")
}
DUNDER = re.compile("(?!__main__)__[a-z]+__")
"""The way from an object to everything else."""

CONSTANTS = {"sympy.S"}
"""Fine to look things up in (`sympy.S.Zero`), never to call."""


def findings(file: str, text: str) -> Iterator[str]:
    """What `text` does that it must not."""
    tree = ast.parse(text)
    names = imported(tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for module in modules_of(node):
                if forbidden(module) and (Path(file).parts[0], module) not in ALLOWED:
                    yield f"{where}: imports {module}"
                if module in ATTRIBUTES - CONSTANTS:
                    yield f"{where}: imports {module}"
        if isinstance(node, ast.Name) and node.id in CALLS:
            yield f"{where}: {node.id}"
        if isinstance(node, (ast.Name, ast.Attribute)):
            full = dotted(node, names)
            if full in ATTRIBUTES and (full not in CONSTANTS or id(node) in called):
                yield f"{where}: {full}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and DUNDER.fullmatch(node.value):
            yield f"{where}: the text {node.value!r}"
        if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell"):
            yield f"{where}: {node.arg}="


def modules_of(node: ast.Import | ast.ImportFrom) -> list[str]:
    """`from a import b` counts as both `a` and `a.b`, unless `b` is a harmless part."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    inner = [f"{node.module}.{alias.name}" for alias in node.names]
    return inner if all(name in HARMLESS for name in inner) else [str(node.module), *inner]


def forbidden(module: str) -> bool:
    return inside(module, MODULES) and not inside(module, HARMLESS)


def inside(module: str, parts: set[str]) -> bool:
    return any(module == part or module.startswith(part + ".") for part in parts)


def imported(tree: ast.Module) -> dict[str, str]:
    """Local name -> the dotted name that it stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0]
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`np.load` as `numpy.load`; empty where the base is no imported name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    return ""


@pytest.mark.parametrize("file", FILES)
def test_a_module_runs_no_text_unpickles_nothing_and_talks_to_nobody(file: str) -> None:
    assert list(findings(file, FILES[file])) == []


@pytest.mark.parametrize(
    "text",
    [
        "eval('1')",
        "f = exec",
        "compile('1', '', 'eval')",
        "__import__('os')",
        "import pickle",
        "from pickle import loads",
        "import marshal as m",
        "import numpy as np\nnp.load('a.npy')",
        "load(f, allow_pickle=True)",
        "import torch\ntorch.load('a.pt')",
        "from torch import load",
        "import torch as t\nt.save({}, 'a.pt')",
        "import sympy\nsympy.sympify('x')",
        "from sympy import sympify as s\ns('x')",
        "from sympy import S\nS('x')",
        "import sympy\nsympy.S('x')",
        "from sympy import lambdify",
        "from sympy.parsing import sympy_parser",
        "import importlib\nimportlib.import_module('x')",
        "from importlib import import_module",
        "import subprocess",
        "import os\nos.system('ls')",
        "from os import execv",
        "import urllib.request",
        "from urllib import request",
        "import http.client",
        "import socket",
        "getattr(x, '__class__')",
    ],
)
def test_the_search_finds(text: str) -> None:
    assert list(findings("language/x.py", text))


@pytest.mark.parametrize(
    "text",
    [
        "import re\nre.compile('a')",
        "from importlib.resources import files",
        "from importlib import metadata",
        "from urllib.parse import quote",
        "import sympy\nsympy.S.Zero",
        "import h5py\nh5py.File('a').load",
        "model.eval()",
    ],
)
def test_the_search_does_not_cry_wolf(text: str) -> None:
    assert not list(findings("language/x.py", text))


def test_sockets_only_name_the_host() -> None:
    used = set()
    for tree in map(ast.parse, FILES.values()):
        names = imported(tree)
        used |= {dotted(node, names) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {name for name in used if name.startswith("socket.")} <= {"socket.gethostname"}
    direct = [text for text in FILES.values() if "from socket import" in text]
    assert not direct


def test_foreign_functions_are_called_for_the_allocator_only() -> None:
    assert [file for file, text in FILES.items() if "ctypes" in text] == ["device.py"]


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("language/")])
def test_the_language_never_looks_an_attribute_up_by_a_name_from_a_file(file: str) -> None:
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(FILES[file]))
        if isinstance(node, ast.Call)
        if isinstance(node.func, ast.Name)
    ]
    assert not {"getattr", "setattr", "vars"} & set(calls)
