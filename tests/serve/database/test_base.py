"""Opening a database, and what a transaction on it promises."""

import shutil
import threading

import pytest
from sqlalchemy import make_url, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from fonderie.core.errors import UsageError
from fonderie.serve.database.base import Database, MovedDatabaseError, _patience, is_away, open_database, why
from fonderie.serve.database.tables import settings


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("nothing", "not the address of a database"),
        ("postgresql://user:secret@host:port/name", "not the address of a database"),
        ("mysql://host/name", "mysql is not a database that Fonderie knows"),
        ("postgresql+psycopg2://host/name", r"postgresql\+psycopg2 is not a database"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file.db?mode=ro", "names no file"),
        ("sqlite:////nowhere/at/all.db", "No such file"),
        ("sqlite:////dev", "unable to open"),
        ("postgresql://user:secret@127.0.0.1:1/name", r"user:\*\*\*@127.0.0.1:1/name cannot be used: .*refused"),
        ("postgresql://127.0.0.1:1/name?other=1", 'invalid connection option "other"'),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_by_what_is_wrong(url, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=named) as error:
        open_database(url)
    assert error.value.exit_status == 2
    assert "secret" not in str(error.value)
    assert "sqlite:///file.db" in error.value.hint


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Chère voisine, " * 100)
    with pytest.raises(UsageError, match="not a database"):
        open_database(f"sqlite:///{path}")
    assert path.read_text() == "Chère voisine, " * 100


def test_the_file_is_the_services_alone(tmp_path):
    with open_database(f"sqlite:///{tmp_path / 'service.db'}") as database:
        with database.read() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA synchronous")) == 2  # FULL
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_what_fails_in_a_transaction_leaves_nothing(database):
    def fail() -> None:
        with database.write() as connection:
            connection.execute(settings.insert().values(key="a", value=1, at=0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as connection:
        assert connection.execute(select(settings)).all() == []


def test_transactions_that_read_and_then_write_do_not_fail_each_other(database: Database):
    with database.write() as connection:
        connection.execute(settings.insert().values(key="count", value=0, at=0))
    failed: list[Exception] = []

    def count() -> None:
        try:
            for _ in range(25):
                with database.write() as connection:
                    # PostgreSQL's default isolation asks for the row's lock; SQLite has the whole database's.
                    query = select(settings.c.value).where(settings.c.key == "count").with_for_update()
                    value = connection.scalar(query)
                    connection.execute(update(settings).values(value=value + 1))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with database.read() as connection:
        assert connection.scalar(select(settings.c.value)) == 100


def test_a_database_of_the_newest_version_is_opened_while_somebody_writes(database: Database, monkeypatch):
    monkeypatch.setattr("fonderie.serve.database.base.BUSY_SECONDS", 1)
    with database.write(), Database(database.url) as other:
        other.migrate()
        with other.read() as connection:
            assert connection.execute(select(settings)).all() == []


def test_a_file_that_is_moved_away_takes_nothing_more_until_it_is_back(tmp_path):
    path, elsewhere = tmp_path / "service.db", tmp_path / "elsewhere.db"
    row = {"key": "a", "value": 1, "at": 0}
    with open_database(f"sqlite:///{path}") as database:
        path.rename(elsewhere)
        for replaced in (False, True):
            if replaced:
                shutil.copy(elsewhere, path)
            for transaction in (database.read, database.write):
                with pytest.raises(MovedDatabaseError, match="not the file that was opened"), transaction():
                    pass
        elsewhere.rename(path)
        with database.write() as connection:
            connection.execute(settings.insert().values(row))
    with open_database(f"sqlite:///{path}") as database, database.read() as connection:
        assert connection.scalar(select(settings.c.key)) == "a"


def test_errors_say_what_is_wrong_and_quote_nothing(database: Database):
    row = {"key": "Xylophage-7302", "value": 1, "at": 0}
    with pytest.raises(IntegrityError) as error, database.write() as connection:
        connection.execute(settings.insert(), [row, row])
    assert not is_away(error.value)
    assert why(error.value) in ("SQLITE_CONSTRAINT_PRIMARYKEY", "UniqueViolation")
    # PostgreSQL's own words hold it all the same: that is why they are never logged.
    assert "Xylophage" not in str(error.value) or not database.is_sqlite
    with pytest.raises(OperationalError) as gone, Database("postgresql://u@127.0.0.1:1/x").read():
        pass
    assert is_away(gone.value)
    assert why(gone.value) == "OperationalError"


def test_postgresql_is_waited_for_as_the_address_says_and_else_for_seconds():
    usual = _patience(make_url("postgresql://host/name"))
    assert (usual["connect_timeout"], usual["tcp_user_timeout"]) == (5, 15_000)
    assert "connect_timeout" not in _patience(make_url("postgresql://host/name?connect_timeout=60"))
