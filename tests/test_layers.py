"""The architecture of DESIGN §5, enforced: imports only go down, and nothing grows too large to read."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "fonderie"
LAYERS = (
    ("cli", "commands"),
    ("chat", "hub"),
    ("serve", "audit"),
    ("release",),
    ("trace", "evaluate"),
    ("train",),
    ("model", "tokens", "corpus"),
    ("licences",),
    ("core",),
)
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}
DEPTH |= {path.stem: 0 for path in SOURCE.glob("[!_]*.py")}
"""Modules beside the packages are parts of the command line, and may import each other."""
FILE_LINES = 420
FUNCTION_LINES = 70
FILES = sorted(SOURCE.rglob("*.py"))


def _package(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module of ours that a file imports, at its top or inside a function, with the line."""
    module = ("fonderie", *path.relative_to(SOURCE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module[: len(module) - node.level]) if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            if name == "fonderie":
                for alias in node.names:
                    yield node.lineno, f"fonderie.{alias.name}"
            else:
                yield node.lineno, name


def _wrong_imports(path: Path) -> list[str]:
    here = _package(path)
    wrong = []
    for line, name in _imports(path):
        first, _, rest = name.partition(".")
        there = rest.partition(".")[0]
        if first != "fonderie" or there in ("", here):
            continue
        if there not in DEPTH:
            wrong.append(f"{path}:{line} imports {name}, which no layer holds")
        elif DEPTH[there] <= DEPTH[here] and DEPTH[here] > 0:
            wrong.append(f"{path}:{line} imports {name}, which is not below {here}")
    return wrong


def test_every_package_has_its_layer() -> None:
    packages = {_package(path) for path in FILES} - {"__init__"}
    assert packages <= DEPTH.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_only_go_down(path: Path) -> None:
    if path == SOURCE / "__init__.py":
        assert not [name for _, name in _imports(path) if name.startswith("fonderie")]
    else:
        assert _wrong_imports(path) == []


def test_an_import_that_goes_up_or_sideways_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    (tmp_path / "corpus" / "deep").mkdir(parents=True)
    path = tmp_path / "corpus" / "deep" / "wrong.py"
    path.write_text(
        "import fonderie.train.loop\n"
        "from fonderie import tokens, core\n"
        "def f():\n    from ...model import config\n    from ..read import read\n    from fonderie.nowhere import x\n"
    )
    assert [problem.split(" imports ")[1] for problem in _wrong_imports(path)] == [
        "fonderie.train.loop, which is not below corpus",
        "fonderie.tokens, which is not below corpus",
        "fonderie.model, which is not below corpus",
        "fonderie.nowhere, which no layer holds",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= FILE_LINES, f"{path} is too long: find its seam"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{path}:{node.lineno} {node.name} has {length} lines"


def _light_modules() -> list[str]:
    light = [path for path in FILES if _package(path) in ("core", "corpus", "licences", "commands")]
    names = [".".join(("fonderie", *path.relative_to(SOURCE).with_suffix("").parts)) for path in light]
    return ["fonderie.cli", *(name.removesuffix(".__init__") for name in names)]


def test_the_command_line_and_the_corpus_never_import_torch() -> None:
    modules = [name for name in _light_modules() if importlib.util.find_spec(name) is not None]
    lines = ["import sys", *(f"import {name}; assert 'torch' not in sys.modules, '{name}'" for name in modules)]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
