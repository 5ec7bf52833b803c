"""The words of cards and notices in two languages, and figures as each language writes them."""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from fonderie.evaluate.score import ALL, Score
from fonderie.evaluate.verdict import Verdict
from fonderie.release.writing.tables import quantity

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")

_NARROW = "\u202f"
"""Narrow no-break space: sets thousands apart in French (Lexique des règles typographiques, "nombres")."""
_PERSONAL = "personal data: "


@cache
def catalogue() -> dict[str, dict[str, dict[str, str]]]:
    """Sections, entries, languages."""
    text = (files("fonderie.release.writing") / "templates" / "words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def word(section: str, name: str, language: Language, **values: Any) -> str:
    """An entry in a language, its braces filled in; KeyError if the catalogue lacks it."""
    return catalogue()[section][name][language].format(**values)


def known(section: str, name: str, language: Language) -> str:
    """An entry in a language, or the name itself where the catalogue lacks it."""
    return word(section, name, language) if name in catalogue()[section] else name


def rule_label(rule: str, language: Language) -> str:
    """A finding's rule in words: the entry whose name is the longest beginning of it, else the rule itself."""
    entries = [
        entry for entry in catalogue()["rule"] if rule == entry or (entry[-1] == "." and rule.startswith(entry))
    ]
    if not entries:
        return f"`{rule}`"
    entry = max(entries, key=len)
    return word("rule", entry, language, rest=rule.removeprefix(entry))


def reason(text: str, language: Language) -> str:
    """A reason of the ledger in words; rules stand as the recipe writes them."""
    if text.startswith(_PERSONAL):
        kinds = text.removeprefix(_PERSONAL).split("+")
        opening = {"en": "personal data: ", "fr": "données personnelles\u00a0: "}[language]
        return opening + listing(known("personal", kind, language) for kind in kinds)
    return known("reason", text, language)


def personal_kinds(text: str) -> list[str]:
    """The kinds of personal data that a reason of corpus.redact names; none for other reasons."""
    return text.removeprefix(_PERSONAL).split("+") if text.startswith(_PERSONAL) else []


def listing(items: Iterable[str]) -> str:
    """Words one after the other; the comma is the same in both languages."""
    return ", ".join(items)


def number(value: object, language: Language) -> str:
    """A figure, its thousands set apart, very large ones as powers of ten."""
    text = quantity(value)
    if language == "en" or isinstance(value, bool) or not isinstance(value, int | float):
        return text
    if "e" in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa.replace('.', ',')}\u00a0×\u00a010^{int(exponent)}"
    return text.replace(",", _NARROW).replace(".", ",")


def share(value: float, language: Language) -> str:
    """A share of one, as a percentage."""
    return f"{value:.1%}" if language == "en" else f"{value * 100:.1f}".replace(".", ",") + "\u00a0%"


def decimal(value: float, digits: int, language: Language) -> str:
    """A number with so many decimals."""
    text = f"{value:,.{digits}f}"
    return text if language == "en" else text.replace(",", _NARROW).replace(".", ",")


def score_about(score: Score, language: Language) -> str:
    """What a score is of, in a few words."""
    if score.source != ALL:
        return score.source
    whole = {"en": ALL, "fr": "toutes les sources"}[language]
    return f"{whole} ({score.language})" if score.language else whole


def score_figure(score: Score | Verdict, language: Language) -> str:
    """A score, never without its interval and its count."""
    value, low, high = (decimal(part, 3, language) for part in (score.value, score.low, score.high))
    between = ", " if language == "en" else "\u00a0; "
    count = number(score.n, language)
    return (
        f"{value} [{low}{between}{high}], n = {count}"
        if language == "en"
        else (f"{value} [{low}{between}{high}], n\u00a0=\u00a0{count}")
    )
