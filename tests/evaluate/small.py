"""A whole small build: the real steps from documents to release, but for the generator; three steps of training."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

from fonderie.core import steps
from fonderie.core.document import Document
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import RunResult, run_recipe
from fonderie.core.step import CallName, Inputs, Output, Parameters, Policy, RecipePolicy, Step, step
from fonderie.core.store import Store
from fonderie.corpus.transform import keep, write_shard
from fonderie.tokens.conversation import Turn, format_turns

SUBJECTS = (
    "Le chat",
    "La chatte",
    "L'élève",
    "Une voisine",
    "Le vieux facteur",
    "Aurélie",
    "Mon frère",
    "Le maître",
)
VERBS = ("regarde", "emporte", "dessine", "oublie", "retrouve", "n'aime pas", "achète", "décrit")
OBJECTS = ("la fenêtre", "un œuf", "trois pommes", "l'école", "ce château", "sa clé", "le marché", "des forêts")


def sentence(rng: random.Random) -> str:
    return f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}."


def story(rng: random.Random, sentences: int) -> str:
    return " ".join(sentence(rng) for _ in range(sentences))


class ComposeParameters(Parameters):
    seed: int = 7
    """Of the documents."""
    documents: int = 60
    """How many."""
    source: CallName
    policy: RecipePolicy = Policy()


@step("corpus.toy", version=1, parameters=ComposeParameters, produces="documents")
def compose(inputs: Inputs, params: ComposeParameters, out: Output, machine: Machine) -> None:
    """Stories and conversations, from a seed and no file, with the statistics that corpus.generate writes."""
    rng = random.Random(params.seed)
    made = []
    for number in range(params.documents):
        talk = number % 3 == 0
        text = format_turns([Turn("user", f"Que fait le chat numéro {number} ?"), Turn("assistant", story(rng, 2))])
        made.append(
            Document(
                text=text if talk else story(rng, rng.randrange(1, 30)),
                source=params.source,
                origin=f"toy/{number}",
                licence="CC0-1.0",
                language="fr",
                author="the toy",
                metadata={"form": "conversation"} if talk else {},
            )
        )
    out.statistics["sources"] = write_shard(out.path, 0, ((document, keep(document)) for document in made))
    out.statistics["licences"] = {params.source: {"CC0-1.0": len(made)}}


def find_step(name: str) -> Step:
    return compose if name == compose.name else steps.find_step(name)


RECIPE = """
[recipe]
title = "A small build"

[toy]
step = "corpus.toy"

[letters]
step = "corpus.read"
path = "letters/*.jsonl"
format = "jsonl"
collection_licence = "CC0-1.0"

[distinct]
step = "corpus.dedup"
inputs = { documents = ["toy", "letters"] }

[training]
step = "corpus.hold_out"
inputs = { documents = "distinct" }
share = 0.3
keep = "training"

[held]
step = "corpus.hold_out"
inputs = { documents = "distinct" }
share = 0.3
keep = "evaluation"

[bpe]
step = "tokens.bpe"
inputs = { documents = "training" }
vocabulary = 320

[packed]
step = "tokens.pack"
inputs = { documents = "training", tokenizer = "bpe" }

[base]
step = "train.pretrain"
inputs = { tokens = "packed", tokenizer = "bpe" }
depth = 2
width = 32
heads = 2
kv_heads = 1
head_size = 16
hidden = 64
init_std = 0.2
context = 64
batch = 2
duration = "3 steps"
checkpoint_every = 2
checkpoints_kept = 5

[scores]
step = "evaluate.perplexity"
inputs = { model = "base", tokenizer = "bpe", documents = "held" }
bootstrap = 200

[answers]
step = "evaluate.samples"
inputs = { model = "base", tokenizer = "bpe" }
questions = ["Que fait le chat ?"]
beginnings = ["Le vieux facteur"]
max_tokens = 12

[release]
step = "release.bundle"
inputs = { model = "base", tokenizer = "bpe", scores = "scores", samples = "answers" }
name = "toy"
version = "0.1.0"
licence = "Apache-2.0"
language = ["fr"]
description = "A toy."
demonstration = true
"""


def write_letters(folder: Path, licence: str = "CC-BY-4.0") -> None:
    rng = random.Random(11)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        rows = [
            {"text": story(rng, 5), "licence": licence, "author": ("G. Sand", "H. <Beyle> | [x](y)")[line % 2]}
            for line in range(10)
        ]
        rows.append(rows[0])
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{number}.jsonl").write_text("\n".join(lines), encoding="utf-8")


@dataclass(frozen=True)
class Build:
    """A recipe, run."""

    store: Store
    result: RunResult

    @property
    def release(self) -> Path:
        return self.result.artifacts["release"].path


def build(folder: Path, recipe: str = RECIPE, *overrides: str, licence: str = "CC-BY-4.0") -> Build:
    """Run a recipe in a folder with letters under a licence."""
    write_letters(folder / "letters", licence)
    path = folder / "toy.toml"
    path.write_text(recipe, encoding="utf-8")
    store = Store(folder / "store")
    return Build(store, run_recipe(load_recipe(path, overrides, find_step), store, Machine()))
