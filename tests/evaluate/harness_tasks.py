"""A folder of tasks in lm-eval's YAML, small enough for a context of 64: one of each kind of request."""

import json
import random
from pathlib import Path

from tests.evaluate.small import OBJECTS, SUBJECTS, VERBS, sentence

CHOICE = """
task: choose_verb
tag: toy
include: _common
output_type: multiple_choice
doc_to_text: "{{subject}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}, {metric: acc_norm, aggregation: mean, higher_is_better: true}]
metadata: {version: 2.0}
"""
COMMON = """
dataset_path: json
dataset_kwargs: {data_files: {test: data/items.jsonl, train: data/solved.jsonl}}
test_split: test
training_split: train
fewshot_split: train
"""
ANSWER = """
task: continue_it
tag: toy
include: _common
output_type: generate_until
doc_to_text: "{{subject}} {{choices[answer]}}"
doc_to_target: "{{object}}"
generation_kwargs: {until: ["."], max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {version: 1}
"""
TEXTS = """
task: whole_texts
tag: toy
dataset_path: json
dataset_kwargs: {data_files: {test: data/texts.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: bits_per_byte}, {metric: word_perplexity}]
metadata: {version: 1}
"""


def write_tasks(folder: Path, items: int = 10) -> Path:
    """The folder, with its data; returns it."""
    rng = random.Random(4)
    (folder / "data").mkdir(parents=True)
    for name, text in (("choice", CHOICE), ("answer", ANSWER), ("texts", TEXTS)):
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    (folder / "_common").write_text(COMMON, encoding="utf-8")

    def row() -> dict[str, object]:
        return {
            "subject": rng.choice(SUBJECTS),
            "choices": rng.sample(VERBS, 3),
            "answer": rng.randrange(3),
            "object": rng.choice(OBJECTS),
        }

    def write(name: str, rows: list[dict[str, object]]) -> None:
        lines = (json.dumps(item, ensure_ascii=False) for item in rows)
        (folder / "data" / name).write_text("\n".join(lines), encoding="utf-8")

    write("items.jsonl", [row() for _ in range(items)])
    write("solved.jsonl", [row() for _ in range(3)])
    write("texts.jsonl", [{"text": " ".join(sentence(rng) for _ in range(number + 1))} for number in range(5)])
    return folder
