"""What is published: only what people agreed to, nothing that tells who they are, and readable by what trains."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select
from tests.chat.judging import ASKED, ONE, TWO, agree, contender, duel, person, voted
from tests.corpus.builders import document, documents, run_step
from tests.train.tuning import base, packed, run

from fonderie.chat import consent
from fonderie.chat.export import Exported, export
from fonderie.chat.judged import Conversation, Turn
from fonderie.cli import main
from fonderie.core.conversation import parse_preference
from fonderie.core.document import read_documents, shard_paths
from fonderie.core.errors import InputError, UsageError
from fonderie.corpus.conversations import PreferencesParameters, preferences
from fonderie.corpus.votes import VOTE_SCHEMA, Vote
from fonderie.serve.database.base import Database, open_database
from fonderie.serve.database.tables import conversations, metadata, published
from fonderie.tokens.bpe import BpeParameters, train_bpe

DAY = 86_400.0
LATER = ASKED + 10 * DAY


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "export"


def publish(
    database: Database, out: Path, at: float = LATER, **changes: Any
) -> tuple[Exported, list[dict[str, Any]]]:
    done = export(database, out, **{"licence": "CC-BY-4.0", "at": at, **changes})
    table = pq.read_table(out / "data" / "votes.parquet")
    assert table.schema.equals(VOTE_SCHEMA)
    return done, table.to_pylist()


def buried(out: Path) -> list[dict[str, str]]:
    listed = json.loads((out / "tombstones.json").read_text())
    assert listed["format"] == 1
    return list(listed["conversations"])


def longer(first: Conversation, *, same: bool) -> Conversation:
    """One more question, after answers that were the same, or not."""
    turns = [replace(turn, text="La même.") if same and turn.role == "assistant" else turn for turn in first.turns]
    turns.append(Turn(2, "user", "Et l'ours ?", ASKED + 60))
    turns += [
        Turn(3, "assistant", f"Il dort {side}.", ASKED + 65, side=side, finish_reason="stop") for side in ("a", "b")
    ]  # type: ignore[arg-type]
    return replace(first, turns=tuple(turns))


def test_only_what_people_agreed_to_publish(database, out):
    agreed, kept_only = person(database, publication=True), person(database)
    voted(
        database,
        agreed,
        duel("Publiée ?"),
        "both_good",
        reasons={"a": ["useful"], "b": ["incorrect"]},
        comment="SECRET",
    )
    voted(database, agreed, duel("Trop vite ?"), at=ASKED + 5)  # something speaks against it
    voted(database, agreed, replace(duel("Avant le vote ?")), "idk", at=ASKED + 3 * DAY)
    voted(database, kept_only, duel("Gardée seulement ?"))
    done, rows = publish(database, out)
    assert done == Exported(rows=2, conversations=2, with_personal_data=0, personal_data={}, tombstones=0)
    first, second = rows
    assert [message["content"] for message in first["messages"]] == ["Publiée ?"]
    assert (first["vote"], first["created"], first["licence"]) == ("both_good", "2025-11-24", "CC-BY-4.0")
    assert (first["consent"], first["language"], first["turn"]) == (consent.TEXT_VERSION, "fr", 0)
    assert first["a"] == {
        "content": "Il est dans la forêt.",
        "model": ONE.name,
        "digest": ONE.model_digest,
        "settings": "{}",
        "before": [],
        "reasons": ["useful"],
    }
    assert (second["vote"], second["created"]) == ("idk", "2025-11-27")
    assert all(Vote.model_validate(row) for row in rows)
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"SECRET" not in everything
    with database.read() as connection:
        private = {value for row in connection.execute(select(metadata.tables["sessions"].c.hash)) for value in row}
        private |= set(connection.scalars(select(conversations.c.id)))
    assert not any(value.encode() in everything for value in private)
    assert str(ASKED).encode() not in everything


def test_each_turn_with_what_both_had_said_before(database, out):
    session_id = person(database, publication=True)
    for same in (True, False):
        whole = longer(duel(f"Question {same} ?"), same=same)
        voted(database, session_id, whole, "b", position=3, at=ASKED + 90)
    _, rows = publish(database, out)
    by_question = {row["messages"][0]["content"]: row for row in rows}
    shared, apart = by_question["Question True ?"], by_question["Question False ?"]
    assert [message["content"] for message in shared["messages"]] == ["Question True ?", "La même.", "Et l'ours ?"]
    assert (shared["a"]["before"], shared["turn"]) == ([], 1)
    assert [message["content"] for message in apart["messages"]] == ["Question False ?", "Et l'ours ?"]
    assert (apart["a"]["before"], apart["b"]["before"]) == (["Il est dans la forêt."], ["Je ne sais pas."])
    assert apart["conversation"] != shared["conversation"]


def test_a_conversation_with_personal_data_is_left_out_whole(database, out):
    session_id = person(database, publication=True)
    voted(database, session_id, duel("Sans rien ?"))
    both = longer(duel("Deux tours ?"), same=False)
    voted(database, session_id, both)
    mail = [
        replace(turn, text="Écris à anne.martin@exemple-hopital.fr") if turn.position == 3 else turn
        for turn in both.turns
    ]
    # The address is in a later turn than the one that has the vote.
    voted(database, session_id, replace(both, turns=tuple(mail)), "idk", position=3, at=ASKED + 90)
    voted(database, session_id, duel("Appelle-moi au 06 12 34 56 78.", asked=ASKED + 1))
    done, rows = publish(database, out)
    assert [row["messages"][0]["content"] for row in rows] == ["Sans rien ?"]
    assert (done.with_personal_data, done.personal_data) == (2, {"email": 1, "phone": 1})
    card = (out / "README.md").read_text()
    assert "left out whole: 2 conversations (email in 1, phone in 1)" in card
    assert "exemple-hopital" not in card


def test_names_are_stable_and_what_is_withdrawn_is_named_for_who_has_it(database, tmp_path):
    stays, leaves, expires = (person(database, publication=True) for _ in range(3))
    for number, session_id in enumerate((stays, leaves, expires)):
        voted(database, session_id, duel(f"Question {number} ?"))
    _, before = publish(database, tmp_path / "first")
    names = {row["messages"][0]["content"]: row["conversation"] for row in before}
    with database.write() as connection:
        agree(connection, leaves, evaluation=True)
        consent.erase(connection, expires, LATER + DAY)
    voted(database, leaves, duel("Après le retrait ?"))
    done, after = publish(database, tmp_path / "second", at=LATER + 2 * DAY)
    assert {(row["id"], row["conversation"]) for row in after} < {
        (row["id"], row["conversation"]) for row in before
    }
    assert [row["messages"][0]["content"] for row in after] == ["Question 0 ?"]
    assert {stone["conversation"] for stone in buried(tmp_path / "second")} == {
        names["Question 1 ?"],
        names["Question 2 ?"],
    }
    assert done.tombstones == 2
    assert buried(tmp_path / "first") == []
    # To agree again does not reach back.
    with database.write() as connection:
        agree(connection, leaves, evaluation=True, publication=True)
    _, again = publish(database, tmp_path / "third", at=LATER + 3 * DAY)
    assert again == after


def test_what_is_recognised_later_is_withdrawn(database, tmp_path):
    voted(database, person(database, publication=True), duel("Mon code est 1234"))
    _, before = publish(database, tmp_path / "first", find=lambda text: ())
    done, after = publish(database, tmp_path / "second", find=lambda text: ["code"] if "1234" in text else [])
    assert (after, done.with_personal_data) == ([], 1)
    assert [stone["conversation"] for stone in buried(tmp_path / "second")] == [before[0]["conversation"]]
    with database.read() as connection:
        assert connection.execute(select(published)).all() == []


def test_what_is_withdrawn_meanwhile_is_not_published(database, out):
    """While others' conversations are searched, a person withdraws."""
    session_id = person(database, publication=True)
    voted(database, person(database, publication=True), duel("Reste ?"))
    voted(database, session_id, duel("Retirée ?"))

    def find(text: str) -> tuple[str, ...]:
        if text == "Retirée ?":
            with database.write() as connection:
                agree(connection, session_id, evaluation=False)
        return ()

    _, rows = publish(database, out, find=find)
    assert [row["messages"][0]["content"] for row in rows] == ["Reste ?"]


def test_nothing_to_publish_and_a_folder_that_is_there_are_refused(database, out):
    with pytest.raises(InputError, match="no vote that may be published"):
        export(database, out, licence="CC-BY-4.0", at=LATER)
    assert not list(out.parent.glob("*export*"))
    voted(database, person(database, publication=True), duel())
    out.mkdir()
    publish(database, out)
    with pytest.raises(UsageError, match="is there already"):
        export(database, out, licence="CC-BY-4.0", at=LATER)


def test_the_card_says_what_there_is(database, out):
    session_id = person(database, publication=True)
    voted(database, session_id, duel("Une ?", contenders=(contender("1", "odd|name-1", temperature=0.5), TWO)))
    voted(database, session_id, duel("Deux ?"), "both_bad")
    publish(database, out, licence="etalab-2.0")
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(out / "README.md")
    assert card.data.license == "etalab-2.0"
    assert card.data.language == ["fr"]
    assert card.data.configs == [{"config_name": "default", "data_files": "data/votes.parquet"}]
    assert "| a | 1 |\n| b | 0 |\n| both_good | 0 |\n| both_bad | 1 |" in card.text
    assert f'| odd\\|name-1 | `{ONE.model_digest}` | {{"temperature": 0.5}} | 1 |' in card.text
    assert f"| {TWO.name} | `{TWO.model_digest}` | {{}} | 2 |" in card.text


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "sqlite:///service.db"
    assert main(["votes", "export", "--out", "set", "--database", url]) == 2
    assert "there is no database service.db" in capsys.readouterr().err
    with open_database(url) as database:
        session_id = person(database, publication=True)
        voted(database, session_id, duel())
    assert main(["votes", "export", "--out", "set", "--database", url, "--licence", "etalab-2.0"]) == 0
    assert "1 votes in 1 conversations; 0 with personal data left out." in capsys.readouterr().out
    assert main(["votes", "export", "--out", "set", "--database", url]) == 2
    assert main(["votes", "export", "--out", "other", "--database", url, "--json"]) == 0
    assert (tmp_path / "other" / "README.md").is_file()
    said = capsys.readouterr()
    assert "is there already" in said.err
    assert json.loads(said.out)["rows"] == 1
    with pytest.raises(SystemExit) as stopped:
        main(["votes", "export", "--out", "more", "--licence", "MIT"])
    assert stopped.value.code == 2


@pytest.mark.slow
def test_an_export_trains_a_preference(tmp_path, out):
    """corpus.preferences, tokens.pairs, and steps of DPO: what was voted for becomes what is preferred."""
    with open_database(f"sqlite:///{tmp_path / 'service.db'}") as database:
        for number in range(6):
            session_id, question = (
                person(database, publication=True),
                duel(f"Que dit le chat {number} ?", "miaou", "ouaf"),
            )
            voted(database, session_id, question, "a" if number < 4 else "both_bad")
        export(database, out, licence="etalab-2.0", at=LATER)
    given = {
        "source": "votes",
        "format": "votes",
        "consents": [consent.TEXT_VERSION],
        "path": str(out / "data" / "*.parquet"),
    }
    artifact, _ = run_step(
        preferences, PreferencesParameters.model_validate(given), tmp_path / "read", sources={"path": given["path"]}
    )
    found = [document for path in shard_paths(artifact.path) for document in read_documents(path)]
    assert [parse_preference(document.text).chosen for document in found] == ["miaou"] * 4
    assert {document.metadata["chosen_model"] for document in found} == {ONE.model_digest}
    assert {document.licence for document in found} == {"etalab-2.0"}
    text = (documents(tmp_path / "text", [[document("Que dit le chat ? miaou, ouaf. " * 9)]]),)
    tokenizer = run_step(
        train_bpe, BpeParameters(vocabulary=280, minimum_frequency=1), tmp_path / "bpe", {"documents": text}
    )[0].path
    tokens = packed(tmp_path / "packed", tokenizer, found)
    trained = run(
        "prefer",
        base(tmp_path / "base", vocabulary=280),
        tokens,
        tokenizer,
        tmp_path / "run",
        duration="8 steps",
        beta=0.5,
    )
    assert trained.statistics["preferences"]["pairs"] == 4
    assert trained.statistics["preferences"]["preferred"] == 1.0
