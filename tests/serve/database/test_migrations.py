"""Every version of the database is reached from every earlier one with what was in it, on both kinds."""

import shutil
import subprocess
import sys
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    Double,
    Inspector,
    Integer,
    MetaData,
    String,
    create_engine,
    func,
    inspect,
    select,
    text,
)

from fonderie.core.errors import InputError
from fonderie.serve.database.base import MIGRATIONS, Database, open_database
from fonderie.serve.database.tables import metadata

VERSIONS = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
"""The oldest first."""
CHOSEN = {
    "role": {"api_keys": "admin", "turns": "user"},
    "kind": {"conversations": "duel"},
    "side": {"contenders": "a", "turns": ""},
    "value": {"thumbs": -1, "settings": {"a": ["é", 1, None]}},
    "choice": {"votes": "both_bad"},
}
"""By column and table, where a column does not take just anything."""


def value_of(column: Any) -> Any:
    chosen = CHOSEN.get(column.name, {})
    if column.table.name in chosen:
        return chosen[column.table.name]
    if column.foreign_keys:
        (key,) = column.foreign_keys
        return value_of(key.column)
    kind = column.type
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer):
        return 1
    if isinstance(kind, Double):
        return 1.5
    if isinstance(kind, JSON):
        return {"à": [1]}
    assert isinstance(kind, String), column
    return "é" if kind.length is None else "é" * min(kind.length, 3)


def fill(connection: Connection) -> MetaData:
    """One row into every table that is there; what the tables are at this version."""
    found = MetaData()
    found.reflect(connection)
    for table in found.sorted_tables:
        if table.name != "alembic_version":
            connection.execute(table.insert().values({column.name: value_of(column) for column in table.columns}))
    return found


def rows(connection: Connection, tables: MetaData) -> dict[str, list[dict[str, Any]]]:
    """All that is in some tables."""
    return {
        name: [dict(row) for row in connection.execute(table.select()).mappings()]
        for name, table in tables.tables.items()
        if name != "alembic_version"
    }


def check_kept(database: Database, before: dict[str, list[dict[str, Any]]]) -> None:
    """That every row of before is there, whatever columns have come since."""
    tables = MetaData()
    with database.read() as connection:
        tables.reflect(connection)
        after = rows(connection, tables)
    for name, kept in before.items():
        assert len(after[name]) == len(kept) == 1, name
        assert after[name][0].items() >= kept[0].items(), name


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_in_a_database_of_any_version_is_there_in_the_newest(database_url, version):
    with Database(database_url) as database:
        database.migrate(version)
        with database.write() as connection:
            before = rows(connection, fill(connection))
        assert len(before) >= 14
        database.migrate()
        with database.read() as connection:
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == VERSIONS[-1]
        check_kept(database, before)


NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", {newest!r}

def upgrade():
    with op.batch_alter_table("sessions") as table:
        table.alter_column("created_at", nullable=True)
        table.add_column(sa.Column("colour", sa.Text(), nullable=False, server_default="grey"))
"""


def test_a_table_that_a_later_version_copies_keeps_what_refers_to_it(database, tmp_path):
    scripts = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "v9999_next.py").write_text(NEXT.format(newest=VERSIONS[-1]))
    with database.write() as connection:
        before = rows(connection, fill(connection))
    database.migrate(scripts=scripts)
    check_kept(database, before)
    with database.write() as connection:
        assert connection.scalar(text("SELECT colour FROM sessions")) == "grey"
        connection.execute(text("DELETE FROM sessions"))  # keys that refer are heeded again
        assert connection.scalar(text("SELECT count(*) FROM turns")) == 0


def shape(inspector: Inspector) -> dict[str, Any]:
    """All that a database knows of its tables."""
    found = {}
    for name in sorted(inspector.get_table_names()):
        if name == "alembic_version":
            continue
        found[name] = {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(name)
            ],
            "primary": inspector.get_pk_constraint(name),
            "foreign": sorted(inspector.get_foreign_keys(name), key=str),
            "unique": sorted(inspector.get_unique_constraints(name), key=str),
            "indexes": sorted(inspector.get_indexes(name), key=str),
            "checks": sorted(inspector.get_check_constraints(name), key=str),
        }
    return found


def test_the_migrations_make_what_the_tables_say(database, request, tmp_path):
    with database.read() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        migrated = shape(inspect(connection))
    # Alembic does not look at everything: checks, for one.
    url = f"sqlite:///{tmp_path / 'other.db'}"
    if not database.is_sqlite:
        url = request.getfixturevalue("postgresql").new().replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url)
    metadata.create_all(engine)
    with engine.connect() as connection:
        assert shape(inspect(connection)) == migrated
    engine.dispose()


def test_processes_that_migrate_at_once_all_find_the_newest_version(database_url):
    program = "import sys; from fonderie.serve.database.base import open_database as o; o(sys.argv[1]).close()"
    started = [subprocess.Popen([sys.executable, "-c", program, database_url]) for _ in range(2)]
    assert [process.wait(60) for process in started] == [0, 0]
    with open_database(database_url) as database, database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [(VERSIONS[-1],)]
        assert connection.scalar(select(func.count()).select_from(metadata.tables["votes"])) == 0


def test_a_database_of_a_newer_version_is_left_alone(database):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputError, match="of version 9999, which this Fonderie does not know"):
        database.migrate()
    with database.read() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_migration_that_fails_leaves_the_database_as_it_was(database_url, monkeypatch):
    with Database(database_url) as database:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE settings (other INTEGER)"))
        with pytest.raises(Exception, match="settings"):
            database.migrate()
        with database.read() as connection:
            assert set(inspect(connection).get_table_names()) <= {"settings"}
