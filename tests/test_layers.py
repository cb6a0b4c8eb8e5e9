"""The table of layers in docs/architecture.md, held against every import of the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pinncli

ROOT = Path(pinncli.__file__).parent

# part of the package -> its layer; a part is a subpackage or a module at the top
LAYERS = {
    "__init__": 0,
    "errors": 0,
    "language": 1,
    "shapes": 1,
    "problem": 2,
    "geometry": 3,
    "networks": 3,
    "derivatives": 3,
    "device": 3,
    "residuals": 4,
    "known": 4,
    "propagation": 4,
    "weighting": 4,
    "parameters": 4,
    "linearisation": 5,
    "sparse": 5,
    "smoothstep": 3,
    "objective": 5,
    "optimisers": 6,
    "adaptation": 6,
    "training": 7,
    "evaluation": 7,
    "runs": 8,
    "assembly": 9,
    "handover": 9,
    "marching": 9,
    "pilot": 9,
    "preparation": 9,
    "recorder": 9,
    "piece": 9,
    "tuning": 9,
    "solution": 9,
    "solver": 9,
    "summary": 9,
    "cli": 10,
    "__main__": 10,
}
WITHOUT_TORCH = ("__init__", "errors", "language", "shapes", "problem")
STRANGERS = ("geometry", "networks", "derivatives", "device")
"""Parts of one layer that never import one another."""

LIBRARIES = {
    0: set(),
    1: {"lark", "sympy", "numpy"},
    2: {"pydantic", "pydantic_core", "tomlkit", "numpy", "h5py", "trimesh"},
    3: {"torch", "numpy"},
    4: {"torch"},
    5: {"torch"},
    6: {"torch"},
    7: {"torch", "numpy"},
    8: {"torch", "numpy", "h5py", "pydantic", "filelock"},
    9: {"torch", "numpy"},
    10: {"typer", "rich", "click", "numpy", "torch", "matplotlib", "h5py"},
}


@dataclass(frozen=True)
class Import:
    """`source` imports `target`, both dotted; `lazy` where it happens inside a function."""

    source: str
    target: str
    lazy: bool
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports_of(source: str, tree: ast.Module) -> Iterator[Import]:
    """Every import, `from package import module` resolved to the module."""
    lazy = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(source, alias.name, node in lazy, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}:{node.lineno}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(
                    source, inner if inner in MODULES else str(node.module), node in lazy, node.lineno
                )


IMPORTS = [
    found for name, path in MODULES.items() for found in imports_of(name, ast.parse(path.read_text("utf-8")))
]
OWN = [found for found in IMPORTS if found.target.split(".")[0] == "pinncli"]


def test_every_part_of_the_package_has_a_layer() -> None:
    assert {part(name) for name in MODULES} == set(LAYERS)


def test_modules_import_only_lower_layers_and_their_own() -> None:
    wrong = [str(i) for i in OWN if LAYERS[part(i.target)] > LAYERS[part(i.source)]]
    assert not wrong


def test_the_packages_of_layer_3_never_import_one_another() -> None:
    wrong = [
        str(i)
        for i in OWN
        if part(i.source) in STRANGERS and part(i.target) in STRANGERS and part(i.source) != part(i.target)
    ]
    assert not wrong


def test_nothing_but_the_solver_and_what_it_is_made_of_sees_problems_and_tensors() -> None:
    """Layers 3 to 7 know the language's programs, never the problem file."""
    wrong = [str(i) for i in OWN if 3 <= LAYERS[part(i.source)] <= 7 and part(i.target) == "problem"]
    assert not wrong


def test_the_command_line_has_no_numerics() -> None:
    numerics = {name for name, layer in LAYERS.items() if 3 <= layer <= 6} - {"device"}
    wrong = [str(i) for i in OWN if part(i.source) == "cli" and part(i.target) in numerics]
    assert not wrong


def test_imports_have_no_cycles() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in OWN:
        if found.target != found.source:
            graph[found.source].add(found.target)
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the cycle
    assert len(order) == len(MODULES)


def test_what_is_below_layer_3_never_imports_torch() -> None:
    wrong = [str(i) for i in IMPORTS if part(i.source) in WITHOUT_TORCH and i.target.split(".")[0] == "torch"]
    assert not wrong


def test_the_command_line_imports_torch_only_inside_functions() -> None:
    wrong = [
        str(i)
        for i in IMPORTS
        if part(i.source) == "cli" and i.target.split(".")[0] == "torch" and not i.lazy
    ]
    assert not wrong


def test_matplotlib_is_imported_by_plotting_which_is_imported_late() -> None:
    plotting = "pinncli.cli.plotting"
    direct = [
        str(i)
        for i in IMPORTS
        if i.target.split(".")[0] == "matplotlib" and not i.source.startswith(plotting) and not i.lazy
    ]
    assert not direct
    wrong = [
        str(i)
        for i in OWN
        if i.target.startswith(plotting) and not i.source.startswith(plotting) and not i.lazy
    ]
    assert not wrong


def test_every_library_has_its_layer() -> None:
    standard = sys.stdlib_module_names | {"pinncli", "_typeshed"}
    wrong = [
        str(i)
        for i in IMPORTS
        if (top := i.target.split(".")[0]) not in standard and top not in LIBRARIES[LAYERS[part(i.source)]]
    ]
    assert not wrong


@pytest.mark.parametrize("modules", ["pinncli.cli.main", "pinncli.problem.checks, pinncli.problem.plan"])
def test_importing_the_light_half_loads_nothing_heavy(modules: str) -> None:
    program = f"import sys, {modules}; sys.exit(bool({{'torch', 'matplotlib'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
