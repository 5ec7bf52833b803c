"""The rule sets that datatrove has too decide as it does, for the same reason, and leave the same text.

Differences that are meant: docs/decisions/0016-rules.md.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from benchmarks.datatrove_words import SETS, RegexWords, filters, outcome
from benchmarks.real_documents import real_texts
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.builders import document

from fonderie.core.document import ROWS_PER_GROUP, SCHEMA
from fonderie.corpus.rules.judge import Judge, Resources, Verdict
from fonderie.corpus.rules.lists import stop_words
from fonderie.corpus.rules.sets import Plans

FILTERS = filters(RegexWords(), list(stop_words("fr")[0]))
EMPTY = "c4: no line is left"


def verdicts(texts: list[str], rules: tuple[str, ...] = SETS) -> Iterator[Verdict]:
    judge = Judge(Plans(rules, {}, {}), Resources())
    for first in range(0, len(texts), ROWS_PER_GROUP):
        items = [document(text, language="fr") for text in texts[first : first + ROWS_PER_GROUP]]
        rows = [{name: getattr(item, name) for name in SCHEMA.names} for item in items]
        yield from judge.judge(pa.RecordBatch.from_pylist(rows, SCHEMA))


def compare(texts: list[str], rules: tuple[str, ...] = SETS, steps: slice = slice(None)) -> Counter[str | None]:
    reasons: Counter[str | None] = Counter()
    for text, verdict in zip(texts, verdicts(texts, rules), strict=True):
        reason, left = outcome(text, FILTERS[steps])
        ours = verdict.reason if verdict.dropped else None
        # A document of which no line is left has no sentences: datatrove counts them, we say so.
        assert ours == reason or (ours == EMPTY and reason == "kept_sentences >= 5"), text
        if reason is None:
            assert (text if verdict.text is None else verdict.text.decode()) == left
        reasons[reason] += 1
    return reasons


def test_on_real_documents(real_corpora: Path) -> None:
    reasons = compare(list(real_texts(real_corpora, 600, longest=3_000)))
    assert sum(reasons.values()) == 600
    assert reasons[None] > 150
    assert len(reasons) > 10


@pytest.mark.slow
def test_on_twenty_thousand_real_documents(real_corpora: Path) -> None:
    reasons = compare(list(real_texts(real_corpora, 20_000, longest=700)))
    assert sum(reasons.values()) == 20_000
    assert reasons[None] > 2_000
    assert len(reasons) > 20


LINES = st.lists(
    st.sampled_from(
        [
            *["Voici une phrase qui finit.", 'Il a dit : "Oui, je viens !"', "Une ligne sans point", "Deux mots."],
            *[
                "Lorem ipsum dolor sit amet.",
                "Un texte LOREM IPSUM ici.",
                "Activez JavaScript pour lire.",
                "a { b } c.",
            ],
            *[
                "Read our privacy policy here.",
                "This site uses CooKies now.",
                "Our cooKie policy is here.",
                "Fin... ...",
            ],
            *[
                "Une note [12] au milieu [] et à la fin [edit].",
                "[3] Au début de la ligne.",
                "À la fin. [4]",
                "...",
            ],
            *[
                "[citation needed] [edit] [x] [1 2] [³] [٣] reste ici.",
                "m" * 1001 + " est trop long.",
                "Attendons donc...",
            ],
            *[
                "   ",
                "",
                "\u00a0Trois mots ici.\u3000",
                "l'été ! l'hiver ? l'an...",
                "Un. Deux. Trois. Quatre ! »",
                "’",
            ],
            *["« Un ! », dit-il. « Deux. »", "Un ! » Deux."],
        ]
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None)
@given(LINES, st.sampled_from(["\n", "\r\n", "\x0b", "\u2028", "\n\n"]))
def test_c4_on_lines_that_try_each_of_its_rules(lines: list[str], separator: str) -> None:
    compare([separator.join(lines)], ("c4",), slice(2, 3))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["un deux ", "trois. ", "\n", "\n\n", " ", "- oui\n", "le la de "]), max_size=60).map(
        "".join
    ),
    st.integers(0, 3),
)
def test_each_set_alone_on_made_up_texts(text: str, which: int) -> None:
    if which == 3 and not text.strip():
        return  # FineWeb's filter says "empty" here, and ours that no line ends
    compare([text], (SETS[which],), slice(which, which + 1))
