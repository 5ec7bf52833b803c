import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from tests.corpus.builders import run_step

from fonderie.core.conversation import Preference, Turn, parse_preference, parse_turns
from fonderie.core.document import Document, read_documents, shard_paths
from fonderie.core.errors import InputError, LicenceError
from fonderie.core.ledger import read_ledger
from fonderie.core.step import Step
from fonderie.corpus.conversations import (
    ConversationsParameters,
    PreferencesParameters,
    conversations,
    preferences,
)
from fonderie.corpus.votes import VOTE_SCHEMA, Vote

ASKED = [Turn("system", "Sois bref."), Turn("user", "Bonjour !"), Turn("assistant", "Bonjour.")]
OPENAI = [{"role": turn.role, "content": turn.content} for turn in ASKED]
SHAREGPT = [
    {"from": {"user": "human", "assistant": "gpt"}.get(turn.role, turn.role), "value": turn.content}
    for turn in ASKED
]


def read(folder: Path, pattern: str, step: Step = conversations, **given: Any) -> tuple[list[Document], Any]:
    """The documents of the files that a pattern matches, and the artifact."""
    kind = ConversationsParameters if step is conversations else PreferencesParameters
    params = kind.model_validate({"source": "here", "path": "given", "licence": "CC0-1.0", **given})
    number = len([*folder.glob("out*")])
    artifact, out = run_step(step, params, folder / f"out{number}", sources={"path": str(folder / pattern)})
    found = [document for path in shard_paths(artifact.path) for document in read_documents(path)]
    assert out.statistics["sources"]["here"]["kept"] == len(found)
    return found, artifact


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("messages", {"messages": OPENAI}),
        ("messages", {"messages": [{**OPENAI[0], "role": "developer"}, *OPENAI[1:]]}),
        (
            "messages",
            {
                "messages": [
                    *OPENAI[:1],
                    {"role": "user", "content": [{"type": "text", "text": "Bonjour !"}]},
                    OPENAI[2],
                ]
            },
        ),
        ("sharegpt", {"conversations": SHAREGPT}),
        ("alpaca", {"instruction": "Bonjour !", "input": "", "output": "Bonjour.", "system": "Sois bref."}),
    ],
)
def test_each_layout_gives_the_same_conversation(tmp_path: Path, layout: str, row: dict[str, Any]) -> None:
    write(tmp_path / "a.jsonl", [{**row, "id": "x7", "language": "fr"}])
    (document,), _ = read(tmp_path, "a.jsonl", format=layout)
    assert parse_turns(document.text) == ASKED
    assert (document.origin, document.licence, document.language) == ("a.jsonl#L1", "CC0-1.0", "fr")
    assert document.metadata == {"id": "x7", "form": "conversation"}


def test_alpaca_joins_instruction_and_input_and_puts_history_before(tmp_path: Path) -> None:
    row = {"instruction": "Traduis.", "input": "cat", "output": "chat", "history": [["Bonjour !", "Bonjour."]]}
    write(tmp_path / "a.jsonl", [row])
    (document,), _ = read(tmp_path, "a.jsonl", format="alpaca")
    assert parse_turns(document.text) == [*ASKED[1:], Turn("user", "Traduis.\n\ncat"), Turn("assistant", "chat")]


def test_every_container_gives_the_same_documents(tmp_path: Path) -> None:
    rows = [{"messages": [*OPENAI, {"role": "user", "content": f"Encore {n} ?"}, OPENAI[2]]} for n in range(5)]
    write(tmp_path / "a.jsonl", rows)
    (tmp_path / "b.json").write_text(json.dumps(rows, indent=2))
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    read_in = [
        read(tmp_path, name, format="messages")[0] for name in ("a.jsonl", "b.json", "c.json.gz", "d.parquet")
    ]
    assert len({tuple(document.id for document in found) for found in read_in}) == 1
    places = [found[1].origin for found in read_in]
    lines = json.dumps(rows, indent=2).split("\n")
    second = [number for number, line in enumerate(lines, 1) if line == "  {"][1]
    assert places == ["a.jsonl#L2", f"b.json#L{second}", "c.json.gz#L1", "d.parquet#row2"]


@pytest.mark.parametrize(
    ("layout", "row", "words"),
    [
        ("messages", {"messages": [*OPENAI, {"role": "tool", "content": "3"}]}, r"message 4: .* no role 'tool'"),
        ("messages", {"messages": [OPENAI[1], {**OPENAI[2], "tool_calls": [{}]}]}, "message 2 calls a tool"),
        ("messages", {"messages": OPENAI[:2]}, "the assistant says nothing"),
        ("messages", {"messages": OPENAI[2:]}, "the user does not speak first"),
        ("messages", {"messages": [*OPENAI, {"role": "user", "content": " "}]}, "message 4, the user's, is empty"),
        (
            "messages",
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "message 1 is not a text",
        ),
        ("messages", {"conversations": SHAREGPT}, "there is no 'messages': the row has 'conversations'"),
        (
            "sharegpt",
            {"conversations": [{"from": "observation", "value": "3"}]},
            "message 1: .* no role 'observation'",
        ),
        ("alpaca", {"instruction": "Bonjour !", "output": ["?"]}, "'output' is not a text"),
        ("alpaca", {"instruction": "a", "output": "b", "history": 5}, "'history' is not a list"),
    ],
)
def test_a_malformed_row_is_named_or_dropped_with_its_reason(
    tmp_path: Path, layout: str, row: dict[str, Any], words: str
) -> None:
    good = {"messages": OPENAI, "conversations": SHAREGPT, "instruction": "Bonjour !", "output": "Bonjour."}
    write(tmp_path / "a.jsonl", [good, row])
    with pytest.raises(InputError, match=rf"a\.jsonl, line 2: {words}"):
        read(tmp_path, "a.jsonl", format=layout)
    found, artifact = read(tmp_path, "a.jsonl", format=layout, malformed="drop")
    assert len(found) == 1
    kept, dropped = read_ledger(artifact.path)
    assert (kept.fate, dropped.fate, dropped.reason) == ("kept", "dropped", "malformed row")
    assert dropped.origin == "a.jsonl#L2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"a": 1},\n {"b": }]', r"a\.json, line 2: not JSON"),
        ('[{"a": 1}\n {"b": 1}]', r"a\.json, line 1: the array does not go on"),
        ('{"a": 1}', r"a\.json, line 1: not a JSON array"),
        ("[1]", r"a\.json, line 1: not a JSON object"),
        ('[{"a": ' + "[" * 100_000, r"a\.json, line 1: not JSON: maximum recursion"),
        (
            '[{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
            "does not go on",
        ),
    ],
)
def test_a_broken_array_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read(tmp_path, "a.json", format="messages", malformed="drop")


def test_rows_pass_the_licence_gate(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [{"messages": OPENAI, "licence": "CC-BY-NC-4.0"}])
    with pytest.raises(LicenceError, match=r"a\.jsonl#L1 is under CC-BY-NC-4\.0"):
        read(tmp_path, "a.jsonl", format="messages", licence=None)
    found, artifact = read(tmp_path, "a.jsonl", format="messages", licence=None, restricted_rows="drop")
    assert (found, [row.reason for row in read_ledger(artifact.path)]) == ([], ["licence refused by the policy"])


PAIR = Preference((Turn("user", "2 et 2 ?"),), "Quatre.", "Cinq.")
PROMPT = [{"role": "user", "content": "2 et 2 ?"}]
GOOD, BAD = ({"role": "assistant", "content": text} for text in ("Quatre.", "Cinq."))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "2 et 2 ?", "chosen": "Quatre.", "rejected": "Cinq."},
        {"prompt": PROMPT, "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [*PROMPT, GOOD], "rejected": [*PROMPT, BAD]},
        {"prompt": "2 et 2 ?", "chosen": [*PROMPT, GOOD], "rejected": [*PROMPT, BAD]},
        {"prompt": "2 et 2 ?", "chosen": [GOOD], "rejected": [BAD]},
    ],
)
def test_every_layout_of_pairs_is_read(tmp_path: Path, row: dict[str, Any]) -> None:
    write(tmp_path / "a.jsonl", [row])
    (document,), _ = read(tmp_path, "a.jsonl", preferences, format="pairs")
    assert parse_preference(document.text) == PAIR
    assert document.metadata == {"form": "preference"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "2 et 2 ?", "chosen": "Quatre."}, "there is no 'rejected'"),
        ({"chosen": "Quatre.", "rejected": "Cinq."}, "there is no 'prompt'"),
        ({"chosen": [*PROMPT, GOOD], "rejected": [*PROMPT, *PROMPT, BAD]}, "differ before their last message"),
        ({"prompt": "2 et 2 ?", "chosen": [GOOD], "rejected": PROMPT}, "does not end with the assistant's"),
        ({"prompt": PROMPT[:0], "chosen": "Quatre.", "rejected": "Cinq."}, "does not end with the user's message"),
        ({"prompt": "2 et 2 ?", "chosen": "Quatre.", "rejected": " "}, "message 2, the assistant's, is empty"),
    ],
)
def test_a_malformed_pair_is_named(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    write(tmp_path / "a.jsonl", [row])
    with pytest.raises(InputError, match=rf"a\.jsonl, line 1: .*{words}"):
        read(tmp_path, "a.jsonl", preferences, format="pairs")


def vote(number: int, said: str, **changes: Any) -> dict[str, Any]:
    digests = {"a": "sha256:" + "a" * 64, "b": "sha256:" + "b" * 64}
    rest = {"settings": "{}", "before": [], "reasons": ["useful"]}
    row = {
        "format": 1,
        "id": f"sha256:{number:064x}",
        "created": "2026-11-26",
        "language": "fr",
        "licence": "etalab-2.0",
        "consent": "2026-11",
        "conversation": f"{number:032x}",
        "turn": 0,
        "messages": PROMPT,
        "a": {"content": "Quatre.", "model": "one-1", "digest": digests["a"], **rest},
        "b": {"content": "Cinq.", "model": "two-1", "digest": digests["b"], **rest},
        "vote": said,
    }
    return {**row, **changes}


def test_votes_become_preferences_bound_to_models_and_consents(tmp_path: Path) -> None:
    rows = [vote(n, said) for n, said in enumerate(("a", "b", "both_good", "both_bad"))]
    rows += [vote(9, "a", consent="2026-01"), vote(10, "idk"), vote(11, "a", turn=1)]
    rows[-1]["b"] = {**rows[-1]["b"], "before": ["Trois."]}
    assert [Vote.model_validate(row).model_dump(mode="json") for row in rows] == rows
    write(tmp_path / "votes.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows, VOTE_SCHEMA), tmp_path / "votes.parquet")
    for name in ("votes.jsonl", "votes.parquet"):
        found, artifact = read(tmp_path, name, preferences, format="votes", consents=("2026-11",), licence=None)
        first, second = map(parse_preference, (document.text for document in found))
        assert (first, second) == (PAIR, Preference(PAIR.prompt, "Cinq.", "Quatre."))
        assert found[1].metadata == {
            "vote": rows[1]["id"],
            "consent": "2026-11",
            "chosen_model": rows[1]["b"]["digest"],
            "rejected_model": rows[1]["a"]["digest"],
            "form": "preference",
        }
        assert (found[0].licence, found[0].created) == ("etalab-2.0", "2026-11-26")
        assert [(row.reason, row.detail) for row in read_ledger(artifact.path) if row.fate == "dropped"] == [
            ("neither answer was preferred", "both_good"),
            ("neither answer was preferred", "both_bad"),
            ("a consent that the recipe does not name", "2026-01"),
            ("neither answer was preferred", "idk"),
            ("the answers go on from different ones", "turn 1"),
        ]


@pytest.mark.parametrize(
    "change",
    [
        {"vote": "c"},
        {"person": "Anne"},
        {"created": "2026-11-26T10:00"},
        {"messages": []},
        {"id": "7"},
        {"conversation": "7"},
        {"turn": -1},
        {"licence": None},
    ],
    ids=str,
)
def test_what_is_no_vote_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path / "votes.jsonl", [vote(1, "a", **change)])
    with pytest.raises(InputError, match=rf"votes\.jsonl, line 1: {next(iter(change))}"):
        read(tmp_path, "votes.jsonl", preferences, format="votes", consents=("2026-11",))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"format": "votes"}, "votes need `consents`"),
        ({"format": "pairs", "consents": ["1"]}, "consents mean nothing for pairs"),
        ({"format": "votes", "consents": ["1"], "field": "x"}, "field means nothing for votes"),
    ],
)
def test_parameters_without_a_meaning_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PreferencesParameters.model_validate({"source": "here", "path": "x", **given})
