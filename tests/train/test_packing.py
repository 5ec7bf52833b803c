"""Conversations packed into sequences learn as they would alone: the same losses, the same gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.corpus.builders import artifact_of, document, documents, run_step

from fonderie.core.conversation import Preference, format_preference, format_turns, parse_turns
from fonderie.core.document import Document
from fonderie.model.config import ModelConfig
from fonderie.model.transformer import Decoder
from fonderie.tokens.conversation import Turn
from fonderie.tokens.examples import Examples, conversations_in, pairs_in
from fonderie.tokens.pack import PackParameters, PairsParameters, pack, pairs
from fonderie.tokens.shards import TokenStream
from fonderie.tokens.tokenizer import Tokenizer
from fonderie.train.data.batch import Batch
from fonderie.train.data.packing import PackedBatches, best_fit
from fonderie.train.loop import next_token, parts_of
from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.settings.shared import Settings
from fonderie.train.training import plan_of

WORDS = ("Bonjour", "renard", "œuf", "vache", "l'été", "oui", "non", "trois")


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(40, 90))
def test_packing_keeps_every_item_once_and_within_room(lengths: list[int], room: int) -> None:
    bins = best_fit(lengths, room)
    assert sorted(item for one in bins for item in one) == [*range(len(lengths))]
    sums = [sum(lengths[item] for item in one) for one in bins]
    assert all(total <= room for total in sums)
    # What any packing by best fit gives: no bin would fit into the room left by one made before it.
    assert sum(total <= room / 2 for total in sums) <= 1
    assert best_fit(lengths, room) == bins


def conversation(number: int) -> Document:
    rng = np.random.default_rng(number)
    turns = [Turn("system", "Sois bref.")] if number % 3 == 0 else []
    for _ in range(1 + number % 2):
        turns.append(Turn("user", " ".join(rng.choice(WORDS, 1 + number % 4))))
        turns.append(Turn("assistant", " ".join(rng.choice(WORDS, 1 + number % 3))))
    return document(format_turns(turns), metadata={"form": "conversation"}, origin=str(number))


def preference(number: int) -> Document:
    rng = np.random.default_rng(number)
    made = Preference(
        (Turn("user", " ".join(rng.choice(WORDS, 1 + number % 4))),),
        " ".join(rng.choice(WORDS, 1 + number % 3)),
        f"Non {number}.",
    )
    return document(format_preference(made), metadata={"form": "preference"}, origin=str(number))


def packed(folder: Path, tokenizer_folder: Path, *given_documents: Document) -> TokenStream:
    as_pairs = given_documents[0].metadata["form"] == "preference"
    inputs = {
        "documents": (documents(folder / "in", [given_documents]),),
        "tokenizer": (artifact_of(tokenizer_folder),),
    }
    step, params = (pairs, PairsParameters()) if as_pairs else (pack, PackParameters())
    return TokenStream.open(run_step(step, params, folder / "out", inputs)[0].path)


CONTEXT = 127
PLAN = plan_of(Settings(duration="1 step"), [1])


@pytest.fixture
def examples(tmp_path: Path, tokenizer_folder: Path) -> Examples:
    stream = packed(tmp_path / "packed", tokenizer_folder, *map(conversation, range(23)))
    special = Tokenizer(tokenizer_folder).special
    return conversations_in(stream, special, room=CONTEXT + 1, long="stop", texts=False)


@pytest.fixture
def model() -> Decoder:
    config = ModelConfig.from_depth(2, vocabulary=262, context=CONTEXT, width=32, head_size=8, init_std=0.2)
    return Decoder(config, seed=1)


def losses_and_gradients(model: Decoder, batch: Batch) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    (part,) = parts_of(batch, 1, torch.device("cpu"))
    loss = next_token(model, part, PLAN)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {name: weight.grad.clone() for name, weight in model.named_parameters()}  # type: ignore[union-attr]


def test_a_conversation_learns_the_same_alone_and_packed(examples: Examples, model: Decoder) -> None:
    batches = PackedBatches(examples, CONTEXT, BatchSizes(2), seed=5)
    assert batches.sequences < len(examples.found) / 1.5  # several to a sequence, or this would show nothing
    whole = batches.batch_of(np.arange(batches.sequences))
    packed_loss, packed_gradient = losses_and_gradients(model, whole)
    alone_loss, alone_gradient = 0.0, dict.fromkeys(packed_gradient, torch.zeros(()))
    for example in examples.found:
        ids = np.asarray(examples.ids(example), dtype=np.int64)
        alone = Batch(ids[None], examples.mask(ids)[None, 1:])
        loss, gradient = losses_and_gradients(model, alone)
        alone_loss += loss
        alone_gradient = {name: alone_gradient[name] + gradient[name] for name in gradient}
    assert packed_loss == pytest.approx(alone_loss, rel=1e-5)
    for name, found in packed_gradient.items():
        torch.testing.assert_close(found, alone_gradient[name], rtol=1e-4, atol=1e-4)


def test_without_the_documents_there_would_be_cross_talk(examples: Examples, model: Decoder) -> None:
    batches = PackedBatches(examples, CONTEXT, BatchSizes(2), seed=5)
    whole = batches.batch_of(np.arange(batches.sequences))
    apart, _ = losses_and_gradients(model, whole)
    together, _ = losses_and_gradients(model, Batch(whole.ids, whole.counts))
    assert abs(apart - together) > 1e-3 * apart  # a hundred times what packing changes


def test_a_neighbour_changes_nothing_of_a_conversation(examples: Examples, model: Decoder) -> None:
    batches = PackedBatches(examples, CONTEXT, BatchSizes(2), seed=5)
    batch = batches.batch_of(np.array([0]))
    documents_T = torch.from_numpy(batch.documents)
    other = batch.ids.copy()
    other[0, :-1][batch.documents[0] == 0] = 77
    with torch.no_grad():
        before, after = (
            model.hidden(torch.from_numpy(ids[:, :-1]), documents_BT=documents_T) for ids in (batch.ids, other)
        )
    kept = batch.documents[0] != 0
    assert torch.equal(before[0, kept], after[0, kept])
    assert not torch.equal(before, after)


def test_an_epoch_counts_each_answer_once_and_nothing_else(examples: Examples, tokenizer_folder: Path) -> None:
    tokenizer = Tokenizer(tokenizer_folder)
    batches = PackedBatches(examples, CONTEXT, BatchSizes(1), seed=5)
    answers: list[list[int]] = [[]]
    for step in range(1, batches.sequences + 1):
        batch = batches(step)
        assert batch.counts is not None
        for number in batch.ids[0, 1:][batch.counts[0]].tolist():
            answers[-1].append(number)
            if number == tokenizer.end:
                answers.append([])
    wanted = [
        [*tokenizer.encode(turn.content), tokenizer.end]
        for number in range(23)
        for turn in parse_turns(conversation(number).text)
        if turn.role == "assistant"
    ]
    assert sorted(answers) == sorted([*wanted, []])


def test_the_steps_of_a_document_are_those_whose_batch_holds_it(examples: Examples) -> None:
    batches = PackedBatches(examples, CONTEXT, BatchSizes(2), seed=5)
    steps = 3 * batches.sequences // 2
    for document_number in range(23):
        number = next(n for n, found in enumerate(examples.found) if found.document == document_number)
        want = [
            step
            for step in range(1, steps + 1)
            if any(number in batches.bins[sequence] for sequence in batches.indices(step))
        ]
        assert batches.steps_of_document(document_number, steps) == want
        assert len(want) >= 2


def test_pairs_stay_in_one_sequence_with_what_is_known_of_them(tmp_path: Path, tokenizer_folder: Path) -> None:
    stream = packed(tmp_path / "pairs", tokenizer_folder, *map(preference, range(9)))
    special = Tokenizer(tokenizer_folder).special
    found = pairs_in(stream, special, room=CONTEXT + 1, long="stop")
    known = np.arange(18, dtype=np.float32).reshape(9, 2)
    batches = PackedBatches(found, CONTEXT, BatchSizes(2), seed=5, extra={"reference": known})
    batch = batches.batch_of(np.arange(batches.sequences))
    assert batch.rows["reference"].shape == (batches.sequences, batches.most, 2)
    for row, bin_ in enumerate(batches.bins):
        assert batch.documents is not None
        assert batch.counts is not None
        for place, pair in enumerate(bin_):
            assert batch.rows["reference"][row, place].tolist() == known[pair].tolist()
            for answer in (0, 1):
                ids = found.ids(found.found[2 * pair + answer])
                here = batch.documents[row] == 2 * place + answer
                assert batch.ids[row, :-1][here].tolist() == ids[: here.sum()].tolist()
                counted = batch.ids[row, 1:][here & batch.counts[row]].tolist()
                assert counted == ids[found.mask(ids)].tolist()


def test_reading_packed_batches_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, fonderie.train.data.packing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
