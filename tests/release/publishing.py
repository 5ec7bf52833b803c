"""A publisher.toml that is filled in, for the small build: its one source read from files is `letters`."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.evaluate.small import RECIPE, Build, build

from fonderie.core.manifest import Manifest, list_files
from fonderie.release.law.publisher import parse_publisher
from fonderie.release.law.shared import Dossier
from fonderie.release.layout import TRAINING, ReleaseIndex
from fonderie.release.pages import ATTRIBUTIONS, PAGES, SAMPLES, Contents, dossier_of
from fonderie.release.reports.course import READ
from fonderie.release.survey import SURVEY

# An address that is not one of those reserved for examples: these count as placeholders.
CONTACT = "contact@fonderie-essai.fr"

FILLED = f"""
[document]
version = "1.0"
last_update = 2026-03-01

[provider]
legal_name = "Association des essais de Fonderie"
address = "3, rue des Fondeurs, 38000 Grenoble, France"
contact = "{CONTACT}"
registration = "W381000000"
established_in_union = true

[market]
release_date = 2026-02-27
union_date = 2026-02-28
channels = ["https://hub.fonderie-essai.fr/toy"]

[code_of_practice]
signatory = false

[use]
intended = {{ en = "Teaching how a model is made.", fr = "Enseigner comment un modèle se fait." }}
advised_against = {{ en = "Any decision about a person.", fr = "Toute décision au sujet d'une personne." }}
systems = {{ en = "Demonstrations.", fr = "Des démonstrations." }}

[data]
legal_basis = {{ en = "The letters name nobody alive.", fr = "Les lettres ne nomment personne de vivant." }}
model_interactions = false
other_services = false
illegal_content = {{ en = "All letters were read by us.", fr = "Nous avons lu toutes les lettres." }}
unsuitability = {{ en = "We read a tenth.", fr = "Nous en avons lu un dixième." }}
bias = {{ en = "No measure of bias was run.", fr = "Aucune mesure de biais n'a été faite." }}

[training]
design = {{ en = "As small as a test may be.", fr = "Aussi petit qu'un essai peut l'être." }}
rationale = {{ en = "Three steps, to be quick.", fr = "Trois pas, pour aller vite." }}

[copyright]
policy = {{ en = "Only works under free licences.\\n\\nNo other.", fr = "Seulement des œuvres sous licence libre.\\n\\nAucune autre." }}
responsible = "The treasurer"
lawful_access = {{ en = "The letters are our own.", fr = "Les lettres sont les nôtres." }}
rights_reservations = {{ en = "Nothing is taken from the web.", fr = "Rien n'est pris sur le web." }}
outputs = {{ en = "Answers can be traced.", fr = "Les réponses peuvent être suivies." }}
complaint_contact = "{CONTACT}"
complaint_handling = {{ en = "Answered within 30 days.", fr = "Réponse sous 30 jours." }}

[sources.letters]
category = "public"
title = "Letters of the association, 2025"
url = "https://hub.fonderie-essai.fr/letters"
collected = "2025-01 to 2025-12"
description = {{ en = "Letters between members.", fr = "Des lettres entre membres." }}
"""

PUBLISHED = RECIPE + 'publisher = "publisher.toml"\nstatus = "final"\n'


def publish(folder: Path, text: str = FILLED, recipe: str = PUBLISHED, *overrides: str) -> Build:
    """The small build with a publisher.toml, released as final unless the recipe says otherwise."""
    (folder / "publisher.toml").write_text(text, encoding="utf-8")
    return build(folder, recipe, *overrides)


def contents_of(release: Path) -> Contents:
    """What the pages of a release were written from, read back from its folder."""
    index = ReleaseIndex.model_validate_json((release / "release.json").read_bytes())
    entries = [entry for entry in index.files if entry.path not in PAGES]
    file = release / "publisher.toml"
    return Contents(
        index=index,
        manifests=[
            Manifest.model_validate_json(path.read_bytes()) for path in sorted((release / "manifests").iterdir())
        ],
        lock=json.loads((release / "lock.json").read_bytes()),
        attributions=ATTRIBUTIONS.validate_json((release / "attribution.json").read_bytes()),
        samples=SAMPLES.validate_json((release / "samples.json").read_bytes()),
        config=json.loads((release / "config.json").read_bytes()),
        files={entry.path: entry.sha256 for entry in entries},
        sizes={entry.path: entry.size_bytes for entry in entries},
        survey=SURVEY.validate_json((release / "survey.json").read_bytes()),
        publisher=parse_publisher(file.read_text(encoding="utf-8"), "publisher.toml") if file.exists() else None,
        training={
            name: (release / TRAINING / name).read_bytes() for name in READ if (release / TRAINING / name).exists()
        },
    )


def dossier(release: Path, publisher: str | None = None, **report: Any) -> Dossier:
    """A release's dossier, with another publisher.toml or with other figures in its report."""
    made = dossier_of(contents_of(release))
    if publisher is not None:
        made = replace(made, publisher=parse_publisher(publisher, "publisher.toml"))
    if report:
        facts = replace(made.facts, report=made.facts.report.model_copy(update=report))
        made = replace(made, facts=facts)
    return made


def final_dossier(release: Path) -> Dossier:
    """The dossier of a draft as it would be, filled in and final."""
    made = dossier(release, FILLED)
    index = made.facts.index.model_copy(update={"status": "final"})
    return replace(made, facts=replace(made.facts, index=index))


def headings(markdown: str) -> list[tuple[int, str]]:
    """Levels and words of a page's headings."""
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", markdown, re.MULTILINE)]


def seal(release: Path) -> None:
    """List every file anew, so that release.json agrees with the folder."""
    path = release / "release.json"
    index = json.loads(path.read_bytes())
    index["files"] = [entry.model_dump() for entry in list_files(release) if entry.path != "release.json"]
    path.write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
