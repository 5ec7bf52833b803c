"""REQUEST.toml: what somebody asked to have erased, and what was decided.

The file stays with those who received the request. Nothing personal of it (requester, names, passages) is copied
into anything that an erasure writes: the decision record holds the file's digest instead.
"""

import datetime
import itertools
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fonderie.core.digest import digest_bytes
from fonderie.core.errors import UsageError
from fonderie.corpus.folding import folded_words

Ground = Literal["gdpr-17", "gdpr-21", "copyright", "opt-out", "other"]
GROUNDS: dict[str, str] = {
    "gdpr-17": "erasure of personal data (GDPR, article 17)",
    "gdpr-21": "objection to processing (GDPR, article 21)",
    "copyright": "objection of a holder of rights",
    "opt-out": "reservation by a publisher",
    "other": "another ground",
}
Decision = Literal["granted", "partly", "refused"]

EXCERPT_WORDS = 5
"""Fewer words would stand in too many documents."""
ORIGIN_PREFIX = 8
ID_DIGITS = 8
NAME_WORDS = 5
"""A name's words are looked for in every order: 120 orders of five."""

Name = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Selection(_Table):
    """[select]: a document is selected by any of these."""

    ids: tuple[str, ...] = ()
    """Document ids at any step, whole or their first eight hexadecimal digits or more."""
    origins: tuple[str, ...] = ()
    """File names or URLs, exactly as documents record them, in their origin or in a metadata field."""
    origin_prefixes: tuple[Annotated[str, Field(min_length=ORIGIN_PREFIX)], ...] = ()
    """How origins begin: "https://example.org/blog/"."""
    excerpts: tuple[str, ...] = ()
    """Passages of five words or more; case, accents and punctuation do not count."""
    persons: tuple[Name, ...] = ()
    """Names, in any order of their words; case and accents do not count. Homonyms exist: see `confirm`."""
    created_from: datetime.date | None = None
    """Leave out documents that are surely older; those without a date stay in."""
    created_until: datetime.date | None = None
    """Leave out documents that are surely younger."""
    confirm: tuple[str, ...] = ()
    """Ids of documents that a name alone selects and that are about the right person: only these are erased."""
    spare: tuple[str, ...] = ()
    """Ids of documents that stay, though they are selected or resemble an erased one."""

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        if not any((self.ids, self.origins, self.origin_prefixes, self.excerpts, self.persons)):
            raise ValueError("it selects nothing: give ids, origins, origin_prefixes, excerpts or persons")
        for excerpt in self.excerpts:
            if len(folded_words(excerpt)) < EXCERPT_WORDS:
                raise ValueError(f"an excerpt has fewer than {EXCERPT_WORDS} words: {excerpt!r}")
        for person in self.persons:
            if not 1 <= len(folded_words(person)) <= NAME_WORDS:
                raise ValueError(f"a name has one to {NAME_WORDS} words: {person!r}")
        for name in ("ids", "confirm", "spare"):
            for given in getattr(self, name):
                digits = given.removeprefix("sha256:")
                if len(digits) < ID_DIGITS or not set(digits) <= set("0123456789abcdef"):
                    raise ValueError(f"{name}: {given!r} is no document id, nor its first {ID_DIGITS} digits")
        return self


class Request(_Table):
    """What REQUEST.toml holds."""

    reference: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Your file number, published with the tombstones: a number, never a name."""
    received: datetime.date
    """When the request came in."""
    ground: Ground
    """On what ground."""
    ground_detail: str = ""
    """Which other ground; needed with "other", kept in the record."""
    requester: str = ""
    """For your own use: written nowhere."""
    decision: Decision | None = None
    """May be left out with --dry-run alone."""
    reasons: str = ""
    """Why it is refused, or granted in part; kept in the record, so name nobody."""
    select: Selection
    """Which documents it is about."""

    @model_validator(mode="after")
    def _decided(self) -> Self:
        if self.decision in ("partly", "refused") and not self.reasons.strip():
            raise ValueError(f'the decision "{self.decision}" needs `reasons`')
        if self.ground == "other" and not self.ground_detail.strip():
            raise ValueError('the ground "other" needs `ground_detail`')
        if self.decision == "partly" and not (self.select.spare or self.select.confirm):
            raise ValueError("a request granted in part names what stays in select.spare")
        return self


class Received(BaseModel):
    """A request with the digest of its file."""

    model_config = ConfigDict(frozen=True)

    request: Request
    sha256: str


def read_request(path: Path) -> Received:
    """Read a request; UsageError names the field that is wrong."""
    try:
        data = path.read_bytes()
        request = Request.model_validate(tomllib.loads(data.decode("utf-8")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ""
        if first["type"] == "extra_forbidden":
            table = Selection if where.startswith("select.") else Request
            known = f"Known: {', '.join(table.model_fields)}."
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{path}: {f'{where}: ' if where else ''}{message}", hint=known) from error
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    return Received(request=request, sha256=digest_bytes(data))


def name_orders(name: str) -> tuple[str, ...]:
    """A name's folded words in every order, each as a line to look for: "jean dupont", "dupont jean"."""
    return tuple(sorted({f" {' '.join(order)} " for order in itertools.permutations(folded_words(name))}))
