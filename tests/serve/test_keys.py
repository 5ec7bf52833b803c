import json
import re

import pytest
from sqlalchemy import text

from fonderie.cli import main
from fonderie.core.errors import UsageError
from fonderie.serve.keys import add_key, find_key, list_keys, revoke_key

NOW = 1_800_000_000.0


def everything(connection) -> str:
    return str(connection.execute(text("SELECT * FROM api_keys")).all())


def test_a_key_is_found_by_its_secret_of_which_only_the_hash_is_kept(database):
    with database.write() as connection:
        secret = add_key(connection, "Clinique d'Évreux", NOW, per_minute=5, per_day_tokens=1000)
        other = add_key(connection, "other", NOW, role="admin")
        assert re.fullmatch(r"fonderie-[\w-]{43}", secret)
        assert secret != other
        found = find_key(connection, secret)
        assert found is not None
        assert (found.name, found.role, found.per_minute, found.per_day_tokens) == (
            "Clinique d'Évreux",
            "user",
            5,
            1000,
        )
        assert find_key(connection, other).role == "admin"
        assert secret.removeprefix("fonderie-") not in everything(connection)


def test_what_is_almost_a_key_is_none(database):
    with database.write() as connection:
        secret = add_key(connection, "a", NOW)
        swapped = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        for wrong in (
            "",
            "fonderie-",
            secret[:-1],
            secret + "A",
            swapped,
            secret.upper(),
            secret[9:],
            " " + secret,
        ):
            assert find_key(connection, wrong) is None


def test_a_revoked_key_is_known_as_such_and_its_name_is_not_given_again(database):
    with database.write() as connection:
        secret = add_key(connection, "a", NOW)
        revoke_key(connection, "a", NOW + 5)
        found = find_key(connection, secret)
        assert found is not None
        assert found.revoked_at == NOW + 5
        with pytest.raises(UsageError, match="revoked already"):
            revoke_key(connection, "a", NOW + 6)
        with pytest.raises(UsageError, match="called a already"):
            add_key(connection, "a", NOW)
        with pytest.raises(UsageError, match="no key called b"):
            revoke_key(connection, "b", NOW)
        assert [key.name for key in list_keys(connection)] == ["a"]


def test_a_name_is_something_to_read(database):
    with database.write() as connection:
        for name in ("", "  ", "a\nb", "a" * 65, "\x1b[1m"):
            with pytest.raises(UsageError, match="no name for a key"):
                add_key(connection, name, NOW)


def test_the_command_shows_a_key_once_lists_and_revokes(database_url, monkeypatch, capsys):
    monkeypatch.setenv("FONDERIE_DATABASE", database_url)
    assert main(["keys", "list"]) == 0
    assert "no keys" in capsys.readouterr().out
    assert main(["keys", "add", "alice", "--per-minute", "7", "--role", "admin"]) == 0
    told = capsys.readouterr()
    secret = told.out.strip()
    assert re.fullmatch(r"fonderie-[\w-]{43}", secret)
    assert "cannot be shown again" in told.err
    assert main(["keys", "list", "--json"]) == 0
    listed = capsys.readouterr().out
    assert secret not in listed
    (key,) = json.loads(listed)
    assert (key["name"], key["role"], key["per_minute"], key["revoked_at"]) == ("alice", "admin", 7, None)
    assert key["today"] == {"requests": 0, "prompt_tokens": 0, "answer_tokens": 0}
    assert main(["keys", "revoke", "alice"]) == 0
    assert main(["keys", "revoke", "alice"]) == 2
    assert main(["keys", "add", "alice"]) == 2
    assert "alice already" in capsys.readouterr().err
    assert main(["keys", "list"]) == 0
    assert re.search(r"alice\s+admin\s+7\s+no end\s+0\s+\S+\s+\S+", capsys.readouterr().out)


def test_the_command_refuses_a_database_that_is_none(capsys):
    assert main(["keys", "list", "--database", "mysql://host/name"]) == 2
    assert "mysql is not a database" in capsys.readouterr().err
