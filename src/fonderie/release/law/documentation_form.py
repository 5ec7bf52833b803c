"""The Model Documentation Form of the Code of Practice's transparency chapter (10 July 2025), item by item.

The form's columns say whom each item is meant for; an open release answers all of them to everyone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from fonderie.core.manifest import Manifest
from fonderie.licences.verdict import judge
from fonderie.release.account import also_trained_on, counted, upstream
from fonderie.release.law.public_summary import dependencies
from fonderie.release.law.publisher import FORM, SUMMARY
from fonderie.release.law.shared import (
    Dossier,
    contact_details,
    language_names,
    opening,
    reasons_rows,
)
from fonderie.release.records import SourceReport, Training
from fonderie.release.writing.document import Page
from fonderie.release.writing.tables import cell
from fonderie.release.writing.words import Language

AUTHENTIC = ("model.safetensors", "config.json", "tokenizer.json")
"""What a client loads: the hashes that say whether a copy is this model."""
_SHAPE = {
    "num_hidden_layers": "blocks",
    "hidden_size": "width",
    "num_attention_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "intermediate_size": "hidden",
    "vocab_size": "vocabulary",
    "max_position_embeddings": "context",
}
JOULES_PER_MWH = 3.6e9


def write_documentation_form(dossier: Dossier, language: Language) -> Page:
    """The form in one language."""
    page = Page(FORM, language)
    opening(page, dossier)
    _general(page, dossier)
    _properties(page, dossier)
    _distribution(page, dossier)
    _use(page, dossier)
    _process(page, dossier)
    _data(page, dossier)
    _compute(page, dossier)
    _energy(page, dossier)
    return page


def _general(page: Page, dossier: Dossier) -> None:
    index, files, market = dossier.facts.index, dossier.facts.files, dossier.publisher.market
    page.heading(2, "general")
    page.field("legal_name")
    contact_details(page, dossier)
    page.field("model_name")
    page.title_text(f"{index.name} {index.version}")
    page.field("authenticity")
    page.text("authenticity_how")
    hashes = [(name, files[name]) for name in AUTHENTIC if name in files]
    page.table(("field", "value"), [*hashes, (page.say("artifact"), index.model_digest)])
    page.field("release_date")
    page.quote_day(market.release_date, "market.release_date")
    page.field("union_date")
    page.quote_day(market.union_date, "market.union_date")
    page.field("dependencies")
    dependencies(page, dossier)


def _properties(page: Page, dossier: Dossier) -> None:
    config = dossier.facts.config
    page.heading(2, "properties")
    page.field("architecture")
    page.text("architecture_is")
    page.field("design")
    shape = [(page.say(word), config[name]) for name, word in _SHAPE.items() if isinstance(config.get(name), int)]
    if shape:
        page.table(("field", "value"), [(word, page.number(value)) for word, value in shape], numbers=1)
    page.field("rationale")
    page.quote(dossier.publisher.training.design, "training.design")
    context = config.get("max_position_embeddings")
    for side in ("input", "output"):
        page.field(side)
        if isinstance(context, int):
            page.text("text_only", context=page.number(context))
        else:
            page.text("text_only_unknown")
    page.field("size")
    parameters = _parameters(dossier)
    if parameters:
        page.text("size_is", power=page.power(parameters), exact=page.number(parameters))
    else:
        page.text("size_unknown")


def _parameters(dossier: Dossier) -> int | None:
    """Of the model that is released: the last training's."""
    return dossier.terms[-1][0] if dossier.terms else None


def _distribution(page: Page, dossier: Dossier) -> None:
    facts, channels = dossier.facts, dossier.publisher.market.channels
    verdict = judge(facts.index.licence)
    page.heading(2, "distribution")
    page.field("channels")
    if not channels:
        page.gap("market.channels")
    for channel in channels:
        page.quote(channel, "market.channels")
    page.field("licence")
    page.text("licence_is", licence=f"**{cell(verdict.licence)}**", status=page.say(verdict.status))
    page.field("assets")
    page.text("asset_list")
    if facts.documents:
        page.text("asset_documents")
    checkpoints = {name.split("/")[2] for name in facts.files if name.startswith("training/checkpoints/")}
    if checkpoints:
        page.text("asset_checkpoints", count=page.number(len(checkpoints)))


def _use(page: Page, dossier: Dossier) -> None:
    said, sizes = dossier.publisher.use, dossier.facts.sizes
    page.heading(2, "use")
    page.field("policy")
    page.text("policy_none")
    page.field("intended")
    page.quote(said.intended, "use.intended")
    page.field("advised")
    page.text("advised_note")
    page.quote(said.advised_against, "use.advised_against")
    page.field("systems")
    page.quote(said.systems, "use.systems")
    page.field("technical")
    page.text("technical_is")
    page.field("hardware")
    page.text("hardware_is", bytes=page.number(sizes.get("model.safetensors", 0)))
    page.field("software")
    page.text("software_is", versions=", ".join(_versions(dossier.facts.steps("train."))) or "–")


def _versions(manifests: Iterable[Manifest]) -> list[str]:
    found = {
        f"{name} {version}"
        for manifest in manifests
        for name, version in manifest.environment.get("libraries", {}).items()
        if version
    }
    return [cell(item) for item in sorted(found)]


def _process(page: Page, dossier: Dossier) -> None:
    page.heading(2, "process")
    page.heading(3, "process_design")
    for training in dossier.facts.report.trainings:
        page.field("settings", call=cell(training.call), step=cell(training.step))
        page.text("settings_basis")
        page.table(("field", "value"), _settings(training))
    page.heading(3, "decision")
    page.text("decision_evidence")
    page.quote(dossier.publisher.training.rationale, "training.rationale")


def _settings(training: Training) -> list[tuple[str, str]]:
    """Every parameter that the recipe or a default sets, as JSON writes it."""
    return [
        (name, json.dumps(value, ensure_ascii=False))
        for name, value in training.parameters.items()
        if value is not None
    ]


def _data(page: Page, dossier: Dossier) -> None:
    said = dossier.publisher.data
    page.heading(2, "data")
    page.field("modality")
    page.text("modality_is")
    page.field("provenance")
    _provenance(page, dossier)
    page.field("obtained")
    _obtained(page, dossier)
    page.field("points")
    _points(page, dossier)
    page.field("characteristics")
    languages = dict(dossier.languages().most_common())
    names = ", ".join(
        f"{cell(name)} ({page.share(size, sum(languages.values()))})"
        for name, size in language_names(page, languages)
    )
    page.text("characteristics_are", languages=names or page.say("not_recorded"))
    page.text("summary_link", address=f"{SUMMARY}.{page.language}.md")
    page.field("curation")
    page.text("curation_is")
    page.field("unsuitability")
    page.quote(said.unsuitability, "data.unsuitability")
    page.field("bias")
    page.quote(said.bias, "data.bias")
    page.field("legal_basis")
    page.quote(said.legal_basis, "data.legal_basis")
    page.field("testing")
    _testing(page, dossier)


def _provenance(page: Page, dossier: Dossier) -> None:
    page.table(
        ("source", "data_set", "category", "licences"),
        [
            (
                source.name,
                dossier.said(source).title or "–",
                page.say(f"category_{_category(dossier, source)}"),
                ", ".join(count.licence for count in source.licences) or page.say("not_recorded"),
            )
            for source in dossier.sources
        ],
    )
    for source in dossier.sources:
        if not source.generated:
            page.title(source.name)
            page.quote(dossier.said(source).description, f"sources.{source.name}.description")
            page.quote(dossier.said(source).collected, f"sources.{source.name}.collected", "collected")


def _category(dossier: Dossier, source: SourceReport) -> str:
    return "generated" if source.generated else dossier.said(source).category or "open"


def _obtained(page: Page, dossier: Dossier) -> None:
    rows = dossier.reasons()
    steps = ", ".join(f"`{cell(step)}`" for step in _corpus_steps(dossier.facts.manifests))
    page.text("obtained_steps" if rows else "obtained_nothing", steps=steps or "–")
    if rows:
        reasons_rows(page, rows)


def _corpus_steps(manifests: Sequence[Manifest]) -> list[str]:
    """The document steps that lead to tokens, in the order of the run, each once."""
    by_key: Mapping[str, Manifest] = {manifest.key: manifest for manifest in manifests}
    packs = [manifest.key for manifest in manifests if manifest.step in ("tokens.pack", "tokens.pairs")]
    trained = upstream(packs, by_key)
    return list(dict.fromkeys(item.step for item in manifests if item.key in trained and counted(item)))


def _points(page: Page, dossier: Dossier) -> None:
    report, sources = dossier.facts.report, dossier.sources
    page.text(
        "points_are",
        read=page.number(sum(source.read for source in sources)),
        kept=page.number(sum(source.kept for source in sources)),
        tokens=page.number(report.tokens),
        seen=page.number(sum(tokens for _, tokens in dossier.terms)),
        held_out=page.number(sum(source.held_out for source in sources)),
    )


def _testing(page: Page, dossier: Dossier) -> None:
    counts = also_trained_on(dossier.facts.manifests)
    if not dossier.facts.report.scores:
        page.text("testing_none")
        return
    also = ", ".join(page.number(n) if isinstance(n, int) else page.say("not_recorded") for n in counts)
    page.text("testing_are", also=also)


def _compute(page: Page, dossier: Dossier) -> None:
    energy = dossier.facts.energy
    page.heading(2, "compute")
    page.field("time")
    page.text(
        "time_is",
        seconds=page.decimal(energy.training_seconds, 0),
        hardware=", ".join(map(cell, energy.hardware)) or page.say("not_recorded"),
    )
    page.field("amount")
    if dossier.flops is None:
        page.text("amount_unknown")
    elif energy.flops is None:
        page.text("amount_same", flops=page.power(dossier.flops))
    else:
        page.text(
            "amount_is",
            flops=page.power(dossier.flops),
            counted=page.power(energy.flops),
            formula=", ".join(map(cell, energy.flops_formulas)) or page.say("not_recorded"),
        )
    page.field("measurement")
    page.text("measurement_compute")


def _energy(page: Page, dossier: Dossier) -> None:
    energy, parameters = dossier.facts.energy, _parameters(dossier)
    page.heading(2, "energy")
    page.field("energy_training")
    if energy.training_joules is None:
        page.text("energy_unknown")
    else:
        page.text("energy_is", mwh=page.power(energy.training_joules / JOULES_PER_MWH))
    page.field("energy_method")
    page.text(
        "energy_method_is",
        method=", ".join(cell(page.method(method)) for method in energy.methods) or page.say("not_recorded"),
    )
    page.field("inference")
    if parameters:
        page.text("inference_is", flops=page.power(2 * parameters))
    else:
        page.text("inference_unknown")
