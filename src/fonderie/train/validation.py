"""Validation losses of a model in training, and the hook that ends the training by them (see stopping.py)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fonderie.core.document import read_documents, shard_paths
from fonderie.core.errors import InputError, StoreError
from fonderie.core.files import write_atomically
from fonderie.core.step import Artifact
from fonderie.model.language_model import LanguageModel
from fonderie.model.loss import IGNORED, token_losses
from fonderie.tokens.tokenizer import Tokenizer
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.stopping import (
    VALIDATION,
    Decision,
    EarlyStopping,
    Measurement,
    decide,
    group_of,
    read_measurements,
    to_line,
)


class Encoded(NamedTuple):
    """One validation document."""

    source: str
    ids: NDArray[np.int64]
    """From the token that begins it to the one that ends it."""


class Window(NamedTuple):
    """A stretch of one document: its tokens `start` to `stop`, each but the first predicted."""

    group: str
    document: int
    start: int
    stop: int


def encode(artifacts: Sequence[Artifact], tokenizer: Path) -> list[Encoded]:
    """The documents of artifacts, in order, as packing would encode them."""
    known = Tokenizer(tokenizer)
    return [
        Encoded(document.source, np.asarray(known.encode_document(document), dtype=np.int64))
        for artifact in artifacts
        for path in shard_paths(artifact.path)
        for document in read_documents(path)
    ]


@dataclass
class Stopping:
    """Measures after checkpoints, writes what it measured, and says when the training ends."""

    rule: EarlyStopping
    documents: Sequence[Encoded]
    plan: Plan
    folder: Path
    aside: Path
    """On the same file system, for what is incomplete."""
    context: int
    measured: list[Measurement] = field(default_factory=list)

    @cached_property
    def windows(self) -> list[Window]:
        """Every document of every group in stretches of the context; InputError for a group without any."""
        found = [
            Window(group, number, start, min(start + self.context + 1, len(document.ids)))
            for number, document in enumerate(self.documents)
            if (group := group_of(document.source, self.rule.groups)) is not None
            for start in range(0, len(document.ids) - 1, self.context)
        ]
        missing = sorted(set(self.rule.groups) - {window.group for window in found})
        if missing or not found:
            raise InputError(
                f"no validation document is of {', '.join(missing) or 'any group'}",
                hint="Name sources of the validation documents in early_stopping.groups.",
            )
        # Windows of like length go together: little padding, and always the same batches.
        return sorted(found, key=lambda window: (window.start - window.stop, window))

    def begin(self, model: LanguageModel, step: int) -> Decision:
        """Take up what was measured up to a step, and measure that step if it should have been."""
        if len(self.plan.phases) > 1:
            phase = self.plan.phase(max(step, 1))
            model.reposition(phase.context, phase.rope_theta)
        path = self.folder / VALIDATION
        try:
            lines = read_measurements(path.read_bytes()) if path.is_file() else []
        except ValueError as error:
            raise StoreError(
                f"{path} is damaged: {str(error)[:200]}", hint=f"Remove {self.folder} to start again."
            ) from error
        self.measured = [one for one in lines if one.step <= step]
        if self.due(step) and not any(one.step == step for one in self.measured):
            return self.after(model, step)
        return decide(self.measured, self.rule)

    def due(self, step: int) -> bool:
        """Whether a step is measured: each that ends with a regular checkpoint, the first state and the last."""
        return step % self.plan.checkpoint_every == 0 or step == self.plan.steps

    def after(self, model: LanguageModel, step: int) -> Decision:
        """Measure a step whose checkpoint is written; whether the training ends with it."""
        self.measured.append(Measurement(step=step, losses=self.losses(model)))
        text = "".join(map(to_line, self.measured))
        # By way of `aside`: what a crash leaves beside the file would become part of the artifact.
        write_atomically(self.aside / VALIDATION, text.encode("utf-8"))
        (self.aside / VALIDATION).replace(self.folder / VALIDATION)
        return decide(self.measured, self.rule)

    @property
    def decision(self) -> Decision:
        """What the measurements so far come to."""
        return decide(self.measured, self.rule)

    def kept(self, steps: Sequence[int]) -> set[int]:
        """Of checkpoints after these steps, those that stay: the plan's, and the best so far."""
        best = {decide(self.measured, self.rule).best_step} if self.measured else set(steps)
        return self.plan.kept(steps) | (best & set(steps))

    def losses(self, model: LanguageModel) -> dict[str, float]:
        """Nats per token of each group, with the model as it is in use; training goes on as before."""
        training = model.training
        model.eval()
        nats: dict[str, float] = {}
        tokens: dict[str, int] = {}
        with torch.inference_mode():
            for begin in range(0, len(self.windows), self.rule.batch):
                group = self.windows[begin : begin + self.rule.batch]
                for window, loss in zip(group, self._sums(model, group), strict=True):
                    nats[window.group] = nats.get(window.group, 0.0) + loss
                    tokens[window.group] = tokens.get(window.group, 0) + window.stop - window.start - 1
        model.train(training)
        return {name: nats[name] / tokens[name] for name in sorted(nats)}

    def _sums(self, model: LanguageModel, windows: Sequence[Window]) -> Iterator[float]:
        longest = windows[0].stop - windows[0].start - 1
        inputs = np.zeros((len(windows), longest), dtype=np.int64)
        targets = np.full((len(windows), longest), IGNORED, dtype=np.int64)
        for row, window in enumerate(windows):
            ids = self.documents[window.document].ids[window.start : window.stop]
            inputs[row, : len(ids) - 1], targets[row, : len(ids) - 1] = ids[:-1], ids[1:]
        device = model.embedding.weight.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.plan.precision == "bf16"):
            x_NW = model.hidden(torch.from_numpy(inputs).to(device)).flatten(0, 1)
            losses = token_losses(x_NW, model.output_weight, torch.from_numpy(targets).to(device).flatten())
        yield from losses.view(inputs.shape).double().sum(dim=1).tolist()
