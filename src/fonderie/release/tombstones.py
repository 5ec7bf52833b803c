"""Tombstone lists in a release: erasures travel with the data, so that the next revision obeys them too.

    erasures/<reference>.json    the lists that were in force when this was built (fonderie.corpus.tombstones)

Whoever builds on the documents of a release gives its lists: --set policy.tombstones='…/erasures/*.json'.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from fonderie.core.manifest import Manifest
from fonderie.core.step import TOMBSTONES, Source
from fonderie.release.layout import manifest_name

FOLDER = "erasures"


def copy_lists(lists: tuple[Source, ...], folder: Path) -> None:
    """Copy the lists in force into a release."""
    for source in lists:
        target = folder / FOLDER / source.name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source.path, target)


def check_lists(manifests: Mapping[str, Manifest], digests: Mapping[str, str]) -> list[str]:
    """Every list that a step obeyed, say the manifests, is in the release as it was."""
    problems: dict[str, str] = {}
    for manifest in manifests.values():
        obeyed = manifest.parameters.get(TOMBSTONES)
        for name, digest in obeyed.items() if isinstance(obeyed, dict) else ():
            here = f"{FOLDER}/{name}"
            if digests.get(here) != digest:
                what = "not the list" if here in digests else "missing, though it is a list"
                problems.setdefault(here, f"{here}: {what} that {manifest_name(manifest.key)} obeyed")
    return list(problems.values())
