"""publisher.toml: what a release owes to people and the law, and no machine can know.

Everything else in the documents comes from the manifests. A field marked `Owed` is mandatory in a *final* release,
and says which documents need it; a *draft* shows the gap at its place. Texts are in English and in French.
"""

import datetime
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from fonderie.core.errors import ReleaseError
from fonderie.core.placeholders import is_placeholder
from fonderie.core.step import Source
from fonderie.release.energy import Electricity

FILE = "publisher.toml"
EXAMPLE = "recipes/publisher.example.toml"

DocumentName = Literal["public-summary", "model-documentation-form", "copyright-policy"]
SUMMARY: DocumentName = "public-summary"
FORM: DocumentName = "model-documentation-form"
COPYRIGHT: DocumentName = "copyright-policy"
DOCUMENTS: tuple[DocumentName, ...] = (SUMMARY, FORM, COPYRIGHT)

Category = Literal["public", "licensed", "private", "crawled", "user", "other"]


@dataclass(frozen=True)
class Owed:
    """A field that a final release cannot do without."""

    documents: tuple[DocumentName, ...]
    """Those that have a place for it."""


@dataclass(frozen=True)
class Gap:
    """One field that still waits for its author."""

    field: str
    """As the file names it, such as "provider.address"."""
    problem: Literal["missing", "placeholder"]
    documents: tuple[DocumentName, ...]
    """Those that need it; empty for a field that is optional, but holds a placeholder."""


def _day(value: Any) -> Any:
    """A TOML date, an ISO 8601 string, or a placeholder, which counts as nothing."""
    if isinstance(value, str) and is_placeholder(value):
        return None
    return value


GAP_WORDS = {"missing": "missing", "placeholder": "a placeholder"}


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, str_strip_whitespace=True, strict=False
    )


Day = Annotated[datetime.date | None, BeforeValidator(_day)]
YesNo = Annotated[bool | None, BeforeValidator(_day)]


class Words(_Part):
    """A text in both languages of the documents; paragraphs are separated by an empty line."""

    en: str = ""
    """English."""
    fr: str = ""
    """French."""


class DocumentVersion(_Part):
    """Of the documents, not of the model: they are revised while the model stays as it is."""

    version: Annotated[str | None, Owed(DOCUMENTS)] = None
    """Such as "1.0"."""
    last_update: Annotated[Day, Owed(DOCUMENTS)] = None
    """Date of the last change, as YYYY-MM-DD. Refreshed every six months while training goes on."""
    previous: tuple[str, ...] = ()
    """Addresses of earlier versions."""


class Provider(_Part):
    """Who places the model on the market or publishes it."""

    legal_name: Annotated[str | None, Owed(DOCUMENTS)] = None
    """Name of the legal entity."""
    address: Annotated[str | None, Owed(DOCUMENTS)] = None
    """Postal address."""
    contact: Annotated[str | None, Owed(DOCUMENTS)] = None
    """E-mail address or page of a form."""
    registration: str | None = None
    """Number in a register of companies or associations."""
    website: str | None = None
    """Address of a page."""
    established_in_union: Annotated[YesNo, Owed((SUMMARY,))] = None
    """Whether the entity is established in the European Union; if not, it owes an authorised representative."""
    small_enterprise: bool = False
    """Small or medium-sized (Recommendation 2003/361/EC): shortens the list of crawled domains."""


class Representative(_Part):
    """Authorised representative in the Union (Article 54), for providers established elsewhere."""

    name: Annotated[str | None, Owed((SUMMARY,))] = None
    """Name of the person or entity."""
    contact: Annotated[str | None, Owed((SUMMARY,))] = None
    """Postal or electronic address."""


class Market(_Part):
    """When and where the model is made available."""

    release_date: Annotated[Day, Owed((FORM,))] = None
    """First release through any channel."""
    union_date: Annotated[Day, Owed((SUMMARY, FORM))] = None
    """Placement on the Union market."""
    channels: Annotated[tuple[str, ...], Owed((FORM,))] = ()
    """Where it can be had: addresses of hubs and pages."""


class CodeOfPractice(_Part):
    """The General-Purpose AI Code of Practice of 10 July 2025."""

    signatory: Annotated[YesNo, Owed((SUMMARY, COPYRIGHT))] = None
    """Whether the provider has signed it."""


class Use(_Part):
    """What the model is for. Nothing here binds anybody: a restriction of use would close the model."""

    intended: Annotated[Words | None, Owed((FORM,))] = None
    """Uses that it was made for."""
    advised_against: Annotated[Words | None, Owed((FORM,))] = None
    """Uses that you advise against: advice only, since a prohibition would fail the first criterion of openness."""
    systems: Annotated[Words | None, Owed((FORM,))] = None
    """Types of AI systems that it can be built into."""


class Data(_Part):
    """Data, beyond what the ledger knows."""

    legal_basis: Annotated[Words | None, Owed((SUMMARY, FORM))] = None
    """Legal basis for personal data in the training documents (GDPR, Article 6), or that there are none."""
    latest_acquisition: Day = None
    """When the last data were acquired, if earlier than the day on which the files were read."""
    model_interactions: Annotated[YesNo, Owed((SUMMARY,))] = None
    """Whether what users wrote to a model was used for training."""
    other_services: Annotated[YesNo, Owed((SUMMARY,))] = None
    """Whether data of users of other services of the provider were used for training."""
    user_data: Words | None = None
    """Which services; mandatory if either of the two above is true."""
    illegal_content: Annotated[Words | None, Owed((SUMMARY,))] = None
    """Measures against illegal content in the training data."""
    unsuitability: Annotated[Words | None, Owed((FORM,))] = None
    """Measures to detect sources that do not suit."""
    bias: Annotated[Words | None, Owed((FORM,))] = None
    """Measures to detect identifiable biases, and what they found."""


class TrainingChoices(_Part):
    """Why it was trained as it was."""

    design: Annotated[Words | None, Owed((FORM,))] = None
    """Reasons and assumptions behind the model's design: its kind and its size."""
    rationale: Annotated[Words | None, Owed((FORM,))] = None
    """Reasons and assumptions behind the key choices of the training."""


class Copyright(_Part):
    """The copyright policy of Article 53(1)(c), in the five measures of the Code's copyright chapter."""

    policy: Annotated[Words | None, Owed((COPYRIGHT,))] = None
    """1.1: the policy in a few sentences."""
    responsible: Annotated[str | None, Owed((COPYRIGHT,))] = None
    """1.1: who in the organisation applies it."""
    lawful_access: Annotated[Words | None, Owed((COPYRIGHT,))] = None
    """1.2: how only lawfully accessible content is used."""
    rights_reservations: Annotated[Words | None, Owed((SUMMARY, COPYRIGHT))] = None
    """1.3: how robots.txt and other machine-readable reservations are respected, by you and your suppliers."""
    outputs: Annotated[Words | None, Owed((COPYRIGHT,))] = None
    """1.4: what is done against outputs that infringe."""
    complaint_contact: Annotated[str | None, Owed((SUMMARY, COPYRIGHT))] = None
    """1.5: electronic address for rightsholders' complaints."""
    complaint_handling: Annotated[Words | None, Owed((COPYRIGHT,))] = None
    """1.5: how complaints are answered, and in what time."""


class Crawler(_Part):
    """Section 2.3, for a source that was crawled by the provider or on their behalf."""

    names: Annotated[tuple[str, ...], Owed((SUMMARY,))] = ()
    """Names that the crawlers gave themselves."""
    purposes: Annotated[Words | None, Owed((SUMMARY,))] = None
    """What they collected for."""
    behaviour: Annotated[Words | None, Owed((SUMMARY,))] = None
    """How they behave: robots.txt, captchas, paywalls."""


class PublishedSource(_Part):
    """One source that the recipe reads from files; what the recipe composes needs none."""

    category: Annotated[Category | None, BeforeValidator(_day), Owed((SUMMARY, FORM))] = None
    """"public" (2.1), "licensed" (2.2.1), "private" (2.2.2), "crawled" (2.3), "user" (2.4) or "other" (2.6)."""
    title: Annotated[str | None, Owed((SUMMARY, FORM))] = None
    """Name under which the data set is known, with its version."""
    url: str | None = None
    """Where it can be had; mandatory for "public"."""
    collected: Annotated[str | None, Owed((SUMMARY, FORM))] = None
    """Period in which it was collected, such as "2024-01 to 2025-03"."""
    description: Annotated[Words | None, Owed((SUMMARY, FORM))] = None
    """What it contains, and how it was obtained."""
    crawler: Crawler | None = None
    """Mandatory for "crawled"."""


class Publisher(_Part):
    """The whole file; every table may be left out of a draft."""

    document: DocumentVersion = DocumentVersion()
    """Version of the documents."""
    provider: Provider = Provider()
    """Who publishes."""
    authorised_representative: Representative | None = None
    """Mandatory if the provider is not established in the Union."""
    market: Market = Market()
    """Dates and channels."""
    code_of_practice: CodeOfPractice = CodeOfPractice()
    """Whether it was signed."""
    use: Use = Use()
    """What for, and what not for."""
    data: Data = Data()
    """Personal data, illegal content, bias."""
    training: TrainingChoices = TrainingChoices()
    """Why so."""
    copyright: Copyright = Copyright()
    """The copyright policy."""
    electricity: Electricity | None = None
    """Where the electricity of the training came from; without it no emissions are stated."""
    sources: Mapping[str, PublishedSource] = {}
    """By the name of the source in the recipe."""


def parse_publisher(text: str, where: str) -> Publisher:
    """Read the text of a publisher.toml; ReleaseError names `where`, the field and what is wrong with it."""
    try:
        return Publisher.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ReleaseError(f"{where} is not TOML: {error}", hint=f"A whole one to start from: {EXAMPLE}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        what = "there is no such field" if unknown else first["msg"]
        raise ReleaseError(
            f"{where}: {field}: {what}", hint=f"All fields, with their meaning: {EXAMPLE}"
        ) from error


def load_publisher(files: Sequence[Source]) -> Publisher | None:
    """The publisher.toml that a recipe names; None if it names none. ReleaseError if it is wrong, or two."""
    if not files:
        return None
    if len(files) > 1:
        raise ReleaseError(
            f"publisher names {len(files)} files: {', '.join(str(item.path) for item in files)}",
            hint="One publisher speaks for a release: name one file.",
        )
    try:
        text = files[0].path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ReleaseError(f"{files[0].path} is not UTF-8: {error}") from error
    return parse_publisher(text, str(files[0].path))


def gaps(publisher: Publisher) -> list[Gap]:
    """Every mandatory field that is missing, and every field that holds a placeholder, in the order of the file."""
    return [*_walk(publisher, ""), *_depending(publisher)]


def source_gaps(publisher: Publisher, read: Iterable[str]) -> list[Gap]:
    """The sources that were read from files, and that the file does not describe."""
    return [Gap(f"sources.{name}", "missing", (SUMMARY, FORM)) for name in read if name not in publisher.sources]


def refuse_strangers(publisher: Publisher, known: Sequence[str], where: str) -> None:
    """ReleaseError if the file describes a source that the release was not read from: a name misspelt, or stale."""
    strange = [name for name in publisher.sources if name not in known]
    if strange:
        raise ReleaseError(
            f"{where} describes the source '{strange[0]}', from whose files nothing was trained on",
            hint=f"Sources read from files in this release: {', '.join(known) or 'none'}.",
        )


def _walk(part: BaseModel, prefix: str) -> Iterator[Gap]:
    for name, info in type(part).model_fields.items():
        value = getattr(part, name)
        owed = next((extra.documents for extra in info.metadata if isinstance(extra, Owed)), ())
        yield from _look(value, f"{prefix}{name}", owed)


def _look(value: Any, field: str, owed: tuple[DocumentName, ...]) -> Iterator[Gap]:
    if isinstance(value, Words):
        for language in ("en", "fr"):
            text = getattr(value, language)
            if not text and owed:
                yield Gap(f"{field}.{language}", "missing", owed)
            elif text and is_placeholder(text):
                yield Gap(f"{field}.{language}", "placeholder", owed)
    elif isinstance(value, BaseModel):
        yield from _walk(value, f"{field}.")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _look(item, f"{field}.{name}", ())
    elif isinstance(value, tuple):
        if not value and owed:
            yield Gap(field, "missing", owed)
        elif any(is_placeholder(str(item)) for item in value):
            yield Gap(field, "placeholder", owed)
    elif isinstance(value, str) and value and is_placeholder(value):
        yield Gap(field, "placeholder", owed)
    elif (value is None or value == "") and owed:
        yield Gap(field, "missing", owed)


def _depending(publisher: Publisher) -> Iterator[Gap]:
    """What is mandatory only because of another answer."""
    if publisher.provider.established_in_union is False and publisher.authorised_representative is None:
        yield Gap("authorised_representative", "missing", (SUMMARY,))
    data = publisher.data
    if (data.model_interactions or data.other_services) and data.user_data is None:
        yield Gap("data.user_data", "missing", (SUMMARY,))
    for name, source in publisher.sources.items():
        if source.category == "public" and not source.url:
            yield Gap(f"sources.{name}.url", "missing", (SUMMARY, FORM))
        if source.category == "crawled" and source.crawler is None:
            yield Gap(f"sources.{name}.crawler", "missing", (SUMMARY,))


def refuse_unfinished(publisher: Publisher | None, where: str, release: str, also: Sequence[Gap] = ()) -> None:
    """ReleaseError if a final release lacks what only people can say; it names every gap and the file."""
    if publisher is None:
        raise ReleaseError(
            f"the release '{release}' cannot be final without a {FILE}: nobody says who publishes it",
            hint=f'Name it as publisher = "{FILE}" (a whole one to start from: {EXAMPLE}), or release a draft.',
        )
    found = [*gaps(publisher), *also]
    if not found:
        return
    lines = [
        f"  {gap.field}: {GAP_WORDS[gap.problem]}" + (f" (for {', '.join(gap.documents)})" if gap.documents else "")
        for gap in found
    ]
    raise ReleaseError(
        f"the release '{release}' cannot be final; fields of {where} that wait for their author: {len(found)}\n"
        + "\n".join(lines),
        hint=f'Fill them in, or release it as status = "draft". What each means: {EXAMPLE}',
    )
