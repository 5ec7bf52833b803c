"""The model card of a release, in English and in French, written from its manifests and nothing else.

README.md opens with the YAML head that the Hugging Face hub reads; README.fr.md says the same to people.
"""

from collections.abc import Mapping
from typing import Any

from fonderie.evaluate.gate import in_words
from fonderie.evaluate.score import ALL, Score
from fonderie.release.attribution import Attribution
from fonderie.release.cards.hub_terms import hub_licence, slug
from fonderie.release.energy import JOULES_PER_KWH, emissions_grams
from fonderie.release.facts import Facts
from fonderie.release.findings.base import base_names
from fonderie.release.findings.openness import overall
from fonderie.release.gate import gate_of
from fonderie.release.records import Report, Training
from fonderie.release.report import relaxed
from fonderie.release.writing import words
from fonderie.release.writing.tables import (
    about,
    cell,
    figure,
    markdown_table,
    reasons_table,
    scores_table,
    sources_table,
    training_table,
)
from fonderie.release.writing.templating import render
from fonderie.release.writing.words import LANGUAGES, Language

CARDS = ("README.md", "README.fr.md")
AUTHORS_SHOWN = 12

_TEMPLATES: dict[Language, str] = {"en": "README.md.jinja", "fr": "README.fr.md.jinja"}
_SHAPE = {
    "num_hidden_layers": {"en": "blocks", "fr": "blocs"},
    "hidden_size": {"en": "width", "fr": "largeur"},
    "num_attention_heads": {"en": "query heads", "fr": "têtes de requête"},
    "num_key_value_heads": {"en": "key-value heads", "fr": "têtes de clé et de valeur"},
    "intermediate_size": {"en": "feed-forward width", "fr": "largeur interne"},
    "vocab_size": {"en": "vocabulary", "fr": "vocabulaire"},
    "max_position_embeddings": {"en": "context (tokens)", "fr": "contexte (jetons)"},
}

_FAMILIES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "olmo2": "OLMo 2",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "falcon": "Falcon",
    "bloom": "BLOOM",
}


def write_cards(facts: Facts) -> dict[str, str]:
    """The texts of README.md and README.fr.md, by name."""
    return {name: _card(facts, language) for name, language in zip(CARDS, LANGUAGES, strict=True)}


def _card(facts: Facts, language: Language) -> str:
    report = facts.report
    return render(
        _TEMPLATES[language],
        language,
        facts=facts,
        index=facts.index,
        report=report,
        front_matter=front_matter(facts),
        failures=[finding for finding in facts.findings if finding.verdict == "fail"],
        findings=[(finding, words.rule_label(finding.rule, language)) for finding in facts.findings],
        overall=overall(facts.findings),
        tables={
            "sources": markdown_table(sources_table(report.sources)),
            "reasons": markdown_table(reasons_table(report.sources)) if reasons_table(report.sources).rows else "",
            "scores": markdown_table(scores_table(report.scores)) if report.scores else "",
            "training": markdown_table(training_table(report)) if training_table(report).rows else "",
        },
        scores=_scores_in_order(report),
        gate=gate_of(facts.manifests, facts.index),
        in_words=in_words,
        circumstances=[circumstances(training) for training in report.trainings],
        settings=[settings(training) for training in report.trainings],
        architecture=architecture(facts.config, language),
        family=family(facts.config),
        bases=base_names(facts.manifests),
        authors_shown=AUTHORS_SHOWN,
        credits=[credit(attribution) for attribution in facts.attributions],
        relaxed=relaxed(facts.manifests, facts.lock),
        seconds=sum(entry.seconds for entry in report.lineage),
        energy=energy_sentences(facts, language),
    )


def front_matter(facts: Facts) -> str:
    """The YAML head that the Hugging Face hub reads."""
    import yaml

    index = facts.index
    head: dict[str, Any] = {"license": hub_licence(index.licence)}
    if head["license"] == "other":
        head["license_name"] = slug(index.licence)
        head["license_link"] = "LICENSE"
    head["language"] = list(index.language)
    head["library_name"] = "transformers"
    head["pipeline_tag"] = "text-generation"
    head["tags"] = ["fonderie", *(["demonstration"] if index.demonstration else [])]
    emissions = emissions_head(facts)
    if emissions:
        head["co2_eq_emissions"] = emissions
    results = [_result(score) for score in _scores_in_order(facts.report)]
    if results:
        head["model-index"] = [{"name": index.name, "results": results}]
    return yaml.safe_dump(head, allow_unicode=True, sort_keys=False)


def _scores_in_order(report: Report) -> list[Score]:
    return sorted(report.scores, key=lambda score: score.source != ALL)


def _result(score: Score) -> dict[str, Any]:
    held_out = {"type": "held-out", "name": f"held-out documents of {about(score)}", "split": "held-out"}
    task = {"type": slug(score.source), "name": score.source}
    return {
        "task": {"type": "text-generation", "name": "Text generation"},
        "dataset": held_out if score.unit == "documents" else task,
        "metrics": [
            {
                "type": score.name,
                "name": f"{score.name.replace('_', ' ')}, {figure(score)}",
                "value": round(score.value, 4),
                "verified": False,
            }
        ],
    }


def emissions_head(facts: Facts) -> dict[str, Any] | None:
    """The hub's block on emissions, in grams; None unless the energy was measured and the electricity is known.

    The hub's documentation, "Displaying carbon emissions for your model", names the fields.
    """
    electricity = facts.electricity
    grams = emissions_grams(facts.energy, electricity)
    if grams is None or electricity is None:
        return None
    methods = "; ".join(facts.energy.methods)
    return {
        "emissions": round(grams, 3),
        "source": f"energy: {methods}; {electricity.grams_co2e_per_kwh:g} g CO2e per kWh: {electricity.source}",
        "training_type": training_type(facts),
        "geographical_location": electricity.location,
        "hardware_used": "; ".join(facts.energy.hardware),
    }


def training_type(facts: Facts) -> str:
    """The hub's word for what was done last to the weights."""
    made = next((manifest for manifest in facts.manifests if manifest.key == facts.index.model.key), None)
    return "pre-training" if made is not None and made.step == "train.pretrain" else "fine-tuning"


def energy_sentences(facts: Facts, language: Language) -> list[str]:
    """Energy, arithmetic and emissions of the training, each with its method or the reason why there is none."""
    account = facts.energy
    kwh = account.training_kwh
    hardware = "; ".join(account.hardware)
    methods = "; ".join(words.known("method", method, language) for method in account.methods)
    if kwh is None:
        found = [words.word("energy", "unmeasured", language, methods=methods)]
    else:
        amount = words.decimal(kwh, 4, language)
        found = [words.word("energy", "measured", language, kwh=amount, methods=methods, hardware=hardware)]
    estimated = account.training_estimated_joules
    if estimated is not None:
        amount = words.decimal(estimated / JOULES_PER_KWH, 4, language)
        formula = "; ".join(account.estimate_formulas)
        found.append(words.word("energy", "estimated", language, kwh=amount, formula=formula))
    elif kwh is None:
        found.append(words.word("energy", "unestimated", language))
    if account.countries:
        found.append(words.word("energy", "countries", language, countries=", ".join(account.countries)))
    if account.flops is None:
        found.append(words.word("energy", "uncounted", language))
    else:
        formulas = [words.known("formula", formula, language) for formula in account.flops_formulas]
        formula = "; ".join(formulas) or words.word("energy", "no_formula", language)
        amount = words.number(account.flops, language)
        found.append(words.word("energy", "counted", language, flops=amount, formula=formula))
    emissions = emissions_head(facts)
    if emissions is None:
        found.append(words.word("energy", "no_emissions", language))
    else:
        grams = words.decimal(emissions["emissions"], 1, language)
        source = emissions["source"]
        found.append(words.word("energy", "emissions", language, grams=grams, source=source))
    return found


def architecture(config: Mapping[str, Any], language: Language = "en") -> list[tuple[str, str]]:
    """What config.json says of the model's shape, in words."""
    return [
        (entry[language], words.number(config[name], language)) for name, entry in _SHAPE.items() if name in config
    ]


def family(config: Mapping[str, Any]) -> str:
    """The family of decoders that a model is of, as its makers write it."""
    found = str(config.get("model_type", "unknown"))
    return _FAMILIES.get(found, found)


def circumstances(training: Training) -> str:
    """Time and hardware of one training; another machine takes another time for the same bytes."""
    environment = training.environment
    gpus = environment.get("gpus") or []
    hardware = ", ".join(gpus) if gpus else f"{environment.get('processor', 'unknown')} (no GPU)"
    return cell(
        f"{training.call} ({training.step}) took {training.seconds:,.0f} s on {hardware}, "
        f"{environment.get('cores', 'unknown')} cores."
    )


def settings(training: Training) -> str:
    """The parameters of one training that the recipe or their defaults set."""
    given = [f"{name} = {value}" for name, value in training.parameters.items() if value is not None]
    return cell(f"Settings of {training.call}: {', '.join(given)}.")


def credit(attribution: Attribution) -> str:
    """One source's authors, origins and licences, as attribution licences ask; Markdown."""
    return f"**{cell(attribution.source)}**: {cell(credit_text(attribution))}"


def credit_text(attribution: Attribution) -> str:
    """The same in plain words, without the source's name."""
    shown = list(attribution.authors)[:AUTHORS_SHOWN]
    more = len(attribution.authors) - len(shown)
    authors = "; ".join(shown) or "no author is recorded"
    if more:
        authors += f"; and {more:,} more, all named in attribution.json"
    licences = ", ".join(f"{licence} ({count:,})" for licence, count in attribution.licences.items())
    counts = f"documents: {attribution.documents:,}, from files or addresses: {attribution.origins:,}"
    text = f"{counts}; {licences}; by {authors}."
    if attribution.collection_licences:
        text += f" The collection itself is under {', '.join(attribution.collection_licences)}."
    return text
