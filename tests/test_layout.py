import ast
from pathlib import Path

import pytest

import embedder

PACKAGE = Path(embedder.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_PARAMETERS, MOST_LINES = 7, 60
COLLECTING = {"__init__.py", "network/losses/__init__.py", "vectors/formats/__init__.py"}
COLLECTING |= {"cli/__init__.py", "kernels/__init__.py"}


def functions():
    for path in MODULES:
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not name.startswith("kernels/"):
                yield f"{name}: {node.name}", node


def test_functions_outside_kernels_take_few_parameters():
    many = []
    for name, node in functions():
        arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        own = [argument for argument in arguments if argument.arg not in ("self", "cls")]
        if len(own) > MOST_PARAMETERS:
            many.append(name)
    assert many == []


def test_functions_outside_kernels_fit_a_screen():
    lengths = {name: node.end_lineno - node.lineno + 1 for name, node in functions()}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}


def test_the_package_has_few_entries_at_its_top():
    entries = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 24


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"])
def test_a_folder_re_exports_nothing(path):
    if path.relative_to(PACKAGE).as_posix() in COLLECTING:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def test_every_module_says_what_it_is_for():
    silent = [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []
