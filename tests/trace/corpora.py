"""A small corpus as a person's recipe makes it: read, filtered, redacted, deduplicated; and what it was made of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.step import Artifact
from fonderie.core.steps import find_step
from fonderie.core.store import Store

RECIPE = """
[recipe]
title = "A <small> corpus"

[letters]
step = "corpus.read"
path = "letters/*.jsonl"
format = "jsonl"
licence = "CC-BY-4.0"
language = "fr"

[clean]
step = "corpus.filter"
inputs = { documents = "letters" }
rules = ["words >= 5", "repeated_lines <= 0.5"]

[private]
step = "corpus.redact"
inputs = { documents = "clean" }

[unique]
step = "corpus.dedup"
inputs = { documents = "private" }
near = 0.7
"""

HOSTILE = (
    '<script>alert(1)</script> & "quotes" <img src=http://x.example/y> \x1b[31mrouge\x1b[0m plus cinq mots encore'
)
STORY = (
    "Le facteur traverse le pont chaque matin avec sa sacoche, salue la boulangère, compte les bateaux amarrés, "
    "dépose trois lettres au moulin, puis remonte la rue des tanneurs sans se presser, car personne ne l'attend."
)


@dataclass(frozen=True)
class SmallCorpus:
    """A store in which the recipe ran."""

    folder: Path
    store: Store
    artifacts: dict[str, Artifact]


def texts() -> list[str]:
    """Short ones, repetitive ones, some with addresses, copies, and near copies of copies."""
    return [
        *(f"Trop court {number}" for number in range(30)),
        *("\n".join([f"Lire la suite de l'article {number}"] * 8) for number in range(6)),
        *(
            f"La mairie numéro {number} répond à toutes les questions : écrivez à m.martin{number}@exemple.fr ou "
            f"téléphonez au 01 42 68 53 {number:02} avant midi, le registre {number * 7} reste ouvert."
            for number in range(8)
        ),
        STORY,
        STORY,
        STORY.replace("car personne ne l'attend", "car personne ne l'attend plus"),
        STORY.replace("car personne ne l'attend", "car personne ne l'attend plus"),
        HOSTILE,
    ]


def make(folder: Path, documents: Sequence[str], shards: int = 1) -> SmallCorpus:
    """Run the recipe on these texts, in so many files."""
    (folder / "letters").mkdir(parents=True)
    for shard in range(shards):
        lines = [json.dumps({"text": text}) for text in documents[shard::shards]]
        (folder / "letters" / f"{shard}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / "small.toml"
    path.write_text(RECIPE, encoding="utf-8")
    store = Store(folder / "store")
    result = run_recipe(load_recipe(path, [], find_step), store, Machine())
    return SmallCorpus(folder, store, dict(result.artifacts))
