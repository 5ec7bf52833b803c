"""A tokenizer with more tokens: what it learns, what it keeps, and what clients make of it."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.corpus.builders import artifact_of, document, documents, run_step
from tests.model import checkpoints

from fonderie.core.document import Document
from fonderie.core.errors import InputError, StepError
from fonderie.core.step import Output
from fonderie.tokens.conversation import Turn
from fonderie.tokens.extend import ExtendParameters, extend
from fonderie.tokens.tokenizer import Tokenizer

TEXT = "Le chat regarde la fenêtre ouverte, puis le chat regarde l'oiseau. Une fenêtre, deux oiseaux !"


def extended(
    folder: Path, before: Path, given: list[Document] | None = None, **params: object
) -> tuple[Path, Output]:
    inputs = {"tokenizer": (artifact_of(before),)}
    if given:
        inputs["documents"] = (documents(folder / "in", [given]),)
    artifact, out = run_step(extend, ExtendParameters.model_validate(params), folder / "out", inputs)
    return artifact.path, out


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extend") / "falcon"
    checkpoints.write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def learnt(before: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Output]:
    made = [document(TEXT, origin=str(number)) for number in range(3)]
    folder = tmp_path_factory.mktemp("learnt")
    return extended(folder, before, made, learn=20, tokens=["[Intervenant 1:]"], conversation=True)


def test_it_learns_merges_of_the_documents_and_they_save_tokens(before: Path, learnt: tuple[Path, Output]) -> None:
    folder, out = learnt
    assert out.statistics["added"] == 20 + 1 + 4
    assert out.statistics["tokens_after"] < 0.8 * out.statistics["tokens_before"]
    assert len(Tokenizer(folder).encode(TEXT)) < len(Tokenizer(before).encode(TEXT))


def test_every_token_of_before_keeps_its_id(before: Path, learnt: tuple[Path, Output]) -> None:
    old, new = (json.loads((folder / "tokenizer.json").read_text()) for folder in (before, learnt[0]))
    assert new["model"]["vocab"].items() >= old["model"]["vocab"].items()
    assert new["added_tokens"][: len(old["added_tokens"])] == old["added_tokens"]
    ids = [*new["model"]["vocab"].values(), *(token["id"] for token in new["added_tokens"][1:])]
    assert sorted(ids) == list(range(325))


@settings(max_examples=50)
@given(st.text(max_size=40) | st.sampled_from([TEXT, "[Intervenant 1:] Oui.", "<|end|>"]))
def test_texts_come_back(learnt: tuple[Path, Output], text: str) -> None:
    tokenizer = Tokenizer(learnt[0])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert not set(tokenizer.encode(text)) & set(tokenizer.special.values())


def test_a_named_word_is_one_token(learnt: tuple[Path, Output]) -> None:
    tokenizer = Tokenizer(learnt[0])
    assert len(tokenizer.encode("[Intervenant 1:]")) == 1


def test_conversations_are_framed_by_its_own_border_as_clients_frame_them(learnt: tuple[Path, Output]) -> None:
    from transformers import AutoTokenizer

    tokenizer, theirs = Tokenizer(learnt[0]), AutoTokenizer.from_pretrained(learnt[0])
    ids = tokenizer.encode_turns([Turn("user", "Le chat ?")], answer=True)
    assert tokenizer.has_turns
    assert ids[0] == tokenizer.bos == 0
    message = [{"role": "user", "content": "Le chat ?"}]
    assert theirs.apply_chat_template(message, add_generation_prompt=True, return_dict=False) == ids
    assert theirs.encode(TEXT, add_special_tokens=False) == tokenizer.encode(TEXT)


def test_two_learn_the_same(before: Path, learnt: tuple[Path, Output], tmp_path: Path) -> None:
    made = [document(TEXT, origin=str(number)) for number in (2, 1, 0)]
    again, _ = extended(tmp_path, before, made, learn=20, tokens=["[Intervenant 1:]"], conversation=True)
    assert (again / "tokenizer.json").read_bytes() == (learnt[0] / "tokenizer.json").read_bytes()


def test_too_few_documents_are_said_to_be(before: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="give only 0 new tokens, not learn = 5"):
        extended(tmp_path, before, [document("à")], learn=5)


def test_a_token_that_is_there_is_refused(before: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a token of the tokenizer"):
        extended(tmp_path, before, tokens=["<|endoftext|>"])


@pytest.mark.parametrize("params", [{}, {"tokens": ["a", "a"]}, {"tokens": [""]}])
def test_what_adds_nothing_or_twice_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ExtendParameters.model_validate(params)
