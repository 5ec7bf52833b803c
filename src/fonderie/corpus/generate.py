"""corpus.generate: the demonstration corpus, composed by a seeded French grammar, in the public domain.

Synthetic, and every document says so. Among the good documents are those that a pipeline must catch: exact and near
copies, boilerplate, other languages, e-mail addresses.
"""

import random
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from fonderie.core.document import Document
from fonderie.core.ledger import merge
from fonderie.core.machine import Machine
from fonderie.core.step import (
    TOMBSTONES,
    CallName,
    Inputs,
    Output,
    Parameters,
    Policy,
    RecipePolicy,
    Source,
    step,
)
from fonderie.corpus.grammar import compose
from fonderie.corpus.grammar.composition import Composition
from fonderie.corpus.grammar.noise import near_duplicate, noise
from fonderie.corpus.rights import admit
from fonderie.corpus.tombstones import load_tombstones
from fonderie.corpus.transform import keep, write_shard

SHARD_DOCUMENTS = 1_000


class GenerateParameters(Parameters):
    """How many documents of each kind; the same seed gives the same corpus everywhere."""

    seed: int = 0
    """Each document is drawn from its own generator, seeded by this, its kind and its number."""
    stories: int = Field(default=0, ge=0)
    """Short tales of a hundred words or two."""
    dialogues: int = Field(default=0, ge=0)
    """Everyday conversations."""
    questions: int = Field(default=0, ge=0)
    """Questions on a small closed world, with their answers."""
    arithmetic: int = Field(default=0, ge=0)
    """Small sums and problems, with right answers."""
    duplicates: int = Field(default=0, ge=0)
    """Exact copies of other documents."""
    near_duplicates: int = Field(default=0, ge=0)
    """Copies of stories with a word or two changed."""
    boilerplate: int = Field(default=0, ge=0)
    """Menus, banners, repeated lines."""
    foreign: int = Field(default=0, ge=0)
    """Documents in other languages."""
    emails: int = Field(default=0, ge=0)
    """Letters and notices with invented e-mail addresses."""
    licence: str = "CC0-1.0"
    """Declared licence; the grammar and what it composes are CC0-1.0 unless you have a reason to say otherwise."""
    source: CallName
    """The name of this source in documents, ledger and reports."""
    policy: RecipePolicy = Policy()
    """The recipe's [policy]."""

    @model_validator(mode="after")
    def _copies_have_originals(self) -> "GenerateParameters":
        if self.near_duplicates and not self.stories:
            raise ValueError("near_duplicates are copies of stories, and there are no stories")
        if self.duplicates and not any(getattr(self, field) for field in _COPIED):
            raise ValueError(f"duplicates are copies, and there are no {' or '.join(_COPIED)}")
        return self


_KINDS = {
    "stories": "story",
    "dialogues": "dialogue",
    "questions": "question",
    "arithmetic": "arithmetic",
    "duplicates": "duplicate",
    "near_duplicates": "near_duplicate",
    "boilerplate": "boilerplate",
    "foreign": "foreign",
    "emails": "email",
}
_COPIED = ("stories", "dialogues", "questions")


class _Slice(NamedTuple):
    number: int
    kind: str
    first: int
    size: int


def refuse_early(params: GenerateParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Judge the declared licence, and read the tombstone lists."""
    load_tombstones(sources.get(TOMBSTONES, ()))
    admit(params.licence, params.policy, f"the generated source '{params.source}'")


@step(
    "corpus.generate",
    version=1,
    parameters=GenerateParameters,
    produces="documents",
    preflight=refuse_early,
    obeys_tombstones=True,
)
def generate(inputs: Inputs, params: GenerateParameters, out: Output, machine: Machine) -> None:
    """Compose every document, kind after kind; what was erased is dropped."""
    slices: list[_Slice] = []
    for field, kind in _KINDS.items():
        total = getattr(params, field)
        for first in range(0, total, SHARD_DOCUMENTS):
            slices.append(_Slice(len(slices), kind, first, min(SHARD_DOCUMENTS, total - first)))
    work = partial(_write_slice, params=params, out=out.path, lists=inputs.tombstones)
    out.statistics["sources"] = merge(machine.map(work, slices, label="composing"))
    documents = sum(counts["kept"] for counts in out.statistics["sources"].values())
    out.statistics["licences"] = {params.source: {params.licence: documents}}
    out.statistics["synthetic"] = "composed by the grammar in fonderie.corpus.grammar, no model involved"


def _write_slice(
    piece: _Slice, *, params: GenerateParameters, out: Path, lists: tuple[Source, ...]
) -> dict[str, dict[str, Any]]:
    tombstones = load_tombstones(lists)

    def decisions() -> Iterator[Any]:
        for index in range(piece.first, piece.first + piece.size):
            document = compose_document(piece.kind, index, params)
            yield document, tombstones.refuse(document) or keep(document)

    return write_shard(out, piece.number, decisions())


def compose_document(kind: str, index: int, params: GenerateParameters) -> Document:
    """Document `index` of a kind: a function of the seed alone, whatever else is composed."""
    rng = random.Random(f"{params.seed}/{kind}/{index}")
    made = _compose(kind, rng, params)
    metadata = {**made.metadata, "kind": kind, "form": made.form, "synthetic": "true"}
    if made.title:
        metadata["title"] = made.title
    return Document(
        text=made.text,
        source=params.source,
        origin=f"grammar/{kind}/{index}",
        licence=params.licence,
        author="the Fonderie grammar",
        metadata=metadata,
    )


def _compose(kind: str, rng: random.Random, params: GenerateParameters) -> Composition:
    if kind in ("boilerplate", "foreign", "email"):
        return noise(kind, rng)
    if kind not in ("duplicate", "near_duplicate"):
        return compose(kind, rng)
    field = rng.choice([field for field in _COPIED if getattr(params, field)]) if kind == "duplicate" else "stories"
    original = _KINDS[field]
    number = rng.randrange(getattr(params, field))
    made = compose(original, random.Random(f"{params.seed}/{original}/{number}"))
    return made if kind == "duplicate" else made._replace(text=near_duplicate(made.text, rng))
