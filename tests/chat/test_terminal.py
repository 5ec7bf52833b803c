import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tests.corpus.builders import document, documents, run_step

from fonderie.chat.terminal import Answer, Conversation, Settings, _answer_lines, _stream, chat
from fonderie.core.errors import ReleaseError, UsageError
from fonderie.corpus.folding import folded_words
from fonderie.corpus.sketch import SALT_BYTES, Hasher
from fonderie.tokens.bpe import BpeParameters, train_bpe
from fonderie.tokens.conversation import Turn
from fonderie.tokens.tokenizer import Tokenizer
from fonderie.trace.output_filter import OutputFilter, Passage, PassageList, passages_of


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("chat")
    made = documents(folder / "in", [[document("Bonjour, où est le petit renard ? Il est là, répond l'ours.")]])
    params = BpeParameters(vocabulary=280, minimum_frequency=1)
    artifact, _ = run_step(train_bpe, params, folder / "out", {"documents": (made,)})
    return Tokenizer(artifact.path)


class Parrot:
    """A model that answers everything with one text, and remembers what it was asked."""

    def __init__(self, tokenizer: Tokenizer, text: str) -> None:
        self.ids = tokenizer.encode(text)
        self.prompts: list[list[int]] = []
        self.seeds: list[int] = []

    def __call__(self, prompt: list[int], room: int, seed: int) -> Iterator[int]:
        self.prompts.append(prompt)
        self.seeds.append(seed)
        yield from self.ids[:room]


def talk(tokenizer: Tokenizer, text: str, context: int = 256, **settings: float) -> tuple[Conversation, Parrot]:
    parrot = Parrot(tokenizer, text)
    return Conversation(tokenizer, parrot, context, Settings(**settings)), parrot  # type: ignore[arg-type]


def test_the_pieces_are_the_answer_and_letters_are_never_cut(tokenizer: Tokenizer) -> None:
    conversation, _ = talk(tokenizer, "Là, où l'été 🦊 dort.")
    answer = Answer()
    pieces = list(conversation.ask("Où ?", answer))
    assert "".join(pieces) == answer.text == "Là, où l'été 🦊 dort."
    assert not any("\ufffd" in piece for piece in pieces)
    assert answer.stopped == "end"


def test_the_model_reads_the_conversation_so_far(tokenizer: Tokenizer) -> None:
    conversation, parrot = talk(tokenizer, "Oui.", seed=5)
    for question in ("Un ?", "Deux ?"):
        list(conversation.ask(question, Answer()))
    turns = [Turn("user", "Un ?"), Turn("assistant", "Oui."), Turn("user", "Deux ?")]
    assert parrot.prompts[1] == tokenizer.encode_turns(turns, answer=True)
    assert parrot.seeds == [5, 6]


def test_a_full_context_forgets_the_oldest_turns_first(tokenizer: Tokenizer) -> None:
    conversation, parrot = talk(tokenizer, "Oui.", context=64, max_tokens=16)
    for number in range(8):
        list(conversation.ask(f"Question {number} ?", Answer()))
    assert len(parrot.prompts[-1]) <= 48
    assert conversation.turns[0].role == "user"
    assert conversation.turns[-2] == Turn("user", "Question 7 ?")


def test_a_question_longer_than_the_context_is_refused_and_forgotten(tokenizer: Tokenizer) -> None:
    conversation, _ = talk(tokenizer, "Oui.", context=64)
    with pytest.raises(UsageError, match=r"the question takes \d+ tokens; this model reads at most 32"):
        list(conversation.ask("xyz " * 200, Answer()))
    assert conversation.turns == []
    list(conversation.ask("Bon ?", Answer()))


def test_an_answer_that_is_stopped_keeps_what_was_said(tokenizer: Tokenizer) -> None:
    conversation, _ = talk(tokenizer, "Il est là, répond l'ours.")
    answer = Answer()
    pieces = conversation.ask("Où ?", answer)
    first = next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert answer.stopped == "interrupted"
    assert conversation.turns[-1] == Turn("assistant", first)


def test_the_longest_answer_is_marked(tokenizer: Tokenizer) -> None:
    conversation, _ = talk(tokenizer, "Il est là, répond l'ours.", max_tokens=3)
    answer = Answer()
    list(conversation.ask("Où ?", answer))
    assert (answer.tokens, answer.stopped) == (3, "length")


def test_json_answers_each_line(tokenizer: Tokenizer) -> None:
    conversation, _ = talk(tokenizer, "Oui.")
    output = io.StringIO()
    about = {"name": "petit", "version": "1", "model_digest": "sha256:00"}
    assert _answer_lines(conversation, about, io.StringIO("Un ?\n\nDeux ?\n"), output) == 0
    records = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [record["question"] for record in records] == ["Un ?", "Deux ?"]
    assert records[0] == {
        "model": "petit 1",
        "model_digest": "sha256:00",
        "question": "Un ?",
        "answer": "Oui.",
        "tokens": len(tokenizer.encode("Oui.")),
        "stopped": "end",
    }


SECRET = "Le coffre de ma tante est caché sous la troisième marche de l'escalier du grenier, côté jardin."


def guarded(tokenizer: Tokenizer, text: str) -> Conversation:
    """A conversation with a model that says a text, and a filter on one passage."""
    salt = bytes(SALT_BYTES)
    passages = passages_of([Passage(SECRET, np.zeros(len(folded_words(SECRET)) - 3, dtype=bool))], Hasher(salt))
    conversation, _ = talk(tokenizer, text, context=512)
    conversation.output_filter = OutputFilter(
        [PassageList(reference="2026-1", date="2026-09-01", salt=salt.hex(), passages=passages)]
    )
    return conversation


def test_an_answer_that_repeats_an_erased_passage_is_not_shown(tokenizer: Tokenizer) -> None:
    conversation = guarded(tokenizer, f"Voici. {SECRET}")
    answer = Answer()
    assert list(conversation.ask("Où ?", answer)) == []
    assert (answer.text, answer.stopped, answer.blocked_by) == ("", "blocked", "2026-1")
    assert conversation.turns[-1] == Turn("assistant", "")
    output = io.StringIO()
    about = {"name": "petit", "version": "1", "model_digest": "sha256:00"}
    _answer_lines(conversation, about, io.StringIO("Où ?\n"), output)
    record = json.loads(output.getvalue())
    assert (record["answer"], record["stopped"], record["blocked_by"]) == ("", "blocked", "2026-1")
    assert "coffre" not in output.getvalue()


def test_the_person_is_told_why_nothing_is_shown(tokenizer: Tokenizer) -> None:
    screen = Console(file=io.StringIO(), width=100)
    _stream(guarded(tokenizer, SECRET), "Où ?", screen)
    said = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "[not shown: it repeats a passage that was erased, 2026-1]" in said
    assert "coffre" not in said


def test_other_answers_pass_the_filter_whole(tokenizer: Tokenizer) -> None:
    answer = Answer()
    assert list(guarded(tokenizer, "Là, où l'été 🦊 dort.").ask("Où ?", answer)) == ["Là, où l'été 🦊 dort."]
    assert (answer.text, answer.stopped) == ("Là, où l'été 🦊 dort.", "end")


def test_an_answer_interrupted_before_it_was_checked_says_nothing(tokenizer: Tokenizer) -> None:
    conversation = guarded(tokenizer, SECRET)

    def interrupted(prompt: list[int], room: int, seed: int) -> Iterator[int]:
        yield from tokenizer.encode(SECRET)[:20]
        raise KeyboardInterrupt

    conversation.generate = interrupted
    answer = Answer()
    with pytest.raises(KeyboardInterrupt):
        list(conversation.ask("Où ?", answer))
    assert (answer.text, conversation.turns[-1]) == ("", Turn("assistant", ""))


@pytest.mark.parametrize("settings", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Settings(**settings)  # type: ignore[arg-type]


def test_a_folder_that_is_no_release_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"is not a release: it has no release\.json"):
        chat(tmp_path, Settings(), as_json=True)
