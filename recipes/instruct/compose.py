"""Writes preferences.jsonl: questions with their right answer, and the answer to another question as the wrong one.

Composed by the project's own grammar, in the public domain: python recipes/instruct/compose.py
"""

import json
import random
from pathlib import Path

from fonderie.core.conversation import parse_turns
from fonderie.corpus.grammar import compose

PAIRS = 400
SEED = "preferences"
"""None of the documents that the recipe generates is drawn by it."""


def main() -> None:
    """Write the file beside this one."""
    answers: dict[str, str] = {}
    number = 0
    while len(answers) < PAIRS:
        question, answer, *_ = parse_turns(compose("question", random.Random(f"{SEED}/{number}")).text)
        answers.setdefault(question.content, answer.content)
        number += 1
    rng = random.Random(SEED)
    rows = []
    for question, answer in answers.items():
        wrong = rng.choice([other for other in answers.values() if other != answer])
        rows.append({"prompt": question, "chosen": answer, "rejected": wrong})
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    Path(__file__).with_name("preferences.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
