"""train.continue on tiny bases of others, with their own tokenizer; a script for tests that kill it."""

import json
import random
import sys
from pathlib import Path

from tests.corpus.builders import artifact_of, document, documents, run_step
from tests.model import checkpoints
from tests.train.pretraining import artifact

from fonderie.core.document import Document
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.tokens.pack import PackParameters, pack
from fonderie.train.settings.continued import ContinueParameters
from fonderie.train.steps.continued import continue_training

VOCABULARY = 300
SMALL = {
    "context": 32,
    "duration": "40 steps",
    "batch": 4,
    "learning_rate": 1e-2,
    "warmup": 0.1,
    "checkpoint_every": 10,
    "checkpoints_kept": "all",
}
LORA = {"rank": 4, "alpha": 8.0}
GENRES = {
    "debates": ("Je vous remercie, monsieur le ministre.", "La parole est à madame la députée."),
    "plays": ("Ah ! quel malheur, mon pauvre ami.", "Taisez-vous, monsieur, on vient."),
}


def conversations(genre: str, seed: int, count: int = 12) -> list[Document]:
    """Dialogues of one genre, each sentence one of two."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        turns = [f"[Intervenant {1 + turn % 2}:] {rng.choice(GENRES[genre])}" for turn in range(4)]
        made.append(document("\n".join(turns), source=genre, origin=f"{genre}/{seed}/{number}"))
    return made


def base(folder: Path, name: str, **changes: object) -> Path:
    """A checkpoint of that family, of the vocabulary below."""
    checkpoints.write(name, folder, vocab_size=VOCABULARY, **changes)
    return folder


def tokenizer(folder: Path) -> Path:
    """Falcon's kind: one token both ends and begins documents."""
    checkpoints.write_tokenizer(folder, vocabulary=VOCABULARY)
    return folder


def packed(folder: Path, tokenizer_folder: Path, given: list[Document]) -> Path:
    """Documents as tokens."""
    inputs = {"documents": (documents(folder / "in", [given]),), "tokenizer": (artifact_of(tokenizer_folder),)}
    return run_step(pack, PackParameters(), folder / "out", inputs)[0].path


def run(
    model: Path,
    tokens: Path,
    tokenizer_folder: Path,
    staging: Path,
    *,
    validation: Path | None = None,
    machine: Machine | None = None,
    **changes: object,
) -> Output:
    """Run the step outside any store."""
    out = Output(staging / "files", staging / "state")
    for folder in (out.path, out.state):
        folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, tuple[Artifact, ...]] = {
        "model": (artifact_of(model),),
        "tokens": (artifact(tokens),),
        "tokenizer": (artifact(tokenizer_folder),),
        "validation": (artifact_of(validation),) if validation else (),
    }
    params = ContinueParameters.model_validate({**SMALL, **changes})
    continue_training(Inputs(found), params, out, machine or Machine())
    return out


if __name__ == "__main__":
    given = json.loads(sys.argv[5])
    held_out = given.pop("validation_folder", None)
    run(
        *(Path(argument) for argument in sys.argv[1:5]),
        validation=Path(held_out) if held_out else None,
        **given,
    )
