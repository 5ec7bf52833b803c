from pathlib import Path

import pytest

from fonderie.core.errors import UsageError
from fonderie.trace.erasure_request import name_orders, read_request

GOOD = """
reference = "2026-1"
received = 2026-09-01
ground = "gdpr-17"
decision = "granted"
[select]
ids = ["0123456789abcdef"]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "request.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_request_is_read_with_the_digest_of_its_file(tmp_path: Path) -> None:
    received = read_request(written(tmp_path, GOOD))
    assert received.request.select.ids == ("0123456789abcdef",)
    assert received.sha256.startswith("sha256:")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ids", "id", r"select\.id: .*Extra inputs"),
        ("decision", "verdict", "verdict: "),
        ('"gdpr-17"', '"because"', "ground: "),
        ('"gdpr-17"', '"other"', "needs `ground_detail`"),
        ('"granted"', '"refused"', "needs `reasons`"),
        ('"granted"', '"partly"', "needs `reasons`"),
        ('"granted"', '"partly"\nreasons = "x"', "names what stays in select.spare"),
        ('"2026-1"', '"../2026"', "reference: "),
        ('"2026-1"', '".hidden"', "reference: "),
        ('"2026-1"', '"a/b"', "reference: "),
        ("2026-09-01", '"soon"', "received: "),
        ("2026-09-01", "2026-13-01", "is not TOML"),
        ('["0123456789abcdef"]', '["0123"]', "is no document id"),
        ('["0123456789abcdef"]', "[]", "selects nothing"),
        ('ids = ["0123456789abcdef"]', 'excerpts = ["trop court, ça"]', "fewer than 5 words"),
        ('ids = ["0123456789abcdef"]', 'persons = ["!"]', "one to 5 words"),
        ('ids = ["0123456789abcdef"]', 'origin_prefixes = ["h"]', r"select\.origin_prefixes\.0: "),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError, match=message) as caught:
        read_request(written(tmp_path, GOOD.replace(old, new)))
    assert caught.value.exit_status == 2


def test_unknown_keys_are_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_request(written(tmp_path, GOOD.replace("ids", "id")))
    assert "origin_prefixes" in caught.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_request(tmp_path / "none.toml")


def test_a_name_is_looked_for_in_every_order() -> None:
    assert name_orders("DUPONT Jean") == name_orders("Jean Dupont") == (" dupont jean ", " jean dupont ")
    assert len(name_orders("Jean-Luc Le Goff")) == 24
