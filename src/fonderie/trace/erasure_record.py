"""The dated record of an erasure, and how it comes into the store: whole, once, and never changed.

The record holds no text and no name: of passages and names asked for, only how many. Those who must show them keep
the request's file; the record has its digest.
"""

import datetime
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import BaseModel

from fonderie.core.digest import digest_bytes
from fonderie.core.errors import StoreError
from fonderie.core.files import disk_full, sync_folder, sync_tree
from fonderie.core.tombstones import DECISION
from fonderie.corpus.bury import Place
from fonderie.corpus.tombstones import Match
from fonderie.trace.erasure_reach import Reach
from fonderie.trace.erasure_request import GROUNDS, Received
from fonderie.trace.erasure_search import Found

FORMAT = 1
FILTER = "output-filter.json"
PAGE = "decision.md"
_ASIDE = ".writing-"
STEPS_SHOWN = 12


class Left(NamedTuple):
    """A document that stays."""

    id: str
    why: str


@dataclass(frozen=True)
class Touching:
    """What the documents have touched, in the record's own words."""

    documents: list[dict[str, Any]]
    tokens: list[dict[str, Any]]
    trainings: list[dict[str, Any]]
    evaluations: list[str]
    releases: list[str]
    folders: list[str]
    other: list[str]

    @classmethod
    def of(cls, reach: Reach) -> Self:
        """The record of a walk."""
        return cls(
            [asdict(item) for item in reach.passed],
            [asdict(item) for item in reach.tokens],
            [asdict(item) for item in reach.trainings],
            reach.evaluations,
            reach.releases,
            reach.folders,
            reach.other,
        )


@dataclass(frozen=True)
class Record:
    """What was asked, found, decided and touched."""

    received: Received
    decided: str
    found: tuple[Found, ...]
    copies: tuple[tuple[Place, Match], ...]
    left: tuple[Left, ...]
    touching: Touching
    known_by_all_words: int
    """Documents too short, or too like others, for a changed copy of them to be known again."""

    @property
    def days(self) -> int:
        """Days from the request to the decision."""
        return (datetime.date.fromisoformat(self.decided[:10]) - self.received.request.received).days

    def to_json(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        """What decision.json holds."""
        request = self.received.request
        select = request.select
        return {
            "format": FORMAT,
            "reference": request.reference,
            "received": request.received.isoformat(),
            "decided": self.decided,
            "days": self.days,
            "ground": request.ground,
            "ground_detail": request.ground_detail or GROUNDS[request.ground],
            "decision": request.decision,
            "reasons": request.reasons,
            "request_sha256": self.received.sha256,
            "asked": {
                "ids": list(select.ids),
                "origins": list(select.origins),
                "origin_prefixes": list(select.origin_prefixes),
                "excerpts": len(select.excerpts),
                "persons": len(select.persons),
                "created_from": select.created_from and select.created_from.isoformat(),
                "created_until": select.created_until and select.created_until.isoformat(),
            },
            "documents": [{**item.place._asdict(), "by": list(item.by)} for item in self.found],
            "copies": [{**place._asdict(), "because": str(match)} for place, match in self.copies],
            "left": [item._asdict() for item in self.left],
            "known_by_all_words": self.known_by_all_words,
            "touched": asdict(self.touching),
            "files": {name: digest_bytes(data) for name, data in files.items()},
        }


def write_record(erasures: Path, record: Record, files: Mapping[str, bytes]) -> Path:
    """Write record and lists into a folder of their own, aside, then rename it; StoreError if it cannot be done."""
    target = erasures / record.received.request.reference
    decision = record.to_json(files)
    whole = {**files, DECISION: _json(decision), PAGE: page(decision).encode("utf-8")}
    try:
        erasures.mkdir(parents=True, exist_ok=True)
        with _alone(erasures):
            if target.exists():
                raise StoreError(f"{target} is already there", hint="A record is never written over.")
            aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=erasures))
            aside.chmod(0o755)
            for name, data in whole.items():
                (aside / name).write_bytes(data)
            sync_tree(aside)
            aside.rename(target)
            sync_folder(erasures)
    except OSError as error:
        hint = "The disk is full: free some space and try again." if disk_full(error) else ""
        raise StoreError(f"{target} cannot be written: {error.strerror or error}", hint=hint) from error
    return target


@contextmanager
def _alone(erasures: Path) -> Iterator[None]:
    """Hold the folder against other erasures; what a killed one left aside is swept away."""
    handle = os.open(erasures / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for left in erasures.glob(f"{_ASIDE}*"):
            shutil.rmtree(left)
        yield
    finally:
        os.close(handle)


def as_bytes(model: BaseModel) -> bytes:
    """A list as it is written: one JSON value a line where it matters to people, hashes close together."""
    return (json.dumps(model.model_dump(mode="json"), ensure_ascii=False) + "\n").encode("utf-8")


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def page(decision: Mapping[str, Any]) -> str:
    """decision.md: the record for people."""
    asked, touched = decision["asked"], decision["touched"]
    lines = [
        f"# Erasure {decision['reference']}: {decision['decision']}",
        "",
        f"Received {decision['received']}, decided {decision['decided']}, {count(decision['days'], 'day')} later.",
        f"Ground: {decision['ground_detail']}.",
        *([f"Reasons: {decision['reasons']}"] if decision["reasons"] else []),
        f"The request's file has the digest `{decision['request_sha256']}`; it is kept elsewhere.",
        "",
        "## Asked",
        "",
        *(f"- {line}" for line in _asked(asked)),
        "",
        "## Found",
        "",
        *(_row(item, f"by {', '.join(item['by'])}") for item in decision["documents"]),
        *(_row(item, f"kept out as well: {item['because']}") for item in decision["copies"]),
        *(f"- `{item['id']}` stays: {item['why']}" for item in decision["left"]),
        *([] if decision["documents"] or decision["left"] else ["Nothing."]),
        "",
        "## Touched",
        "",
        *(f"- {line}" for line in touched_lines(touched)),
        "",
        "Weights that have seen a document keep what they learnt of it. The next build is made without it; until",
        "then, the output filter keeps its passages from answers.",
    ]
    return "\n".join(lines) + "\n"


def _asked(asked: Mapping[str, Any]) -> Iterator[str]:
    for name in ("ids", "origins", "origin_prefixes"):
        for value in asked[name]:
            yield f"{name}: `{value}`"
    if asked["excerpts"]:
        yield f"{count(asked['excerpts'], 'passage')}, in the request's file"
    if asked["persons"]:
        yield f"{count(asked['persons'], 'name')}, in the request's file"
    for name in ("created_from", "created_until"):
        if asked[name]:
            yield f"{name}: {asked[name]}"


def _row(item: Mapping[str, Any], because: str) -> str:
    return f"- `{item['id']}` {item['source']}: {item['origin']} ({because})"


def touched_lines(touched: Mapping[str, Any]) -> Iterator[str]:
    """What was touched, a line each, for people."""
    ids = {name for row in touched["documents"] for name in (row["id"], row["id_after"]) if name}
    made_of_them = {row["made"] for row in touched["documents"]}
    yield f"{count(len(ids), 'id')} in {count(len(made_of_them), 'document set')}"
    shards: dict[tuple[str, str], int] = {}
    for extent in touched["tokens"]:
        place = (extent["made"], extent["shard"])
        shards[place] = shards.get(place, 0) + extent["length"]
    for (made, shard), tokens in sorted(shards.items()):
        yield f"{count(tokens, 'token')} in {shard} of {made}"
    for training in touched["trainings"]:
        steps = training["steps"]
        shown = ", ".join(f"{step:,}" for step in steps[:STEPS_SHOWN]) + (" …" if len(steps) > STEPS_SHOWN else "")
        saw = f"saw them in {count(len(steps), 'step')}: {shown}" if steps else "never saw them"
        yield f"training {training['made']} {saw}"
        if training["checkpoints"]:
            yield f"its checkpoints after the first of these: {', '.join(training['checkpoints'])}"
        if steps and training["sound"]:
            yield f"its checkpoints from before: {', '.join(training['sound'])}"
    for name, label in (("evaluations", "evaluation"), ("releases", "release"), ("other", "made from them")):
        for value in touched[name]:
            yield f"{label}: {value}"
    if touched["folders"]:
        yield f"still held by the store, until you remove them: {', '.join(touched['folders'])}"


def count(number: int, thing: str) -> str:
    """ "1 document", "2 documents"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
