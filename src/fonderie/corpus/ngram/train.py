"""corpus.ngram: an n-gram model of the words of reference documents, by interpolated Kneser-Ney smoothing.

For a word w after a history h of n - 1 words (Ney, Essen and Kneser 1994; Chen and Goodman 1998, equation 2.5):

    p_n(w | h) = (c(h w) - D_n) / c(h) + gamma_n(h) p_{n-1}(w | h'),    gamma_n(h) = D_n N(h) / c(h)

where h' is h without its first word, N(h) the number of different words after h, and c, at the highest order and
for what begins a line, counts occurrences, elsewhere the different words that come before. D_n = n1 / (n1 + 2 n2),
n1 and n2 being the numbers of n-grams of count one and two. Below single words all of the vocabulary is equally
likely.
Probabilities sum to one after every history; a test checks that, and every number against a plain program.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fonderie.core.document import read_record_batches, shard_paths
from fonderie.core.errors import StepError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.corpus.kernels.compiled import read_only
from fonderie.corpus.kernels.ngrams import BEGIN, END, replace_rare, roll
from fonderie.corpus.ngram.model import HIGHEST_ORDER, Hashes, Ngrams, Numbers, Tables, words_of

MARKS = np.array([BEGIN, END], np.uint64)


class NgramParameters(Parameters):
    """The shape of the model."""

    order: int = Field(default=3, ge=2, le=HIGHEST_ORDER)
    """Words that are looked at together; the models behind Lucie's perplexities have 5."""
    rare: int = Field(default=2, ge=1)
    """A word that comes less often than this counts as one unknown word with all the others."""
    language: str | None = Field(default=None, min_length=2, max_length=3)
    """ISO 639 code of the documents a filter asks this model about; without one, all that no other model is for."""


@step(
    "corpus.ngram",
    version=1,
    parameters=NgramParameters,
    produces="ngrams",
    inputs={"documents": Port("documents", many=True)},
)
def train_ngrams(inputs: Inputs, params: NgramParameters, out: Output, machine: Machine) -> None:
    """Count the n-grams of every document; memory is some 100 bytes a word of them."""
    shards = [path for artifact in inputs.all("documents") for path in shard_paths(artifact.path)]
    words = np.concatenate([np.zeros(0, np.uint64), *machine.map(_read, shards, label="reading words")])
    tables = estimate(words, params.order, params.rare, params.language)
    tables.save(out.path)
    out.statistics["words"] = int((~np.isin(words, MARKS)).sum())
    out.statistics["vocabulary"] = len(tables.common)
    out.statistics["ngrams"] = [len(keys) for keys, _ in tables.grams]


def _read(path: Path) -> Hashes:
    from fonderie.corpus.rules.texts import Texts

    found = [np.zeros(0, np.uint64)]
    for batch in read_record_batches(path, ["text"]):
        texts = Texts.of_column(batch.column("text"))
        found.append(words_of(texts.data, texts.offsets))
    return np.concatenate(found)


def train_on(texts: list[str], order: int = 3, rare: int = 2) -> Ngrams:
    """A model of texts in memory."""
    data = [text.encode("utf-8") for text in texts]
    offsets = np.cumsum([0, *map(len, data)]).astype(np.int32)
    words = words_of(np.frombuffer(b"".join(data), np.uint8), offsets)
    return Ngrams(estimate(words, order, rare, None))


def estimate(words: Hashes, order: int, rare: int, language: str | None) -> Tables:
    """The model of words with their marks; StepError if there are too few to tell.

    `words` is changed: rare ones are replaced.
    """
    kinds, counts = np.unique(words, return_counts=True)
    common = np.setdiff1d(kinds[counts >= rare], MARKS)
    replace_rare(words, read_only(common))
    keys = np.zeros((order, len(words)), np.uint64)
    depths = np.zeros(len(words), np.int64)
    roll(words, order, keys, depths)
    grams, contexts = [], []
    unseen = 0.0
    for n in range(1, order + 1):
        places, found = _counts(words, keys, depths, n, order)
        discount = _discount(found, n)
        # The history of an n-gram is the (n - 1)-gram that ends one word before it.
        history = keys[n - 2, places - 1] if n > 1 else np.zeros(len(places), np.uint64)
        histories, which, kinds_after = np.unique(history, return_inverse=True, return_counts=True)
        after = np.bincount(which, found)
        alpha, gamma = (found - discount) / after[which], discount * kinds_after / after
        by_key = np.argsort(keys[n - 1, places], kind="stable")
        grams.append((keys[n - 1, places][by_key], alpha[by_key]))
        if n > 1:
            contexts.append((histories, gamma))
        else:
            # The vocabulary is the common words, the unknown one and the end of a line.
            unseen = float(gamma[0]) / (len(common) + 2)
    return Tables(order, language, common, unseen, tuple(grams), tuple(contexts))


def _counts(
    words: Hashes, keys: Hashes, depths: npt.NDArray[np.int64], n: int, order: int
) -> tuple[npt.NDArray[np.int64], Numbers]:
    """Where each different n-gram first ends, and its count: of occurrences, or of the words before it."""
    # The mark that begins a line is a history, never a word to be told.
    ends = np.flatnonzero((depths >= n) & (words != BEGIN))
    kinds, first, occurrences = np.unique(keys[n - 1, ends], return_index=True, return_counts=True)
    places = ends[first]
    if n == order:
        return places, occurrences.astype(np.float64)
    longer = np.flatnonzero((depths > n) & (words != BEGIN))
    _, first_longer = np.unique(keys[n, longer], return_index=True)
    suffixes, before = np.unique(keys[n - 1, longer[first_longer]], return_counts=True)
    found = occurrences.astype(np.float64)
    where = np.searchsorted(suffixes, kinds)
    inside = where < len(suffixes)
    inside[inside] = suffixes[where[inside]] == kinds[inside]
    found[inside] = before[where[inside]]
    return places, found


def _discount(counts: Numbers, n: int) -> float:
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    if not once:
        raise StepError(
            f"no discount for {n}-grams: none of them comes once",
            hint="The reference text is too small or too regular: give more documents, or a lower order.",
        )
    return once / (once + 2 * twice)
