"""What a release counts of its documents, counted again from the documents that it holds.

`attribution.json` says who is owed a mention, `survey.json` rests under the public summary of what was trained on.
The manifests hold neither, so that a release could say anything there: here the documents themselves are asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.release import attribution, survey
from fonderie.release.account import packed
from fonderie.release.attribution import Attribution, Credits
from fonderie.release.chain.documents import rows
from fonderie.release.folder import Folder
from fonderie.release.layout import ATTRIBUTION, DOCUMENTS, ReleaseIndex, copied_files
from fonderie.release.survey import SourceSurvey, Surveyed

_COLUMNS = [*dict.fromkeys((*attribution.COLUMNS, *survey.COLUMNS)), "text"]


def packed_shards(index: ReleaseIndex, manifests: Mapping[str, Manifest]) -> tuple[list[str], int]:
    """The document shards here of every packing in the lineage, and how many packed artifacts are not here."""
    held = {entry.key: list(names.values()) for entry, names in copied_files(index, manifests)}
    wanted = dict.fromkeys(
        entry.key for pack in manifests.values() if packed(pack) for entry in pack.inputs.get("documents", ())
    )
    shards = [name for key in wanted for name in held.get(key, ()) if DOCUMENTS in name]
    return shards, sum(key not in held for key in wanted)


def count_again(
    folder: Folder, shards: list[str], machine: Machine
) -> tuple[list[Attribution], list[SourceSurvey]]:
    """Both lists from some shards, which may be anyone's; read a document at a time, whatever they unpack to."""
    credited, surveyed = Credits(), Surveyed()
    with machine.bar("counting", len(shards), "shards") as bar:
        for name in shards:
            for row in rows(folder.files[name], _COLUMNS):
                credited.add(row)
                surveyed.add(row, len(row["text"].encode("utf-8")))
            bar.advance()
    return credited.all(), surveyed.all()


def count_problems(
    said: tuple[list[Attribution], list[SourceSurvey]], counted: tuple[list[Attribution], list[SourceSurvey]]
) -> list[str]:
    """What the two files say that the documents do not, source by source."""
    problems: list[str] = []
    pairs: list[tuple[str, Sequence[Attribution | SourceSurvey], Sequence[Attribution | SourceSurvey]]] = [
        (ATTRIBUTION, said[0], counted[0]),
        (survey.FILE, said[1], counted[1]),
    ]
    for file, theirs, ours in pairs:
        problems += _unlike(file, {one.source: one for one in theirs}, {one.source: one for one in ours})
        if len({one.source for one in theirs}) != len(theirs):
            problems.append(f"{file}: names a source twice")
    return problems


def _unlike(file: str, said: Mapping[str, Any], counted: Mapping[str, Any]) -> list[str]:
    problems = [
        f"{file}: no document here is of the source {name}" for name in sorted(said.keys() - counted.keys())
    ]
    problems += [f"{file}: says nothing of the source {name}" for name in sorted(counted.keys() - said.keys())]
    for name in sorted(said.keys() & counted.keys()):
        theirs, ours = said[name].model_dump(mode="json"), counted[name].model_dump(mode="json")
        problems += [
            f"{file}: the documents of {name} come to other {field}"
            for field in ours
            if theirs[field] != ours[field]
        ]
    return problems
