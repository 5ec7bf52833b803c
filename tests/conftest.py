"""Fixtures that several packages' tests share."""

import os
from pathlib import Path

import pytest
from tests.evaluate.small import RECIPE, Build, build
from tests.serve.databases import (
    database,
    database_kind,
    database_url,
    emptied_postgresql,
    postgresql,
    sqlite_template,
)

__all__ = [
    "database",
    "database_kind",
    "database_url",
    "emptied_postgresql",
    "postgresql",
    "sqlite_template",
]

os.environ.pop("COLUMNS", None)  # pytest-xdist gives its workers 80; commands in a pipe have a width of their own

CORPORA_VARIABLE = "FONDERIE_CORPORA"
MOF_VARIABLE = "FONDERIE_MOF"


LONG = {"small", "chromium"}
"""Fixtures that take seconds to be there: a release is built, a browser is started."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs one of them is slow."""
    for item in items:
        if LONG.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A small release to be served; hardly trained, so that it says anything, and at length."""
    return build(tmp_path_factory.mktemp("small"), RECIPE, "base.context=512")


@pytest.fixture(scope="session")
def real_corpora() -> Path:
    """The folder of real corpora, where there is one: it is too large to be part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    folder = Path(os.environ.get(CORPORA_VARIABLE, beside))
    if not folder.is_dir():
        pytest.skip(
            f"no real corpora at {folder}: set {CORPORA_VARIABLE} to the folder that holds romans/ and lois/"
        )
    return folder


@pytest.fixture(scope="session")
def real_mof() -> Path:
    """The Model Openness Framework's own test files, where they are: they are not ours to copy."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "mof"
    folder = Path(os.environ.get(MOF_VARIABLE, beside))
    if not (folder / "expected.json").is_file():
        pytest.skip(
            f"no files of the framework at {folder}: set {MOF_VARIABLE} to the folder that holds expected.json"
        )
    return folder
