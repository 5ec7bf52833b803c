"""The way from the weights back to the sources, link by link, each recomputed from the bytes at both its ends.

    model.safetensors ← the last checkpoint      the same tensors, under other names
    checkpoints       ← the training log         each one's root is in the log, the first one's in the commitment
    log               ← the commitment           the chain, the plan's learning rates, the checkpoints that were due
    log, commitment   ← token shards             roots, the order that follows from them, every batch of every step
    token shards      ← documents                the same documents in the same order, whose text the tokens spell
    documents         ← sources                  each from a source, file and licence that the manifests name

Nothing is trained: that the losses and weights between two checkpoints follow from each other, only a replay shows.
What lies in no folder is said, never passed over: a link that a release leaves out is marked as not checked.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from fonderie.core.errors import FonderieError
from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.core.wiring import CHECKPOINT_STEP
from fonderie.model.config import ForeignConfig, ModelConfig
from fonderie.model.names import Names, foreign_names, huggingface_names
from fonderie.release.folder import Folder, plain
from fonderie.release.layout import (
    BASE,
    TRAINING,
    ReleaseIndex,
    Trained,
    all_tokens,
    manifest_name,
    tokens_folder,
    training_behind,
)
from fonderie.tokens.shards import ShardIndex, TokenStream
from fonderie.train.again import Beside, parameters_named, training_named
from fonderie.train.record.commitment import (
    COMMITMENT,
    DERIVED,
    LOG,
    REFERENCE,
    Commitment,
    FileRoot,
    LogLine,
    Tree,
    committed_files,
    mix_of_phases,
    parse_commitment,
    read_log,
)
from fonderie.train.seen import epochs_in
from fonderie.train.settings.continued import ContinueParameters
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.settings.shared import Settings
from fonderie.train.settings.stopping import (
    VALIDATION,
    EarlyStopping,
    Measurement,
    decide,
    ended_after,
    read_measurements,
)
from fonderie.train.training import plan_of

if TYPE_CHECKING:
    from fonderie.train.committed import Trainable

PROBLEMS_SHOWN = 20
LOG_LIMIT_BYTES = 1 << 30
"""Some 400 bytes a step: two and a half million steps."""


class Link(BaseModel):
    """One step of the way, and whether both its ends agree."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    upper: str
    """What came of the lower end."""
    lower: str
    ok: bool
    checked: bool
    """False where the release does not hold what it would be checked against."""
    detail: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a check came to: problems, or what was found fine, or why nothing could be checked."""

    detail: str
    problems: list[str] = field(default_factory=list)
    checked: bool = True


@dataclass(frozen=True)
class Walk:
    """What the links are checked on; raises FonderieError or ValueError where a part cannot be understood."""

    folder: Folder
    index: ReleaseIndex | Trained
    manifests: Mapping[str, Manifest]
    digests: Mapping[str, str]
    """Of every file, recomputed."""
    roots: Mapping[str, str]
    """Over the chunks of every file of the tokens, recomputed."""
    machine: Machine
    sources: Path | None = None
    """A folder to look for the source files in."""
    checkpoints: bool = True
    """Whether the checkpoints that the training kept are here."""
    where: str = ""
    """Before every name of this folder in that of the release: "base/" of the training that it went on from."""

    @cached_property
    def base(self) -> "Walk | None":
        """What this training went on from, if that is here: the folder below, as a walk of its own."""
        if self.index.base is None:
            return None
        files = {name.removeprefix(BASE): path for name, path in self.folder.files.items() if name.startswith(BASE)}
        below = Folder(self.folder.root / BASE, files, ())
        digests, roots = (
            {name.removeprefix(BASE): value for name, value in values.items() if name.startswith(BASE)}
            for values in (self.digests, self.roots)
        )
        return replace(
            self, folder=below, index=self.index.base, digests=digests, roots=roots, where=self.where + BASE
        )

    @cached_property
    def model(self) -> Manifest | None:
        """The manifest of the training that made the weights."""
        return training_behind(self.manifests.get(self.index.model.key), self.manifests)

    @cached_property
    def last_step(self) -> int:
        """The step after which the weights were taken; the last of all, but of a checkpoint."""
        made = self.manifests.get(self.index.model.key)
        if made is None or made.step != CHECKPOINT_STEP:
            rule = self.stopping
            return self.plan.steps if rule is None else ended_after(self.measured, rule, self.plan.steps)
        at = self.plan.named(str(made.parameters.get("at")))
        if at is None:
            raise FonderieError(f"{manifest_name(made.key)}: names a checkpoint that the training did not write")
        return at

    @cached_property
    def stopping(self) -> EarlyStopping | None:
        """By what rule the training may have ended early."""
        parameters = self.parameters
        return parameters.early_stopping if isinstance(parameters, ContinueParameters) else None

    @cached_property
    def measured(self) -> list[Measurement]:
        """The validation losses that it was ended by."""
        return read_measurements(self.folder.read(self.present(f"{TRAINING}/{VALIDATION}")))

    @cached_property
    def weights_step(self) -> int:
        """The step whose weights the model has: the last, or the best that was measured."""
        return self.last_step if self.stopping is None else decide(self.measured, self.stopping).best_step

    @cached_property
    def commitment(self) -> Commitment:
        """What the training committed to."""
        return parse_commitment(self.folder.read(self.present(f"{TRAINING}/{COMMITMENT}")))

    @cached_property
    def log(self) -> list[LogLine]:
        """The training log."""
        return read_log(self.folder.read(self.present(f"{TRAINING}/{LOG}"), LOG_LIMIT_BYTES))

    @cached_property
    def streams(self) -> list[TokenStream]:
        """The token shards of every mix; FonderieError if an index names anything outside its folder."""
        streams = []
        for number in range(len(all_tokens(self.index))):
            folder = tokens_folder(number)
            index = ShardIndex.model_validate_json(self.folder.read(self.present(f"{folder}/index.json")))
            for names in committed_files(index):
                for name in names:
                    self.present(f"{folder}/{name}")
            streams.append(TokenStream.open(self.folder.root / folder))
        return streams

    @cached_property
    def mixes(self) -> list[int]:
        """The number of the mix that each phase learnt from."""
        return mix_of_phases(
            self.commitment,
            [
                self.tree(number, committed_files(stream.index)[0]).root
                for number, stream in enumerate(self.streams)
            ],
        )

    def tree(self, number: int, names: list[str]) -> Tree:
        """The tree over files of a mix, as they are here."""
        folder = tokens_folder(number)
        return Tree.of(
            FileRoot(path=name, size_bytes=self.size(f"{folder}/{name}"), root=self.roots[f"{folder}/{name}"])
            for name in names
        )

    @cached_property
    def training(self) -> "Trainable":
        """Data order and plan, on these shards."""
        reference = self.path(f"{TRAINING}/{REFERENCE}") if self.commitment.reference else None
        return training_named(
            self.commitment, [self.streams[number].folder for number in self.mixes], Beside(reference=reference)
        )

    @cached_property
    def parameters(self) -> Settings:
        """Those that the commitment names."""
        return parameters_named(self.commitment)

    @cached_property
    def config(self) -> ModelConfig | ForeignConfig:
        """The model's sizes: as the parameters give them; of a training on a base, as it wrote them down."""
        if isinstance(self.parameters, PretrainParameters):
            vocabulary = json.loads(self.folder.read(self.present("config.json")))["vocab_size"]
            return self.parameters.config_for(vocabulary)
        sizes = self._derived["model"]
        if "family" in sizes:
            return ForeignConfig.model_validate(sizes)
        return ModelConfig.model_validate({name: size for name, size in sizes.items() if name != "parameters"})

    def names(self, ours: Iterable[str]) -> Names:
        """Our names of the tensors of the model, as a checkpoint has them, each with those of the model's file."""
        if isinstance(self.config, ForeignConfig):
            return foreign_names(ours, self.config.values)
        return huggingface_names(self.config)

    @cached_property
    def plan(self) -> Plan:
        """Steps and learning rates. Without the tokens, the length of an epoch is what the training wrote down."""
        if self.index.tokens is not None:
            return self.training.plan
        return plan_of(self.parameters, epochs_in(self._derived["training"]))

    @cached_property
    def _derived(self) -> dict[str, Any]:
        """What the training wrote down of itself."""
        derived: dict[str, Any] = json.loads(self.folder.read(self.present(f"{TRAINING}/{DERIVED}")))
        return derived

    def present(self, name: str) -> str:
        """The name of a file that is there; FonderieError if it is not."""
        if name not in self.folder.files:
            raise FonderieError(f"{name}: missing")
        return name

    def path(self, name: str) -> Path:
        """Where a file lies; FonderieError if it is not there."""
        return self.folder.files[self.present(name)]

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self.path(name).stat().st_size


Check = Callable[[Walk], Outcome]


def link(walk: Walk, name: str, upper: str, lower: str, check: Check) -> Link:
    """Check one link; whatever a stranger's files do to the check becomes a problem of this link."""
    try:
        outcome = check(walk)
    except FonderieError as error:
        outcome = Outcome("", [error.message])
    except Exception as error:  # files of any shape may fail in any way, and a failure is a finding
        outcome = Outcome("", [f"{upper} ← {lower}: {type(error).__name__}: {str(error)[:300]}"])
    problems = list(dict.fromkeys(plain(walk.where + problem) for problem in outcome.problems))
    shown = problems[:PROBLEMS_SHOWN]
    if problems[PROBLEMS_SHOWN:]:
        shown.append(f"and {len(problems) - PROBLEMS_SHOWN:,} more problems of this kind")
    return Link(
        name=f"{'base: ' * walk.where.count(BASE)}{name}",
        upper=walk.where + upper,
        lower=walk.where + lower,
        ok=not problems,
        checked=outcome.checked,
        detail=f"{len(problems):,} problems" if problems else outcome.detail,
        problems=tuple(shown),
    )
