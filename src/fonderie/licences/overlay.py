"""AI and data licences that the SPDX list does not hold, described by our own rules: titles and marks of clauses.

No text of theirs is kept. A title near the head of a text, or two marks of clauses anywhere in it, identify one.
None of those below is free; a text without a reference to compare it with could not be found free anyway.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fonderie.licences.verdict import Status
from fonderie.licences.words import Span, Words

HEAD_WORDS = 150
"""Words at the head of a text in which a title is looked for."""


@dataclass(frozen=True)
class Described:
    """One licence, as we recognise it."""

    identifier: str
    names: tuple[str, ...]
    """Its usual names, as a sentence would say them; also the titles looked for."""
    marks: tuple[str, ...]
    """Patterns over plain words, each of a clause that few others have: the first is needed, and another."""
    reason: str
    status: Status = "restricted"


@dataclass(frozen=True)
class Recognised:
    """A described licence found in a text."""

    licence: Described
    excerpt: str


_RAIL = ("use based restrictions?", "attachment a", "responsible ai license")
_LLAMA = (
    "llama materials",
    "700 million monthly active users",
    "built with (?:meta )?llama",
    "improve any other large language model",
)

DESCRIBED = (
    *(
        Described(
            f"LicenseRef-Llama-{version}",
            (
                f"Llama {version} Community License",
                f"Meta Llama {version} Community License",
                f"Llama {version} License",
                f"Llama{version} License",
            ),
            (f"llama {version.replace('.', ' ')} (?:community license|version release date)", *_LLAMA),
            "acceptable-use policy, a threshold of 700 million users and terms on outputs (Llama)",
        )
        for version in ("4", "3.3", "3.2", "3.1", "3", "2")
    ),
    Described(
        "LicenseRef-Gemma",
        ("Gemma Terms of Use", "Gemma License"),
        (
            "gemma",
            "gemma services",
            "gemma prohibited use policy",
            "model derivatives .{0,80}gemma",
            "ai google dev gemma",
        ),
        "prohibited-use policy that every recipient must pass on (Gemma)",
    ),
    Described(
        "LicenseRef-DeepSeek-Model",
        ("DeepSeek License Agreement", "DeepSeek Model License"),
        ("deepseek", *_RAIL[:2]),
        "lists forbidden uses (DeepSeek model licence)",
    ),
    Described(
        "LicenseRef-Falcon-180B",
        ("Falcon 180B TII License", "TII Falcon 180B License"),
        ("falcon 180b", "hosting use", "technology innovation institute"),
        "acceptable-use policy, and no hosting without a separate licence (Falcon-180B)",
    ),
    Described(
        "LicenseRef-Falcon",
        (
            "TII Falcon LLM License",
            "Falcon 2 11B TII License",
            "TII Falcon License",
            "Falcon LLM License",
            "Falcon Mamba 7B TII License",
        ),
        ("falcon (?:llm|2|3|mamba)", "technology innovation institute", "falconllm tii ae"),
        "the Apache License with clauses of its own on use or royalties (Falcon)",
    ),
    Described(
        "LicenseRef-MNPL-0.1",
        ("Mistral AI Non-Production License", "Mistral Non-Production License"),
        ("mistral models?", "non production environment", "mnpl"),
        "no use in production (Mistral non-production licence)",
    ),
    Described(
        "LicenseRef-Mistral-Research",
        ("Mistral AI Research License", "Mistral Research License"),
        ("mistral models?", "research purposes", "mrl"),
        "research only (Mistral research licence)",
    ),
    Described(
        "LicenseRef-Qwen-Research",
        ("Qwen Research License", "Tongyi Qianwen Research License"),
        ("(?:qwen|tongyi qianwen)", "non commercially? (?:use|purposes?)"),
        "research and evaluation only (Qwen research licence)",
    ),
    Described(
        "LicenseRef-Qwen",
        ("Qwen License Agreement", "Tongyi Qianwen License", "Qwen License"),
        ("(?:qwen|tongyi qianwen)", "100 million monthly active users"),
        "a threshold of 100 million users, and no use to improve other models (Qwen)",
    ),
    Described(
        "LicenseRef-Cohere-CC-BY-NC",
        ("C4AI Acceptable Use", "Cohere For AI Acceptable Use Policy", "Cohere Labs Acceptable Use Policy"),
        ("(?:cohere for ai|cohere labs|c4ai)", "acceptable use (?:policy|addendum)"),
        "no commercial use, and an acceptable-use policy (Cohere)",
    ),
    Described(
        "LicenseRef-CreativeML-OpenRAIL-M",
        ("CreativeML Open RAIL-M", "CreativeML Open RAIL++-M", "CreativeML OpenRAIL-M"),
        ("stable diffusion", *_RAIL),
        "lists forbidden uses (RAIL)",
    ),
    Described(
        "LicenseRef-BigCode-OpenRAIL-M",
        ("BigCode Open RAIL-M", "BigCode OpenRAIL-M"),
        ("bigcode", *_RAIL),
        "lists forbidden uses (RAIL)",
    ),
    Described(
        "LicenseRef-BigScience-RAIL",
        ("BigScience RAIL License", "BigScience Open RAIL-M", "BigScience OpenRAIL-M", "BigScience BLOOM RAIL"),
        ("bigscience", *_RAIL),
        "lists forbidden uses (RAIL)",
    ),
    Described(
        "LicenseRef-RAIL",
        ("Open RAIL", "OpenRAIL", "OpenRAIL-M", "OpenRAIL-S", "Responsible AI License", "Responsible AI Licenses"),
        _RAIL,
        "lists forbidden uses (RAIL)",
    ),
    Described(
        "LicenseRef-Stability-Community",
        ("Stability AI Community License", "Stability AI Non-Commercial Research Community License"),
        ("stability ai", "1 000 000", "core models?"),
        "commercial use bound to a threshold of revenue (Stability)",
    ),
    Described(
        "LicenseRef-FAIR-NC",
        ("FAIR Noncommercial Research License", "FAIR Research License"),
        ("research materials", "noncommercial research uses?"),
        "non-commercial research only (FAIR)",
    ),
    Described(
        "LicenseRef-AI2-ImpACT",
        ("AI2 ImpACT License", "ImpACT License"),
        ("impact license", "derivative impact reports?"),
        "lists forbidden uses (ImpACT)",
    ),
    Described(
        "etalab-2.0",
        ("Open Licence 2.0", "Licence Ouverte Open Licence", "Open Licence Etalab"),
        ("reuser", "acknowledging (?:its|the) (?:paternity|source)", "etalab", "free to reuse the information"),
        "Licence Ouverte 2.0 in a wording that is not its published French one: to be compared by a person",
        "unknown",
    ),
)
"""The more particular before the more general: the first that fits names the text."""


def recognise(words: Words) -> Recognised | None:
    """The first described licence whose title a text bears, else the first of which it bears the marks."""
    head = words.said(Span(0, min(HEAD_WORDS, len(words))))
    by_marks = None
    for licence, titles, marks in _patterns():
        found = [match for match in (mark.search(words.joined) for mark in marks) if match]
        title = titles.search(head)
        if title:
            return Recognised(licence, _excerpt(words, found[0] if found else title))
        if by_marks is None and len(found) > 1 and marks[0].search(words.joined):
            by_marks = Recognised(licence, _excerpt(words, found[0]))
    return by_marks


def _excerpt(words: Words, match: re.Match[str]) -> str:
    return _sentence_at(words, words.joined.count(" ", 0, match.start()))


def _sentence_at(words: Words, place: int) -> str:
    for span in words.sentences:
        if span.first <= place < span.last:
            return words.excerpt(span)
    return ""


def _patterns() -> Iterator[tuple[Described, re.Pattern[str], list[re.Pattern[str]]]]:
    from fonderie.licences.words import split

    for licence in DESCRIBED:
        titles = "|".join(" ".join(split(name)) for name in licence.names)
        yield (
            licence,
            re.compile(f" (?:{titles})(?= )"),
            [re.compile(f" (?:{mark})(?= )") for mark in licence.marks],
        )
