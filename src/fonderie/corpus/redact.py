"""corpus.redact: personal data replaced by typed placeholders, counted per type in the ledger."""

import re
from collections import Counter
from functools import partial
from typing import Literal

from fonderie.core.document import Document
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.corpus.transform import Decision, edit, keep, transform

Kind = Literal["email", "ipv4"]

# Bounded repetitions, and no two that can match the same characters side by side: linear on any text.
_PATTERNS: dict[Kind, re.Pattern[str]] = {
    # RFC 5321 sets 64 characters before the sign and 255 after; dots inside as in practice.
    "email": re.compile(r"(?<![\w.+%-])[\w+%-][\w.+%-]{0,63}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])"),
    "ipv4": re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]?\d)"),
}
_PLACEHOLDERS: dict[Kind, str] = {"email": "[EMAIL]", "ipv4": "[IP]"}


class RedactParameters(Parameters):
    """Which kinds of personal data to look for."""

    kinds: tuple[Kind, ...] = ("email", "ipv4")
    """E-mail addresses become [EMAIL], IPv4 addresses [IP]."""


@step(
    "corpus.redact",
    version=1,
    parameters=RedactParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
)
def redact(inputs: Inputs, params: RedactParameters, out: Output, machine: Machine) -> None:
    """Replace what is found; a document with none is kept as it is."""
    transform(inputs.all("documents"), out, machine, partial(_decide, kinds=params.kinds), label="redacting")


def redact_text(text: str, kinds: tuple[Kind, ...]) -> tuple[str, dict[str, int]]:
    """A text with placeholders, and how many of each kind were put."""
    counts: Counter[str] = Counter()
    for kind in kinds:
        for match in reversed(list(_PATTERNS[kind].finditer(text))):
            if kind == "ipv4" and not _is_address(match.group()):
                continue
            text = text[: match.start()] + _PLACEHOLDERS[kind] + text[match.end() :]
            counts[kind] += 1
    return text, dict(counts)


def _is_address(text: str) -> bool:
    # Codes of law number their sections 1.1.2.3: with single digits throughout it is taken for a number. What that
    # lets through (1.1.1.1, 8.8.8.8) are public servers, not people.
    return any(len(part) > 1 for part in text.split("."))


def _decide(document: Document, *, kinds: tuple[Kind, ...]) -> Decision:
    text, counts = redact_text(document.text, kinds)
    if not counts:
        return keep(document)
    found = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return edit(document.with_text(text), f"personal data: {'+'.join(counts)}", found)
