"""corpus.redact: personal data of France and the EU replaced by typed marks, counted per kind in the ledger."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Literal

from pydantic import field_validator

from fonderie.core.document import Document
from fonderie.core.ledger import Entry, read_ledger
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.corpus.personal.kinds import INVALID, PLACEHOLDERS, VALIDATED, Kind
from fonderie.corpus.transform import Decision, edit, keep, transform

Style = Literal["tag", "invalid"]
_MARKS: dict[Style, dict[Kind, str]] = {"tag": PLACEHOLDERS, "invalid": INVALID}


class RedactParameters(Parameters):
    """Which kinds of personal data to look for, and what to put in their place."""

    kinds: tuple[Kind, ...] = VALIDATED
    """email, ipv4, ipv6, phone (France, and Europe behind + or 00), nir (social security), siren (with VAT numbers)
    and siret (businesses), iban, card, key (tokens, private keys), plate (vehicles), address (postal, France). All
    but the last two are checked beyond their form; those two are looked for where asked."""
    style: Style = "tag"
    """tag: [EMAIL], [IP], [PHONE], [NIR] …; invalid: a constant of the same form that no check accepts, such as
    nom@exemple.invalid."""

    @field_validator("kinds")
    @classmethod
    def _not_none(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if not kinds:
            raise ValueError("no kind is given: leave the step out, or leave the parameter out for the usual kinds")
        return kinds


@step(
    "corpus.redact",
    version=3,
    parameters=RedactParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
)
def redact(inputs: Inputs, params: RedactParameters, out: Output, machine: Machine) -> None:
    """Replace what is found; a document with none is kept as it is. Statistics count what was found per source."""
    # Compiled here once where it never was, so that workers find it done.
    redact_text("", params.kinds)
    work = partial(_decide, kinds=params.kinds, style=params.style)
    transform(inputs.all("documents"), out, machine, work, label="redacting")
    out.statistics["personal_data"] = count_found(read_ledger(out.path))


def redact_text(text: str, kinds: tuple[Kind, ...], style: Style = "tag") -> tuple[str, dict[Kind, int]]:
    """A text with marks, and how many of each kind were put, in the order of KINDS."""
    # The kernels bring numba, which takes half a second to import.
    from fonderie.corpus.personal.find import replace

    return replace(text, kinds, _MARKS[style])


def count_found(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """How many of each kind the ledger says were replaced, per source."""
    sources: dict[str, Counter[str]] = {}
    for entry in entries:
        counts = sources.setdefault(entry.source, Counter())
        for count, kind in re.findall(r"(\d+) (\w+)", entry.detail or ""):
            counts[kind] += int(count)
    return {source: dict(sorted(counts.items())) for source, counts in sorted(sources.items())}


def _decide(document: Document, *, kinds: tuple[Kind, ...], style: Style) -> Decision:
    text, counts = redact_text(document.text, kinds, style)
    if not counts:
        return keep(document)
    found = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return edit(document.with_text(text), f"personal data: {'+'.join(counts)}", found)
