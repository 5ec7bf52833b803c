"""Databases to test with: SQLite in a file, and a real PostgreSQL that the tests start for themselves.

The server listens on a socket in a folder that only its user may enter, and never on the network.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fonderie.serve.database.base import Database

INSTALLED = Path("/usr/lib/postgresql")
PATIENCE_SECONDS = 60


@dataclass
class Postgresql:
    """A server for as long as the tests run; each asks for a database of its own."""

    sockets: Path
    numbers: Iterator[int] = field(default_factory=count)

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.sockets}"

    def command(self, statement: str) -> None:
        import psycopg

        address = f"host={self.sockets} user=postgres dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def new(self) -> str:
        """The address of a new, empty database."""
        name = f"test_{next(self.numbers)}"
        self.command(f"CREATE DATABASE {name}")
        return self.url(name)


def _programs() -> Path:
    """Where PostgreSQL's own programs are: Debian keeps them out of the path."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    versions = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        pytest.skip(f"PostgreSQL is not installed: no initdb in the path or under {INSTALLED}")
    return versions[-1].parent


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A PostgreSQL server of the tests' own."""
    import psycopg

    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="fonderie-postgresql-"))
    other: dict[str, Any] = {}
    if os.getuid() == 0:  # it refuses to run as root
        other = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    data, sockets = folder / "data", folder
    subprocess.run(
        [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        **other,
    )
    options = ("listen_addresses=", f"unix_socket_directories={sockets}", "fsync=off", "max_connections=50")
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, *(part for option in options for part in ("-c", option))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **other,
    )
    try:
        made = Postgresql(sockets)
        limit = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                made.command("SELECT 1")
                break
            except psycopg.OperationalError:
                assert server.poll() is None, "the server has ended"
                assert time.monotonic() < limit, "the server does not answer"
                time.sleep(0.02)
        yield made
    finally:
        server.send_signal(signal.SIGQUIT)  # at once, and without writing down what is thrown away
        server.wait(PATIENCE_SECONDS)
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> str:
    """The address of a new, empty database, of either kind."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'service.db'}"
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.new()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the newest version, to copy: migrating takes longer than most tests."""
    from fonderie.serve.database.base import open_database

    path = tmp_path_factory.mktemp("template") / "service.db"
    open_database(f"sqlite:///{path}").close()
    return path


class Emptied:
    """One PostgreSQL database of the newest version, emptied between tests: a new one is three hundred files."""

    def __init__(self, server: Postgresql) -> None:
        self._server = server
        self._url = ""
        self._tables: set[str] = set()

    def take(self) -> str:
        """Its address."""
        from fonderie.serve.database.base import open_database

        if not self._url:
            self._url = self._server.new()
            with open_database(self._url) as database:
                self._tables = self._state(database)
        return self._url

    def give_back(self, database: "Database") -> None:
        """Empty it; what is no longer of the newest version is not taken again."""
        from sqlalchemy import text

        if self._state(database) != self._tables:
            self._url = ""
            return
        tables = ", ".join(name for name in self._tables if "=" not in name and name != "alembic_version")
        with database.write() as connection:
            connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))

    def _state(self, database: "Database") -> set[str]:
        from sqlalchemy import inspect, text

        with database.read() as connection:
            names = inspect(connection).get_table_names()
            version = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return {*names, f"version={version}"}


@pytest.fixture(scope="session")
def emptied_postgresql(postgresql: Postgresql) -> Emptied:
    return Emptied(postgresql)


@pytest.fixture
def database(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator["Database"]:
    """A database of the newest version without a row in it, of either kind."""
    from fonderie.serve.database.base import Database

    if database_kind == "sqlite":
        path = tmp_path / "service.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        with Database(f"sqlite:///{path}") as found:
            yield found
        return
    emptied: Emptied = request.getfixturevalue("emptied_postgresql")
    with Database(emptied.take()) as found:
        yield found
        emptied.give_back(found)
