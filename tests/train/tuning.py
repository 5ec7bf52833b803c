"""Small bases, conversations and preferences, and train.instruct and train.prefer on them; a script to be killed."""

import json
import random
import sys
from pathlib import Path

from tests.corpus.builders import artifact_of, document, documents, run_step
from tests.train.pretraining import artifact

from fonderie.core.conversation import Preference, Turn, format_preference, format_turns
from fonderie.core.document import Document
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.model.config import ModelConfig
from fonderie.model.convert import save_pretrained
from fonderie.model.transformer import Decoder
from fonderie.tokens.pack import PackParameters, PairsParameters, pack, pairs
from fonderie.train.steps.instruct import InstructParameters, instruct
from fonderie.train.steps.prefer import PreferParameters, prefer

VOCABULARY = 262
SMALL = {
    "context": 63,
    "duration": "60 steps",
    "batch": 4,
    "accumulation": 2,
    "learning_rate": 3e-3,
    "checkpoint_every": 10,
    "checkpoints_kept": 2,
}
ANSWERS = {"chat": "miaou", "chien": "ouaf", "vache": "meuh", "coq": "coco"}


def conversation(number: int) -> Document:
    """One or two questions on what animals say, some with the user's last word."""
    rng = random.Random(number)
    turns = []
    for animal in rng.choices([*ANSWERS], k=1 + number % 2):
        turns += [Turn("user", f"Le {animal} ?"), Turn("assistant", ANSWERS[animal])]
    if number % 5 == 0:
        turns.append(Turn("user", "Merci."))
    return document(format_turns(turns), metadata={"form": "conversation"}, origin=str(number))


def preference(number: int) -> Document:
    """The right answer before another animal's."""
    rng = random.Random(number)
    animal, other = rng.sample([*ANSWERS], k=2)
    made = Preference((Turn("user", f"Le {animal} {number % 7} ?"),), ANSWERS[animal], ANSWERS[other])
    return document(format_preference(made), metadata={"form": "preference"}, origin=str(number))


def packed(folder: Path, tokenizer: Path, given: list[Document]) -> Path:
    """Pack documents, as pairs if they are preferences."""
    step, params = (
        (pairs, PairsParameters()) if given[0].metadata.get("form") == "preference" else (pack, PackParameters())
    )
    inputs = {"documents": (documents(folder / "in", [given]),), "tokenizer": (artifact_of(tokenizer),)}
    return run_step(step, params, folder / "out", inputs)[0].path


def base(folder: Path, *, context: int = 64, vocabulary: int = VOCABULARY) -> Path:
    """A model of random weights."""
    config = ModelConfig.from_depth(2, vocabulary=vocabulary, context=context, width=32, head_size=8)
    save_pretrained(Decoder(config, seed=3), folder, bos=0, eos=(1, 2), pad=1)
    return folder


def run(
    kind: str,
    model: Path,
    tokens: Path,
    tokenizer: Path,
    staging: Path,
    *,
    validation: list[Document] | None = None,
    **changes: object,
) -> Output:
    """Instruct or prefer, outside any store."""
    out = Output(staging / "files", staging / "state")
    for folder in (out.path, out.state):
        folder.mkdir(parents=True, exist_ok=True)
    named: dict[str, Artifact] = {
        "model": artifact_of(model),
        "tokens": artifact(tokens),
        "tokenizer": artifact(tokenizer),
    }
    if validation is not None:
        named["validation"] = documents(staging / "validation", [validation])
    inputs = Inputs({name: (found,) for name, found in named.items()})
    threads, processes = (int(str(changes.pop(name, 1))) for name in ("threads", "processes"))
    step, params = (instruct, InstructParameters) if kind == "instruct" else (prefer, PreferParameters)
    step(inputs, params.model_validate({**SMALL, **changes}), out, Machine(threads=threads, processes=processes))
    return out


if __name__ == "__main__":
    kind, *paths = sys.argv[1:6]
    run(kind, *map(Path, paths), **json.loads(sys.argv[6]) if len(sys.argv) > 6 else {})  # type: ignore[arg-type]
