"""corpus.filter: rules as data; a document that breaks one is dropped, and the ledger says which one and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, field_validator, model_validator

from fonderie.core.errors import RecipeError
from fonderie.core.ledger import Fate
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Port, Source, SourceFiles, step
from fonderie.corpus.batches import Fates, transform_batches
from fonderie.corpus.readers.raw import language_code
from fonderie.corpus.rules.judge import Judge, Verdict, open_resources
from fonderie.corpus.rules.lists import UrlList, read_phrases
from fonderie.corpus.rules.rule import PERPLEXITY, URL
from fonderie.corpus.rules.sets import Plans, parse

LISTED_WORDS = "listed_words"
KEPT = Fates("kept")


class FilterParameters(Parameters):
    """What a document must satisfy."""

    rules: tuple[str, ...]
    """Each "measure comparison value", or the name of a set: gopher_repetition, gopher_quality, gopher_quality_fr,
    c4, c4_fr, fineweb, lucie_web. All must hold, in order; the first that does not is the reason."""
    languages: dict[str, tuple[str, ...]] = Field(default={})
    """Rules for documents in a language (ISO 639 code): each takes the place of those on the same side of the same
    measure, or joins them; "without measure" removes them. The language is the declared one, or else identified."""
    sources: dict[str, tuple[str, ...]] = Field(default={})
    """Rules for the documents of a source, in the same way, after those of the language."""
    url_lists: SourceFiles | None = None
    """Files of domains and addresses, one a line, for listed_url; folders as UT1's hold theirs: lists/*/domains."""
    word_lists: SourceFiles | None = None
    """Files of words and phrases, one a line, for listed_words; upper and lower case are one."""

    @field_validator("rules")
    @classmethod
    def _readable(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        if not rules:
            raise ValueError("no rule is given")
        parse(rules)
        return rules

    @field_validator("languages")
    @classmethod
    def _told_so(cls, languages: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for given in languages:
            code = language_code(given)
            if given != code or not 2 <= len(given) <= 3:
                means = f": documents say '{code}'" if code and 2 <= len(code) <= 3 else ""
                raise ValueError(
                    f"'{given}' is no language of a document{means}; give an ISO 639 code, such as 'fr'"
                )
        return languages

    @model_validator(mode="after")
    def _complete(self) -> "FilterParameters":
        measures = self.plans().measures
        for measure, files, name in (
            (URL, self.url_lists, "url_lists"),
            (LISTED_WORDS, self.word_lists, "word_lists"),
        ):
            if measure in measures and files is None:
                raise ValueError(f"a rule is on {measure}: give {name}, or 'without {measure}'")
            if measure not in measures and files is not None:
                raise ValueError(f"{name} is given, and no rule is on {measure}")
        return self

    def plans(self) -> Plans:
        """The rules of every language and source."""
        return Plans(self.rules, self.languages, self.sources)


class _Lookup(NamedTuple):
    """Where a worker finds what rules look things up in."""

    urls: tuple[Path, ...]
    words: tuple[Path, ...]
    ngrams: tuple[Path, ...]


def refuse_early(_: FilterParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Read the lists, so that one that cannot be read stops the build before it starts."""
    UrlList(source.path for source in sources.get("url_lists", ()))
    read_phrases(source.path for source in sources.get("word_lists", ()))


@step(
    "corpus.filter",
    version=2,
    parameters=FilterParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True), "ngrams": Port("ngrams", many=True, optional=True)},
    preflight=refuse_early,
)
def filter_documents(inputs: Inputs, params: FilterParameters, out: Output, machine: Machine) -> None:
    """Keep the documents that satisfy every rule; perplexity is that of the n-gram models given."""
    models = tuple(artifact.path for artifact in inputs.all("ngrams"))
    if (PERPLEXITY in params.plans().measures) != bool(models):
        raise RecipeError(
            "rules on perplexity and n-gram models come together, and only one of them is given",
            hint="Train a model with corpus.ngram and give it as inputs.ngrams, or take 'without perplexity'.",
        )
    _refuse_unknown_sources(params, inputs.all("documents"))
    lookup = _Lookup(_paths(inputs, "url_lists"), _paths(inputs, "word_lists"), models)
    transform_batches(
        inputs.all("documents"), out, machine, _BatchJudge(params.model_dump_json(), lookup), label="filtering"
    )


def _refuse_unknown_sources(params: FilterParameters, documents: Iterable[Artifact]) -> None:
    """RecipeError if rules are for a source of which no document ever came: they would hold for nothing."""
    made = (one.manifest.statistics.get("sources", {}) for artifact in documents for one in artifact.lineage())
    known = {name for sources in made for name in sources}
    unknown = sorted(params.sources.keys() - known) if known else []
    if unknown:
        raise RecipeError(
            f"the rules name sources that the documents do not have: {', '.join(unknown)}",
            hint=f"They have: {', '.join(sorted(known))}.",
        )


def _paths(inputs: Inputs, parameter: str) -> tuple[Path, ...]:
    return tuple(source.path for source in inputs.sources.get(parameter, ()))


@dataclass(frozen=True)
class _BatchJudge:
    """A judge as it travels to workers, which open what it needs once."""

    params: str
    lookup: _Lookup

    def __call__(self, batch: Any) -> list[Fates]:
        verdicts = _judge(self.params, self.lookup).judge(batch)
        return [KEPT if verdict.reason is None else _fates(verdict) for verdict in verdicts]


def _fates(verdict: Verdict) -> Fates:
    fate: Fate = "dropped" if verdict.text is None else "edited"
    return Fates(fate, verdict.reason, verdict.detail, verdict.text)


@cache
def _judge(params: str, lookup: _Lookup) -> Judge:
    plans = FilterParameters.model_validate_json(params).plans()
    return Judge(plans, open_resources(*lookup))
