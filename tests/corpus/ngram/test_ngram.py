"""N-gram models against a plain program that counts in dictionaries, and against texts of known perplexity."""

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.builders import document, documents, ledger, run_step, texts

from fonderie.core.errors import StepError, StoreError
from fonderie.corpus.filter import FilterParameters, filter_documents
from fonderie.corpus.ngram.model import FILE, Ngrams
from fonderie.corpus.ngram.train import NgramParameters, train_ngrams, train_on

TOKEN = re.compile(r"\w+(?:-\w+)*['’]?|[^\w\s]+")
BEGIN, END, RARE = "<s>", "</s>", "<rare>"


class Plain:
    """Interpolated Kneser-Ney as its formula reads, over dictionaries of words."""

    def __init__(self, corpus: Sequence[str], order: int, rare: int) -> None:
        lines = [line for text in corpus for line in sentences(text)]
        seen = Counter(word for line in lines for word in line)
        self.common = {word for word, count in seen.items() if count >= rare}
        self.order = order
        marked = [[BEGIN, *map(self.known, line), END] for line in lines]
        occurrences: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(order + 1)]
        before: list[dict[tuple[str, ...], set[str]]] = [defaultdict(set) for _ in range(order + 1)]
        for line in marked:
            for end in range(1, len(line)):
                for n in range(1, min(order, end + 1) + 1):
                    gram = tuple(line[end - n + 1 : end + 1])
                    occurrences[n][gram] += 1
                    if n < order and end - n >= 0:
                        before[n][gram].add(line[end - n])
        self.counts = [
            {
                gram: len(before[n][gram]) if n < order and gram in before[n] else count
                for gram, count in found.items()
            }
            for n, found in enumerate(occurrences)
        ]
        self.discounts = [0.0]
        for found in self.counts[1:]:
            once, twice = (sum(count == wanted for count in found.values()) for wanted in (1, 2))
            if not once:
                raise StepError("no discount")
            self.discounts.append(once / (once + 2 * twice))

    def known(self, word: str) -> str:
        return word if word in self.common else RARE

    def vocabulary(self) -> list[str]:
        return [*sorted(self.common), RARE, END]

    def probability(self, word: str, history: tuple[str, ...]) -> float:
        n = len(history) + 1
        after = {gram: count for gram, count in self.counts[n].items() if gram[:-1] == history}
        shorter = self.probability(word, history[1:]) if n > 1 else 1 / len(self.vocabulary())
        if not after:
            return shorter
        total, discount = sum(after.values()), self.discounts[n]
        own = after.get((*history, word), 0)
        return (own - discount if own else 0) / total + discount * len(after) / total * shorter

    def perplexity(self, text: str) -> float:
        logs = []
        for line in sentences(text):
            marked = [BEGIN, *map(self.known, line), END]
            for end in range(1, len(marked)):
                history = tuple(marked[max(0, end - self.order + 1) : end])
                logs.append(math.log(self.probability(marked[end], history)))
        return math.exp(-sum(logs) / len(logs)) if logs else math.nan


def sentences(text: str) -> list[list[str]]:
    lines = ([re.sub(r"\d", "0", word.casefold()) for word in TOKEN.findall(line)] for line in text.splitlines())
    return [line for line in lines if line]


CORPUS = [
    "Le chat dort. Le chien dort.\nLe chat mange 12 souris, le chien n'en mange que 3.\n\nÀ demain !",
    "Un chat et un chien : le chat rit.\r\nL'oiseau chante ; l’oiseau dort.",
    "Le petit chien dort sous le grand arbre.\nUn chien mange.\nStraße und STRASSE",
]


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("rare", [1, 2])
@pytest.mark.parametrize("text", [*CORPUS, "Le chat chante.", "zèbre", "Un zèbre dort\u2028le 31", "  \n"])
def test_perplexities_are_those_of_the_formula(order: int, rare: int, text: str) -> None:
    expected = Plain(CORPUS, order, rare).perplexity(text)
    assert train_on(CORPUS, order, rare).perplexity(text) == pytest.approx(expected, rel=1e-12, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text("ab c.\n", min_size=1, max_size=40), min_size=1, max_size=5),
    st.integers(2, 4),
    st.text("abd .\n", max_size=30),
)
def test_any_model_is_that_of_the_formula(corpus: list[str], order: int, text: str) -> None:
    try:
        plain = Plain(corpus, order, 1)
    except StepError:
        with pytest.raises(StepError):
            train_on(corpus, order, 1)
        return
    expected = plain.perplexity(text)
    assert train_on(corpus, order, 1).perplexity(text) == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_probabilities_sum_to_one_after_every_history() -> None:
    plain = Plain(CORPUS, 3, 2)
    for history in [(), (BEGIN,), (BEGIN, "le"), ("le", "chat"), ("chat", "dort"), (RARE,), ("jamais", "vu")]:
        total = sum(plain.probability(word, history) for word in plain.vocabulary())
        assert total == pytest.approx(1), history


def test_a_text_drawn_evenly_from_fifty_words_has_a_perplexity_of_fifty() -> None:
    rng = random.Random(7)
    vocabulary = [f"mot{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(50)]

    def drawn(lines: int) -> str:
        return "\n".join(" ".join(rng.choices(vocabulary, k=200)) for _ in range(lines))

    once = " ".join(
        f"rare{chr(97 + number)}" for number in range(20)
    )  # without words seen once there is no discount
    model = train_on([drawn(600), once], order=2, rare=1)
    # The pairs are learnt from some fifty occurrences each, and one token in 201 ends a line.
    assert model.perplexity(drawn(50)) == pytest.approx(50, rel=0.04)


def test_a_text_that_always_goes_on_the_same_way_has_a_perplexity_near_one() -> None:
    model = train_on([" ".join(["un deux trois"] * 2000) + " fin"], order=2, rare=1)
    assert model.perplexity(" ".join(["un deux trois"] * 500)) == pytest.approx(1, abs=0.05)


def test_too_little_text_is_refused() -> None:
    with pytest.raises(StepError, match="no discount for 2-grams: none of them comes once"):
        train_on(["un un un"] * 3, order=2, rare=1)


PROSE = [
    "Le petit renard traverse la forêt pendant que la neige tombe doucement.\nIl pense à sa mère et à ses frères.",
    "La mère du renard attend devant la maison.\nElle pense à la neige qui tombe sur la forêt.",
    "Les frères du petit renard jouent devant la maison pendant que le soir tombe.",
]


def test_the_step_and_a_filter_that_asks_it(tmp_path: Path) -> None:
    given = documents(tmp_path / "reference", [[document(text) for text in PROSE[:2]], [document(PROSE[2])]])
    params = NgramParameters(order=2, rare=1, language="fr")
    one, out = run_step(train_ngrams, params, tmp_path / "one", {"documents": (given,)})
    two, _ = run_step(train_ngrams, params, tmp_path / "two", {"documents": (given,)}, workers=2)
    assert one.digest == two.digest
    assert out.statistics["words"] == sum(len(TOKEN.findall(text)) for text in PROSE)
    assert Ngrams.load(one.path).perplexity(PROSE[1]) == train_on(PROSE, 2, 1).perplexity(PROSE[1])

    mixed = [
        document("La mère du petit renard pense à la forêt.", language="fr"),
        document("Mère la renard petit à forêt la pense du.", language="fr"),
        document("Die Mutter des Fuchses denkt an den Wald.", language="de"),
    ]
    judged, _ = run_step(
        filter_documents,
        FilterParameters(rules=("perplexity <= 20",)),
        tmp_path / "judged",
        {"documents": (documents(tmp_path / "mixed", [mixed]),), "ngrams": (one,)},
    )
    assert texts(judged) == [mixed[0].text]
    details = [entry.detail for entry in ledger(judged)]
    assert details[2] == "perplexity = unknown"


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nothing of the kind")
    with pytest.raises(StoreError, match=FILE):
        Ngrams.load(tmp_path)
