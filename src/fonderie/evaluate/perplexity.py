"""evaluate.perplexity: bits per byte on held-out documents, per source and over all, with intervals.

Bits per byte, unlike perplexity per token, compares models whose tokenizers differ. A document longer than the
context is read in overlapping windows, so that no token but those of the first window is predicted from less than
`context - stride` tokens.
"""

import json
from collections.abc import Iterator, Sequence
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
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Port, step
from fonderie.evaluate.score import ALL, Score, bootstrap_ratio

if TYPE_CHECKING:
    from fonderie.model.transformer import Decoder

OFFSETS_FOLDER = "offsets"
"""Where a tokens artifact says which documents it holds (fonderie.tokens.shards)."""
BITS_DECIMALS = 4
"""Of a document's bits: beyond, fp32 sums of several hundred tokens say nothing."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("bits", pa.float64(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)


class PerplexityParameters(Parameters):
    """How far the model looks back, and how the interval is drawn."""

    context: int | None = Field(default=None, ge=2)
    """Tokens of a window; the model's own context if not given."""
    stride: int | None = Field(default=None, ge=1)
    """Tokens from one window to the next; half the context if not given."""
    batch: int = Field(default=16, ge=1)
    """Windows at once; changes speed and memory, not the scores."""
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


class Window(NamedTuple):
    """A piece of a document, of which the predictions of tokens `first` to `stop` count."""

    document: int
    start: int
    """The window's first token."""
    first: int
    stop: int


@step(
    "evaluate.perplexity",
    version=1,
    parameters=PerplexityParameters,
    produces="scores",
    inputs={"model": Port("model"), "tokenizer": Port("tokenizer"), "documents": Port("documents", many=True)},
)
def perplexity(inputs: Inputs, params: PerplexityParameters, out: Output, machine: Machine) -> None:
    """Write scores.json and per_document.parquet; statistics repeat the scores and count documents trained on."""
    from fonderie.model.convert import load_pretrained
    from fonderie.model.numerics import settle

    settle(machine.threads)
    model = load_pretrained(inputs.one("model").path, device=machine.device).float()
    context = params.context or model.config.context
    stride = params.stride or context // 2
    if context > model.config.context or stride > context:
        raise InputError(
            f"context = {context} and stride = {stride} do not fit a model whose context is {model.config.context}",
            hint="context is at most the model's, stride at most context; leave both out to have them chosen.",
        )
    documents = _encode(inputs.one("tokenizer").path, inputs.all("documents"))
    bits = document_bits(model, documents, context=context, stride=stride, batch=params.batch, machine=machine)
    scores = _scores(documents, bits, params, _method(context, stride, params))
    rows = [
        {
            "id": item.id,
            "source": item.source,
            "bits": value,
            "size_bytes": item.size_bytes,
            "tokens": _predicted(item),
        }
        for item, value in zip(documents, bits, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), out.path / "per_document.parquet", compression="zstd")
    plain = [score.model_dump(mode="json") for score in scores]
    (out.path / "scores.json").write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    out.statistics["scores"] = plain
    out.statistics["also_trained_on"] = also_trained_on(inputs.one("model"), {item.id for item in documents})


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


def also_trained_on(model: Artifact, ids: set[str]) -> int:
    """How many of these documents are among those that the model was trained on, by content id."""
    wanted = pa.array(sorted(ids), pa.string())
    found: set[str] = set()
    for artifact in model.lineage():
        for path in sorted((artifact.path / OFFSETS_FOLDER).glob("*.parquet")):
            column = pq.read_table(path, columns=["id"])["id"]
            found.update(column.filter(pc.is_in(column, wanted)).to_pylist())
    return len(found)


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
    model: "Decoder",
    documents: Sequence[HeldOut],
    *,
    context: int,
    stride: int,
    batch: int,
    machine: Machine,
) -> list[float]:
    """Sum of -log2 p(token | tokens before it) of each document, over all its tokens but the first.

    Windows of like length go together, padded on the right, where a causal model does not look.
    """
    import torch

    work = [
        Window(number, *window)
        for number, document in enumerate(documents)
        for window in windows(len(document.ids), context, stride)
    ]
    work.sort(key=lambda window: (window.start - window.stop, window))
    bits = np.zeros(len(documents), dtype=np.float64)
    with machine.bar("scoring", len(work), "windows") as bar, torch.inference_mode():
        for begin in range(0, len(work), batch):
            group = work[begin : begin + batch]
            for window, value in zip(group, _window_bits(model, documents, group), strict=True):
                bits[window.document] += value
            bar.advance(len(group))
    return [round(float(value), BITS_DECIMALS) for value in bits]


def _window_bits(
    model: "Decoder", documents: Sequence[HeldOut], group: Sequence[Window]
) -> npt.NDArray[np.float64]:
    import torch

    from fonderie.model.loss import IGNORED, token_losses

    longest = max(window.stop - window.start for window in group) - 1
    inputs = np.zeros((len(group), longest), dtype=np.int64)
    targets = np.full((len(group), longest), IGNORED, dtype=np.int64)
    for row, window in enumerate(group):
        ids = documents[window.document].ids
        inputs[row, : window.stop - 1 - window.start] = ids[window.start : window.stop - 1]
        first, stop = window.first - window.start - 1, window.stop - window.start - 1
        targets[row, first:stop] = ids[window.first : window.stop]
    device = model.embedding.weight.device
    x_BTW = model.hidden(torch.from_numpy(inputs).to(device))
    losses = token_losses(x_BTW.flatten(0, 1), model.output_weight, torch.from_numpy(targets).to(device).flatten())
    nats = losses.view(inputs.shape).double().sum(dim=1).cpu().numpy()
    return np.asarray(nats / np.log(2), dtype=np.float64)


def _scores(
    documents: Sequence[HeldOut], bits: Sequence[float], params: PerplexityParameters, method: str
) -> list[Score]:
    groups: dict[str, list[int]] = {ALL: list(range(len(documents)))}
    for number, document in enumerate(documents):
        groups.setdefault(document.source, []).append(number)
    scores = []
    for name in (ALL, *sorted(groups.keys() - {ALL})):
        members = [documents[number] for number in groups[name]]
        values = [bits[number] for number in groups[name]]
        sizes = [member.size_bytes for member in members]
        low, high = bootstrap_ratio(values, sizes, resamples=params.bootstrap, seed=params.seed)
        languages = {member.language for member in members}
        scores.append(
            Score(
                name="bits_per_byte",
                source=name,
                language=languages.pop() if len(languages) == 1 else None,
                value=round(sum(values) / sum(sizes), 6),
                low=round(low, 6),
                high=round(high, 6),
                n=len(members),
                tokens=sum(map(_predicted, members)),
                size_bytes=sum(sizes),
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
