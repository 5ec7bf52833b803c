"""Model and data cards of a target: the YAML head, and the sentences of the body."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fonderie.audit.hub import HubModel
from fonderie.audit.parse import ParseError, read_yaml, split_front_matter
from fonderie.audit.target import Target, shorten
from fonderie.release.findings.openness import Evidence

BODY_LIMIT_CHARS = 300_000
SENTENCES_LIMIT = 5_000
SENTENCE_CHARS = 1_000

_MODEL_CARD = re.compile(r"^(readme(\.[a-z]{2})?|model[-_ ]?card(\.[a-z]{2})?)\.(md|markdown|txt)$", re.IGNORECASE)
_DATA_CARD = re.compile(
    r"^(.*/)?(data(set)?s?[^/]*/readme(\.[a-z]{2})?|data(set)?[-_ ]?(card|sheet)[^/]*)\.(md|markdown|txt)$",
    re.IGNORECASE,
)
_CODE = re.compile(r"^(```|~~~)")
_END = re.compile(r"(?<=[.!?…])[\s*_\"')»]+(?=[A-ZÀ-Ý\[*_«\"'(])")


@dataclass(frozen=True)
class Card:
    """One card."""

    path: str
    """Empty where only the hub's answer holds the head."""
    head: dict[str, Any]
    body: str
    sentences: tuple[str, ...]
    problem: str = ""
    """Why the head cannot be read; empty if it can."""


@dataclass(frozen=True)
class Survey:
    """A target with its cards and what the hub says: what all rules look at."""

    target: Target
    model_cards: tuple[Card, ...]
    """The main one first."""
    data_cards: tuple[Card, ...]
    hub: HubModel | None = None

    @property
    def card(self) -> Card | None:
        """The main model card."""
        return self.model_cards[0] if self.model_cards else None

    def card_evidence(self, card: Card, rule: str, excerpt: str) -> Evidence:
        """A card as evidence, or the hub's answer where no file of the card could be read."""
        return self.target.evidence(card.path, rule, excerpt) if card.path else self.hub_evidence(rule, excerpt)

    def hub_evidence(self, rule: str, excerpt: str) -> Evidence:
        """The hub's answer as evidence."""
        assert self.hub is not None
        path = f"/api/models/{self.target.name}"
        return Evidence(path=path, sha256=self.hub.answer_sha256, rule=rule, excerpt=shorten(excerpt))


def survey(target: Target, hub: HubModel | None = None) -> Survey:
    """Read the cards of a target."""
    names = sorted(target.entries, key=lambda name: (name.casefold() != "readme.md", name))
    model = [card for name in names if _MODEL_CARD.match(name) and (card := _read(target, name))]
    if not any(card.head for card in model) and hub is not None and hub.card:
        model.insert(0, Card("", hub.card, "", ()))
    data = [
        card
        for name in names
        if _DATA_CARD.match(name) and not _MODEL_CARD.match(name) and (card := _read(target, name))
    ]
    return Survey(target, tuple(model), tuple(data), hub)


def _read(target: Target, name: str) -> Card | None:
    found = target.text(name)
    if found is None:
        return None
    head, body = split_front_matter(found.text)
    value: Any = {}
    problem = ""
    try:
        value = read_yaml(head) if head.strip() else {}
    except ParseError as error:
        problem = str(error)
    if not isinstance(value, dict):
        value, problem = {}, "its head is no table of fields"
    fields = {key: item for key, item in value.items() if isinstance(key, str)}
    return Card(name, fields, body[:BODY_LIMIT_CHARS], tuple(_sentences(body[:BODY_LIMIT_CHARS])), problem)


def _sentences(body: str) -> Iterable[str]:
    """Sentences outside code and comments; a heading, a list item and a table row are each one."""
    inside_code, count = False, 0
    for line in _paragraphs(_without_comments(body)):
        if _CODE.match(line):
            inside_code = not inside_code
            continue
        if inside_code:
            continue
        for sentence in _END.split(line[: 20 * SENTENCE_CHARS]):
            stripped = sentence.strip()
            if stripped:
                yield stripped[:SENTENCE_CHARS]
                count += 1
            if count >= SENTENCES_LIMIT:
                return


def _without_comments(text: str) -> str:
    """Without <!-- … -->, found by search and not by a pattern, whose time a stranger could square."""
    kept, start = [], 0
    while (opening := text.find("<!--", start)) >= 0:
        closing = text.find("-->", opening)
        kept.append(text[start:opening])
        if closing < 0:
            return " ".join(kept)
        start = closing + 3
    return " ".join([*kept, text[start:]])


def _paragraphs(text: str) -> Iterable[str]:
    """Lines, with those that were only wrapped joined again."""
    joined: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        starts_anew = not line or line.startswith(("#", "-", "*", "|", ">", "```", "~~~")) or line[:1].isdigit()
        if starts_anew and joined:
            yield " ".join(joined)
            joined = []
        if line.startswith(("#", "```", "~~~", "|")):
            yield line
        elif line:
            joined.append(line)
    if joined:
        yield " ".join(joined)
