"""One rule applied to one release: what is found, how deeply it was looked at, and what it rests on."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

Criterion = Literal["use", "data", "method"]
Outcome = Literal["pass", "partial", "fail", "unknown"]
Level = Literal["declared", "present", "parsed", "verified"]
FINDINGS_ORDER: tuple[Outcome, ...] = ("fail", "unknown", "partial", "pass")
"""What weighs most comes first."""
EVIDENCE_SHOWN = 8
"""Files named for one finding; the index lists the rest."""


class Evidence(BaseModel):
    """What a finding rests on: a file of the release, and the words or figures in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str
    rule: str
    """How the excerpt was read."""
    excerpt: str


class Finding(BaseModel):
    """One rule applied to one release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    criterion: Criterion
    verdict: Outcome
    level: Level
    """How deeply the evidence was looked at."""
    summary: str
    """One sentence."""
    evidence: tuple[Evidence, ...] = ()


Files = Mapping[str, str]
"""Digest of each file that the release holds, by name."""


def evidence_in(files: Files, path: str, rule: str, excerpt: str) -> tuple[Evidence, ...]:
    """One piece of evidence; nothing if the release does not hold the file."""
    return (Evidence(path=path, sha256=files[path], rule=rule, excerpt=excerpt),) if path in files else ()
