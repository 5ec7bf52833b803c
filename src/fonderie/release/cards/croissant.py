"""croissant.json: the training data for programs, as Croissant 1.1 (MLCommons, http://mlcommons.org/croissant/1.1).

Where the release distributes the documents, every Parquet file is named with its size and hash, and one record set
reads them all. Where it does not, the record set lists the files that each source was read from, with their hashes:
what a stranger must find to have the same data.
"""

import json
from collections.abc import Iterable
from typing import Any

from fonderie.core.document import SCHEMA
from fonderie.core.manifest import FileEntry, Manifest
from fonderie.release.cards.data import UNREADABLE_ELSEWHERE, data_licences, personal_data, treatments
from fonderie.release.cards.licence_terms import Terms
from fonderie.release.cards.notices import AUTHORS_IN_FULL
from fonderie.release.facts import DOCUMENTS, Facts
from fonderie.release.records import SourceReport
from fonderie.release.writing.words import word

CROISSANT = "croissant.json"
VERSION = "http://mlcommons.org/croissant/1.1"
RESPONSIBLE = "http://mlcommons.org/croissant/RAI/1.0"
_PARQUET = "application/x-parquet"
"""What Croissant's tools know Parquet by; its name at IANA is application/vnd.apache.parquet since 2024."""
_FILES, _DOCUMENTS, _SOURCES = "document-files", "documents", "source-files"

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The terms of the format's vocabulary (its appendix 1), and PROV's, which its section on provenance asks for."""


def write_croissant(facts: Facts) -> dict[str, str]:
    """The text of croissant.json, by name."""
    return {CROISSANT: json.dumps(describe(facts), indent=1, ensure_ascii=False, allow_nan=False) + "\n"}


def describe(facts: Facts) -> dict[str, Any]:
    """The data set as Croissant; every value follows from the release."""
    index = facts.index
    name = f"{index.name}-{index.version}-training-documents"
    steps = treatments(facts)
    found: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [VERSION, RESPONSIBLE],
        "name": name,
        "description": _description(facts),
        "version": index.version,
        "url": _address(facts),
        "license": [_licence(item) for item in data_licences(facts)],
        "datePublished": facts.published,
        "creator": _creator(facts),
        "inLanguage": list(index.language),
        "keywords": ["language model", "training data", *(source.name for source in facts.sources)],
        "isLiveDataset": False,
        "citeAs": _citation(facts, name),
        "prov:wasDerivedFrom": [_derived(source, facts) for source in facts.sources],
        "prov:wasGeneratedBy": [_activity(manifest, facts) for manifest in _data_steps(facts)],
        "rai:dataCollection": _collection(facts),
        "rai:dataPreprocessingProtocol": [f"{step.call}: {step.step}, {dict(step.parameters)}" for step in steps],
        "rai:personalSensitiveInformation": _personal(facts),
    }
    if facts.documents:
        found["distribution"] = [*_files(facts), _file_set()]
        found["recordSet"] = [_documents()]
    else:
        found["distribution"] = [_file(name, facts, "application/json") for name in _reader_manifests(facts)]
        found["recordSet"] = [_source_files(facts)]
    return found


def _description(facts: Facts) -> str:
    documents = sum(source.kept for source in facts.sources)
    where = (
        "They are distributed with the model."
        if facts.documents
        else "They are not distributed with the model; the files that they were read from are named and hashed."
    )
    model = f"{facts.index.name} {facts.index.version}"
    names = ", ".join(source.name for source in facts.sources)
    return f"The {documents:,} documents that the language model {model} was trained on, from: {names}. {where}"


def _address(facts: Facts) -> str:
    """Where the publisher says it can be had; the card beside this file where they do not say."""
    channels = facts.publisher.market.channels if facts.publisher else ()
    return next((place for place in channels if place.startswith(("https://", "http://"))), "data/README.md")


def _licence(item: Terms) -> str:
    return item.url or item.identifier


def _creator(facts: Facts) -> dict[str, str]:
    """Who put the collection together: the publisher, or the model by name where none is stated."""
    return {"@type": "sc:Organization", "name": facts.supplier or f"the makers of {facts.index.name}"}


def _citation(facts: Facts, name: str) -> str:
    year = facts.published[:4]
    title = f"Training documents of {facts.index.name} {facts.index.version}"
    # Braces would close the entry, wherever a name came from.
    author = (facts.supplier or f"the makers of {facts.index.name}").replace("{", "(").replace("}", ")")
    fields = {"title": title, "author": f"{{{author}}}", "year": year, "note": facts.identity}
    return f"@misc{{{name}, {', '.join(f'{key} = {{{value}}}' for key, value in fields.items())}}}"


def _derived(source: SourceReport, facts: Facts) -> dict[str, Any]:
    attribution = facts.attribution(source.name)
    authors = list(attribution.authors) if attribution else []
    if source.generated:
        description = "composed by the recipe itself; anyone can make it again"
    else:
        manifests = ", ".join(map(facts.manifest_file, facts.readers(source.name)))
        description = f"{len(facts.source_files(source.name)):,} files, named and hashed in {manifests}"
    if len(authors) > AUTHORS_IN_FULL:
        description += f"; of {len(authors):,} authors the first {AUTHORS_IN_FULL}, all in attribution.json"
    entry: dict[str, Any] = {"@type": "prov:Entity", "prov:label": source.name, "description": description}
    if authors:
        named = authors[:AUTHORS_IN_FULL]
        entry["prov:wasAttributedTo"] = [{"@type": "prov:Agent", "prov:label": author} for author in named]
    return entry


def _data_steps(facts: Facts) -> list[Manifest]:
    calls = {step.call for step in treatments(facts)}
    return [manifest for manifest in facts.manifests if facts.calls.get(manifest.key, manifest.step) in calls]


def _activity(manifest: Manifest, facts: Facts) -> dict[str, Any]:
    return {
        "@type": "prov:Activity",
        "prov:label": f"{facts.calls.get(manifest.key, manifest.step)}: {manifest.step} version {manifest.version}",
        "prov:startedAtTime": facts.began(manifest),
        "prov:wasAssociatedWith": {
            "@type": "prov:SoftwareAgent",
            "prov:label": f"fonderie {facts.software(manifest)}",
        },
    }


def _collection(facts: Facts) -> str:
    made = [source.name for source in facts.sources if source.generated]
    read = [source.name for source in facts.sources if not source.generated]
    parts = [f"read from files: {', '.join(read)}"] if read else []
    parts += [f"composed by a program: {', '.join(made)}"] if made else []
    return "; ".join(parts)


def _personal(facts: Facts) -> list[str]:
    counts = personal_data(treatments(facts))
    if not counts:
        return ["No personal data was replaced in any document."]
    return [f"{kind} replaced in {count:,} documents" for kind, count in counts.items()]


def _file(name: str, facts: Facts, encoding: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name.rpartition("/")[2],
        "contentUrl": name,
        "contentSize": f"{facts.sizes[name]} B",
        "encodingFormat": encoding,
        "sha256": facts.files[name].removeprefix("sha256:"),
    }


def _files(facts: Facts) -> Iterable[dict[str, Any]]:
    return (_file(name, facts, _PARQUET) for name in facts.documents)


def _file_set() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _FILES,
        "name": _FILES,
        "description": "Every Parquet file of the documents, beside this description.",
        "encodingFormat": _PARQUET,
        "includes": f"{DOCUMENTS}*.parquet",
    }


def _documents() -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": _DOCUMENTS,
        "name": _DOCUMENTS,
        "description": "One record for each document.",
        "key": {"@id": f"{_DOCUMENTS}/id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{_DOCUMENTS}/{column.name}",
                "name": column.name,
                "description": word("column", column.name, "en"),
                "dataType": "sc:Text",
                "source": {"fileSet": {"@id": _FILES}, "extract": {"column": column.name}},
            }
            for column in SCHEMA
            if column.name not in UNREADABLE_ELSEWHERE
        ],
    }


def _reader_manifests(facts: Facts) -> list[str]:
    names = [facts.manifest_file(item) for source in facts.sources for item in facts.readers(source.name)]
    return [name for name in dict.fromkeys(names) if name in facts.files]


def _source_files(facts: Facts) -> dict[str, Any]:
    """Sources named and hashed: the record set holds its records itself."""
    columns = {"source": "sc:Text", "path": "sc:Text", "size_bytes": "sc:Integer", "sha256": "sc:Text"}
    rows = [row for source in facts.sources for row in _rows(source, facts)]
    return {
        "@type": "cr:RecordSet",
        "@id": _SOURCES,
        "name": _SOURCES,
        "description": "The files that the documents were read from; for composed sources, the manifest.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{_SOURCES}/{name}",
                "name": name,
                "description": f"{name.replace('_', ' ')} of the file",
                "dataType": kind,
            }
            for name, kind in columns.items()
        ],
        "data": [{f"{_SOURCES}/{name}": value for name, value in zip(columns, row, strict=True)} for row in rows],
    }


def _rows(source: SourceReport, facts: Facts) -> Iterable[tuple[str, str, int, str]]:
    entries: list[FileEntry] = facts.source_files(source.name)
    for entry in entries:
        yield source.name, entry.path, entry.size_bytes, entry.sha256.removeprefix("sha256:")
    if not entries:
        for manifest in facts.readers(source.name):
            name = facts.manifest_file(manifest)
            if name in facts.files:
                yield source.name, name, facts.sizes[name], facts.files[name].removeprefix("sha256:")
