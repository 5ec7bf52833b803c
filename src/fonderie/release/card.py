"""The model card: README.md of a release, written from its manifests and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fonderie.evaluate.score import ALL
from fonderie.release.attribution import Attribution
from fonderie.release.findings import Finding, overall
from fonderie.release.records import Report, Training
from fonderie.release.tables import (
    cell,
    figure,
    markdown_table,
    quantity,
    reasons_table,
    scores_table,
    sources_table,
    training_table,
)

AUTHORS_SHOWN = 12

_HUB_LICENCES = {
    "odbl-1.0": "odbl",
    "odc-by-1.0": "odc-by",
    "pddl-1.0": "pddl",
    "gpl-3.0-only": "gpl-3.0",
    "gpl-3.0-or-later": "gpl-3.0",
    "agpl-3.0-only": "agpl-3.0",
    "agpl-3.0-or-later": "agpl-3.0",
    "lgpl-3.0-only": "lgpl-3.0",
    "lgpl-3.0-or-later": "lgpl-3.0",
}
"""Identifiers of the Hugging Face hub (its documentation, "Licenses") that differ from SPDX's in lower case."""
_HUB_LICENCES_ALIKE = frozenset(
    {
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "zlib", "unlicense", "mpl-2.0", "eupl-1.2"),
        *("cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "etalab-2.0"),
    }
)
"""Those that do not. Any other licence is "other" to the hub, with its SPDX identifier as the name."""


@dataclass(frozen=True)
class CardFacts:
    """What a card is written from; all of it lies in the release."""

    name: str
    version: str
    licence: str
    language: Sequence[str]
    description: str
    demonstration: bool
    report: Report
    findings: Sequence[Finding]
    attributions: Sequence[Attribution]
    samples: Sequence[Mapping[str, Any]]
    config: Mapping[str, Any]
    """The model's config.json."""
    files: Mapping[str, str]
    """Digest of each file of the release, by name."""
    model_digest: str


def write_card(facts: CardFacts) -> str:
    """The text of README.md."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fonderie.release"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown: `cell` escapes what documents and recipes say
    )
    environment.filters.update(cell=cell, quantity=quantity, quoted=quoted)
    report = facts.report
    return environment.get_template("README.md.jinja").render(
        facts=facts,
        front_matter=front_matter(facts),
        failures=[finding for finding in facts.findings if finding.verdict == "fail"],
        overall=overall(facts.findings),
        sources=markdown_table(sources_table(report.sources)),
        reasons=markdown_table(reasons_table(report.sources)) if reasons_table(report.sources).rows else "",
        scores=markdown_table(scores_table(report.scores)) if report.scores else "",
        training=markdown_table(training_table(report)) if training_table(report).rows else "",
        circumstances=[circumstances(training) for training in report.trainings],
        settings=[settings(training) for training in report.trainings],
        architecture=architecture(facts.config),
        credits=[credit(attribution) for attribution in facts.attributions],
        seconds=sum(entry.seconds for entry in report.lineage),
    )


def front_matter(facts: CardFacts) -> str:
    """The YAML head that the Hugging Face hub reads."""
    import yaml

    licence = facts.licence.casefold()
    alike = licence if licence in _HUB_LICENCES_ALIKE else "other"
    head: dict[str, Any] = {"license": _HUB_LICENCES.get(licence, alike)}
    if head["license"] == "other":
        head["license_name"] = licence
    head["language"] = list(facts.language)
    head["library_name"] = "transformers"
    head["pipeline_tag"] = "text-generation"
    head["tags"] = ["fonderie", *(["demonstration"] if facts.demonstration else [])]
    results = [
        {
            "task": {"type": "text-generation", "name": "Text generation"},
            "dataset": {"type": "held-out", "name": f"held-out documents of {score.source}", "split": "held-out"},
            "metrics": [
                {
                    "type": score.name,
                    "name": f"{score.name.replace('_', ' ')}, {figure(score)}",
                    "value": round(score.value, 4),
                    "verified": False,
                }
            ],
        }
        for score in sorted(facts.report.scores, key=lambda score: score.source != ALL)
    ]
    if results:
        head["model-index"] = [{"name": facts.name, "results": results}]
    return yaml.safe_dump(head, allow_unicode=True, sort_keys=False)


def architecture(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What config.json says of the model's shape, in words."""
    words = {
        "num_hidden_layers": "blocks",
        "hidden_size": "width",
        "num_attention_heads": "query heads",
        "num_key_value_heads": "key-value heads",
        "intermediate_size": "feed-forward width",
        "vocab_size": "vocabulary",
        "max_position_embeddings": "context (tokens)",
    }
    return [(word, quantity(config[name])) for name, word in words.items() if name in config]


def circumstances(training: Training) -> str:
    """Time, hardware and energy of one training, in a sentence each."""
    environment, energy = training.environment, training.energy
    gpus = environment.get("gpus") or []
    hardware = ", ".join(gpus) if gpus else f"{environment.get('processor', 'unknown')} (no GPU)"
    joules = energy.get("joules")
    spent = (
        f"{joules / 3.6e6:.4f} kWh ({energy.get('method')})"
        if joules is not None
        else str(energy.get("method", "not measured"))
    )
    # Times are said of this making: another machine takes another time for the same bytes.
    return cell(
        f"{training.call} ({training.step}) took {training.seconds:,.0f} s on {hardware}, "
        f"{environment.get('cores', 'unknown')} cores. Energy: {spent}."
    )


def settings(training: Training) -> str:
    """The parameters of one training that the recipe or their defaults set."""
    given = [f"{name} = {value}" for name, value in training.parameters.items() if value is not None]
    return cell(f"Settings of {training.call}: {', '.join(given)}.")


def credit(attribution: Attribution) -> str:
    """One source's authors, origins and licences, as attribution licences ask."""
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
    return f"**{cell(attribution.source)}**: {cell(text)}"


def quoted(text: str) -> str:
    """Text as a Markdown quotation, line by line."""
    return "\n".join(f"> {cell(line)}".rstrip() for line in text.split("\n"))
