"""The sourcing form: what a person found out about a source before its documents were read.

One TOML file per source, beside the recipe; `corpus.read` takes it as `sourcing`. BigScience kept such forms for
ROOTS (arXiv 2303.03915): who holds the data, under what rights, with whose personal data. Here the form is
validated, its bytes are part of the request, and what it says stands in the manifest.
"""

import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from fonderie.core.errors import InputError, LicenceError
from fonderie.core.placeholders import is_placeholder
from fonderie.core.step import Policy
from fonderie.core.wiring import did_you_mean
from fonderie.corpus.rights import admit
from fonderie.licences.verdict import judge


def _filled_in(text: str) -> str:
    if is_placeholder(text):
        raise ValueError(f"{text!r} still waits to be filled in")
    return text


def _reached(day: date) -> date:
    # Where the day begins first it is tomorrow already.
    if day > datetime.now(UTC).date() + timedelta(days=1):
        raise ValueError(f"{day} is still to come")
    return day


Words = Annotated[str, AfterValidator(_filled_in)]
Day = Annotated[date, AfterValidator(_reached)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Evidence(_Form):
    """Where the licence is stated, so that somebody else can look."""

    url: Words
    """Address of the page or file."""
    retrieved: Day
    """When it was read."""
    sha256: Digest | None = None
    """Digest of what was read, where a copy was kept."""
    states: Words
    """What it says of the licence, in a few words."""


class Period(_Form):
    """When the documents were collected."""

    first: Day
    last: Day

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"collected until {self.last}, before it began on {self.first}")
        return self


class SourcingForm(_Form):
    """What is known of a source."""

    custodian: Words
    """Who holds the data and answers for them."""
    contact: Words
    """How to reach them."""
    origin: Words
    """Where the documents come from: an address, or the name of a collection with its version."""
    collected: Period
    licence: str
    """SPDX identifier of the licence of the content; "unknown" if nobody could say."""
    collection_licence: str | None = None
    """SPDX identifier of the licence of the collection, which does not license its content."""
    evidence: tuple[Evidence, ...] = ()
    """For the licence; at least one, unless the licence is unknown."""
    personal_data: tuple[Words, ...]
    """Categories of personal data in the documents, such as "names of authors"; [] says that there are none."""
    legal_basis: Literal["consent", "contract", "legal obligation", "public task", "legitimate interest"] | None = (
        None
    )
    """For processing personal data (GDPR, article 6); needed if there are any."""
    remarks: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if judge(self.licence).status != "unknown" and not self.evidence:
            raise ValueError(f"the licence {self.licence} is stated without evidence: add an [[evidence]] table")
        if self.personal_data and self.legal_basis is None:
            raise ValueError("there are personal data, and no legal_basis")
        return self


def read_form(path: Path) -> SourcingForm:
    """Read and validate a form; InputError names the file, and every field that is wrong with what it should be."""
    try:
        return SourcingForm.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        wrong = "; ".join(_explained(error.errors(include_url=False)))
        raise InputError(
            f"{path}: {wrong}", hint="The fields of a sourcing form: docs/guide/sources.md."
        ) from error
    except ValueError as error:  # neither UTF-8 nor TOML
        raise InputError(f"{path} is no TOML: {error}") from error


_WRITTEN = {
    "tuple_type": 'a list in brackets, such as ["names of authors"], or [] for none',
    "date": "a day, written 2024-06-30 without quotes",
    "model_type": "a table, such as { first = 2024-01-01, last = 2024-06-30 }",
    "string_type": "text in quotes",
}


def _explained(errors: Iterable[ErrorDetails]) -> Iterator[str]:
    """Every fault of a form, in its own words."""
    for error in errors:
        place = ".".join(map(str, error["loc"]))
        kind = "date" if error["type"].startswith("date") else error["type"]
        if kind == "missing":
            yield f"{place} is missing"
        elif kind == "extra_forbidden":
            known = list(SourcingForm.model_fields) if len(error["loc"]) == 1 else []
            yield f"there is no field {place}{did_you_mean(place, known)}"
        elif kind in _WRITTEN:
            yield f"{place} is {error['input']!r}, and should be {_WRITTEN[kind]}"
        else:
            message = error["msg"].removeprefix("Value error, ")
            yield f"{place}: {message}" if place else message


def check_form(
    form: SourcingForm, declared: str | None, collection: str | None, policy: Policy, where: str
) -> dict[str, Any]:
    """What the manifest keeps of a form, once it agrees with the recipe and passes the gate.

    `declared` and `collection` are the recipe's licences of content and collection. LicenceError if they disagree,
    or if the policy does not accept the form's licence: unknown is never a pass.
    """
    for kind, said, written in (
        ("licence", declared, form.licence),
        ("collection_licence", collection, form.collection_licence),
    ):
        if said is None and kind == "collection_licence" and written is not None:
            raise LicenceError(
                f"{where} gives the {kind} {written}, but the recipe declares none",
                hint=f'Documents and releases say what the recipe says: {kind} = "{written}"',
            )
        if said is not None and judge(said).licence != judge(written or "unknown").licence:
            raise LicenceError(
                f"{where} gives the {kind} {written or 'unknown'}, but the recipe declares {said}",
                hint="Nothing is relabelled: find out which is right, and write it in both.",
            )
    admit(form.licence, policy, where)
    return form.model_dump(mode="json", exclude_none=True)
