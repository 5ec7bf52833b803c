"""The copyright policy of Article 53(1)(c), in the five measures of the Code of Practice's copyright chapter.

What the provider does is theirs to say; beside each statement stands what the build itself did, from the ledger.
"""

from collections import Counter

from fonderie.release.law.publisher import COPYRIGHT
from fonderie.release.law.shared import Dossier, contact_details, licence_gate, opening, opt_out_evidence
from fonderie.release.writing.document import Page
from fonderie.release.writing.words import Language


def write_copyright_policy(dossier: Dossier, language: Language) -> Page:
    """The policy in one language."""
    page, said = Page(COPYRIGHT, language), dossier.publisher.copyright
    opening(page, dossier)
    page.heading(2, "provider")
    contact_details(page, dossier)
    page.field("signatory")
    page.quote_yes(dossier.publisher.code_of_practice.signatory, "code_of_practice.signatory")
    page.heading(2, "m1")
    page.field("policy")
    page.quote(said.policy, "copyright.policy")
    page.field("responsible")
    page.quote(said.responsible, "copyright.responsible")
    page.field("applied")
    licence_gate(page, dossier)
    page.heading(2, "m2")
    page.field("lawful")
    page.quote(said.lawful_access, "copyright.lawful_access")
    page.field("entered")
    page.text("entered_steps" if dossier.offline else "entered_unknown", steps=dossier.entrance_steps())
    page.field("licence_table")
    _licences(page, dossier)
    page.heading(2, "m3")
    page.field("reservations")
    page.quote(said.rights_reservations, "copyright.rights_reservations")
    page.field("evidence")
    opt_out_evidence(page, dossier)
    page.heading(2, "m4")
    page.field("outputs")
    page.quote(said.outputs, "copyright.outputs")
    page.text("trace")
    page.text("outputs_note")
    page.heading(2, "m5")
    page.field("complaint_contact")
    page.quote(said.complaint_contact, "copyright.complaint_contact")
    page.field("complaint_handling")
    page.quote(said.complaint_handling, "copyright.complaint_handling")
    page.text("complaint_needs")
    return page


def _licences(page: Page, dossier: Dossier) -> None:
    counts = Counter[tuple[str, str]]()
    for source in dossier.sources:
        for count in source.licences:
            counts[count.licence, count.status] += count.documents
    if not counts:
        page.text("none")
        return
    page.table(
        ("licences", "judged", "documents"),
        [
            (licence, page.say(status), page.number(n))
            for (licence, status), n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ],
        numbers=1,
    )
