"""How a tuned model stands to what it was not trained on, beside its base. Nothing that is learnt depends on it.

The documents of input `validation` are encoded and packed like those of the training. Base and model read them
once the last step is done, each sequence alone and in fp32, from the weights as they are written: whoever has both
models and the documents comes to the same figures.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fonderie.core.intervals import Interval, bootstrap_ratio, wilson
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Port
from fonderie.tokens.examples import Examples
from fonderie.tokens.pack import write_tokens
from fonderie.tokens.shards import TokenStream
from fonderie.train.data.packing import PackedBatches
from fonderie.train.settings.ramp import BatchSizes

if TYPE_CHECKING:
    from numpy import float32, int64
    from numpy.typing import NDArray

PORT = "validation"
VALIDATION_PORT = {PORT: Port("documents", many=True, optional=True)}
RESAMPLES, SEED = 1_000, 0
"""Of the bootstrap."""
DECIMALS = 4
"""Beyond, fp32 sums of several hundred tokens say nothing."""
_INTERVAL = f"intervals at 95 %: bootstrap over {{}}, {RESAMPLES:,} resamples, seed {SEED}"


@dataclass(frozen=True)
class HeldOut:
    """Documents set aside from a training, packed."""

    packed: PackedBatches
    base: Path
    also_trained_on: int
    """How many of them, by content, the training sees all the same."""

    @classmethod
    def of(
        cls,
        inputs: Inputs,
        trained: PackedBatches,
        examples: Callable[[TokenStream, Mapping[str, int]], Examples],
        out: Output,
    ) -> "HeldOut | None":
        """Those of input `validation`, None where nothing is wired to it.

        `examples` finds in a stream what can be learnt from. InputError for a document that is not of that kind.
        """
        from fonderie.train.parallel.spread import current

        if not inputs.all(PORT):
            return None
        folder = current().from_first(lambda: _encode(inputs, out, as_pairs=trained.examples.pairs))
        stream = TokenStream.open(folder)
        found = examples(stream, trained.examples.special)
        known = {extent.id for extent in trained.examples.stream.extents}
        return cls(
            packed=PackedBatches(found, trained.context, BatchSizes(1), 0, trained.together),
            base=inputs.one("model").path,
            also_trained_on=sum(stream.extents[number].id in known for number in _documents(found)),
        )

    def losses(self, model: Path, machine: Machine) -> dict[str, Any]:
        """Nats per token that the assistant says, under base and model."""
        before, tokens = self._read(self.base, machine)
        after, _ = self._read(model, machine)
        return {
            **self._counts("conversations"),
            "targets": int(tokens.sum()),
            "base": _ratio(-before, tokens, "loss"),
            "model": _ratio(-after, tokens, "loss"),
            "of": f"nats per token that counts; {_INTERVAL.format('conversations')}",
        }

    def preferences(self, model: Path, machine: Machine) -> dict[str, Any]:
        """How often the better answer gained more than the worse one, against the base, and by how much."""
        import numpy as np

        before, _ = self._read(self.base, machine)
        after, _ = self._read(model, machine)
        gained = (after.astype(np.float64) - before).reshape(-1, 2)
        margins = gained[:, 0] - gained[:, 1]
        better = int((margins > 0).sum())
        return {
            **self._counts("pairs"),
            **_with_ends("preferred", better / len(margins), wilson(better, len(margins))),
            **_ratio(margins, np.ones(len(margins)), "margin_nats"),
            "of": "log-probabilities of whole answers against the base; intervals at 95 %: Wilson, and "
            f"bootstrap over pairs, {RESAMPLES:,} resamples, seed {SEED}",
        }

    def _read(self, model: Path, machine: Machine) -> "tuple[NDArray[float32], NDArray[int64]]":
        from fonderie.model.convert import load_model
        from fonderie.train.steps.likelihood import read_all

        loaded = load_model(model, device=machine.device).float()
        return read_all(self.packed, loaded, machine, label="held out")

    def _counts(self, name: str) -> dict[str, Any]:
        examples = self.packed.examples
        return {
            name: len(_documents(examples)),
            "left_out": examples.counts["documents"] - len(_documents(examples)),
            "also_trained_on": self.also_trained_on,
        }


def _encode(inputs: Inputs, out: Output, *, as_pairs: bool) -> Path:
    """Pack the documents into the scratch folder, afresh after a crash: where that was is not known."""
    folder = out.state / PORT
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_tokens(inputs.all(PORT), inputs.one("tokenizer").path, folder, Machine(), as_pairs=as_pairs)
    return folder


def _documents(examples: Examples) -> list[int]:
    """The numbers of the documents that examples are of, each once."""
    return sorted({example.document for example in examples.found})


def _ratio(tops: Any, bottoms: Any, name: str) -> dict[str, float]:
    interval = bootstrap_ratio(list(tops), list(bottoms), resamples=RESAMPLES, seed=SEED)
    return _with_ends(name, float(tops.sum(dtype="float64") / bottoms.sum()), interval)


def _with_ends(name: str, value: float, interval: Interval) -> dict[str, float]:
    ends = {name: value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {key: round(figure, DECIMALS) for key, figure in ends.items()}
