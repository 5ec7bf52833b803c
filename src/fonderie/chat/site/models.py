"""What is said of a model before anybody talks with it: what it is, its limits, its openness, its gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from fonderie.chat.site.documents import readable
from fonderie.chat.site.words import Language, read_words
from fonderie.core.digest import digest_bytes, short
from fonderie.core.errors import ReleaseError
from fonderie.evaluate.gate import Gate
from fonderie.evaluate.score import ALL
from fonderie.evaluate.verdict import Verdict
from fonderie.release.facts import Sample
from fonderie.release.findings.finding import Criterion, Finding, Outcome
from fonderie.release.findings.openness import overall
from fonderie.release.gate import exposures, read_gate
from fonderie.release.layout import GATE, ReleaseIndex
from fonderie.release.writing import words
from fonderie.serve.served import Served

FINDINGS = "findings.json"
SAMPLES = "samples.json"
EXAMPLES = 3


Item = TypeVar("Item")
_FINDINGS = TypeAdapter(tuple[Finding, ...])
_SAMPLES = TypeAdapter(tuple[Sample, ...])


@dataclass(frozen=True)
class Shown:
    """One time that somebody let a release through that had failed its gate."""

    reason: str
    by: str
    on: date


@dataclass(frozen=True)
class About:
    """What the pages say of one model; all of it from its release's own files."""

    name: str
    digest: str
    index: ReleaseIndex
    context: int
    """Tokens that it reads, with its answer."""
    findings: tuple[Finding, ...]
    gate: Gate | None
    """None if nothing was demanded of it."""
    acknowledged: tuple[Shown, ...]
    """Why it is served although it failed."""
    examples: tuple[str, ...]
    """Questions that the release shows answers to."""

    @property
    def short_digest(self) -> str:
        """Enough of the digest to be told apart by eye."""
        return short(self.digest)

    @property
    def verdicts(self) -> dict[Criterion, Outcome]:
        """The worst verdict on each of the three criteria of openness."""
        return overall(self.findings)

    @property
    def failed(self) -> Sequence[Verdict]:
        """The demands that it does not meet."""
        return self.gate.failed if self.gate else ()

    def holds(self, path: str) -> bool:
        """Whether the release lists a file."""
        return any(entry.path == path for entry in self.index.files)

    def can_show(self, path: str) -> bool:
        """Whether a file of the release is one that people can read here."""
        return any(entry.path == path and readable(entry) for entry in self.index.files)

    def pages(self, language: Language) -> list[str]:
        """The release's pages for people, in a language where it has them in it."""
        other = {"fr": ".en.", "en": ".fr."}[language]
        card = "README.fr.md" if language == "fr" and self.holds("README.fr.md") else "README.md"
        found = [entry.path for entry in self.index.files if entry.path.endswith(".html")]
        found = [path for path in found if other not in path]
        return [path for path in (card, *found, FINDINGS, GATE, "LICENSE") if self.can_show(path)]


def demand(line: Verdict, language: Language) -> Markup:
    """One demand of a gate in a sentence, with its figures."""
    figure = words.score_figure(line, language)
    on = line.on if line.on != ALL else {"en": ALL, "fr": "toutes les sources"}[language]
    if line.language:
        on += f" ({line.language})"
    return read_words(language)(
        f"about.gate.{line.kind}",
        score=words.known("score", line.score, language),
        on=on,
        figure=figure,
        demanded=words.number(line.demanded, language),
    )


def about(served: Served) -> About:
    """Read what a release says of itself. ReleaseError if a file is not the one that release.json lists."""
    index = served.index
    listed = {entry.path: entry.sha256 for entry in index.files}
    findings = _read(served.folder, FINDINGS, listed, _FINDINGS)
    samples = _read(served.folder, SAMPLES, listed, _SAMPLES)
    gate = read_gate(served.folder)
    shown: list[Shown] = []
    if gate is not None and not gate.passed:
        if index.i_know_it_failed is not None:
            said = index.i_know_it_failed
            shown.append(Shown(said.reason, said.by, said.on))
        shown += [Shown(item.reason, item.by, item.at.date()) for item in exposures(served.folder)]
    return About(
        name=served.name,
        digest=served.digest,
        index=index,
        context=served.engine.context,
        findings=findings,
        gate=gate,
        acknowledged=tuple(shown),
        examples=tuple(sample.prompt for sample in samples if sample.kind == "question")[:EXAMPLES],
    )


def _read(
    folder: Path, name: str, listed: Mapping[str, str], kind: TypeAdapter[tuple[Item, ...]]
) -> tuple[Item, ...]:
    """The items of a file of the release; none if it has no such file."""
    if name not in listed:
        return ()
    path = folder / name
    try:
        data = path.read_bytes()
        if digest_bytes(data) != listed[name]:
            raise ReleaseError(f"{path} is not the one that release.json lists")
        return kind.validate_json(data)
    except (OSError, ValidationError) as error:
        raise ReleaseError(f"{path} cannot be read: {str(error)[:200]}") from error
