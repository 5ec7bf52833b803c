"""evaluate.perplexity: bits per byte on held-out documents, per source, per language and over all, with intervals.

Bits per byte, unlike perplexity per token, compares models whose tokenizers differ. A document longer than the
context is read in overlapping windows, so that no token but those of the first window is predicted from less than
`context - stride` tokens. Each window is computed alone (`fonderie.evaluate.likelihood`): what else is evaluated
changes no bit.
"""

from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from fonderie.core.document import read_documents, shard_paths
from fonderie.core.errors import InputError
from fonderie.core.intervals import bootstrap_ratio
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Port, step
from fonderie.evaluate.likelihood import window_nats
from fonderie.evaluate.lineage import OFFSETS_FOLDER, packed
from fonderie.evaluate.score import ALL, DECIMALS, UNDETERMINED, Outcome, Score, write_scores

if TYPE_CHECKING:
    from fonderie.model.language_model import LanguageModel

BITS_DECIMALS = 4
"""Of a document's bits: beyond, fp32 sums of several hundred tokens say nothing."""
BITS_PER_BYTE = "bits_per_byte"


class PerplexityParameters(Parameters):
    """How far the model looks back, and how the interval is drawn."""

    context: int | None = Field(default=None, ge=2)
    """Tokens of a window; the model's own context if not given."""
    stride: int | None = Field(default=None, ge=1)
    """Tokens from one window to the next; half the context if not given."""
    bootstrap: int = Field(default=1_000, ge=100)
    """Resamples of the interval."""
    seed: int = 0
    """Of the resamples."""


class HeldOut(NamedTuple):
    """One document, encoded."""

    id: str
    source: str
    language: str | None
    size_bytes: int
    ids: npt.NDArray[np.int64]
    """From BOS to the last token before EOS."""


@step(
    "evaluate.perplexity",
    version=2,
    parameters=PerplexityParameters,
    produces="scores",
    inputs={"model": Port("model"), "tokenizer": Port("tokenizer"), "documents": Port("documents", many=True)},
)
def perplexity(inputs: Inputs, params: PerplexityParameters, out: Output, machine: Machine) -> None:
    """Write scores.json and outcomes.parquet; statistics repeat the scores and count documents trained on."""
    from fonderie.model.convert import load_model
    from fonderie.model.numerics import settle

    settle(machine.threads)
    model = load_model(inputs.one("model").path, device=machine.device).float()
    context = params.context or model.config.context
    stride = params.stride or context // 2
    if context > model.config.context or stride > context:
        raise InputError(
            f"context = {context} and stride = {stride} do not fit a model whose context is {model.config.context}",
            hint="context is at most the model's, stride at most context; leave both out to have them chosen.",
        )
    documents = _encode(inputs.one("tokenizer").path, inputs.all("documents"))
    bits = document_bits(model, documents, context=context, stride=stride, machine=machine)
    seen = also_trained_on(inputs.one("model"), {item.id for item in documents})
    outcomes = [
        Outcome(
            item.id,
            BITS_PER_BYTE,
            item.source,
            item.language,
            value,
            item.size_bytes,
            seen=None if seen is None else item.id in seen,
        )
        for item, value in zip(documents, bits, strict=True)
    ]
    write_scores(out, _scores(documents, outcomes, params, _method(context, stride, params)), outcomes)
    out.statistics["also_trained_on"] = None if seen is None else len(seen)


def _encode(tokenizer_folder: Path, artifacts: Sequence[Artifact]) -> list[HeldOut]:
    from fonderie.tokens.tokenizer import Tokenizer

    tokenizer = Tokenizer(tokenizer_folder)
    found = [
        HeldOut(
            document.id,
            document.source,
            document.language,
            len(document.text.encode("utf-8")),
            np.asarray(tokenizer.encode_document(document)[:-1], dtype=np.int64),
        )
        for artifact in artifacts
        for path in shard_paths(artifact.path)
        for document in read_documents(path)
    ]
    found = [item for item in found if item.size_bytes]
    if not found:
        raise InputError(
            "no document was held out, so there is nothing to evaluate on",
            hint="Raise `share` of corpus.hold_out, or read more documents.",
        )
    return found


def also_trained_on(model: Artifact, ids: set[str]) -> set[str] | None:
    """Those of these documents that are among those that the model was trained on, by content id.

    None where it began as a model from elsewhere: what that one was trained on is not known here.
    """
    tokens = packed(model)
    if tokens is None:
        return None
    wanted = pa.array(sorted(ids), pa.string())
    found: set[str] = set()
    for artifact in tokens:
        for path in sorted((artifact.path / OFFSETS_FOLDER).glob("*.parquet")):
            column = pq.read_table(path, columns=["id"])["id"]
            found.update(column.filter(pc.is_in(column, wanted)).to_pylist())
    return found


def _predicted(document: HeldOut) -> int:
    return len(document.ids) - 1


def windows(length: int, context: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Windows over the tokens 0 to `length`: (start, first, stop), so that each token but 0 is predicted once.

    A window reads tokens start to stop - 1 and predicts tokens first to stop - 1, each from those before it.
    """
    start, done = 0, 1
    while done < length:
        stop = min(start + context + 1, length)
        yield start, done, stop
        start, done = start + stride, stop


def document_bits(
    model: "LanguageModel", documents: Sequence[HeldOut], *, context: int, stride: int, machine: Machine
) -> list[float]:
    """Sum of -log2 p(token | tokens before it) of each document, over all its tokens but the first."""
    found = []
    with machine.bar("scoring", len(documents), "documents") as bar:
        for document in documents:
            nats = 0.0
            for start, first, stop in windows(len(document.ids), context, stride):
                nats += window_nats(model, document.ids[start:stop], first - start)
            found.append(round(nats / log(2), BITS_DECIMALS))
            bar.advance()
    return found


def _scores(
    documents: Sequence[HeldOut], outcomes: Sequence[Outcome], params: PerplexityParameters, method: str
) -> list[Score]:
    everything = range(len(documents))
    groups: list[tuple[str, str | None, Sequence[int]]] = [(ALL, None, everything)]
    languages = sorted({document.language or UNDETERMINED for document in documents})
    for code in languages if len(languages) > 1 else ():
        spoken = [number for number in everything if (documents[number].language or UNDETERMINED) == code]
        groups.append((ALL, code, spoken))
    for source in sorted({document.source for document in documents}):
        groups.append((source, None, [number for number in everything if documents[number].source == source]))
    scores = []
    for source, language, numbers in groups:
        members = [documents[number] for number in numbers]
        values = [outcomes[number].value for number in numbers]
        seen = [outcomes[number].seen for number in numbers]
        sizes = [member.size_bytes for member in members]
        low, high = bootstrap_ratio(values, sizes, resamples=params.bootstrap, seed=params.seed)
        declared = {member.language for member in members}
        scores.append(
            Score(
                name=BITS_PER_BYTE,
                source=source,
                language=language or (declared.pop() if len(declared) == 1 else None),
                value=round(sum(values) / sum(sizes), DECIMALS),
                low=round(low, DECIMALS),
                high=round(high, DECIMALS),
                n=len(members),
                tokens=sum(map(_predicted, members)),
                size_bytes=sum(sizes),
                seen=None if None in seen else sum(map(bool, seen)),
                method=method,
            )
        )
    return scores


def _method(context: int, stride: int, params: PerplexityParameters) -> str:
    return (
        "Sum of -log2 p(token | tokens before it in its document) over all tokens after BOS except the final EOS, "
        "divided by the UTF-8 bytes of the documents' texts (a conversation's tokens include the chat template's "
        "special tokens, its bytes are those of its written form with the speakers' names), in fp32, with windows "
        f"of {context} tokens every {stride}; interval: 95 %, bootstrap over documents, "
        f"{params.bootstrap} resamples, seed {params.seed}."
    )
