"""The site, served; a browser to visit it with."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page
from tests.chat.arena import SHADOW, Arena, Making, shadow_of
from tests.chat.browser import Chromium, Visit, visiting
from tests.evaluate.small import Build
from tests.serve.serving import Running, door, serving

from fonderie.chat.site.app import add_site
from fonderie.serve.answers import Answers
from fonderie.serve.api.app import make_api
from fonderie.serve.engine.engine import Limits
from fonderie.serve.engine.request import Event
from fonderie.serve.served import Served, open_release


class Unhurried(Answers):
    """Pieces come at the pace of a large model, some hundred a second: there is time to stop, and to reload."""

    def deliver(self, events: list[tuple[int, Event]]) -> None:
        time.sleep(0.01)
        super().deliver(events)


def unhurried(folder: Path, _answers: Answers) -> Served:
    """A release that takes its time."""
    return open_release(folder, Unhurried(), limits=Limits(batch=2, waiting=8), threads=1)


def make_site(folder: Path) -> Callable[[list[Served]], FastAPI]:
    """What makes an application with everything on it, over a database of its own."""

    def make(served: list[Served]) -> FastAPI:
        models = {one.name: one for one in served}
        there = door(folder)
        app = make_api(models, there)
        add_site(app, models, there)
        return app

    return make


@pytest.fixture(scope="session")
def site(small: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One release on the site."""
    folder = tmp_path_factory.mktemp("site")
    with serving([small.release], make_site(folder), load=unhurried) as running:
        yield running


@pytest.fixture(scope="session")
def shadow(small: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release under another name."""
    return shadow_of(small.release, tmp_path_factory.mktemp("shadow") / "release")


def _contenders(settings: str) -> list[str]:
    return [f"{name},{settings}" for name in ("toy-0.1.0", SHADOW)]


@pytest.fixture(scope="session")
def arena(small: Build, shadow: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Two releases whose duels are short."""
    making = Making(tmp_path_factory.mktemp("arena"), contenders=_contenders("max_tokens=24"))
    with serving([small.release, shadow], making, batch=2, waiting=8) as running:
        yield Arena(running, making.database, making.heard)


@pytest.fixture(scope="session")
def calm_arena(small: Build, shadow: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Two that take their time, and want work for a vote; their likeliest words go on, so that no answer ends early."""
    settings = "temperature=0,max_tokens=110"
    making = Making(tmp_path_factory.mktemp("calm"), contenders=_contenders(settings), proof_of_work_bits=8)
    with serving([small.release, shadow], making, load=unhurried) as running:
        yield Arena(running, making.database, making.heard)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests."""
    found = Chromium()
    yield found
    found.close()


@pytest.fixture
def visit(chromium: Chromium) -> Iterator[Visit]:
    """Opens pages; fails the test if they break their policy, ask another host, or err."""
    yield from visiting(chromium)


@pytest.fixture
def page(visit: Visit, site: Running) -> Page:
    """The chat page in French, as a new visitor sees it."""
    return visit.chromium.run(lambda: visit(f"{site.url}/fr/"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that visits pages in the browser's thread."""
    if "visit" not in pyfuncitem.fixturenames:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    pyfuncitem.funcargs["visit"].chromium.run(lambda: pyfuncitem.obj(**arguments))
    return True
