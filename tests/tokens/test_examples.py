import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.builders import artifact_of, document, documents, run_step

from fonderie.core.conversation import Preference, format_preference, format_turns
from fonderie.core.document import Document
from fonderie.core.errors import InputError
from fonderie.tokens.bpe import BpeParameters, train_bpe
from fonderie.tokens.conversation import END, SPECIAL_TOKENS, Turn
from fonderie.tokens.examples import Examples, answer_mask, conversations_in, pairs_in
from fonderie.tokens.pack import PackParameters, PairsParameters, pack, pairs
from fonderie.tokens.shards import TokenStream
from fonderie.tokens.spelling import Spelling
from fonderie.tokens.tokenizer import Tokenizer

# Every way to smuggle structure into a text: special tokens, speakers' marks, byte borders, combining characters.
pieces = st.sampled_from(
    [*SPECIAL_TOKENS, "<|", "|>", "Assistant : ", "\n", "e\u0301", "é", "œ", "🐄", " ", "Oui."]
)
contents = st.lists(pieces, max_size=6).map("".join) | st.text(max_size=12)
turns = st.builds(Turn, st.sampled_from(["system", "user", "assistant"]), contents)


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    made = documents(folder / "in", [[document("Le renard et la vache. L'été, les œufs. <|end|> Assistant : oui")]])
    params = BpeParameters(vocabulary=280, minimum_frequency=1)
    return run_step(train_bpe, params, folder / "out", {"documents": (made,)})[0].path


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return Tokenizer(tokenizer_folder)


def conversation(*said: Turn) -> Document:
    return document(format_turns(said), metadata={"form": "conversation"})


def packed(folder: Path, tokenizer_folder: Path, *given: Document, as_pairs: bool = False) -> TokenStream:
    inputs = {"documents": (documents(folder / "in", [given]),), "tokenizer": (artifact_of(tokenizer_folder),)}
    step, params = (pairs, PairsParameters()) if as_pairs else (pack, PackParameters())
    return TokenStream.open(run_step(step, params, folder / "out", inputs)[0].path)


@settings(max_examples=300)
@given(st.lists(turns, min_size=1, max_size=6))
def test_what_counts_is_exactly_what_the_assistant_says(tokenizer: Tokenizer, given_turns: list[Turn]) -> None:
    ids = np.asarray(tokenizer.encode_document(conversation(*given_turns)))
    counted = ids[answer_mask(ids, tokenizer.special)].tolist()
    wanted = "".join(turn.content + END for turn in given_turns if turn.role == "assistant")
    assert tokenizer.decode(counted, skip_special_tokens=False) == unicodedata.normalize("NFC", wanted)
    # Token by token: each answer's own ids, then the one end token, and no other special token among them.
    each = [[*tokenizer.encode(turn.content), tokenizer.end] for turn in given_turns if turn.role == "assistant"]
    assert counted == [number for answer in each for number in answer]
    assert [n for n in counted if n in tokenizer.special.values()] == [tokenizer.end] * len(each)


@given(st.lists(turns, max_size=4), contents, contents, contents)
def test_of_a_preference_only_the_two_last_answers_count(
    tokenizer: Tokenizer, before: list[Turn], asked: str, chosen: str, rejected: str
) -> None:
    preference = Preference((*before, Turn("user", asked)), chosen, rejected)
    ids = np.asarray(
        tokenizer.encode_preference(document(format_preference(preference), metadata={"form": "preference"}))
    )
    middle = int(np.flatnonzero(ids == tokenizer.bos)[1])
    for part, answer in ((ids[:middle], chosen), (ids[middle:], rejected)):
        counted = part[answer_mask(part, tokenizer.special, last=True)].tolist()
        assert counted == [*tokenizer.encode(answer), tokenizer.end]


@settings(max_examples=60)
@given(st.lists(turns, min_size=1, max_size=4), contents, contents)
def test_tokens_of_both_forms_spell_their_documents(
    tokenizer: Tokenizer, tokenizer_folder: Path, before: list[Turn], chosen: str, rejected: str
) -> None:
    spelling = Spelling.read((tokenizer_folder / "tokenizer.json").read_bytes())
    preference = Preference((*before, Turn("user", "Alors ?")), chosen, rejected)
    made = document(format_preference(preference), metadata={"form": "preference"})
    assert spelling.of(tokenizer.encode_preference(made)) == spelling.document(made.text, made.metadata)
    talk = conversation(*before)
    assert spelling.of(tokenizer.encode_document(talk)) == spelling.document(talk.text, talk.metadata)


ASK, SAY = Turn("user", "Bonjour !"), Turn("assistant", "Oui, bonjour.")


def answers(examples: Examples, tokenizer: Tokenizer) -> list[str]:
    found = []
    for example in examples.found:
        ids = examples.ids(example)
        found.append(tokenizer.decode(ids[examples.mask(ids)].tolist(), skip_special_tokens=False))
    return found


def test_long_conversations_stop_are_dropped_or_cut_as_told_and_are_counted(
    tmp_path: Path, tokenizer_folder: Path, tokenizer: Tokenizer
) -> None:
    long = conversation(ASK, SAY, ASK, Turn("assistant", "Bonjour, " * 20))
    late = conversation(Turn("user", "Bonjour, " * 30), SAY)
    stream = packed(tmp_path, tokenizer_folder, conversation(ASK, SAY, ASK), long, late, conversation(ASK))
    special, room = tokenizer.special, 60
    with pytest.raises(InputError, match=rf"{long.id[:19]}.* takes \d+ tokens, and a sequence has room for 60"):
        conversations_in(stream, special, room=room, long="stop", texts=False)
    dropped = conversations_in(stream, special, room=room, long="drop", texts=False)
    assert answers(dropped, tokenizer) == ["Oui, bonjour.<|end|>"]
    assert dropped.counts == {
        "documents": 4, "too_long": 2, "cut": 0, "without_answer": 1,
        "targets": len(tokenizer.encode("Oui, bonjour.")) + 1,
    }  # fmt: skip
    cut = conversations_in(stream, special, room=room, long="cut", texts=False)
    first, second = answers(cut, tokenizer)
    assert first == "Oui, bonjour.<|end|>"
    assert second.startswith("Oui, bonjour.<|end|>Bonjour, Bonj")
    assert cut.found[1].length == room
    assert (cut.counts["cut"], cut.counts["without_answer"]) == (2, 2)


def test_plain_texts_are_refused_by_name_or_count_in_full(
    tmp_path: Path, tokenizer_folder: Path, tokenizer: Tokenizer
) -> None:
    text = document("Le renard.")
    stream = packed(tmp_path, tokenizer_folder, conversation(ASK, SAY), text)
    with pytest.raises(InputError, match=rf"{text.id[:19]}.* is no conversation"):
        conversations_in(stream, tokenizer.special, room=99, long="stop", texts=False)
    both = conversations_in(stream, tokenizer.special, room=99, long="stop", texts=True)
    assert answers(both, tokenizer) == ["Oui, bonjour.<|end|>", "Le renard.<|eos|>"]


def test_nothing_to_learn_from_is_an_error(tmp_path: Path, tokenizer_folder: Path, tokenizer: Tokenizer) -> None:
    stream = packed(tmp_path, tokenizer_folder, conversation(ASK))
    with pytest.raises(InputError, match=r"nothing to learn from: documents 1, .*without answer 1"):
        conversations_in(stream, tokenizer.special, room=99, long="stop", texts=False)


def pair(asked: str = "2 et 2 ?") -> Document:
    prompt = (ASK, SAY, Turn("user", asked))
    return document(format_preference(Preference(prompt, "Quatre.", "Cinq.")), metadata={"form": "preference"})


def test_pairs_are_two_examples_better_answer_first(
    tmp_path: Path, tokenizer_folder: Path, tokenizer: Tokenizer
) -> None:
    stream = packed(tmp_path, tokenizer_folder, pair(), pair("2 et 2 ? " * 30), as_pairs=True)
    with pytest.raises(InputError, match="room for 120"):
        pairs_in(stream, tokenizer.special, room=120, long="stop")
    found = pairs_in(stream, tokenizer.special, room=120, long="drop")
    assert answers(found, tokenizer) == ["Quatre.<|end|>", "Cinq.<|end|>"]
    assert (found.counts["documents"], found.counts["too_long"]) == (2, 1)


def test_preferences_and_all_else_are_packed_apart(tmp_path: Path, tokenizer_folder: Path) -> None:
    with pytest.raises(InputError, match=r"is a preference.*\n.*tokens\.pairs"):
        packed(tmp_path / "a", tokenizer_folder, pair())
    with pytest.raises(InputError, match="is no preference"):
        packed(tmp_path / "b", tokenizer_folder, conversation(ASK, SAY), as_pairs=True)


def test_what_is_no_pair_in_the_tokens_is_named(
    tmp_path: Path, tokenizer_folder: Path, tokenizer: Tokenizer
) -> None:
    stream = packed(tmp_path, tokenizer_folder, conversation(ASK, SAY))
    with pytest.raises(InputError, match="is no preference: it is 1 texts, not two"):
        pairs_in(stream, tokenizer.special, room=120, long="drop")


def test_the_index_of_pairs_is_that_of_any_tokens(tmp_path: Path, tokenizer_folder: Path) -> None:
    stream = packed(tmp_path, tokenizer_folder, pair(), as_pairs=True)
    assert json.loads((stream.folder / "index.json").read_text())["shards"][0]["tokens"] == len(stream)
    assert len(stream.extents) == 1
