"""NOTICE.md: whom and what the release owes a mention, source by source, and what their licences ask.

CC BY 4.0 asks (section 3(a)(1)) for the creators, the notices, the address of the work, whether it was changed,
and the licence's name and address; a notice with these for every source serves other attribution licences too.
And LICENSE: the text of the licence of the weights.
"""

from dataclasses import dataclass

from fonderie.release.attribution import Attribution
from fonderie.release.cards.licence_terms import Terms, identifiers, terms
from fonderie.release.facts import Facts
from fonderie.release.records import SourceReport
from fonderie.release.writing import words
from fonderie.release.writing.templating import render
from fonderie.release.writing.words import LANGUAGES, Language

NOTICES = ("NOTICE.md", "NOTICE.fr.md")
LICENCE_FILE = "LICENSE"
AUTHORS_IN_FULL = 200
"""Beyond so many the notice points at attribution.json, which names every one."""
_TEMPLATES: dict[Language, str] = {"en": "NOTICE.md.jinja", "fr": "NOTICE.fr.md.jinja"}
_RULE = "\n" + "-" * 72 + "\n\n"


@dataclass(frozen=True)
class Notice:
    """What a notice says of one source."""

    source: SourceReport
    attribution: Attribution | None
    licences: tuple[tuple[Terms, int | None], ...]
    """Each with its documents; None where they were not counted."""
    collections: tuple[Terms, ...]
    files: int
    """Named and hashed in the manifests."""
    manifests: tuple[str, ...]
    changes: tuple[str, ...]
    """What was done to the documents, in words."""

    @property
    def share_alike(self) -> bool:
        """Whether any of its licences, the collection's included, binds what is derived."""
        return any(item.share_alike for item in (*(item for item, _ in self.licences), *self.collections))


def write_notices(facts: Facts) -> dict[str, str]:
    """The texts of NOTICE.md and NOTICE.fr.md, by name."""
    return {
        name: render(
            _TEMPLATES[language],
            language,
            facts=facts,
            index=facts.index,
            weights=terms(facts.index.licence),
            notices=[_notice(source, facts, language) for source in facts.sources],
            authors_in_full=AUTHORS_IN_FULL,
        )
        for name, language in zip(NOTICES, LANGUAGES, strict=True)
    }


def _notice(source: SourceReport, facts: Facts, language: Language) -> Notice:
    attribution = facts.attribution(source.name)
    counts = attribution.licences if attribution else {item.licence: item.documents for item in source.licences}
    return Notice(
        source=source,
        attribution=attribution,
        licences=tuple((terms(licence), count) for licence, count in counts.items()),
        collections=tuple(terms(item) for item in (attribution.collection_licences if attribution else ())),
        files=len(facts.source_files(source.name)),
        manifests=tuple(facts.manifest_file(manifest) for manifest in facts.readers(source.name)),
        changes=tuple(_changes(source, language)),
    )


def _changes(source: SourceReport, language: Language) -> list[str]:
    """Only what touches a text is a change; choosing among texts is said too, for a selection may be a work."""
    found = [
        words.word(
            "change", "edited", language, reason=words.reason(reason, language), count=_number(count, language)
        )
        for reason, count in source.edited.items()
    ]
    chosen = sum(source.dropped.values()) + source.held_out
    if chosen:
        found.append(words.word("change", "selected", language, count=_number(chosen, language)))
    found.append(words.word("change", "cut" if source.tokens else "none", language))
    return found


def _number(count: int, language: Language) -> str:
    return words.number(count, language)


def licence_text(licence: str) -> str:
    """What LICENSE holds: the text of each licence of an expression from the SPDX list, or where to find it.

    Not one of the pages that are written again to compare: the list's texts change with its editions.
    """
    from fonderie.licences.texts import reference_texts

    parts = []
    for identifier in identifiers(terms(licence).identifier):
        known = terms(identifier)
        text = reference_texts().get(identifier)
        place = known.url or "no address is known"
        parts.append(
            text.strip() + "\n" if text else f"{known.name}\n\nSPDX-License-Identifier: {identifier}\n{place}\n"
        )
    head = f"SPDX-License-Identifier: {terms(licence).identifier}\n{_RULE}" if len(parts) > 1 else ""
    return head + _RULE.join(parts)
