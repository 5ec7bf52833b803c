"""Which items stand in the documents that a model was trained on, found as corpus.decontaminate finds them."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from fonderie.core.document import Document, read_documents, shard_paths
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact
from fonderie.corpus.decontaminate import SALT, DecontaminateParameters, Needles, gather_needles
from fonderie.corpus.folding import folded_words
from fonderie.corpus.sketch import Hasher
from fonderie.evaluate.lineage import packed

TOGETHER = 64
"""Documents looked through at once."""
SHORTEST = 3
"""Words of the shortest item looked for: decontaminating passes over such short ones, counting need not."""


def training_shards(model: Artifact) -> list[Path] | None:
    """The document shards packed into what a model was trained on; None if it began as a model from elsewhere."""
    tokens = packed(model)
    if tokens is None:
        return None
    documents = {item.key: item for made in tokens for item in made.upstream.get("documents", ())}
    return [path for artifact in documents.values() for path in shard_paths(artifact.path)]


def stand_in(shards: Sequence[Path], items: Iterable[Document], machine: Machine) -> set[int]:
    """The numbers of the items whose words, with their answer where they state one, stand in these documents."""
    needles, _ = gather_needles(items, DecontaminateParameters(shortest=SHORTEST))
    work = partial(_found, needles=needles)
    return set[int]().union(*machine.map(work, shards, label="looking for items in the training documents"))


def _found(path: Path, *, needles: Needles) -> set[int]:
    """Documents are looked through many at once: of short ones, most of the time goes to beginning anew."""
    hasher = Hasher(SALT)
    # As many words of no item between two documents as an answer may stand away from its question.
    gap = [""] * (needles.answer_within + max(map(len, needles.answers.values()), default=0))
    found: set[int] = set()
    words: list[str] = []
    for number, document in enumerate(read_documents(path), start=1):
        words += [*folded_words(document.text), *gap]
        if number % TOGETHER == 0:
            found.update(match.item for match in needles.find(words, hasher))
            words.clear()
    return found | {match.item for match in needles.find(words, hasher)}
