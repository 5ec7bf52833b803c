"""What erased documents have touched: steps, token shards, trainings, checkpoints, evaluations and releases.

A walk over the store's ledgers and offsets, forwards from the ids under which the documents were read.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from fonderie.core.ledger import FOLDER as LEDGER
from fonderie.core.step import Artifact
from fonderie.core.store import Store

PACKS, BUNDLE = ("tokens.pack", "tokens.pairs"), "release.bundle"
TRAINING = "train."
_CHECKPOINT = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Passed:
    """One document's way through one step."""

    document: str
    """The id under which it was read."""
    made: str
    """The artifact: recipe and call if a recipe still names it, else its step and key."""
    step: str
    fate: str
    reason: str | None
    id: str
    id_after: str | None


@dataclass(frozen=True)
class Extent:
    """Where one document's tokens lie."""

    document: str
    made: str
    shard: str
    first: int
    """Position in the stream of all shards."""
    length: int


@dataclass(frozen=True)
class Trained:
    """A training that saw them."""

    made: str
    steps: tuple[int, ...]
    """Optimizer steps whose batch held at least one of their tokens."""
    checkpoints: tuple[str, ...]
    """Checkpoints after the first of these steps."""
    sound: tuple[str, ...]
    """Checkpoints before it: training could go on from there."""


@dataclass
class Reach:
    """All that the documents have touched."""

    passed: list[Passed] = field(default_factory=list)
    tokens: list[Extent] = field(default_factory=list)
    trainings: list[Trained] = field(default_factory=list)
    evaluations: list[str] = field(default_factory=list)
    """Makings that evaluate on them."""
    releases: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    """Folders of the store that hold their text or tokens now; nothing here removes them."""
    other: list[str] = field(default_factory=list)
    """What else was made from anything above: tokenizers, scores and samples of touched models."""


def reach(artifacts: Sequence[Artifact], documents: Collection[str], store: Store) -> Reach:
    """Follow documents, by the ids under which they were read, through artifacts in the order of their making."""
    walk = _Walk(documents, names_of(store, artifacts))
    for artifact in artifacts:
        walk.visit(artifact)
    return walk.reach


def names_of(store: Store, artifacts: Iterable[Artifact]) -> dict[str, str]:
    """What to call each artifact: "recipe: call" of every recipe whose last run names it."""
    named: dict[str, list[str]] = {}
    for path in sorted((store.root / "runs").glob("*/lock.json")):
        lock = store.read_lock(path.parent.name) or {"calls": {}}
        for call, made in lock["calls"].items():
            named.setdefault(made["key"], []).append(f"{path.parent.name}: {call}")
    return {
        artifact.key: ", ".join(named.get(artifact.key, []))
        or f"{artifact.manifest.step} {artifact.key.removeprefix('sha256:')[:12]}, of an earlier run"
        for artifact in artifacts
    }


@dataclass
class _Walk:
    documents: Collection[str]
    names: Mapping[str, str]
    reach: Reach = field(default_factory=Reach)
    alive: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """By artifact: current id to the ids under which it was read."""
    touched: set[str] = field(default_factory=set)
    extents: dict[str, tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)
    """By artifact of tokens: the stream's length, and where their tokens lie in it."""

    def visit(self, artifact: Artifact) -> None:
        parents = [parent for group in artifact.upstream.values() for parent in group]
        if (artifact.path / LEDGER).is_dir():
            self._ledger(
                artifact, self._arriving(parents) if parents else {name: {name} for name in self.documents}
            )
        elif any(parent.key in self.touched for parent in parents):
            self._made_from_them(artifact, parents)

    def _arriving(self, parents: Sequence[Artifact]) -> dict[str, set[str]]:
        arriving: dict[str, set[str]] = {}
        for parent in parents:
            for name, read_as in self.alive.get(parent.key, {}).items():
                arriving.setdefault(name, set()).update(read_as)
        return arriving

    def _ledger(self, artifact: Artifact, arriving: Mapping[str, set[str]]) -> None:
        table = ds.dataset(artifact.path / LEDGER, format="parquet").to_table(
            ["id", "id_after", "fate", "reason"], filter=ds.field("id").isin(pa.array(arriving, pa.string()))
        )
        alive: dict[str, set[str]] = {}
        made, step = self.names[artifact.key], artifact.manifest.step
        for row in table.to_pylist():
            name, after = row["id"], row["id_after"]
            for document in sorted(arriving[name]):
                passed = Passed(document, made, step, row["fate"], row["reason"], name, after)
                self.reach.passed.append(passed)
            if after is not None:
                alive.setdefault(after, set()).update(arriving[name])
        if alive:
            self.alive[artifact.key] = alive
            self.touched.add(artifact.key)
            self._holds(artifact)

    def _made_from_them(self, artifact: Artifact, parents: Sequence[Artifact]) -> None:
        made, step, arriving = self.names[artifact.key], artifact.manifest.step, self._arriving(parents)
        if step in PACKS:
            if not self._tokens(artifact, made, arriving):
                return
        elif step.startswith(TRAINING) and self._training(artifact, made):
            pass
        elif step == BUNDLE:
            self.reach.releases.append(_release(artifact, made))
            self._holds(artifact)
        elif step.startswith("evaluate.") and arriving:
            self.reach.evaluations.append(made)
        else:
            self.reach.other.append(made)
        self.touched.add(artifact.key)

    def _holds(self, artifact: Artifact) -> None:
        self.reach.folders.append("/".join(artifact.path.parts[-4:-1]))

    def _tokens(self, artifact: Artifact, made: str, arriving: Mapping[str, set[str]]) -> bool:
        from fonderie.tokens.shards import TokenStream

        stream = TokenStream.open(artifact.path)
        found = [
            Extent(
                document,
                made,
                stream.index.shards[stream.shard_of(extent.start)].tokens_file,
                extent.start,
                extent.length,
            )
            for extent in stream.extents
            for document in sorted(arriving.get(extent.id, ()))
        ]
        self.reach.tokens += found
        self.extents[artifact.key] = (
            len(stream),
            sorted({(item.first, item.first + item.length) for item in found}),
        )
        if found:
            self._holds(artifact)
        return bool(found)

    def _training(self, artifact: Artifact, made: str) -> bool:
        """Note a training, and whether it is one whose steps are known."""
        from fonderie.train.seen import orders, steps_that_saw

        packed = {tokens.key: tokens for tokens, _ in orders(artifact)}
        if not packed:
            return False
        steps = sorted(
            {
                step
                for tokens in packed.values()
                for length, extents in [self.extents.get(tokens.key, (0, []))]
                for start, stop in extents
                for step in steps_that_saw(artifact, tokens, length, start, stop)
            }
        )
        kept = {
            int(match[1]): path.name
            for path in sorted((artifact.path / "checkpoints").glob("step-*"))
            if (match := _CHECKPOINT.fullmatch(path.name))
        }
        after = tuple(name for step, name in sorted(kept.items()) if steps and step >= steps[0])
        before = tuple(name for step, name in sorted(kept.items()) if not steps or step < steps[0])
        self.reach.trainings.append(Trained(made, tuple(steps), after, before))
        return True


def _release(artifact: Artifact, made: str) -> str:
    index: Path = artifact.path / "release.json"
    about = json.loads(index.read_bytes())
    return f"{about['name']} {about['version']} ({made})"


def in_order(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Artifacts with everything upstream, inputs before what they feed, each once."""
    found = {one.key: one for artifact in artifacts for one in artifact.lineage()}
    return list(found.values())
