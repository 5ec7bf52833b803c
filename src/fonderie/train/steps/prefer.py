"""train.prefer: direct preference optimisation (DPO, arXiv 2305.18290) of a base on pairs of answers.

Beside what every training writes (committed.py):

    reference.safetensors    log-probabilities of every pair's two answers under the base, computed once, before the
                             first step; its digest is in the commitment, and checked whenever the training resumes

The loss of a pair is -log sigmoid(beta · (r_chosen - r_rejected)), r being the log-probability of an answer, given
the conversation, less that under the base (equation 7 of the paper); that of a step is its mean over the pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, model_validator

from fonderie.core.digest import digest_file
from fonderie.core.errors import InputError, StoreError
from fonderie.core.files import sync_folder
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Port, step
from fonderie.tokens.examples import Examples, pairs_in
from fonderie.tokens.shards import TokenStream
from fonderie.train.committed import saving, train_committed
from fonderie.train.data.batch import Batch
from fonderie.train.parallel.launch import shared_out
from fonderie.train.record.commitment import COMMITMENT, REFERENCE, Commitment
from fonderie.train.settings.duration import Share
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.schedule import Kind
from fonderie.train.steps.held_out import VALIDATION_PORT, HeldOut
from fonderie.train.steps.tuning import Tuning, TuningSettings, fits_base, opened, packed_batches
from fonderie.train.training import parameters_of, read_commitment

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from fonderie.model.language_model import LanguageModel
    from fonderie.train.loop import Part

NAME = "train.prefer"
VERSION = 1


class PreferParameters(TuningSettings):
    """How a base learns from preferences."""

    learning_rate: PositiveFloat = 5e-7
    """Peak learning rate. The default, the schedule and the warm-up are those of Zephyr-7B (arXiv 2310.16944);
    small models want more."""
    schedule: Kind = "linear"
    """Shape of the learning rate; see train/settings/schedule.py."""
    warmup: Share = 0.1
    """Share of the steps over which the learning rate rises."""
    beta: PositiveFloat = 0.1
    """How strongly the model is held to its base: DPO's beta (arXiv 2305.18290, appendix B)."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The share of pairs taken to be the wrong way round (conservative DPO: E. Mitchell, "A note on DPO with noisy
    preferences and relationship to IPO", 2023, equation 3)."""
    length_normalised: bool = False
    """Divide each answer's log-probabilities by its number of tokens, so that longer answers gain nothing by their
    length (Tülu 3, arXiv 2411.15124); beta is then larger, 5 there."""

    def examples(self, stream: TokenStream, special: Mapping[str, int]) -> Examples:
        """The pairs of a stream that can be learnt from."""
        return pairs_in(stream, special, room=self.context + 1, long=self.long)

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if self.long == "cut":
            raise ValueError('long = "cut" would make another answer of a preference: "stop" or "drop"')
        if self.z_loss:
            raise ValueError("z_loss means nothing for preferences: their loss has no normaliser of its own")
        return self


prefer_parameters = partial(parameters_of, kind=PreferParameters, what="training on preferences")
"""The parameters that a commitment names; InputError if they are those of no training on preferences."""


@dataclass(frozen=True)
class Preferring(Tuning):
    """Sizes, pairs, plan and reference of a training on preferences."""

    params: PreferParameters

    @classmethod
    def of(
        cls, params: PreferParameters, stream: TokenStream, commitment: Commitment, base: Path | None = None
    ) -> Self:
        """The training of parameters on pairs, in the order that a commitment names; no reference known yet."""
        assert commitment.special is not None
        packed, plan = packed_batches(params.examples(stream, commitment.special), params, commitment.shuffle_seed)
        return cls(params, packed, plan, base)

    @classmethod
    def committed(
        cls,
        commitment: Commitment,
        tokens: Sequence[Path],
        base: Path | None = None,
        reference: Path | None = None,
    ) -> Self:
        """The training that a commitment names; InputError if it names none, or another reference than is there."""
        (folder,) = tokens
        training = cls.of(prefer_parameters(commitment), TokenStream.open(folder), commitment, base)
        if reference is None or not reference.is_file():
            raise InputError(f"there is no {REFERENCE}, what the base gave each pair")
        if digest_file(reference) != commitment.reference:
            raise InputError(f"{reference} is not the one that the training committed to")
        return training.knowing(read_reference(reference))

    def knowing(self, reference: NDArray[np.float32]) -> Self:
        """The same with what the base gave each pair, [pairs, 2]."""
        pairs = len(self.packed.examples.found) // 2
        if reference.shape != (pairs, 2):
            raise InputError(f"the reference is of {len(reference):,} pairs, and there are {pairs:,}")
        return replace(self, packed=self.packed.with_(extra={"reference": reference}))

    def fresh(self, device: str) -> "tuple[LanguageModel, Optimizer]":
        """The base in fp32, and an optimizer before its first step."""
        model, optimizer = super().fresh(device)
        if not model.native:
            raise InputError(
                "transformers computes this base, and cannot keep the two answers of a pair apart",
                hint="Preferences need a family that our decoder computes: Llama, Mistral, OLMo 2, Qwen.",
            )
        return model, optimizer

    def objective(self, model: "LanguageModel", part: "Part", plan: Plan) -> "Tensor":  # noqa: ARG002
        """The loss of a part of a batch, summed over its pairs."""
        from fonderie.train.steps.preference_loss import preference_loss

        params = self.params
        return preference_loss(
            model,
            part,
            beta=params.beta,
            label_smoothing=params.label_smoothing,
            length_normalised=params.length_normalised,
        )

    def count(self, batch: Batch) -> int:
        """The pairs in a batch."""
        return int(batch.rows["pairs"].sum())


@step(
    NAME,
    version=VERSION,
    parameters=PreferParameters,
    produces="model",
    inputs={"model": Port("model"), "tokens": Port("pairs"), "tokenizer": Port("tokenizer"), **VALIDATION_PORT},
    resumable=True,
    upstream=fits_base,
)
@shared_out
def prefer(inputs: Inputs, params: PreferParameters, out: Output, machine: Machine) -> None:
    """Teach a base which of two answers people prefer (DPO); statistics say how often it then prefers it too.

    With an input `validation`, they also say how often it does on that one's pairs, which it was not trained on.
    """
    from fonderie.train.parallel.spread import current

    stream, draft = opened(NAME, VERSION, inputs, params, machine)
    training = Preferring.of(params, stream, draft, inputs.one("model").path)
    held_out = HeldOut.of(inputs, training.packed, params.examples, out)
    # One process computes it, however many train.
    reference, digest = current().from_first(lambda: _reference(training, out, machine))
    draft, training = draft.model_copy(update={"reference": digest}), training.knowing(reference)

    def save(model: "LanguageModel", folder: Path) -> None:
        saving(stream.index)(model, folder)
        out.statistics["preferences"] = _preferred(training, model, reference, machine)
        if held_out is not None:
            out.statistics["held_out"] = held_out.preferences(folder, machine)

    out.statistics.update(training.statistics())
    train_committed(training, draft, out, machine, save=save)


def _reference(training: Preferring, out: Output, machine: Machine) -> tuple[NDArray[np.float32], str]:
    """What the base gives every pair, and the digest of its file; computed once, and verified when found again."""
    path, commitment = out.path / REFERENCE, out.path / COMMITMENT
    if commitment.is_file():
        if not path.is_file() or digest_file(path) != read_commitment(commitment).reference:
            raise StoreError(
                f"{path} is missing, or not the one that {COMMITMENT} names",
                hint=f"Remove {out.path} to start again.",
            )
        return read_reference(path), digest_file(path)
    from safetensors.numpy import save_file

    model, _ = training.fresh(machine.device)
    found = log_probabilities(training, model, machine, label="reference")
    # By way of `state`: half a file must not become part of the artifact.
    save_file({"log_probabilities": found}, out.state / REFERENCE)
    (out.state / REFERENCE).replace(path)
    sync_folder(out.path)
    return found, digest_file(path)


def read_reference(path: Path) -> NDArray[np.float32]:
    """Log-probabilities of both answers of every pair, [pairs, 2]; InputError if the file is none."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return np.asarray(load_file(path)["log_probabilities"], dtype=np.float32)
    except (OSError, KeyError, SafetensorError) as error:
        raise InputError(f"{path} is no reference: {error}") from error


def log_probabilities(
    training: Preferring, model: "LanguageModel", machine: Machine, *, label: str
) -> NDArray[np.float32]:
    """The log-probability of both answers of every pair under a model, [pairs, 2], in the order of the tokens."""
    from fonderie.train.steps.likelihood import read_all

    params = training.params
    found, _ = read_all(
        training.packed,
        model,
        machine,
        label=label,
        together=max(1, params.batch // params.accumulation),
        bf16=params.precision == "bf16",
    )
    return found.reshape(-1, 2)


def _preferred(
    training: Preferring, model: "LanguageModel", reference: NDArray[np.float32], machine: Machine
) -> dict[str, Any]:
    """How the model stands to the pairs it was trained on: no measure of how it would stand to others."""
    gained = log_probabilities(training, model, machine, label="preferences") - reference
    margins = gained[:, 0].astype(np.float64) - gained[:, 1]
    return {
        "pairs": len(margins),
        "preferred": round(float((margins > 0).mean()), 4),
        "margin_nats": round(float(margins.mean()), 4),
        "of": "the pairs that it was trained on, log-probabilities against the base",
    }
