"""The public summary of training content: the European Commission's template of 24 July 2025, section by section.

Titles of sections are the template's numbers with our words. Where the template asks yes or no, the answer follows
from the sources and what the publisher says of them; while a source is undescribed, no section answers "no".
"""

from collections import Counter
from collections.abc import Sequence

from fonderie.release.law.publisher import SUMMARY, Category
from fonderie.release.law.shared import (
    Dossier,
    contact_details,
    language_names,
    licence_gate,
    opening,
    opt_out_evidence,
    reasons_rows,
    sources_rows,
)
from fonderie.release.records import SourceReport
from fonderie.release.writing.document import Page
from fonderie.release.writing.tables import cell
from fonderie.release.writing.words import Language, personal_kinds

# Template, section 1.3: ranges for text.
RANGE_SMALL, RANGE_LARGE = 10**9, 10**13
# Template, section 2.3: the first 10 % of all crawled domains by size; 5 % or 1,000 for small and medium-sized
# enterprises.
TOP_DOMAINS, TOP_DOMAINS_SMALL, DOMAINS_SMALL = 10, 5, 1_000
NAMED_FORMS = ("text", "conversation")
"""Forms of documents that the catalogue has words for."""


def write_public_summary(dossier: Dossier, language: Language) -> Page:
    """The summary in one language."""
    page = Page(SUMMARY, language)
    opening(page, dossier)
    _general(page, dossier)
    _size(page, dossier)
    _sources(page, dossier)
    _processing(page, dossier)
    return page


def _general(page: Page, dossier: Dossier) -> None:
    index, said = dossier.facts.index, dossier.publisher
    page.heading(2, "s1")
    page.heading(3, "s1_1")
    page.field("provider")
    contact_details(page, dossier)
    page.field("representative")
    if said.authorised_representative:
        page.quote(said.authorised_representative.name, "authorised_representative.name")
        page.quote(said.authorised_representative.contact, "authorised_representative.contact")
    elif said.provider.established_in_union:
        page.text("representative_none")
    else:
        page.gap("authorised_representative" if said.provider.established_in_union is False
                 else "provider.established_in_union")  # fmt: skip
    page.heading(3, "s1_2")
    page.field("model_names")
    page.text("model_name", name=cell(index.name), version=cell(index.version), digest=cell(index.model_digest))
    page.field("dependencies")
    dependencies(page, dossier)
    page.field("market_date")
    page.quote_day(said.market.union_date, "market.union_date")


def dependencies(page: Page, dossier: Dossier) -> None:
    """Which model this one goes on from: none, as long as every training begins from random weights."""
    facts = dossier.facts
    trainings, made = facts.report.trainings, {facts.calls.get(one.key, one.step): one for one in facts.manifests}
    if not trainings:
        page.text("dependencies_unknown")
    for training in trainings:
        drawn = training.step == "train.pretrain" and not made[training.call].inputs.get("model")
        key = "dependencies_none" if drawn else "dependencies_further"
        page.text(key, call=f"`{cell(training.call)}`", step=f"`{cell(training.step)}`")


def _size(page: Page, dossier: Dossier) -> None:
    report = dossier.facts.report
    page.heading(3, "s1_3")
    size = "small" if report.tokens < RANGE_SMALL else "large" if report.tokens > RANGE_LARGE else "middle"
    absent = [(page.say(name), page.say("not_used"), "–") for name in ("image", "audio", "video", "other")]
    forms = Counter[str]()
    for item in dossier.survey:
        forms.update(item.forms)
    listed = ", ".join(
        page.say("form_count", form=_form(page, form), count=page.number(n)) for form, n in forms.items()
    )
    page.table(
        ("modality", "size_range", "types"),
        [(page.say("text"), page.say(f"range_{size}"), listed or page.say("not_recorded")), *absent],
    )
    page.text(
        "size_exact",
        tokens=page.number(report.tokens),
        documents=page.number(sum(source.kept for source in dossier.sources)),
        bytes=page.number(sum(item.size_bytes for item in dossier.survey)),
    )
    page.field("acquired")
    _acquired(page, dossier)
    page.field("continued")
    page.text("continued_no")
    page.field("linguistic")
    _linguistic(page, dossier)
    page.field("other_characteristics")
    vocabulary = dossier.facts.config.get("vocab_size")
    if isinstance(vocabulary, int):
        page.text("tokenizer", vocabulary=page.number(vocabulary))
    else:
        page.text("tokenizer_unknown")
    dates = [end for item in dossier.survey if item.created for end in item.created]
    if dates:
        page.text("created", first=cell(min(dates)), last=cell(max(dates)))


def _form(page: Page, form: str) -> str:
    return page.say(f"form_{form}") if form in NAMED_FORMS else form


def _acquired(page: Page, dossier: Dossier) -> None:
    said, days = dossier.publisher.data.latest_acquisition, dossier.read_days
    if said:
        page.quote_day(said, "data.latest_acquisition")
    if days and days[0] == days[-1]:
        page.text("acquired_day", day=page.day(days[0]))
    elif days:
        page.text("acquired_read", first=page.day(days[0]), last=page.day(days[-1]))
    elif all(source.generated for source in dossier.sources):
        page.text("acquired_generated")
    else:
        page.text("acquired_unknown")


def _linguistic(page: Page, dossier: Dossier) -> None:
    languages = dossier.languages()
    if dossier.facts.index.language:
        page.text("linguistic_recipe", languages=", ".join(map(cell, dossier.facts.index.language)))
    page.text("linguistic_basis")
    if languages:
        page.table(
            ("language", "bytes", "share"),
            [
                (name, page.number(size), page.share(size, languages.total()))
                for name, size in language_names(page, dict(languages.most_common()))
            ],
            numbers=2,
        )
    else:
        page.text("none")


def _sources(page: Page, dossier: Dossier) -> None:
    page.heading(2, "s2")
    page.text("s2_note")
    if dossier.facts.documents:
        page.text("distributed")
    if dossier.open:
        page.field("open_title")
        page.text("open_sources", sources=", ".join(f"**{cell(source.name)}**" for source in dossier.open))
        _listed(page, dossier, dossier.open)
    page.heading(3, "s2_1")
    _category(page, dossier, "public", "q2_1")
    page.heading(3, "s2_2")
    page.heading(4, "s2_2_1")
    _category(page, dossier, "licensed", "q2_2_1")
    page.heading(4, "s2_2_2")
    _category(page, dossier, "private", "q2_2_2")
    page.heading(3, "s2_3")
    _crawled(page, dossier)
    page.heading(3, "s2_4")
    _users(page, dossier)
    page.heading(3, "s2_5")
    _synthetic(page, dossier)
    page.heading(3, "s2_6")
    _others(page, dossier)


def _answer(page: Page, dossier: Dossier, found: bool) -> None:
    page.text("yes" if found else "answer_open" if dossier.open else "no")


def _category(page: Page, dossier: Dossier, category: Category, question: str) -> None:
    sources = dossier.of(category)
    page.field(question)
    _answer(page, dossier, bool(sources))
    _listed(page, dossier, sources)


def _listed(page: Page, dossier: Dossier, sources: Sequence[SourceReport]) -> None:
    """Every source of a section: a table, then what is said of each."""
    if not sources:
        return
    sources_rows(page, dossier, sources)
    for source in sources:
        said, field = dossier.said(source), f"sources.{source.name}"
        page.title(source.name)
        if said.category is None:
            page.gap(f"{field}.category")
        page.quote(said.title, f"{field}.title", "data_set")
        page.quote(said.description, f"{field}.description", "described")
        page.quote(said.collected, f"{field}.collected", "collected")
        if said.url or said.category == "public":
            page.quote(said.url, f"{field}.url", "address")
        steps = ", ".join(dict.fromkeys(f"`{cell(item.step)}`" for item in dossier.facts.readers(source.name)))
        page.text("read_from", step=steps, files=page.number(len(dossier.facts.source_files(source.name))))


def _crawled(page: Page, dossier: Dossier) -> None:
    sources = dossier.of("crawled")
    _category(page, dossier, "crawled", "q2_3")
    if not sources:
        page.text("no_crawler" if dossier.offline else "crawler_unknown", steps=dossier.entrance_steps())
    for source in sources:
        said, field = dossier.said(source).crawler, f"sources.{source.name}.crawler"
        if said is None:
            page.gap(field)
            continue
        page.field("crawler_names")
        page.quote(", ".join(said.names), f"{field}.names")
        page.field("crawler_purposes")
        page.quote(said.purposes, f"{field}.purposes")
        page.field("crawler_behaviour")
        page.quote(said.behaviour, f"{field}.behaviour")
    crawled = {source.name for source in sources}
    others = [source for source in dossier.sources if source.name not in crawled]
    _domains(page, dossier, sources)
    if any(item.domains for item in dossier.surveyed(others)):
        page.text("domains_origin")
        _domains(page, dossier, others)


def _domains(page: Page, dossier: Dossier, sources: Sequence[SourceReport]) -> None:
    """The largest domains, as many as the template asks for."""
    domains = Counter[str]()
    for item in dossier.surveyed(sources):
        domains.update(item.domains)
    if not domains:
        return
    small = dossier.publisher.provider.small_enterprise
    percent = TOP_DOMAINS_SMALL if small else TOP_DOMAINS
    shown = -(-len(domains) * percent // 100)
    shown = min(shown, DOMAINS_SMALL) if small else shown
    page.field("domains", shown=page.number(shown), all=page.number(len(domains)))
    page.text(
        "domains_rule",
        percent=page.share(percent, 100),
        small=page.say("small_rule", cap=page.number(DOMAINS_SMALL)) if small else "",
    )
    largest = sorted(domains.items(), key=lambda item: (-item[1], item[0]))[:shown]
    page.table(
        ("domain", "bytes", "share"),
        [(name, page.number(size), page.share(size, domains.total())) for name, size in largest],
        numbers=2,
    )


def _users(page: Page, dossier: Dossier) -> None:
    said = dossier.publisher.data
    page.field("q2_4_model")
    page.quote_yes(said.model_interactions, "data.model_interactions")
    page.field("q2_4_other")
    page.quote_yes(said.other_services, "data.other_services")
    if said.model_interactions or said.other_services:
        page.field("user_services")
        page.quote(said.user_data, "data.user_data")
    _listed(page, dossier, dossier.of("user"))


def _synthetic(page: Page, dossier: Dossier) -> None:
    # A source is "generated" if the step that made it had neither files nor artifacts among its inputs: no model.
    page.field("q2_5")
    _answer(page, dossier, found=False)
    page.field("models")
    page.text("models_none" if dossier.generated else "models_no_synthetic")


def _others(page: Page, dossier: Dossier) -> None:
    others = dossier.of("other")
    page.field("q2_6")
    _answer(page, dossier, bool(others or dossier.generated))
    if dossier.generated:
        sources_rows(page, dossier, dossier.generated)
    for source in dossier.generated:
        for manifest in dossier.facts.readers(source.name):
            seed = cell(str(manifest.parameters.get("seed", "–")))
            page.text("generated", source=cell(source.name), step=f"`{cell(manifest.step)}`", seed=seed)
    _listed(page, dossier, others)


def _processing(page: Page, dossier: Dossier) -> None:
    said = dossier.publisher
    page.heading(2, "s3")
    page.heading(3, "s3_1")
    page.field("signatory")
    page.quote_yes(said.code_of_practice.signatory, "code_of_practice.signatory")
    page.field("measures_tdm")
    page.quote(said.copyright.rights_reservations, "copyright.rights_reservations")
    licence_gate(page, dossier)
    page.field("evidence")
    opt_out_evidence(page, dossier)
    page.field("contact")
    page.quote(said.copyright.complaint_contact, "copyright.complaint_contact")
    page.heading(3, "s3_2")
    page.field("measures")
    page.quote(said.data.illegal_content, "data.illegal_content")
    rows = dossier.reasons()
    page.text("filtered" if rows else "filtered_none")
    if rows:
        reasons_rows(page, rows)
    page.heading(3, "s3_3")
    page.field("legal_basis")
    page.quote(said.data.legal_basis, "data.legal_basis")
    page.field("personal")
    personal(page, dossier)
    page.field("more")
    page.text("more_where")


def personal(page: Page, dossier: Dossier) -> None:
    """Documents in which personal data were replaced, by kind."""
    counts = Counter[str]()
    for _, fate, reason, count in dossier.reasons():
        if fate == "edited" and personal_kinds(reason):
            counts[page.reason(reason)] += count
    if counts:
        page.text("personal_some", counts=", ".join(f"{kind} ({page.number(n)})" for kind, n in counts.items()))
    else:
        page.text("personal_none")
