"""A file of guards, read: categories, their modes before and after, what each looks for, what people are told."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fonderie.core.errors import InputError
from fonderie.corpus.personal.kinds import VALIDATED, Kind
from fonderie.serve.guards.terms import rows_of

Mode = Literal["off", "log", "warn", "block"]
"""off: not looked for. log: counted. warn: counted, and the answer says so. block: not asked, or cut off before."""
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TermList(_Part):
    """Terms of one language, as `fonderie.serve.guards.terms` reads them; all are looked for in every text."""

    language: Language
    terms: Annotated[tuple[str, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        for term in self.terms:
            rows_of(term)
        return self


class Category(_Part):
    """One kind of thing that is looked for."""

    before: Mode = "off"
    """For questions."""
    after: Mode = "off"
    """For answers."""
    looks_for: Literal["terms", "personal_data", "erased_passages"] = "terms"
    """Terms of `rules`; what the corpus redactor finds; passages on the lists of --output-filter."""
    kinds: tuple[Kind, ...] = VALIDATED
    """Of personal data; only those that are checked beyond their form."""
    message: dict[Language, str] = Field(default_factory=dict)
    """What people read when it was found, by language."""
    rules: tuple[TermList, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.looks_for == "terms") != bool(self.rules):
            raise ValueError('rules with terms are needed for, and only for, looks_for = "terms"')
        unchecked = set(self.kinds) - set(VALIDATED)
        if unchecked:
            raise ValueError(
                f"{', '.join(sorted(unchecked))} has no check but its form: too much would look like it"
            )
        return self


class GuardFile(_Part):
    """What the file holds."""

    format: Literal[1]
    category: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")], Category], Field(min_length=1)]


def read_guards(path: Path | None = None) -> GuardFile:
    """The guards of a file, or those that come with Fonderie. InputError if they cannot be read."""
    name = "the default guards" if path is None else str(path)
    hint = "Nothing is served while the guards cannot be read; docs/guide/serve-in-public.md shows the form."
    try:
        if path is None:
            text = resources.files(__package__ or "").joinpath("default.toml").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        data: Any = tomllib.loads(text)
        return GuardFile.model_validate(data)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(f"{name}: {place}: {message}", hint=hint) from error
    except ValueError as error:  # not UTF-8, not TOML
        raise InputError(f"{name}: {error}", hint=hint) from error
