"""The gate of a release: what verify looks at, and who may show a release to people although it failed.

A failed release stays a release: it is verified, replayed, signed, examined. What it may not be is served, pushed
or talked with, until somebody has said why: in the recipe (`i_know_it_failed` of release.bundle), and its card says
it; or on the command line, and a record beside the folder says it, for this release's bytes and no others.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fonderie.core.digest import digest_bytes, digest_file
from fonderie.core.errors import ReleaseError, UsageError
from fonderie.core.files import write_atomically
from fonderie.core.intervals import Interval
from fonderie.core.manifest import Manifest
from fonderie.evaluate.gate import Gate, in_words
from fonderie.evaluate.score import SCORE_LIST, Score
from fonderie.evaluate.verdict import Verdict, holds, worse_by
from fonderie.release.folder import Folder
from fonderie.release.layout import EXPOSURES, GATE, INDEX, ReleaseIndex, numbered
from fonderie.release.signing.place import beside

ENDING = f".{EXPOSURES}"
FLAG = "--i-know-it-failed"
GATE_LIMIT_BYTES = 1 << 22


class Exposure(BaseModel):
    """One time that somebody showed a failed release knowing it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: str
    """Digest of its release.json, which lists every other file."""
    action: str
    """The command."""
    reason: str = Field(min_length=1)
    by: str
    """The account on the machine."""
    at: datetime


EXPOSURE_LIST = TypeAdapter(list[Exposure])


def read_gate(release: Path) -> Gate | None:
    """The gate of a release; None if it states none. ReleaseError if it is not the one that release.json lists."""
    index_path = release / INDEX
    if not index_path.is_file():
        raise no_release(release)
    try:
        index = ReleaseIndex.model_validate_json(index_path.read_bytes())
        if index.gate is None:
            return None
        listed = next((entry.sha256 for entry in index.files if entry.path == GATE), None)
        written = (release / GATE).read_bytes()
        if listed != digest_bytes(written):
            raise ReleaseError(f"{release / GATE} is not the one that {INDEX} lists: it says nothing for sure")
        return Gate.model_validate_json(written)
    except (OSError, ValidationError) as error:
        raise ReleaseError(f"the gate of {release} cannot be read: {error}") from error


def no_release(folder: Path) -> ReleaseError:
    """What there is to say of a folder without the index of a release."""
    hint = "fonderie run ends with its path."
    if (folder / "config.json").is_file():
        hint = "A checkpoint of Hugging Face becomes one by model.import, tokens.import and release.bundle."
    return ReleaseError(f"{folder} is not a release: it has no {INDEX}", hint=hint)


def refuse_failed(
    release: Path,
    acknowledged: str | None,
    *,
    action: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Gate | None:
    """Let a release through to people if it passed its gate, or if somebody says why not; returns the gate.

    Every way to the public calls this first. ReleaseError if the gate failed and nobody has said why, or if it
    cannot be read. An acknowledgement on the command line is recorded before anything is shown; UsageError if that
    cannot be written, or if there is no failure to acknowledge.
    """
    gate = read_gate(release)
    if gate is None or gate.passed:
        if acknowledged is not None:
            why = "passed its gate" if gate else "states no gate"
            raise UsageError(f"{FLAG}: {release} {why}, so there is nothing to know", hint=f"Leave {FLAG} out.")
        return gate
    if acknowledged is not None:
        if not acknowledged.strip():
            raise UsageError(f"{FLAG} needs a reason", hint=f'{FLAG} "why it is shown all the same"')
        _record(release, acknowledged.strip(), action, now())
        return gate
    if _index(release).i_know_it_failed is None:
        failed = "\n".join(f"  {in_words(line)}" for line in gate.failed)
        raise ReleaseError(
            f"{release} FAILED its gate:\n{failed}",
            hint=f'{action} shows it only with {FLAG} "REASON", which is recorded beside the release.',
        )
    return gate


def exposures(release: Path) -> list[Exposure]:
    """The recorded times that this very release was shown although it failed, inside and beside the folder."""
    here = digest_file(release / INDEX)
    found = [item for path in (release / EXPOSURES, beside(release, ENDING)) for item in _read(path)]
    return sorted((item for item in dict.fromkeys(found) if item.release == here), key=lambda item: item.at)


def _record(release: Path, reason: str, action: str, now: datetime) -> None:
    path = beside(release, ENDING)
    item = Exposure(
        release=digest_file(release / INDEX),
        action=action,
        reason=reason,
        by=_user(),
        at=now.replace(microsecond=0),
    )
    text = EXPOSURE_LIST.dump_json([*_read(path), item], indent=1) + b"\n"
    try:
        write_atomically(path, text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}), so that the release is not shown",
            hint="Copy the release to a folder of yours: the record lies beside it.",
        ) from error


def _read(path: Path) -> list[Exposure]:
    if not path.exists():
        return []
    try:
        return EXPOSURE_LIST.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ReleaseError(f"{path} is no record of what was shown: {error}") from error


def _user() -> str:
    try:
        return getuser()
    except (OSError, KeyError):  # an account without a name, as in containers
        return f"uid {os.getuid()}"


def _index(release: Path) -> ReleaseIndex:
    return ReleaseIndex.model_validate_json((release / INDEX).read_bytes())


def gate_of(manifests: Sequence[Manifest], index: ReleaseIndex) -> Gate | None:
    """The gate as its manifest repeats it, from which the pages are written."""
    if index.gate is None:
        return None
    for manifest in manifests:
        if manifest.key == index.gate.key:
            found: Any = manifest.statistics.get("gate")
            return Gate.model_validate(found)
    raise ReleaseError("release.json names a gate whose manifest is not here")


def gate_problems(folder: Folder, index: ReleaseIndex, manifests: Mapping[str, Manifest]) -> list[str]:
    """Whether the gate's verdicts follow from the scores beside it; nothing is said of a release without one."""
    if index.gate is None:
        return []
    gate = Gate.model_validate_json(folder.read(GATE, GATE_LIMIT_BYTES))
    problems = []
    if gate != gate_of(list(manifests.values()), index):
        problems.append(f"{GATE}: its manifest repeats it otherwise")
    if gate.passed != all(line.passed for line in gate.lines):
        problems.append(f"{GATE}: the whole does not follow from its lines")
    if gate.model != index.model.digest:
        problems.append(f"{GATE}: judges another model")
    scores = [
        score
        for number in range(len(index.scores))
        for score in SCORE_LIST.validate_json(folder.read(numbered("scores.json", number)))
    ]
    parents, compared = _parents(manifests[index.gate.key], manifests)
    if gate.parent is not None and compared != {gate.parent}:
        problems.append(f"{GATE}: its parent is not the model whose scores it was given as a parent's")
    for line in gate.lines:
        problems += _line_problems(line, scores, parents)
    return problems


def _parents(gate: Manifest, manifests: Mapping[str, Manifest]) -> tuple[list[Score], set[str]]:
    """The scores that a gate was given as its parent's, and the digests of the models that they are of."""
    given = [manifests[entry.key] for entry in gate.inputs.get("parent", ())]
    scores = [score for manifest in given for score in SCORE_LIST.validate_python(manifest.statistics["scores"])]
    return scores, {entry.digest for manifest in given for entry in manifest.inputs["model"]}


def _line_problems(line: Verdict, scores: Sequence[Score], parents: Sequence[Score]) -> list[str]:
    where = f"{GATE}: {line.score} on {line.on}"
    problems = []
    if line.passed != holds(line.kind, line.demanded, line.counts, line.value, Interval(line.low, line.high)):
        problems.append(f"{where}: its verdict does not follow from its figures")
    own = [one for one in scores if (one.name, one.source, one.language) == (line.score, line.on, line.language)]
    if line.kind == "regression":
        its = [one for one in parents if (one.name, one.source) == (line.score, line.on)]
        if (line.parent, line.value) not in [(one.value, worse_by(score, one)) for score in own for one in its]:
            problems.append(f"{where}: the scores of this release and of its parent do not say so")
    elif (line.value, line.low, line.high, line.n) not in [(one.value, one.low, one.high, one.n) for one in own]:
        problems.append(f"{where}: no score of this release says so")
    return problems
