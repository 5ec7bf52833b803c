"""What of a training lies in a release beside the weights: documents, tokens, checkpoints, hash for hash."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fonderie.core.manifest import InputEntry, Manifest
from fonderie.licences.verdict import judge
from fonderie.release.layout import CHECKPOINTS, checkpoint_files, document_files, token_files
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
    packed = [by_key[entry.key] for entry in _tokens(manifests) if entry.key in by_key]
    return _published(
        [
            (by_key.get(entry.key), names)
            for pack in packed
            for entry, names in document_files(tuple(pack.inputs.get("documents", ())), by_key)
        ],
        files,
    )


def tokens(manifests: Sequence[Manifest], files: Mapping[str, str]) -> Published:
    """The token shards, with their index and the way back to the documents."""
    by_key = {manifest.key: manifest for manifest in manifests}
    found = [by_key.get(entry.key) for entry in _tokens(manifests)]
    return _published([(manifest, token_files(manifest)) for manifest in found], files)


def checkpoints(manifests: Sequence[Manifest], files: Mapping[str, str]) -> Published:
    """The files of the checkpoints that the trainings kept."""
    return _published([(manifest, checkpoint_files(manifest)) for manifest in trainings(manifests)], files)


def checkpoint_names(published: Published) -> list[str]:
    """The checkpoints that these files make up, in order."""
    return sorted({name.removeprefix(f"{CHECKPOINTS}/").partition("/")[0] for name in published.present})


def trainings(manifests: Sequence[Manifest]) -> list[Manifest]:
    """The makings of weights."""
    return [manifest for manifest in manifests if manifest.step.startswith("train.")]


def restrictions(source: SourceReport, readers: Sequence[Manifest]) -> list[str]:
    """The licences of a source that are not free: of the contents, and of the collection they came in."""
    stated = {manifest.parameters.get("collection_licence") for manifest in readers}
    collections = [judge(licence) for licence in stated if isinstance(licence, str)]
    found = {count.licence for count in source.licences if count.status != "free"}
    return sorted(found | {verdict.licence for verdict in collections if verdict.status != "free"})


def _tokens(manifests: Sequence[Manifest]) -> list[InputEntry]:
    entries = [entry for manifest in trainings(manifests) for entry in manifest.inputs.get("tokens", ())]
    return list(dict.fromkeys(entries))


def _published(plan: Sequence[tuple[Manifest | None, Mapping[str, str]]], files: Mapping[str, str]) -> Published:
    expected, present = 0, []
    for manifest, names in plan:
        made = {entry.path: entry.sha256 for entry in manifest.files} if manifest else {}
        expected += max(len(names), 1)
        present += [here for there, here in names.items() if there in made and files.get(here) == made[there]]
    return Published(expected, tuple(present))
