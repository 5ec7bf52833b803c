"""How often the language of 400 characters is found, wrong, or left undetermined, by the bound on its probability.

python docs/log/0016-language-bound.py CORPORA    (a folder with romans/, langues/ and lois/)
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fonderie.corpus.measures import LANGUAGE_CHARACTERS, _identifier
from fonderie.corpus.readers.tei import read_tei

BOUNDS = (0.0, 0.3, 0.5, 0.65, 0.8)
PIECES = 40
"""Of each file, drawn with a fixed seed."""


def texts(corpora: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each file."""
    for path in sorted(corpora.glob("lois/*.md"))[:20]:
        yield "fr", path.read_text(encoding="utf-8").partition("\n---\n")[2]
    for path in [*sorted(corpora.glob("romans/*.xml"))[:20], *sorted(corpora.glob("langues/*.xml"))]:
        (work,) = read_tei(path, parts=False)
        yield work.language or "und", work.text


def main() -> None:
    """Print a row for each bound."""
    rng = random.Random(16)
    found: dict[float, Counter[str]] = {bound: Counter() for bound in BOUNDS}
    for language, text in texts(Path(sys.argv[1])):
        for _ in range(PIECES):
            at = rng.randrange(max(len(text) - LANGUAGE_CHARACTERS, 1))
            labels, scores = _identifier().predict(" ".join(text[at : at + LANGUAGE_CHARACTERS].split()))
            for bound, counts in found.items():
                guess = labels[0].removeprefix("__label__") if labels and scores[0] >= bound else "und"
                counts["right" if guess == language else "und" if guess == "und" else "wrong"] += 1
    for bound, counts in found.items():
        print(f"{bound:4}  right {counts['right']:5}  undetermined {counts['und']:4}  wrong {counts['wrong']:4}")


if __name__ == "__main__":
    main()
