"""What is published: only what people agreed to, nothing that tells who they are, and readable by what trains."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, update
from tests.chat.judging import ASKED, ONE, TEXTS, TWO, agree, contender, duel, person, voted
from tests.corpus.builders import document, documents, run_step
from tests.train.tuning import base, packed, run

from fonderie.chat import consent
from fonderie.chat.consent import PUBLISHES
from fonderie.chat.export import Exported, export
from fonderie.chat.judged import Contender, Conversation, Turn, new_id
from fonderie.chat.votes import thumb
from fonderie.cli import main
from fonderie.core.conversation import parse_preference
from fonderie.core.document import read_documents, shard_paths
from fonderie.core.errors import InputError, UsageError
from fonderie.corpus.conversations import PreferencesParameters, preferences
from fonderie.corpus.thumbs import PREFERENCE_SCHEMA, THUMB_SCHEMA, Preferred, Thumb
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


def chat(*said: str, name: str = "", who: Contender = ONE, reason: str = "stop") -> Conversation:
    """Question, answer, question, answer, …: as a thumb on the last one keeps them."""
    turns = tuple(
        Turn(number, "assistant" if number % 2 else "user", text, ASKED, side="a" if number % 2 else "")
        for number, text in enumerate(said)
    )
    whole = (*turns[:-1], replace(turns[-1], finish_reason=reason, seed=7))
    return Conversation(name or new_id(), "chat", "fr", ASKED, {"a": who}, whole)


def judged(
    database: Database,
    session_id: int,
    conversation: Conversation,
    value: Any = 1,
    *,
    at: float = ASKED,
    **more: Any,
) -> Conversation:
    position = len(conversation.turns) - 1
    with database.write() as connection:
        thumb(connection, session_id, TEXTS, conversation, position=position, value=value, at=at, **more)
    return conversation


def table(out: Path, name: str) -> list[dict[str, Any]]:
    found = pq.read_table(out / "data" / f"{name}.parquet")
    assert found.schema.equals({"thumbs": THUMB_SCHEMA, "preferences": PREFERENCE_SCHEMA}[name])
    return list(found.to_pylist())


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
    assert done == Exported(
        votes=2, thumbs=0, preferences=0, conversations=2, with_personal_data=0, personal_data={}, tombstones=0
    )
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
    assert "that it goes on from: 2 conversations (email in 1, phone in 1)" in card
    assert "exemple-hopital" not in card


def test_thumbs_have_a_table_of_their_own(database, out):
    agreed, kept_only = person(database, publication=True), person(database)
    spoken = chat("Où est le renard ?", "Dans la forêt.", "Et l'ours ?", "Il dort encore.")
    judged(database, agreed, spoken, reasons=["useful"], comment="SECRET")
    judged(database, agreed, chat("Et le loup ?", "Je ne sais pas.", who=TWO), -1, at=ASKED + DAY)
    judged(database, agreed, chat("Coupé ?", "Il é", reason="stopped"))  # not all that there was to say
    judged(database, agreed, chat("Rien ?", " "))
    judged(database, kept_only, chat("Gardée seulement ?", "Oui."))
    done, votes = publish(database, out)
    assert (votes, done.votes, done.thumbs, done.conversations) == ([], 0, 2, 2)
    first, second = table(out, "thumbs")
    assert [message["content"] for message in first["prompt"]] == [turn.text for turn in spoken.turns[:3]]
    assert first["completion"] == [{"role": "assistant", "content": "Il dort encore."}]
    assert (first["label"], first["reasons"], first["model"]) == (True, ["useful"], ONE.name)
    assert (first["digest"], first["consent"], first["created"]) == (
        ONE.model_digest,
        TEXTS["fr"].version,
        "2025-11-24",
    )
    assert (second["label"], second["model"], second["created"]) == (False, TWO.name, "2025-11-25")
    assert all(Thumb.model_validate(row) for row in (first, second))
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"SECRET" not in everything
    assert spoken.id.encode() not in everything
    assert "whether it was found good (1 of 2)" in (out / "README.md").read_text()


def test_a_consent_to_publish_duels_alone_publishes_no_chat(database, out):
    """The words of version 2026-11 spoke of duels."""
    session_id = person(database, publication=True)
    voted(database, session_id, duel("Publiée ?"))
    judged(database, session_id, chat("Pas publiée ?", "Non."))
    for version, thumbs_there in (("2026-11", 0), ("2026-11-26", 1)):
        with database.write() as connection:
            connection.execute(update(metadata.tables["consents"]).values(version=version))
        done, _ = publish(database, out / version)
        assert (done.votes, done.thumbs) == (1, thumbs_there)
    # What words that nobody knows spoke of, nobody knows.
    with database.write() as connection:
        connection.execute(update(metadata.tables["consents"]).values(version="2031-01"))
    with pytest.raises(InputError):
        export(database, out / "unknown", licence="CC-BY-4.0", at=LATER)
    assert PUBLISHES[TEXTS["fr"].version] == {"duel", "chat"}


def test_what_a_dialogue_with_personal_data_goes_on_from_is_left_out_too(database, tmp_path):
    """Each judged answer is a conversation of its own: the address is in the third, and all three are one person's."""
    session_id, other = (person(database, publication=True) for _ in range(2))
    said = ["Bonjour ?", "Bonjour.", "Et après ?", "Rien.", "Écris à anne.martin@exemple-hopital.fr", "Bien."]
    judged(database, session_id, chat(*said[:2]))
    judged(database, session_id, chat(*said[:4]))
    judged(database, other, chat(*said[:2]))  # somebody else who begins alike
    judged(database, session_id, chat("Autre chose ?", "Non."))
    publish(database, tmp_path / "before")
    assert len(table(tmp_path / "before", "thumbs")) == 4
    judged(database, session_id, chat(*said))
    done, _ = publish(database, tmp_path / "after")
    assert sorted(row["prompt"][0]["content"] for row in table(tmp_path / "after", "thumbs")) == [
        "Autre chose ?",
        "Bonjour ?",
    ]
    assert (done.with_personal_data, done.personal_data, done.tombstones) == (3, {"email": 1}, 2)


def test_thumbs_that_are_taken_back_or_withdrawn_are_named_for_who_has_them(database, tmp_path):
    stays, leaves = (person(database, publication=True) for _ in range(2))
    judged(database, stays, chat("Un ?", "Un."))
    back = judged(database, stays, chat("Deux ?", "Deux."))
    judged(database, leaves, chat("Trois ?", "Trois."))
    publish(database, tmp_path / "first")
    names = {row["prompt"][0]["content"]: row["conversation"] for row in table(tmp_path / "first", "thumbs")}
    with database.write() as connection:
        consent.erase_conversation(connection, stays, back.id, LATER)
        agree(connection, leaves, evaluation=True)
    publish(database, tmp_path / "second", at=LATER + DAY)
    assert [row["conversation"] for row in table(tmp_path / "second", "thumbs")] == [names["Un ?"]]
    stones = {stone["conversation"] for stone in buried(tmp_path / "second")}
    assert stones == {names["Deux ?"], names["Trois ?"]}


def test_what_was_preferred_is_read_as_pairs(database, out, tmp_path):
    """Votes for one side, and thumbs up and down of one person on one question; each answer is used once."""
    one, other = (person(database, publication=True) for _ in range(2))
    voted(database, one, duel("Un vote ?", "miaou", "ouaf"), "b")
    voted(database, other, duel("Les deux ?", "miaou", "ouaf"), "both_good")
    voted(database, one, longer(duel("Apart ?"), same=False), "a", position=3, at=ASKED + 90)
    retried = [("Bonne.", 1), ("Mauvaise.", -1), ("Pire.", -1)]
    for number, (answer, value) in enumerate(retried):
        judged(database, one, chat("Encore ?", answer), value, at=ASKED + number)
    judged(database, other, chat("Encore ?", "Mauvaise aussi."), -1)  # another person's
    judged(database, other, chat("Seule ?", "Oui."), 1)
    done, _ = publish(database, out)
    rows = table(out, "preferences")
    assert done.preferences == len(rows) == 2
    assert all(Preferred.model_validate(row) for row in rows)
    by = {row["by"]: row for row in rows}
    assert (by["vote"]["chosen"][0]["content"], by["vote"]["rejected"][0]["content"]) == ("ouaf", "miaou")
    assert (by["vote"]["chosen_model"], by["vote"]["rejected_model"]) == (TWO.model_digest, ONE.model_digest)
    assert (by["thumbs"]["chosen"][0]["content"], by["thumbs"]["rejected"][0]["content"]) == ("Bonne.", "Mauvaise.")
    thumbs = {row["completion"][0]["content"]: row["conversation"] for row in table(out, "thumbs")}
    assert by["thumbs"]["conversations"] == [thumbs["Bonne."], thumbs["Mauvaise."]]
    given = {"source": "judged", "format": "pairs", "path": str(out / "data" / "preferences.parquet")}
    artifact, _ = run_step(
        preferences, PreferencesParameters.model_validate(given), tmp_path / "read", sources={"path": given["path"]}
    )
    found = [one for path in shard_paths(artifact.path) for one in read_documents(path)]
    assert {parse_preference(document.text).chosen for document in found} == {"Bonne.", "ouaf"}
    assert {document.licence for document in found} == {"CC-BY-4.0"}
    assert {json.loads(document.metadata["conversations"])[0] for document in found} == {
        row["conversations"][0] for row in rows
    }


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
    with pytest.raises(InputError, match="no vote and no thumb that may be published"):
        export(database, out, licence="CC-BY-4.0", at=LATER)
    assert not list(out.parent.glob("*export*"))
    voted(database, person(database, publication=True), duel())
    out.mkdir()
    publish(database, out)
    with pytest.raises(UsageError, match="is there already"):
        export(database, out, licence="CC-BY-4.0", at=LATER)
    for nowhere in out / "README.md" / "set", Path("/proc/nowhere/set"):
        with pytest.raises(UsageError, match="set cannot be written: "):
            export(database, nowhere, licence="CC-BY-4.0", at=LATER)


def test_the_card_says_what_there_is(database, out):
    session_id = person(database, publication=True)
    voted(database, session_id, duel("Une ?", contenders=(contender("1", "odd|name-1", temperature=0.5), TWO)))
    voted(database, session_id, duel("Deux ?"), "both_bad")
    publish(database, out, licence="etalab-2.0")
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(out / "README.md")
    assert card.data.license == "etalab-2.0"
    assert card.data.language == ["fr"]
    assert card.data.configs == [
        {"config_name": name, "data_files": f"data/{file}.parquet"}
        for name, file in (("default", "votes"), ("thumbs", "thumbs"), ("preferences", "preferences"))
    ]
    assert all((out / one["data_files"]).is_file() for one in card.data.configs)
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
    said = " ".join(capsys.readouterr().out.split())
    assert "1 vote and 0 thumbs in 1 conversation; 0 more left out for personal data." in said
    assert "1 answer preferred to another: data/preferences.parquet." in said
    assert main(["votes", "export", "--out", "set", "--database", url]) == 2
    assert main(["votes", "export", "--out", "other", "--database", url, "--json"]) == 0
    assert (tmp_path / "other" / "README.md").is_file()
    said = capsys.readouterr()
    assert "is there already" in said.err
    assert json.loads(said.out)["votes"] == 1
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
        "path": str(out / "data" / "votes.parquet"),
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
