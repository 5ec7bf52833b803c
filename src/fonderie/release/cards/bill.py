"""bill-of-materials.spdx.json: what the model is made of, as SPDX 3.0.1 with its AI and Dataset profiles.

One AI package (the weights), a data set for each source and for each held-out side that was scored, the software
that made them, every file with its hash, and how they relate. Mandatory properties of the profiles:
https://spdx.github.io/spdx-spec/v3.0.1/model/AI/Classes/AIPackage and …/Dataset/Classes/DatasetPackage.
"""

import json
from collections.abc import Iterable
from typing import Any

from fonderie.evaluate.score import ALL
from fonderie.release.account import packed
from fonderie.release.cards.bill_elements import AGENT, Elements
from fonderie.release.cards.data import Treatment, personal_data, treatments
from fonderie.release.cards.model import credit_text, energy_sentences
from fonderie.release.cards.notices import AUTHORS_IN_FULL
from fonderie.release.facts import Facts
from fonderie.release.records import SourceReport, Training
from fonderie.release.writing.tables import about, figure
from fonderie.release.writing.words import known

BILL = "bill-of-materials.spdx.json"
PROFILES = ("core", "software", "simpleLicensing", "ai", "dataset")
HERE = "./"
"""Where things are had when no publisher names an address: beside this file. A relative reference is an anyURI."""


def write_bill(facts: Facts) -> dict[str, str]:
    """The text of the bill of materials, by name."""
    return {BILL: json.dumps(describe(facts), indent=1, ensure_ascii=False, allow_nan=False, sort_keys=True) + "\n"}


def describe(facts: Facts) -> dict[str, Any]:
    """The bill as JSON-LD, elements in the order of their identifiers."""
    made = Elements(facts)
    supplier = _supplier(made, facts)
    model = _model(made, supplier, facts)
    trained = {source.name: _dataset(made, source, supplier, facts, held_out=False) for source in facts.sources}
    scored = {score.source for score in facts.report.scores if score.source != ALL and score.unit == "documents"}
    tested = [
        _dataset(made, source, supplier, facts, held_out=True)
        for source in facts.report.sources
        if source.name in scored
    ]
    files = {name: made.file(name) for name in sorted(facts.files)}
    documents = [files[name] for name in facts.documents]
    made.relate(model, "trainedOn", trained.values())
    made.relate(model, "testedOn", tested)
    own = [file for name, file in files.items() if name not in facts.documents]
    # The pages, this one among them, are written after their hashes could be known: release.json has them.
    made.relate(model, "contains", own, complete=False)
    for dataset in trained.values():
        made.relate(dataset, "hasDistributionArtifact", documents)
    made.relate(model, "usesTool", _software(made, facts))
    return made.document(model, PROFILES)


def _supplier(made: Elements, facts: Facts) -> Any:
    if facts.supplier:
        return made.add("Organization", AGENT, name=facts.supplier)
    comment = "publisher.toml names no legal entity: who supplies this release is not known from it."
    return made.add("Agent", AGENT, name=f"the makers of {facts.index.name}", comment=comment)


def _model(made: Elements, supplier: Any, facts: Facts) -> Any:
    index, trainings = facts.index, facts.report.trainings
    steps = treatments(facts)
    given: dict[str, Any] = {
        "name": index.name,
        "description": index.description or None,
        "software_packageVersion": index.version,
        "software_downloadLocation": _place(facts),
        "software_primaryPurpose": made.purpose("model"),
        "releaseTime": made.time(facts.published_time),
        "builtTime": made.time(facts.trained),
        "suppliedBy": supplier,
        "originatedBy": [supplier],
        "ai_typeOfModel": [*map(str, facts.config.get("architectures", ())), "decoder-only language model"],
        "ai_domain": ["text generation"],
        "ai_hyperparameter": [made.entry(key, value) for item in trainings for key, value in _settings(item)],
        "ai_metric": [made.entry(f"{item.name}, {about(item)}", figure(item)) for item in facts.report.scores],
        "ai_informationAboutTraining": " ".join(_training(facts)),
        "ai_informationAboutApplication": "Loads with transformers and with `fonderie chat`.",
        "ai_limitation": _limitation(facts),
        "ai_modelDataPreprocessing": [_preprocessing(step) for step in steps],
        "ai_useSensitivePersonalInformation": made.presence("noAssertion"),
    }
    kwh = facts.energy.training_kwh
    if kwh is not None:
        given["ai_energyConsumption"] = made.training_energy(kwh)
    model = made.add("ai_AIPackage", "Model", **given)
    made.license(model, [index.licence])
    return model


def _place(facts: Facts) -> str:
    channels = facts.publisher.market.channels if facts.publisher else ()
    return next((place for place in channels if place.startswith(("https://", "http://"))), HERE)


def _settings(training: Training) -> Iterable[tuple[str, str]]:
    values = {
        **training.parameters,
        **{name: training.statistics.get(name) for name in ("steps", "tokens", "flops")},
    }
    for name, value in values.items():
        if value is not None and name != "policy":
            yield f"{training.call}.{name}", value if isinstance(value, str) else json.dumps(value)


def _training(facts: Facts) -> Iterable[str]:
    for item in facts.report.trainings:
        tokens, steps = item.statistics.get("tokens"), item.statistics.get("steps")
        seen = f"{tokens:,} tokens" if isinstance(tokens, int) else "an unknown number of tokens"
        taken = f" in {steps:,} steps" if isinstance(steps, int) else ""
        yield f"{item.call} ({item.step}) saw {seen}{taken}, in {item.seconds:,.0f} s."
    yield from energy_sentences(facts, "en")


def _limitation(facts: Facts) -> str:
    sentences = ["A demonstration: small, often wrong, not to be relied on."] if facts.index.demonstration else []
    if facts.report.scores:
        tasks = ", ".join(dict.fromkeys(item.source for item in facts.report.scores if item.unit == "items"))
        also = f", and on {tasks}" if tasks else " only; no task was evaluated"
        sentences.append(f"Scored on held-out documents of its own sources{also}; no safety was evaluated.")
    else:
        sentences.append("Not evaluated.")
    return " ".join(sentences)


def _preprocessing(step: Treatment) -> str:
    parameters = json.dumps(dict(step.parameters), ensure_ascii=False)
    return f"{step.call}: {step.step} {parameters}, {step.read:,} documents in, {step.kept:,} out"


def _dataset(made: Elements, source: SourceReport, supplier: Any, facts: Facts, *, held_out: bool) -> Any:
    """A source's documents: those trained on, or those held out to score on."""
    readers, attribution = facts.readers(source.name), facts.attribution(source.name)
    side = "held-out documents" if held_out else "training documents"
    steps = treatments(facts, held_out=held_out)
    replaced = personal_data(steps)
    origin = _origin(made, source, facts) or supplier
    given: dict[str, Any] = {
        "name": f"{side} of {source.name}",
        "software_downloadLocation": _where(source, facts, held_out=held_out),
        "software_primaryPurpose": made.purpose("data"),
        "software_attributionText": [credit_text(attribution)] if attribution and not held_out else [],
        "builtTime": made.time(max((facts.ended(item) for item in readers), default=facts.finished)),
        "releaseTime": made.time(facts.published_time),
        "originatedBy": [origin],
        "dataset_datasetType": [made.dataset_type("text")],
        "dataset_dataCollectionProcess": _collection(source, facts),
        "dataset_dataPreprocessing": [_preprocessing(step) for step in steps if _touches(step, source)],
        "dataset_anonymizationMethodUsed": [
            f"{known('personal', kind, 'en')} replaced by a placeholder" for kind in replaced
        ],
        "dataset_hasSensitivePersonalInformation": made.presence("noAssertion"),
        "dataset_intendedUse": "evaluation" if held_out else "training of language models",
    }
    size = 0 if held_out else _size_bytes(source, facts)
    if size:
        given["dataset_datasetSize"] = size
    dataset = made.add("dataset_DatasetPackage", f"{'HeldOut' if held_out else 'Data'}-{source.name}", **given)
    counted = [count.licence for count in source.licences]
    made.license(dataset, counted if held_out else facts.licences(source))
    return dataset


def _origin(made: Elements, source: SourceReport, facts: Facts) -> Any | None:
    """One agent, as the Dataset profile asks, for all authors of a source; None where none is named."""
    attribution = facts.attribution(source.name)
    authors = list(attribution.authors) if attribution else []
    if not authors:
        return None
    comment = "; ".join(authors[:AUTHORS_IN_FULL])
    if len(authors) > AUTHORS_IN_FULL:
        comment += f"; and {len(authors) - AUTHORS_IN_FULL:,} more, all named in attribution.json"
    name = f"the authors of {source.name}"
    return made.add("Agent", f"Authors-{source.name}", once=True, name=name, comment=comment)


def _where(source: SourceReport, facts: Facts, *, held_out: bool) -> str:
    """The documents' folder; else the recipe that composes them, or the manifest that names the files."""
    if facts.documents and not held_out:
        return "data/documents/"
    if source.generated:
        return "recipe.toml"
    return next((facts.manifest_file(item) for item in facts.readers(source.name)), HERE)


def _collection(source: SourceReport, facts: Facts) -> str:
    if source.generated:
        return "Composed by the recipe itself from a seed; anyone can make the same again."
    files = facts.source_files(source.name)
    manifests = ", ".join(facts.manifest_file(item) for item in facts.readers(source.name))
    return f"Read from {len(files):,} files, named and hashed in {manifests}."


def _touches(step: Treatment, source: SourceReport) -> bool:
    return any(stage.call == step.call for stage in source.stages)


def _size_bytes(source: SourceReport, facts: Facts) -> int:
    """UTF-8 bytes of the texts that were packed."""
    packs = (packed(manifest).get(source.name, {}) for manifest in facts.manifests)
    return sum(counts.get("size_bytes", 0) for counts in packs)


def _software(made: Elements, facts: Facts) -> list[Any]:
    """Every library that the manifests say had a part, in each of its versions."""
    found: dict[tuple[str, str], None] = {}
    for manifest in facts.manifests:
        for name, version in manifest.environment.get("libraries", {}).items():
            if version:
                found.setdefault((str(name), str(version)))
        if python := manifest.environment.get("python"):
            found.setdefault(("python", str(python)))
    return [made.software(name, version) for name, version in sorted(found)]
