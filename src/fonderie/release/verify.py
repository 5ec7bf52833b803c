"""Checking a release: every hash again, and the chain from the weights to the sources.

The folder may come from anyone: nothing outside it is read, links are refused, and what is parsed is bounded. What
holds is that the files are consistent with each other; that the training happened as they say, only a replay shows.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fonderie.core.digest import digest_text
from fonderie.core.errors import ReleaseError
from fonderie.core.machine import Machine
from fonderie.core.manifest import FileEntry, Manifest, files_digest
from fonderie.core.step import TOMBSTONES
from fonderie.release.chain.counts import count_again, count_problems, packed_shards
from fonderie.release.chain.links import Link, Walk
from fonderie.release.chain.manifests import (
    LockRecord,
    check_copies,
    check_inputs,
    check_lineage,
    check_lock,
    check_manifests,
    describe_chain,
)
from fonderie.release.chain.walk import walk_links
from fonderie.release.folder import Folder, is_safe_name, plain
from fonderie.release.gate import gate_of, gate_problems
from fonderie.release.hashing import Hashed, Hashing
from fonderie.release.law.publisher import FILE as PUBLISHER_FILE
from fonderie.release.law.publisher import Publisher, parse_publisher
from fonderie.release.law.shared import final_problems
from fonderie.release.layout import (
    ATTRIBUTION,
    BUNDLE_VERSION,
    EXPOSURES,
    FORMAT,
    GATE,
    INDEX,
    MANIFESTS,
    NEEDED,
    SIGNATURE,
    TRAINING,
    ReleaseIndex,
    manifest_name,
    numbered,
)
from fonderie.release.pages import ATTRIBUTIONS, PAGES, SAMPLES, Contents, write_pages
from fonderie.release.reports.course import READ
from fonderie.release.survey import FILE as SURVEY_FILE
from fonderie.release.survey import SURVEY
from fonderie.release.tombstones import check_lists

Model = TypeVar("Model", bound=BaseModel)
COUNTED = f"{ATTRIBUTION} and {SURVEY_FILE}"


class Check(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    ok: bool
    detail: str
    problems: tuple[str, ...] = ()


class Verification(BaseModel):
    """What a release's folder comes to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    ok: bool
    checks: tuple[Check, ...]
    problems: tuple[str, ...]
    """Each with the file it is about."""
    digest: str
    """Of the whole folder as it is now: the release's digest in the store that made it, if nothing was altered."""
    chain: tuple[str, ...]
    """From the weights to the sources, in words; what the manifests say, once they agree."""
    links: tuple[Link, ...] = ()
    """The same way once more, recomputed from the files themselves."""
    broken: str | None = None
    """The first link, from the weights on, whose ends do not agree."""


def verify(
    folder: Path,
    machine: Machine | None = None,
    *,
    sources: Path | None = None,
    hashing: Hashing | None = None,
) -> Verification:
    """Check a release; ReleaseError if the folder is none, problems by name for everything that does not hold.

    Every file is read once for its hashes; `hashing` is that work, where it began earlier. `sources` is a folder to
    look for the source files in.
    """
    machine = machine or Machine()
    opened = Folder.open(folder)
    opened.files.pop(SIGNATURE, None)  # it signs all the rest, and release.signature checks it
    opened.files.pop(EXPOSURES, None)  # it says what was done with all the rest, and release.gate reads it
    index = _read_index(opened)
    # Meanwhile the pages are written again, from the hashes that release.json lists. What comes of it counts only
    # if the files turn out to have them.
    hashing = hashing or Hashing(opened)
    manifests, manifest_problems = _read_manifests(opened)
    pages = _check_pages(opened, index, manifests, {entry.path: entry.sha256 for entry in index.files})
    hashed, file_problems = _check_files(opened, index, hashing.result(machine))
    digests = {name: found.digest for name, found in hashed.items()}
    lock, lock_problems = _read_lock(opened)
    checks = [
        _check("files", file_problems, f"{len(digests):,} files hashed, each as {INDEX} lists it"),
        _check(
            "manifests",
            manifest_problems + check_manifests(manifests),
            f"{len(manifests):,} manifests, each with the key of its request and the digest of its files",
        ),
        _check(
            "chain",
            check_inputs(manifests) + check_lineage(index, manifests),
            "every input of every making is there with the same digest",
        ),
        _check(
            "copies",
            check_copies(index, manifests, digests),
            "weights, tokenizer, log and scores are the files that their manifests name",
        ),
        _check(
            "lock",
            lock_problems + check_lock(index, lock, manifests, digests),
            "recipe, lock and manifests name the same makings",
        ),
        *_check_erasures(manifests, digests),
        *_check_gate(opened, index, manifests),
    ]
    if all(check.ok for check in checks):
        checks += [pages, _check_counts(opened, index, manifests, machine)]
    roots = {name: found.root for name, found in hashed.items() if found.root}
    links = walk_links(Walk(opened, index, manifests, digests, roots, machine, sources, index.checkpoints))
    entries = [FileEntry(path=name, size_bytes=0, sha256=digest) for name, digest in digests.items()]
    broken = next((link for link in links if not link.ok), None)
    return Verification(
        name=plain(index.name),
        version=plain(index.version),
        ok=all(check.ok for check in checks) and broken is None,
        checks=tuple(checks),
        problems=tuple(
            [problem for check in checks for problem in check.problems]
            + [problem for link in links for problem in link.problems]
        ),
        links=tuple(links),
        broken=f"{broken.upper} ← {broken.lower}: {broken.problems[0]}" if broken else None,
        digest=files_digest(entries),
        chain=tuple(map(plain, describe_chain(index, manifests, lock))),
    )


def _check_gate(folder: Folder, index: ReleaseIndex, manifests: Mapping[str, Manifest]) -> list[Check]:
    """Nothing to say of a release that demands nothing of its scores."""
    if index.gate is None:
        return []
    try:
        problems = gate_problems(folder, index, manifests)
        passed = gate_of(list(manifests.values()), index)
    except Exception as error:  # a stranger's files may have any shape, and any may fail in its own way
        return [_check("gate", [f"{GATE}: {type(error).__name__}: {str(error)[:200]}"], "")]
    said = "passed" if passed and passed.passed else "FAILED"
    return [_check("gate", problems, f"{said}: every verdict follows from the scores and from what was demanded")]


def _check_erasures(manifests: Mapping[str, Manifest], digests: Mapping[str, str]) -> list[Check]:
    """Nothing to say of a build that obeyed no list: one that hides it has other keys, which `manifests` tells."""
    if not any(TOMBSTONES in manifest.parameters for manifest in manifests.values()):
        return []
    fine = "every list of erased documents that the build obeyed is here, for the next to obey"
    return [_check("erasures", check_lists(manifests, digests), fine)]


def _check(name: str, problems: list[str], fine: str) -> Check:
    found = tuple(dict.fromkeys(map(plain, problems)))
    return Check(name=name, ok=not found, detail=fine if not found else f"{len(found):,} problems", problems=found)


def _check_pages(
    folder: Folder, index: ReleaseIndex, manifests: Mapping[str, Manifest], digests: Mapping[str, str]
) -> Check:
    """Write report, ledger, findings and card again from all the rest, and compare."""
    if index.bundle_version != BUNDLE_VERSION:
        detail = (
            f"not compared: written by version {index.bundle_version} of release.bundle, this is {BUNDLE_VERSION}"
        )
        return Check(name="pages", ok=True, detail=detail)
    try:
        contents = contents_of(folder, index, manifests, digests)
        written = write_pages(contents)
    except Exception as error:  # a stranger's statistics may have any shape, and any may fail in its own way
        return _check(
            "pages", [f"the pages cannot be written again: {type(error).__name__}: {str(error)[:200]}"], ""
        )
    problems = [
        f"{name}: not what release.bundle version {BUNDLE_VERSION} writes from the manifests"
        for name, text in written.texts.items()
        if digests.get(name) != digest_text(text)
    ] + final_problems(index, contents.publisher, written.report)
    return _check("pages", problems, "report, ledger, findings and card say what the manifests say")


def _check_counts(
    folder: Folder, index: ReleaseIndex, manifests: Mapping[str, Manifest], machine: Machine
) -> Check:
    """Count authors, licences, languages and domains of the documents again, and compare."""
    shards, missing = packed_shards(index, manifests)
    if missing or not index.documents:
        return Check(name="counts", ok=True, detail=f"not compared: {COUNTED} are of documents that are not here")
    if index.bundle_version != BUNDLE_VERSION:
        return Check(name="counts", ok=True, detail=f"not compared: counted by version {index.bundle_version}")
    try:
        said = ATTRIBUTIONS.validate_json(folder.read(ATTRIBUTION)), SURVEY.validate_json(folder.read(SURVEY_FILE))
        problems = count_problems(said, count_again(folder, shards, machine))
    except Exception as error:  # a stranger's documents may have any shape, and any may fail in its own way
        return _check("counts", [f"{COUNTED}: {type(error).__name__}: {str(error)[:200]}"], "")
    return _check("counts", problems, f"{COUNTED} say what the documents here come to")


def contents_of(
    folder: Folder, index: ReleaseIndex, manifests: Mapping[str, Manifest], digests: Mapping[str, str]
) -> Contents:
    """What the pages of a release are written from, read from its folder; a stranger's may raise anything."""
    return Contents(
        index=index,
        manifests=list(manifests.values()),
        lock=json.loads(folder.read("lock.json")),
        attributions=ATTRIBUTIONS.validate_json(folder.read(ATTRIBUTION)),
        samples=[
            sample
            for number in range(len(index.samples))
            for sample in SAMPLES.validate_json(folder.read(numbered("samples.json", number)))
        ],
        config=json.loads(folder.read("config.json")),
        files={name: digest for name, digest in digests.items() if name not in (*PAGES, INDEX)},
        sizes={entry.path: entry.size_bytes for entry in index.files if entry.path not in PAGES},
        survey=SURVEY.validate_json(folder.read(SURVEY_FILE)),
        publisher=_publisher(folder),
        training={name: folder.read(f"{TRAINING}/{name}") for name in READ if f"{TRAINING}/{name}" in folder.files},
    )


def _publisher(folder: Folder) -> Publisher | None:
    """What the publisher says, if the release holds it."""
    if PUBLISHER_FILE not in folder.files:
        return None
    return parse_publisher(folder.read(PUBLISHER_FILE).decode("utf-8"), PUBLISHER_FILE)


def _read_index(folder: Folder) -> ReleaseIndex:
    if INDEX not in folder.files:
        raise ReleaseError(
            f"{folder.root} is no release: it has no {INDEX}",
            hint="A release is the folder that release.bundle makes, such as releases/<recipe> in a store.",
        )
    try:
        index = ReleaseIndex.model_validate_json(folder.read(INDEX))
    except (ValidationError, OSError) as error:
        raise ReleaseError(f"{folder.root / INDEX} cannot be understood: {_reason(error)}") from error
    if index.format != FORMAT:
        raise ReleaseError(
            f"{folder.root / INDEX} is of format {index.format}, this version reads {FORMAT}",
            hint="Verify it with the version of Fonderie that made it; the manifests name it.",
        )
    return index


def _check_files(
    folder: Folder, index: ReleaseIndex, results: Mapping[str, Hashed | OSError]
) -> tuple[dict[str, Hashed], list[str]]:
    """The hashes of every regular file of the folder, and what is missing, altered, or not listed."""
    listed = {entry.path: entry for entry in index.files if is_safe_name(entry.path)}
    present = folder.files.keys() - {INDEX}
    problems = [f"{name}: {what}" for name, what in folder.refused]
    problems += [
        f"{entry.path}: not a name inside the release" for entry in index.files if not is_safe_name(entry.path)
    ]
    if len({entry.path for entry in index.files}) != len(index.files):
        problems.append(f"{INDEX}: lists a file twice")
    problems += [f"{name}: no release is without it" for name in NEEDED if name not in listed]
    problems += [f"{name}: missing" for name in sorted(listed.keys() - present)]
    problems += [f"{name}: not listed in {INDEX}" for name in sorted(present - listed.keys())]
    found: dict[str, Hashed] = {}
    for name in sorted(folder.files):
        result = results.get(name)
        if result is None:
            problems.append(f"{name}: came while the release was being verified")
            continue
        if isinstance(result, OSError):
            problems.append(f"{name}: cannot be read: {result.strerror}")
            continue
        found[name] = result
        if name in listed and (result.digest, result.size_bytes) != (listed[name].sha256, listed[name].size_bytes):
            problems.append(f"{name}: altered")
    return found, problems


def _read_manifests(folder: Folder) -> tuple[dict[str, Manifest], list[str]]:
    """The manifests by key, and those that are none or do not bear their key's name."""
    manifests: dict[str, Manifest] = {}
    problems: list[str] = []
    for name in sorted(folder.files):
        if not name.startswith(f"{MANIFESTS}/"):
            continue
        manifest = _parse(folder, name, Manifest, problems)
        if manifest is None:
            continue
        if name != manifest_name(manifest.key):
            problems.append(f"{name}: holds the manifest of {manifest.key}")
        manifests[manifest.key] = manifest
    return manifests, problems


def _read_lock(folder: Folder) -> tuple[LockRecord | None, list[str]]:
    problems: list[str] = []
    if "lock.json" not in folder.files:
        return None, ["lock.json: missing"]
    return _parse(folder, "lock.json", LockRecord, problems), problems


def _parse(folder: Folder, name: str, model: type[Model], problems: list[str]) -> Model | None:
    try:
        return model.model_validate_json(folder.read(name))
    except ReleaseError as error:
        problems.append(f"{name}: {error.message}")
    except (ValidationError, OSError) as error:
        problems.append(f"{name}: cannot be understood: {_reason(error)}")
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)
