"""Every document for people that a release holds, in both languages, as Markdown and as HTML that prints.

documents/public-summary.{en,fr}.{md,html}             what it was trained on, by the Commission's template
documents/model-documentation-form.{en,fr}.{md,html}   what it is and how it was made, by the Code of Practice
documents/copyright-policy.{en,fr}.{md,html}           how rights are respected
documents/index.{en,fr}.html                           where to find all that a release says
"""

from collections.abc import Callable, Iterable

from fonderie.release.law.copyright_policy import write_copyright_policy
from fonderie.release.law.documentation_form import write_documentation_form
from fonderie.release.law.public_summary import write_public_summary
from fonderie.release.law.publisher import COPYRIGHT, DOCUMENTS, FILE, FORM, SUMMARY, DocumentName
from fonderie.release.law.shared import Dossier, waiting_notice
from fonderie.release.layout import INDEX, TRAINING_REPORT
from fonderie.release.writing.document import Page
from fonderie.release.writing.html import to_html
from fonderie.release.writing.tables import cell
from fonderie.release.writing.words import LANGUAGES, Language

FOLDER = "documents"
_WRITERS: dict[DocumentName, Callable[[Dossier, Language], Page]] = {
    SUMMARY: write_public_summary,
    FORM: write_documentation_form,
    COPYRIGHT: write_copyright_policy,
}
PEOPLE = (
    *(
        f"{FOLDER}/{name}.{language}.{ending}"
        for name in DOCUMENTS
        for language in LANGUAGES
        for ending in ("md", "html")
    ),
    *(f"{FOLDER}/index.{language}.html" for language in LANGUAGES),
)
"""The names of all these files, in the order of writing."""

_READERS = {
    "card": {"en": "README.md", "fr": "README.fr.md"},
    "data_card": {"en": "data/README.md", "fr": "data/README.fr.md"},
    "notice": {"en": "NOTICE.md", "fr": "NOTICE.fr.md"},
    "licence": {"en": "LICENSE", "fr": "LICENSE"},
    "report": {"en": "report.md", "fr": "report.md"},
    "training_report": {"en": TRAINING_REPORT, "fr": TRAINING_REPORT},
}
_PROGRAMS = {
    "findings": "findings.json",
    "ledger": "ledger.json",
    "attribution": "attribution.json",
    "survey": "survey.json",
    "croissant": "croissant.json",
    "bill": "bill-of-materials.spdx.json",
    "publisher": FILE,
    "recipe": "recipe.toml",
}


def write_for_people(dossier: Dossier, pages: Iterable[str]) -> dict[str, str]:
    """All texts by name; `pages` are the names of the other pages that the release will hold."""
    texts: dict[str, str] = {}
    for name in DOCUMENTS:
        for language in LANGUAGES:
            page = _WRITERS[name](dossier, language)
            markdown = waiting_notice(page.markdown(), page)
            texts[f"{FOLDER}/{name}.{language}.md"] = markdown
            texts[f"{FOLDER}/{name}.{language}.html"] = _html(page, markdown, name, dossier)
    held = {*pages, *dossier.facts.files, INDEX}
    for language in LANGUAGES:
        page = _index(dossier, language, held)
        texts[f"{FOLDER}/index.{language}.html"] = _html(page, page.markdown(), "index", dossier)
    return texts


def _html(page: Page, markdown: str, name: str, dossier: Dossier) -> str:
    index = dossier.facts.index
    other: Language = "fr" if page.language == "en" else "en"
    links = [(f"{name}.{other}.html", page.say("other_language"), other)]
    if name != "index":
        links.insert(0, (f"index.{page.language}.html", page.say("home"), page.language))
        # What a Markdown page links to as Markdown, an HTML page links to as HTML.
        for document in DOCUMENTS:
            markdown = markdown.replace(f"({document}.{page.language}.md)", f"({document}.{page.language}.html)")
    title = page.say("title", name=index.name, version=index.version)
    return to_html(markdown, title=title, language=page.language, skip=page.say("skip"), links=links)


def _index(dossier: Dossier, language: Language, held: set[str]) -> Page:
    page, index = Page("index", language), dossier.facts.index
    page.heading(1, "title", name=cell(index.name), version=cell(index.version))
    if index.status == "draft":
        page.text("draft")
    page.text("lead")
    page.heading(2, "for_law")
    page.items(
        f"[{page.say(name.replace('-', '_'))}]({name}.{language}.html) "
        f"([{page.say('as_markdown')}]({name}.{language}.md))"
        for name in DOCUMENTS
    )
    page.heading(2, "for_readers")
    page.items(
        f"[{page.say(key)}](../{names[language]})" for key, names in _READERS.items() if names[language] in held
    )
    page.heading(2, "for_programs")
    page.items(
        [
            f"[{page.say('index_file')}](../{INDEX})",
            *(f"[{page.say(key)}](../{name})" for key, name in _PROGRAMS.items() if name in held),
        ]
    )
    return page
