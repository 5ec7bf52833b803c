"""A database, opened: SQLite in a file, or PostgreSQL; brought to the newest version before anybody uses it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from fonderie.core.errors import InputError, UsageError

MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_SECONDS = 10
AWAY_SECONDS = 15
"""After which a PostgreSQL that says nothing is taken for gone: its machine, or the way there, may be."""
_WRITES = "fonderie_writes"
_FORGETS = "fonderie_forgets"
_LOCK = 0x666F6E6465726965
"""Of PostgreSQL's advisory locks: only one process migrates."""


class MovedDatabaseError(SQLAlchemyError):
    """SQLite's file is not the one that was opened: what is written from now on, nobody would find again."""


class Database:
    """Transactions on one database; may be used from any thread.

    What `write` has left without an error is on disk: SQLite runs with synchronous=FULL, PostgreSQL as it is set.
    """

    def __init__(self, url: str) -> None:
        """UsageError for an address that is none, and for a database of a kind that is not known."""
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:
            # Not repeated: there may be a password in it.
            raise UsageError("this is not the address of a database", hint=_FORMS) from error
        driver = _DRIVERS.get(parsed.drivername)
        if driver is None:
            raise UsageError(f"{parsed.drivername} is not a database that Fonderie knows", hint=_FORMS)
        self.url = url
        self.is_sqlite = driver == "sqlite"
        self.place = parsed.render_as_string(hide_password=True)
        if self.is_sqlite and (parsed.database in (None, "", ":memory:") or parsed.query):
            raise UsageError(
                f"{self.place} names no file: a database in memory would be empty for every other connection, and "
                "SQLite's options are ours",
                hint=_FORMS,
            )
        parsed = parsed.set(drivername=driver)
        self.file = Path(parsed.database or "") if self.is_sqlite else None
        """SQLite's."""
        self._opened: tuple[int, int] | None = None
        """Device and inode of SQLite's file, once it was opened."""
        self._to_empty = False
        """Whether SQLite's log may hold what was deleted."""
        try:
            self._engine = create_engine(
                parsed,
                pool_pre_ping=not self.is_sqlite,
                hide_parameters=True,  # they hold what people wrote, and errors reach logs
                connect_args={} if self.is_sqlite else _patience(parsed),
            )
        except ImportError as error:
            raise UsageError(
                "psycopg is not installed, which PostgreSQL needs", hint="pip install 'fonderie[postgresql]'"
            ) from error
        if self.is_sqlite:
            event.listen(self._engine, "connect", _set_up_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        self._check_place()
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds SQLite's one lock for writing from its beginning; committed at its end."""
        self._check_place()
        with self._engine.connect().execution_options(**{_WRITES: True}) as connection:
            connection.info.pop(_FORGETS, None)
            with connection.begin():
                yield connection
            self._to_empty |= connection.info.pop(_FORGETS, False)
            if self._to_empty and self.is_sqlite:
                self._to_empty = not _emptied(connection)

    def migrate(self, to: str = "head", scripts: Path = MIGRATIONS) -> None:
        """Bring the tables to a version; InputError if the database comes from a newer Fonderie."""
        try:
            if self.file is not None and not self.file.exists():
                # For the service alone: there will be what people wrote in it. SQLite's log takes the same mode.
                self.file.touch(mode=0o600)
            known = ScriptDirectory(str(scripts))
            newest = known.get_current_head() if to == "head" else None
            if newest is not None and self._version() == newest:
                return  # nobody who only looks has to wait for who writes
            with self._migrating() as connection:
                if not self.is_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                found = MigrationContext.configure(connection).get_current_revision()
                if found is not None and found not in {script.revision for script in known.walk_revisions()}:
                    raise InputError(
                        f"{self.place} is of version {found}, which this Fonderie does not know",
                        hint="Serve it with the Fonderie that wrote it, or a newer one.",
                    )
                command.upgrade(_config(connection, scripts), to)
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise UsageError(
                f"the database {self.place} cannot be used: {_first_line(error)}", hint=_FORMS
            ) from error

    def _version(self) -> str | None:
        """The newest migration that it has had; None if none."""
        with self.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def _check_place(self) -> None:
        """MovedDatabaseError once SQLite's file was moved, replaced or deleted while it is open."""
        if self.file is None:
            return
        try:
            found = self.file.stat()
        except FileNotFoundError:
            here = None  # SQLite makes it when it is opened for the first time
        else:
            here = found.st_dev, found.st_ino
        if self._opened is None:
            self._opened = here
        elif here != self._opened:
            raise MovedDatabaseError(
                f"{self.file} is not the file that was opened: it was moved, replaced or deleted. Nothing is "
                "written until it is back, or the service starts again."
            )

    @contextmanager
    def _migrating(self) -> Iterator[Connection]:
        """As `write`. SQLite changes a table by copying it; dropping the old one would delete what refers to it."""
        if not self.is_sqlite:
            with self.write() as connection:
                yield connection
            return
        with self._engine.connect().execution_options(**{_WRITES: True}) as connection:
            _sqlite_of(connection).execute("PRAGMA foreign_keys = OFF")  # nothing, once a transaction has begun
            try:
                with connection.begin():
                    yield connection
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                    assert not broken, f"rows of {broken[0][0]} refer to rows of {broken[0][2]} that are not there"
            finally:
                _sqlite_of(connection).execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def forget(connection: Connection) -> None:
    """What this transaction deletes is gone from SQLite's files once it is committed, its log included.

    PostgreSQL reuses the space when it vacuums, and its archives and backups go as its administrator says.
    """
    connection.info[_FORGETS] = True


def _emptied(connection: Connection) -> bool:
    """Write SQLite's log into the file and empty it; False if somebody was reading for too long: next time then."""
    return bool(_sqlite_of(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)


def _sqlite_of(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


_DRIVERS = {
    **dict.fromkeys(("sqlite", "sqlite+pysqlite"), "sqlite"),
    **dict.fromkeys(("postgresql", "postgresql+psycopg"), "postgresql+psycopg"),
}
"""By what an address may begin with."""
_FORMS = "sqlite:///file.db (relative) or sqlite:////folder/file.db, or postgresql://user:password@host/database"


def open_database(url: str) -> Database:
    """A database of the newest version. UsageError and InputError as `Database` raises them."""
    database = Database(url)
    database.migrate()
    return database


def _config(connection: Connection, scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def is_away(error: SQLAlchemyError) -> bool:
    """Whether a database cannot be used at the moment: locked, full, gone. Any other error is one of ours."""
    return not isinstance(error, DataError | IntegrityError | ProgrammingError)


def why(error: SQLAlchemyError) -> str:
    """What is wrong with a database, for a log: the driver's code, never its words, which may quote texts."""
    if isinstance(error, MovedDatabaseError):
        return str(error)
    orig = getattr(error, "orig", None)
    return str(getattr(orig, "sqlite_errorname", None) or type(orig or error).__name__)


def _patience(url: URL) -> dict[str, int]:
    """How long PostgreSQL is waited for (libpq's own parameters), but for what the address says itself."""
    found = {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": AWAY_SECONDS * 1000,
    }
    return {name: value for name, value in found.items() if name not in url.query}


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0]


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",  # what somebody had deleted is overwritten, not only forgotten
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail at once when another writes meanwhile.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
