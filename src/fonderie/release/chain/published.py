"""What of a training lies in a release beside the weights: documents, tokens, checkpoints, hash for hash."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fonderie.core.manifest import InputEntry, Manifest
from fonderie.licences.verdict import judge
from fonderie.release.layout import (
    BASE,
    CHECKPOINTS,
    checkpoint_files,
    document_files,
    is_training,
    token_files,
    tokens_folder,
)
from fonderie.release.records import SourceReport


@dataclass(frozen=True)
class Published:
    """Files that could be there, and those that are, with the bytes that their manifest states."""

    expected: int
    present: tuple[str, ...]
    """Where the release holds them, in order."""

    @property
    def whole(self) -> bool:
        """Whether there is something, and all of it is here."""
        return 0 < self.expected == len(self.present)


def documents(manifests: Sequence[Manifest], files: Mapping[str, str]) -> Published:
    """The document shards that were packed for the trainings of `manifests`; `files` are the release's digests."""
    by_key = {manifest.key: manifest for manifest in manifests}
    return _published(
        [
            (by_key.get(entry.key), _below(where, names))
            for manifest, where in places(manifests)
            for entry, names in document_files(_packed(manifest, by_key), by_key)
        ],
        files,
    )


def tokens(manifests: Sequence[Manifest], files: Mapping[str, str]) -> Published:
    """The token shards, with their index and the way back to the documents."""
    by_key = {manifest.key: manifest for manifest in manifests}
    return _published(
        [
            (by_key.get(entry.key), _below(where, token_files(by_key.get(entry.key), tokens_folder(number))))
            for manifest, where in places(manifests)
            for number, entry in enumerate(_mixes(manifest))
        ],
        files,
    )


def checkpoints(manifests: Sequence[Manifest], files: Mapping[str, str]) -> Published:
    """The files of the checkpoints that the trainings kept."""
    placed = places(manifests)
    return _published([(manifest, _below(where, checkpoint_files(manifest))) for manifest, where in placed], files)


def checkpoint_names(published: Published) -> list[str]:
    """The checkpoints that these files make up, in order; those of a base begin with `base/`."""
    return sorted({name.replace(f"{CHECKPOINTS}/", "").rpartition("/")[0] for name in published.present})


def trainings(manifests: Sequence[Manifest]) -> list[Manifest]:
    """The makings of weights."""
    return [manifest for manifest in manifests if is_training(manifest)]


def places(manifests: Sequence[Manifest]) -> list[tuple[Manifest, str]]:
    """The training of a release and those that it went on from, each with what its names begin with there.

    `manifests` stand in the order of making; a training that nothing goes on from, made last, is the release's own.
    """
    by_key = {manifest.key: manifest for manifest in trainings(manifests)}
    bases = {entry.key for manifest in by_key.values() for entry in manifest.inputs.get("model", ())}
    here = next((manifest for key, manifest in reversed(by_key.items()) if key not in bases), None)
    found, where = list[tuple[Manifest, str]](), ""
    while here is not None and len(found) < len(by_key):  # a stranger's manifests may go round in a circle
        found.append((here, where))
        where += BASE
        here = next((by_key[entry.key] for entry in here.inputs.get("model", ()) if entry.key in by_key), None)
    return found


def restrictions(source: SourceReport, readers: Sequence[Manifest]) -> list[str]:
    """The licences of a source that are not free: of the contents, and of the collection they came in."""
    stated = {manifest.parameters.get("collection_licence") for manifest in readers}
    collections = [judge(licence) for licence in stated if isinstance(licence, str)]
    found = {count.licence for count in source.licences if count.status != "free"}
    return sorted(found | {verdict.licence for verdict in collections if verdict.status != "free"})


def _mixes(training: Manifest) -> tuple[InputEntry, ...]:
    """The tokens of a training, every mix once."""
    return tuple({entry.key: entry for entry in training.inputs.get("tokens", ())}.values())


def _packed(training: Manifest, by_key: Mapping[str, Manifest]) -> tuple[InputEntry, ...]:
    """The documents of all its mixes, in the order of packing."""
    mixes = [by_key[entry.key] for entry in _mixes(training) if entry.key in by_key]
    return tuple(entry for mix in mixes for entry in mix.inputs.get("documents", ()))


def _below(where: str, names: Mapping[str, str]) -> dict[str, str]:
    return {there: where + here for there, here in names.items()}


def _published(plan: Sequence[tuple[Manifest | None, Mapping[str, str]]], files: Mapping[str, str]) -> Published:
    expected, present = 0, []
    for manifest, names in plan:
        made = {entry.path: entry.sha256 for entry in manifest.files} if manifest else {}
        expected += max(len(names), 1)
        present += [here for there, here in names.items() if there in made and files.get(here) == made[there]]
    return Published(expected, tuple(present))
