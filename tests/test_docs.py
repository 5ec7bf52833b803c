"""Documentation fails the build when it is not true."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from fonderie.core.recipe import load_recipe
from fonderie.core.steps import STEPS, find_step

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path for path in (ROOT / "recipes").glob("*.toml") if not path.name.startswith("publisher."))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("name", STEPS)
def test_every_parameter_says_what_it_is(name: str) -> None:
    silent = [field for field, info in find_step(name).parameters.model_fields.items() if not info.description]
    assert not silent, f"{name}: {', '.join(silent)}"


def test_the_reference_is_up_to_date() -> None:
    path = ROOT / "docs/reference.py"
    spec = importlib.util.spec_from_file_location("reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), "run `make docs`"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_is_right(path: Path) -> None:
    recipe = load_recipe(path, [], find_step)
    assert recipe.title != path.stem
    assert recipe.description


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_toml_in_the_docs_names_real_steps_and_parameters(path: Path) -> None:
    for block in re.findall(r"```toml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        for name, table in tomllib.loads(block).items():
            if name not in ("recipe", "policy"):
                fields = find_step(table["step"]).parameters.model_fields
                assert set(table) - {"step", "inputs"} <= set(fields)
