"""A release's folder as its pages see it, to write them again with something changed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fonderie.core.manifest import Manifest, list_files
from fonderie.release.facts import Facts
from fonderie.release.layout import ATTRIBUTION, INDEX, ReleaseIndex, numbered
from fonderie.release.pages import ATTRIBUTIONS, PAGES, SAMPLES, Contents, facts_of


def contents_of(release: Path) -> Contents:
    """What a release's pages are written from, read from its folder."""
    index = ReleaseIndex.model_validate_json((release / INDEX).read_bytes())
    entries = [entry for entry in list_files(release) if entry.path not in (*PAGES, INDEX)]
    return Contents(
        index=index,
        manifests=[Manifest.model_validate_json(path.read_bytes()) for path in sorted(release.glob("manifests/*"))],
        lock=json.loads((release / "lock.json").read_bytes()),
        attributions=ATTRIBUTIONS.validate_json((release / ATTRIBUTION).read_bytes()),
        samples=[
            sample
            for number in range(len(index.samples))
            for sample in SAMPLES.validate_json((release / numbered("samples.json", number)).read_bytes())
        ],
        config=json.loads((release / "config.json").read_bytes()),
        files={entry.path: entry.sha256 for entry in entries},
        sizes={entry.path: entry.size_bytes for entry in entries},
    )


def facts_with(release: Path, *, index: dict[str, Any] | None = None, **changed: Any) -> Facts:
    """The facts of a release, with fields of its contents or of its index replaced."""
    contents = replace(contents_of(release), **changed)
    return facts_of(replace(contents, index=contents.index.model_copy(update=index or {})))


def without_documents(release: Path) -> Facts:
    """The same release, as if its documents were too large to travel with it."""
    contents = contents_of(release)
    files = {name: digest for name, digest in contents.files.items() if not name.startswith("data/documents/")}
    return facts_with(release, files=files)


def measured(release: Path, joules: float | None) -> list[Manifest]:
    """The manifests, as if a counter had measured the training, or none had."""
    method = "not measured: no readable RAPL counter" if joules is None else "a counter"
    return [
        manifest.model_copy(update={"energy": {"joules": joules, "method": method}})
        if manifest.step.startswith("train.")
        else manifest
        for manifest in contents_of(release).manifests
    ]
