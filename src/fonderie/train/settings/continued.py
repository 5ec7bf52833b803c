"""What train.continue can be asked. Imports no torch, so that recipes can be checked without it."""

from collections.abc import Mapping
from typing import Self

from pydantic import PositiveFloat, model_validator

from fonderie.train.settings.lora import LoraParameters
from fonderie.train.settings.shared import PhasedSettings, tokens_for_every_phase
from fonderie.train.settings.stopping import EarlyStopping


class ContinueParameters(PhasedSettings):
    """How a base goes on learning. Its sizes are its own; its context grows where a phase's is longer."""

    learning_rate: PositiveFloat = 1e-4
    """Peak learning rate. The default is Claire's; a base that was well trained is easily spoilt by more."""
    rope_theta: PositiveFloat | None = None
    """Base of the rotary position frequencies; the base model's own if not given. Raise it with the context."""
    lora: LoraParameters | None = None
    """Train a low-rank adapter alone, and merge it in the end; without, every weight is trained."""
    early_stopping: EarlyStopping | None = None
    """End before the last step where validation losses say so; wants input `validation`."""

    @model_validator(mode="after")
    def _fits_lora(self) -> Self:
        if self.lora is None:
            return self
        if self.compile:
            raise ValueError("lora and compile = true do not go together: the compiler does not see peft's layers")
        if self.optimizer == "muon":
            raise ValueError('lora and optimizer = "muon" do not go together: an adapter is no matrix of the model')
        return self

    @model_validator(mode="after")
    def _fits_stopping(self) -> Self:
        rule = self.early_stopping
        if rule is not None:
            named = [source for sources in rule.groups.values() for source in sources]
            twice = sorted({source for source in named if named.count(source) > 1})
            if twice:
                raise ValueError(f"early_stopping.groups: {', '.join(twice)} cannot be in two groups")
        return self


def fits(params: ContinueParameters, inputs: Mapping[str, tuple[str, ...]]) -> None:
    """Whether parameters and inputs go together; ValueError says why not."""
    tokens_for_every_phase(params, inputs)
    if (params.early_stopping is None) != (not inputs.get("validation")):
        raise ValueError("early_stopping and inputs.validation are of use only together")
