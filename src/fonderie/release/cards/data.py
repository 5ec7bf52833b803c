"""The card of the training data, in English and in French, with the YAML head of a Hugging Face data set.

Where the release distributes the documents, the head's `configs` point at them, so that `load_dataset("data")`
reads them. The column `metadata` is left out there: the `datasets` library has no word for Parquet maps.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from fonderie.core.document import SCHEMA
from fonderie.core.manifest import Manifest
from fonderie.release.account import branches, counted, upstream
from fonderie.release.cards.hub_terms import hub_licence, size_class, slug
from fonderie.release.cards.licence_terms import Terms, terms
from fonderie.release.facts import Facts
from fonderie.release.writing import words
from fonderie.release.writing.templating import render
from fonderie.release.writing.words import LANGUAGES, Language

DATA_CARDS = ("data/README.md", "data/README.fr.md")
_TEMPLATES: dict[Language, str] = {"en": "data.md.jinja", "fr": "data.fr.md.jinja"}
UNREADABLE_ELSEWHERE = ("metadata",)
"""Columns that the data sets library cannot read: it has no type for maps of strings."""
_SILENT = frozenset({"policy", "source"})


@dataclass(frozen=True)
class Treatment:
    """One step that documents went through on their way to training, all sources together."""

    call: str
    step: str
    parameters: tuple[tuple[str, Any], ...]
    read: int
    kept: int
    dropped: tuple[tuple[str, int], ...]
    """Documents by reason."""
    edited: tuple[tuple[str, int], ...]


def write_data_cards(facts: Facts) -> dict[str, str]:
    """The texts of data/README.md and data/README.fr.md, by name."""
    return {name: _card(facts, language) for name, language in zip(DATA_CARDS, LANGUAGES, strict=True)}


def _card(facts: Facts, language: Language) -> str:
    steps = treatments(facts)
    return render(
        _TEMPLATES[language],
        language,
        facts=facts,
        index=facts.index,
        front_matter=dataset_head(facts),
        sources=facts.sources,
        origins={source.name: facts.source_files(source.name) for source in facts.sources},
        collections={
            source.name: list(item.collection_licences) if (item := facts.attribution(source.name)) else []
            for source in facts.sources
        },
        treatments=steps,
        personal=personal_data(steps),
        personal_names={kind: words.known("personal", kind, language) for kind in personal_data(steps)},
        known_steps=words.catalogue()["step"],
        columns=[(field.name, str(field.type)) for field in SCHEMA],
        left_out=UNREADABLE_ELSEWHERE,
        limits=limits(facts, steps, language),
        licences=data_licences(facts),
        total=sum(source.kept for source in facts.sources),
        tokens=sum(source.tokens for source in facts.sources),
        size_bytes=sum(facts.sizes[name] for name in facts.documents),
    )


def dataset_head(facts: Facts) -> str:
    """The YAML head, with the fields of the hub's data set card template."""
    import yaml

    index = facts.index
    known = data_licences(facts)
    names = list(dict.fromkeys(hub_licence(item.identifier) for item in known)) or ["unknown"]
    head: dict[str, Any] = {"license": names if len(names) > 1 else names[0]}
    others = [item for item in known if hub_licence(item.identifier) == "other"]
    if others:
        head["license_name"] = "-and-".join(slug(item.identifier) for item in others)
        head["license_link"] = others[0].url or "../NOTICE.md"
    head["language"] = list(index.language)
    head["pretty_name"] = f"Training documents of {index.name} {index.version}"
    head["size_categories"] = [size_class(sum(source.kept for source in facts.sources))]
    head["source_datasets"] = list(dict.fromkeys(_source_kind(facts)))
    head["task_categories"] = ["text-generation"]
    head["annotations_creators"] = ["no-annotation"]
    made = {source.generated for source in facts.sources}
    head["language_creators"] = [
        name for name, there in (("found", False), ("machine-generated", True)) if there in made
    ]
    head["multilinguality"] = ["multilingual" if len(index.language) > 1 else "monolingual"]
    head["tags"] = ["fonderie"]
    if facts.documents:
        readable = [field.name for field in SCHEMA if field.name not in UNREADABLE_ELSEWHERE]
        head["dataset_info"] = {"features": [{"name": name, "dtype": "string"} for name in readable]}
        files = [{"split": "train", "path": patterns(facts)}]
        head["configs"] = [{"config_name": "default", "data_files": files, "columns": readable}]
    return yaml.safe_dump(head, allow_unicode=True, sort_keys=False)


def patterns(facts: Facts) -> list[str]:
    """Globs that name every distributed Parquet file, one for each folder, relative to data/."""
    folders = dict.fromkeys(str(PurePosixPath(name).parent.relative_to("data")) for name in facts.documents)
    return [f"{folder}/*.parquet" for folder in folders]


def _source_kind(facts: Facts) -> Iterable[str]:
    return ("original" if source.generated else f"extended|other-{slug(source.name)}" for source in facts.sources)


def data_licences(facts: Facts) -> list[Terms]:
    """The licences of the documents trained on, each once, in the order of the sources."""
    found = dict.fromkeys(licence for source in facts.sources for licence in facts.licences(source))
    return [terms(licence) for licence in found]


def treatments(facts: Facts, *, held_out: bool = False) -> list[Treatment]:
    """The steps that read or changed documents on the way to training, or to evaluation, as they ran."""
    where = branches(facts.manifests)
    by_key = {manifest.key: manifest for manifest in facts.manifests}
    scored = [
        entry.key
        for manifest in facts.manifests
        if "scores" in manifest.statistics
        for entry in manifest.inputs.get("documents", [])
    ]
    side = upstream(scored, by_key) if held_out else {key for key, branch in where.items() if branch == "training"}
    return [
        _treatment(manifest, facts) for manifest in facts.manifests if manifest.key in side and counted(manifest)
    ]


def _treatment(manifest: Manifest, facts: Facts) -> Treatment:
    sources = counted(manifest).values()

    def summed(kind: str) -> tuple[tuple[str, int], ...]:
        total: dict[str, int] = {}
        for counts in sources:
            for reason, count in counts[kind].items():
                total[reason] = total.get(reason, 0) + count
        return tuple(sorted(total.items()))

    given = ((name, value) for name, value in manifest.parameters.items() if name not in _SILENT)
    return Treatment(
        call=facts.calls.get(manifest.key, manifest.step),
        step=manifest.step,
        parameters=tuple((name, value) for name, value in given if value not in (None, "", [], {})),
        read=sum(counts["read"] for counts in sources),
        kept=sum(counts["kept"] for counts in sources),
        dropped=summed("dropped"),
        edited=summed("edited"),
    )


def personal_data(steps: Iterable[Treatment]) -> dict[str, int]:
    """Documents in which each kind of personal data was replaced; a document with two kinds counts in both."""
    found: dict[str, int] = {}
    for step in steps:
        for reason, count in step.edited:
            for kind in words.personal_kinds(reason):
                found[kind] = found.get(kind, 0) + count
    return found


def limits(facts: Facts, steps: list[Treatment], language: Language) -> list[str]:
    """What the data is known not to be, each sentence only where the manifests bear it out."""

    def say(name: str, **values: str) -> str:
        return words.word("limit", name, language, **values)

    found = [say("stated")]
    if any(item.status != "free" for item in data_licences(facts)):
        found.append(say("restricted"))
    for source in facts.sources:
        attribution = facts.attribution(source.name)
        if source.generated:
            found.append(say("generated", source=source.name))
        elif attribution and attribution.without_author:
            count = words.number(attribution.without_author, language)
            found.append(say("anonymous", count=count, source=source.name))
    if not facts.documents:
        found.append(say("not_distributed"))
    looked_for = [kind for step in steps if step.step == "corpus.redact" for kind in dict(step.parameters)["kinds"]]
    kinds = words.listing(words.known("personal", kind, language) for kind in dict.fromkeys(looked_for))
    found.append(say("redaction", kinds=kinds) if looked_for else say("no_redaction"))
    copies = [dict(step.parameters) for step in steps if step.step == "corpus.dedup"]
    if not copies:
        found.append(say("no_dedup"))
    elif not any(parameters.get("near") for parameters in copies):
        found.append(say("exact_only"))
    names = [manifest.step for manifest in facts.manifests]
    if not any("opt_out" in name or "optout" in name for name in names):
        found.append(say("no_opt_out"))
    if not any("bias" in name for name in names):
        found.append(say("no_bias"))
    return found
