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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fonderie.core.errors import FonderieError
from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.release.folder import Folder, plain
from fonderie.release.layout import TOKENS, TRAINING, ReleaseIndex
from fonderie.tokens.shards import ShardIndex, TokenStream
from fonderie.train.commitment import (
    COMMITMENT,
    LOG,
    Commitment,
    LogLine,
    committed_files,
    parse_commitment,
    read_log,
)
from fonderie.train.parameters import PretrainParameters
from fonderie.train.plan import Plan
from fonderie.train.seen import DERIVED, epochs_in
from fonderie.train.training import Training, parameters_of, plan_of

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
    index: ReleaseIndex
    manifests: Mapping[str, Manifest]
    digests: Mapping[str, str]
    """Of every file, recomputed."""
    roots: Mapping[str, str]
    """Over the chunks of every file of the tokens, recomputed."""
    machine: Machine
    sources: Path | None = None
    """A folder to look for the source files in."""

    @cached_property
    def model(self) -> Manifest | None:
        """The manifest of the weights' making."""
        return self.manifests.get(self.index.model.key)

    @cached_property
    def commitment(self) -> Commitment:
        """What the training committed to."""
        return parse_commitment(self.folder.read(self.present(f"{TRAINING}/{COMMITMENT}")))

    @cached_property
    def log(self) -> list[LogLine]:
        """The training log."""
        return read_log(self.folder.read(self.present(f"{TRAINING}/{LOG}"), LOG_LIMIT_BYTES))

    @cached_property
    def stream(self) -> TokenStream:
        """The token shards of this folder; FonderieError if their index names anything outside it."""
        index = ShardIndex.model_validate_json(self.folder.read(self.present(f"{TOKENS}/index.json")))
        for names in committed_files(index):
            for name in names:
                self.present(f"{TOKENS}/{name}")
        return TokenStream.open(self.folder.root / TOKENS)

    @cached_property
    def training(self) -> Training:
        """Data order and plan, on these shards."""
        return Training.of(self.parameters, [self.stream], [self.commitment.shuffle_seed])

    @cached_property
    def parameters(self) -> PretrainParameters:
        """Those that the commitment names."""
        return parameters_of(self.commitment)

    @cached_property
    def plan(self) -> Plan:
        """Steps and learning rates. Without the tokens, the length of an epoch is what the training wrote down."""
        if self.index.tokens is not None:
            return self.training.plan
        derived = json.loads(self.folder.read(self.present(f"{TRAINING}/{DERIVED}")))
        return plan_of(self.parameters, epochs_in(derived["training"]))

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
    problems = list(dict.fromkeys(map(plain, outcome.problems)))
    shown = problems[:PROBLEMS_SHOWN]
    if problems[PROBLEMS_SHOWN:]:
        shown.append(f"and {len(problems) - PROBLEMS_SHOWN:,} more problems of this kind")
    return Link(
        name=name,
        upper=upper,
        lower=lower,
        ok=not problems,
        checked=outcome.checked,
        detail=f"{len(problems):,} problems" if problems else outcome.detail,
        problems=tuple(shown),
    )
