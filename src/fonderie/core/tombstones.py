"""Where a run finds the tombstone lists that it must obey: in the store, and where the recipe's policy says.

    <store>/erasures/<reference>/decision.json      what was asked and decided; names the lists that it wrote
    <store>/erasures/<reference>/tombstones.json    the documents that may not come in (fonderie.corpus.tombstones)

A list that should be there and is not, or that was altered, stops the run: an erasure is never forgotten silently.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fonderie.core.digest import digest_bytes
from fonderie.core.errors import InputError, StoreError
from fonderie.core.manifest import describe_file
from fonderie.core.recipe import Recipe, find_sources
from fonderie.core.step import Source

ERASURES = "erasures"
LIST = "tombstones.json"
DECISION = "decision.json"


def lists_in_force(recipe: Recipe, store_root: Path) -> tuple[Source, ...]:
    """Every list that a run of this recipe obeys, hashed; one that came by two ways, once.

    Named `<reference>.json` in the order of names, whichever way it came. RecipeError, StoreError or InputError if
    one is missing or cannot be read.
    """
    patterns = recipe.policy.tombstones
    found = lists_of_store(store_root)
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        found += find_sources(pattern, recipe.tombstones_folder, "policy.tombstones")
    once = {source.entry.sha256: source for source in sorted(found, key=lambda source: source.name, reverse=True)}
    return _with_names(once.values())


def lists_of_store(store_root: Path) -> tuple[Source, ...]:
    """The lists of the store's erasures, each checked against the decision that wrote it."""
    folder = store_root / ERASURES
    if not folder.is_dir():
        return ()
    try:
        references = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        return tuple(source for path in references for source in _list_of(path))
    except OSError as error:
        raise StoreError(f"{error.filename} cannot be read: {error.strerror}", hint=_HINT) from error


_HINT = "Nothing is built while an erasure cannot be read: restore it from your copies, or correct its rights."


def _list_of(folder: Path) -> tuple[Source, ...]:
    decision = folder / DECISION
    try:
        files: Any = json.loads(decision.read_bytes())["files"]
        expected: str | None = files.get(LIST)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{decision} is not the record of an erasure: {error}", hint=_HINT) from error
    path = folder / LIST
    if expected is None:
        if path.exists():
            raise StoreError(f"{path} is there, though {decision} names no such list", hint=_HINT)
        return ()
    modified_ns = path.stat().st_mtime_ns
    entry = describe_file(path, f"{folder.name}.json")
    if entry.sha256 != expected:
        raise StoreError(f"{path} is not the list that {decision} recorded", hint=_HINT)
    return (Source(entry.path, path, entry, modified_ns),)


def _with_names(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Sources with names that differ: two organisations may give two requests one reference."""
    ordered = sorted(sources, key=lambda source: (Path(source.name).name, source.entry.sha256))
    names = [Path(source.name).name for source in ordered]
    named = []
    for source, name in zip(ordered, names, strict=True):
        if names.count(name) > 1:
            name = f"{Path(name).stem}-{source.entry.sha256[7:19]}.json"  # noqa: PLW2901
        named.append(Source(name, source.path, source.entry.model_copy(update={"path": name}), source.modified_ns))
    return tuple(named)


def read_list(source: Source) -> bytes:
    """The bytes of a list, which must still be those that were hashed; InputError if not."""
    try:
        data = source.path.read_bytes()
    except OSError as error:
        raise InputError(f"{source.path} cannot be read: {error.strerror}", hint=_HINT) from error
    if digest_bytes(data) != source.entry.sha256:
        raise InputError(f"{source.path} changed while it was being read", hint="Run again.")
    return data
