import json
import math
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.corpus.builders import document, documents, run_step
from tests.evaluate.small import Build

from fonderie.core.document import read_documents, shard_paths
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.evaluate.perplexity import PerplexityParameters, also_trained_on, document_bits, perplexity, windows
from fonderie.evaluate.perplexity import _encode as encode
from fonderie.evaluate.score import ALL, Score, outcomes_of, read_outcomes
from fonderie.model.convert import load_pretrained
from fonderie.tokens.tokenizer import Tokenizer


@given(
    length=st.integers(1, 400),
    context=st.integers(2, 60),
    data=st.data(),
)
def test_each_token_but_the_first_is_predicted_once(length: int, context: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, context))
    predicted: list[int] = []
    for start, first, stop in windows(length, context, stride):
        assert stop - 1 - start <= context
        assert start < first < stop
        if start:
            assert first - start >= context - stride + 1
        predicted += range(first, stop)
    assert predicted == list(range(1, length))


def scored(
    small: Build, folder: Path, held: Artifact, threads: int = 1, **params: int
) -> tuple[list[Score], list[dict]]:
    inputs = {
        "model": (small.result.artifacts["base"],),
        "tokenizer": (small.result.artifacts["bpe"],),
        "documents": (held,),
    }
    out = Output(folder, folder)
    folder.mkdir()
    perplexity(Inputs(inputs), PerplexityParameters(bootstrap=100, **params), out, Machine(threads=threads))
    scores = [Score.model_validate(row) for row in json.loads((folder / "scores.json").read_bytes())]
    assert out.statistics["scores"] == [score.model_dump(mode="json") for score in scores]
    return scores, pq.read_table(folder / "outcomes.parquet").to_pylist()


def test_no_bit_depends_on_what_else_is_evaluated_nor_on_threads(small: Build, tmp_path: Path) -> None:
    held = small.result.artifacts["held"]
    _, reference = scored(small, tmp_path / "all", held)
    found = {row["id"]: row["value"] for row in reference}
    texts = [item for path in shard_paths(held.path) for item in read_documents(path)]
    rng = random.Random(3)
    for number, threads in enumerate((1, 2, 2)):
        some = rng.sample(texts, k=(1, 7, len(texts))[number])
        _, rows = scored(small, tmp_path / str(number), documents(tmp_path / f"in-{number}", [some]), threads)
        assert {row["id"]: row["value"] for row in rows} == {item.id: found[item.id] for item in some}


def test_bits_are_those_of_one_token_after_the_other(small: Build) -> None:
    """Against a plain loop: every token from the tokens its window shows, one by one."""
    model = load_pretrained(small.result.artifacts["base"].path)
    tokenizer = Tokenizer(small.result.artifacts["bpe"].path)
    folder = small.result.artifacts["bpe"].path
    held = encode(folder, [small.result.artifacts["held"]])
    longest = min((item for item in held if len(item.ids) > 130), key=lambda item: len(item.ids))
    shortest = min(held, key=lambda item: len(item.ids))
    assert len(longest.ids) > 64 > len(shortest.ids)
    found = document_bits(
        load_pretrained(small.result.artifacts["base"].path),
        [longest, shortest],
        context=64,
        stride=16,
        machine=Machine(),
    )
    for item, bits in zip([longest, shortest], found, strict=True):
        total = 0.0
        for start, first, stop in windows(len(item.ids), 64, 16):
            for position in range(first, stop):
                with torch.no_grad():
                    logits = model(torch.from_numpy(item.ids[None, start:position]))[0, -1]
                total -= float(logits.log_softmax(-1)[item.ids[position]]) / math.log(2)
        assert bits == pytest.approx(total, rel=1e-5)
    assert item.ids[0] == tokenizer.bos
    assert item.ids[-1] != tokenizer.eos


def test_scores_add_up_and_say_how(small: Build) -> None:
    scores = [
        Score.model_validate(row)
        for row in json.loads((small.result.artifacts["scores"].path / "scores.json").read_bytes())
    ]
    of = [(score.source, score.language) for score in scores]
    assert of == [(ALL, None), (ALL, "fr"), (ALL, "und"), ("letters", None), ("toy", "fr")]
    whole, *languages, first, second = scores
    parts = [first, second]
    assert sum(score.n for score in languages) == whole.n
    outcomes = read_outcomes(small.result.artifacts["scores"].path)
    for score in scores:
        made_of = outcomes_of(score, outcomes)
        assert len(made_of) == score.n
        ratio = sum(outcome.value for outcome in made_of) / sum(outcome.weight for outcome in made_of)
        assert score.value == pytest.approx(ratio, abs=1e-6)
    held = [item for path in shard_paths(small.result.artifacts["held"].path) for item in read_documents(path)]
    assert whole.n == sum(part.n for part in parts) == len(held)
    assert whole.size_bytes == sum(len(item.text.encode()) for item in held)
    assert whole.value == pytest.approx(
        sum(part.value * part.size_bytes for part in parts) / whole.size_bytes, abs=1e-5
    )
    for score in scores:
        assert score.low < score.value < score.high
    assert parts[1].language == "fr"
    assert parts[0].language is None
    assert "except the final EOS" in whole.method
    assert "chat template" in whole.method


def test_what_does_not_fit_is_refused(small: Build, tmp_path: Path) -> None:
    held = small.result.artifacts["held"]
    with pytest.raises(InputError, match="model whose context is 64"):
        scored(small, tmp_path / "long", held, context=65)
    with pytest.raises(InputError, match="stride = 40"):
        scored(small, tmp_path / "wide", held, context=32, stride=40)
    with pytest.raises(InputError, match="no document was held out"):
        scored(small, tmp_path / "none", documents(tmp_path / "empty", [[]]))


def test_a_document_of_no_text_counts_for_nothing(small: Build, tmp_path: Path) -> None:
    held = documents(tmp_path / "in", [[document(""), document("Le chat."), document("é")]])
    scores, rows = scored(small, tmp_path / "out", held)
    assert [score.n for score in scores] == [2, 2]
    assert [row["weight"] for row in rows] == [8, 2]


def test_it_runs_outside_a_store_as_any_step(small: Build, tmp_path: Path) -> None:
    inputs = {
        "model": (small.result.artifacts["base"],),
        "tokenizer": (small.result.artifacts["bpe"],),
        "documents": (small.result.artifacts["held"],),
    }
    artifact, _ = run_step(perplexity, PerplexityParameters(bootstrap=200), tmp_path, inputs)
    assert artifact.digest == small.result.artifacts["scores"].digest


def test_documents_trained_on_are_counted(small: Build) -> None:
    model = small.result.artifacts["base"]
    held = {item.id for path in shard_paths(small.result.artifacts["held"].path) for item in read_documents(path)}
    trained = {
        item.id for path in shard_paths(small.result.artifacts["training"].path) for item in read_documents(path)
    }
    assert small.result.artifacts["scores"].manifest.statistics["also_trained_on"] == 0
    some = set(list(trained)[:3])
    assert also_trained_on(model, held | some) == some
    assert also_trained_on(model, trained) == trained
