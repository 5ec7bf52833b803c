"""What the record of an instruction, or of a training on preferences, says of documents that were set aside."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.corpus.builders import document
from tests.train.tuning import base, conversation, packed, preference, run
from torch.nn import functional

from fonderie.core.conversation import (
    Preference,
    Turn,
    format_preference,
    format_turns,
    parse_preference,
    parse_turns,
)
from fonderie.core.errors import InputError
from fonderie.core.intervals import wilson
from fonderie.core.manifest import list_files
from fonderie.core.step import Output
from fonderie.model.convert import load_pretrained
from fonderie.tokens.tokenizer import Tokenizer

pytestmark = pytest.mark.slow


def other(number: int) -> list[Turn]:
    """A question that nobody was trained on."""
    return [*parse_turns(conversation(number).text), Turn("user", f"Et le {number} ?"), Turn("assistant", "miaou")]


def other_vote(number: int) -> Preference:
    """Likewise, with two answers."""
    return Preference((Turn("user", f"Et le {number} ?"),), "miaou", "ouaf")


TALKS, VOTES = [conversation(n) for n in range(20)], [preference(n) for n in range(20)]
# The last of them is among those trained on as well.
OTHER_TALKS = [document(format_turns(other(n)), metadata={"form": "conversation"}) for n in range(10)] + TALKS[3:4]
OTHER_VOTES = [
    document(format_preference(other_vote(n)), metadata={"form": "preference"}) for n in range(11)
] + VOTES[3:4]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return base(tmp_path / "base")


def instructed(tmp_path: Path, model: Path, tokenizer: Path, **changes: object) -> Output:
    tokens = packed(tmp_path / "talks", tokenizer, TALKS)
    return run("instruct", model, tokens, tokenizer, tmp_path / "run", **{"duration": "8 steps", **changes})  # type: ignore[arg-type]


def preferred(tmp_path: Path, model: Path, tokenizer: Path, **changes: object) -> Output:
    tokens = packed(tmp_path / "votes", tokenizer, VOTES)
    return run("prefer", model, tokens, tokenizer, tmp_path / "run", **{"duration": "8 steps", **changes})  # type: ignore[arg-type]


def answer_nats(model: Path, tokenizer: Tokenizer, turns: list[Turn], *, last: bool = False) -> tuple[float, int]:
    """Of what the assistant says, in one conversation alone; counted from the turns and not from the ids."""
    ids, counts = [tokenizer.bos], [False]
    for number, turn in enumerate(turns):
        said = [*tokenizer.encode(turn.content), tokenizer.end]
        mine = turn.role == "assistant" and (not last or number == len(turns) - 1)
        ids += [tokenizer.special[f"<|{turn.role}|>"], *said]
        counts += [False, *[mine] * len(said)]
    with torch.no_grad():
        logits = load_pretrained(model)(torch.tensor([ids]))[0, :-1]
    each = functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
    return each[torch.tensor(counts[1:])].double().sum().item(), sum(counts)


@pytest.mark.parametrize("packing", [True, False])
def test_the_loss_is_that_of_each_conversation_alone(
    packing: bool, model: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    out = instructed(tmp_path, model, tokenizer_folder, validation=OTHER_TALKS, packing=packing)
    found, tokenizer = out.statistics["held_out"], Tokenizer(tokenizer_folder)
    assert (found["conversations"], found["left_out"], found["also_trained_on"]) == (11, 0, 1)
    for name, folder in (("base", model), ("model", out.path)):
        both = [answer_nats(folder, tokenizer, parse_turns(talk.text)) for talk in OTHER_TALKS]
        nats, tokens = (sum(part) for part in zip(*both, strict=True))
        assert found["targets"] == tokens
        assert found[name]["loss"] == pytest.approx(nats / tokens, abs=1e-4)
        assert found[name]["loss_low"] < found[name]["loss"] < found[name]["loss_high"]
    assert found["model"]["loss_high"] < found["base"]["loss_low"]


def test_accuracy_and_margin_are_those_of_each_answer_alone(
    model: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    out = preferred(tmp_path, model, tokenizer_folder, validation=OTHER_VOTES)
    found, tokenizer = out.statistics["held_out"], Tokenizer(tokenizer_folder)
    assert (found["pairs"], found["left_out"], found["also_trained_on"]) == (12, 0, 1)

    def gain(pair: Preference, answer: str) -> float:
        turns = [*pair.prompt, Turn("assistant", answer)]
        before, after = (answer_nats(folder, tokenizer, turns, last=True)[0] for folder in (model, out.path))
        return before - after

    pairs = [parse_preference(vote.text) for vote in OTHER_VOTES]
    margins = [gain(pair, pair.chosen) - gain(pair, pair.rejected) for pair in pairs]
    better = sum(margin > 0 for margin in margins)
    assert found["preferred"] == pytest.approx(better / 12, abs=1e-4)
    assert (found["preferred_low"], found["preferred_high"]) == pytest.approx(wilson(better, 12), abs=1e-4)
    assert found["margin_nats"] == pytest.approx(np.mean(margins), abs=1e-3)
    assert found["margin_nats_low"] <= found["margin_nats"] <= found["margin_nats_high"]


@pytest.mark.parametrize("kind", ["instruct", "prefer"])
def test_nothing_that_is_learnt_depends_on_it(
    kind: str, model: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    made = instructed if kind == "instruct" else preferred
    with_it = made(
        tmp_path / "with", model, tokenizer_folder, validation=OTHER_TALKS if kind == "instruct" else OTHER_VOTES
    )
    without = made(tmp_path / "without", model, tokenizer_folder)
    assert list_files(with_it.path) == list_files(without.path)
    assert "held_out" not in without.statistics


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("instruct", document("Le chat."), "is no conversation"),
        ("instruct", VOTES[0], "is a preference"),
        ("prefer", TALKS[0], "is no preference"),
        ("prefer", document("Le chat."), "is no preference"),
    ],
)
def test_what_is_of_another_kind_is_named_before_anything_is_learnt(
    kind: str, given: object, words: str, model: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    made = instructed if kind == "instruct" else preferred
    with pytest.raises(InputError, match=words):
        made(tmp_path, model, tokenizer_folder, validation=[given])
    assert not (tmp_path / "run/files/commitment.json").exists()
