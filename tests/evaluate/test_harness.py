"""lm-eval on our model: nothing depends on batches, and its own model of Hugging Face says the same."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.builders import run_step
from tests.evaluate.harness_tasks import write_tasks
from tests.evaluate.small import Build

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.recipe import find_sources
from fonderie.core.step import Artifact, Output
from fonderie.evaluate.harness.step import HarnessParameters, harness
from fonderie.evaluate.harness.tasks import check_tasks, no_network, read_tasks
from fonderie.evaluate.score import outcomes_of, read_outcomes, read_scores
from fonderie.model.convert import load_pretrained
from fonderie.tokens.tokenizer import Tokenizer

lm_eval = pytest.importorskip("lm_eval", reason="the extra `eval` is not installed")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks") / "toy")


def ran(small: Build, folder: Path, tasks: Path, **params: Any) -> tuple[Artifact, Output]:
    inputs = {"model": (small.result.artifacts["base"],), "tokenizer": (small.result.artifacts["bpe"],)}
    given = HarnessParameters(tasks="tasks", bootstrap=100, **{"run": ("toy",), **params})
    return run_step(harness, given, folder, inputs, {"tasks": f"{tasks}/**"})


def our_model(small: Build, **settings: Any) -> Any:
    from fonderie.evaluate.harness.model import Model

    model = load_pretrained(small.release)
    given = {"bos": False, "chat": False, "seed": 1, "machine": Machine(), **settings}
    return Model(model, Tokenizer(small.release), **given)


def request(kind: str, *arguments: Any) -> Any:
    from lm_eval.api.instance import Instance

    return Instance(kind, {}, arguments, 0, ("toy", 0, 1))


@pytest.mark.slow
def test_every_score_says_version_shots_n_error_and_keeps_every_answer(
    small: Build, tmp_path: Path, tasks: Path
) -> None:
    made, out = ran(small, tmp_path / "0", tasks)
    scores = {(score.source, score.name): score for score in read_scores(made.path)}
    assert set(scores) == {
        ("choose_verb", "acc"),
        ("choose_verb", "acc_norm"),
        ("continue_it", "exact_match"),
        ("whole_texts", "bits_per_byte"),
        ("whole_texts", "word_perplexity"),
    }
    acc = scores["choose_verb", "acc"]
    assert (acc.n, acc.unit, acc.better, acc.shots, acc.task_version) == (10, "items", "higher", 0, "2.0")
    assert acc.standard_error == pytest.approx(math.sqrt(acc.value * (1 - acc.value) / 9), abs=1e-6)
    assert acc.low < acc.value < acc.high
    assert lm_eval.__version__ in acc.method
    bits = scores["whole_texts", "bits_per_byte"]
    assert (bits.better, bits.n) == ("lower", 5)
    assert bits.low < bits.value < bits.high
    ran_ = json.loads((made.path / "harness.json").read_bytes())
    assert ran_ == out.statistics["harness"]
    assert ran_["lm_eval"] == lm_eval.__version__
    assert ran_["tasks"]["choose_verb"]["items"] == {"original": 10, "effective": 10}
    assert ran_["without_interval"] == []
    outcomes = read_outcomes(made.path)
    for score in (acc, bits, scores["continue_it", "exact_match"]):
        of = outcomes_of(score, outcomes)
        assert len({outcome.id for outcome in of}) == score.n
        ratio = sum(outcome.value for outcome in of) / sum(outcome.weight for outcome in of)
        assert ratio == pytest.approx(score.value, abs=1e-6)
    lines = (made.path / "samples/choose_verb.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    assert len(lines) == 10
    assert {"doc", "target", "arguments", "resps", "acc"} <= set(first)
    # Again, in another process's place, with other threads and fewer items: the same answers to the bit.
    again, _ = ran(small, tmp_path / "1", tasks)
    assert again.digest == made.digest
    some, _ = ran(small, tmp_path / "2", tasks, limit=3, run=("choose_verb",))
    assert (some.path / "samples/choose_verb.jsonl").read_text().splitlines() == lines[:3]
    (solved,) = {
        score.shots
        for score in read_scores(ran(small, tmp_path / "3", tasks, shots=1, run=("choose_verb",))[0].path)
    }
    assert solved == 1


def test_no_answer_depends_on_what_else_is_asked(small: Build) -> None:
    model = our_model(small, bos=True)
    asked = [
        request("loglikelihood", "Le chat", f" {verb} la fenêtre.") for verb in ("regarde", "oublie", "a", "zz")
    ]
    asked += [request("loglikelihood", "", "Une voisine."), request("loglikelihood", "Le " * 80, "chat")]
    whole = model.loglikelihood(asked)
    order = random.Random(1).sample(range(len(asked)), k=len(asked))
    assert [whole[number] for number in order] == model.loglikelihood([asked[number] for number in order])
    assert [model.loglikelihood([one])[0] for one in asked] == whole
    draw = {"until": ["."], "max_gen_toks": 6, "do_sample": True, "temperature": 1.0}
    drawn = [request("generate_until", context, draw) for context in ("Le chat", "Une voisine", "Le chat")]
    answers = model.generate_until(drawn)
    assert model.generate_until(drawn[::-1][:2])[1] == answers[1]
    assert model.generate_until([drawn[0]])[0] == answers[0]


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "bos"), [(1, True), (3, False)])
def test_lm_evals_own_model_says_the_same(small: Build, batch: int, bos: bool) -> None:
    """Its batches pad, so that it agrees to a tolerance; the greedy flags and texts agree exactly."""
    pytest.importorskip("accelerate", reason="lm-eval's model of Hugging Face needs it")
    from lm_eval.models.huggingface import HFLM

    theirs = HFLM(
        pretrained=str(small.release),
        tokenizer=str(small.release),
        device="cpu",
        dtype="float32",
        batch_size=batch,
        add_bos_token=bos,
    )
    ours = our_model(small, bos=bos)
    rng = random.Random(2)
    texts = ["Le chat regarde la fenêtre. Une voisine", "Mon frère", "L'élève n'aime pas " * 12, "Aurélie"]
    pairs = [
        request("loglikelihood", rng.choice(texts), f" {word}")
        for word in ("dessine", "un œuf", "le marché", "des forêts", "ce château.")
    ] + [request("loglikelihood", "", "Le vieux facteur")]
    for mine, its in zip(ours.loglikelihood(pairs), theirs.loglikelihood(pairs, disable_tqdm=True), strict=True):
        assert mine[0] == pytest.approx(its[0], abs=2e-4)
        assert mine[1] == its[1]
    if not bos:  # with it, theirs predicts the token that begins the text as well
        whole = [request("loglikelihood_rolling", text) for text in texts]
        rolled = theirs.loglikelihood_rolling(whole, disable_tqdm=True)
        assert ours.loglikelihood_rolling(whole) == pytest.approx(rolled, rel=1e-5)
    greedy = {"until": ["."], "max_gen_toks": 10, "do_sample": False}
    answers = [request("generate_until", text, greedy) for text in texts]
    assert ours.generate_until(answers) == theirs.generate_until(answers, disable_tqdm=True)


def test_chat_puts_special_tokens_and_lets_no_item_write_one(small: Build) -> None:
    model = our_model(small, chat=True)
    tokens = Tokenizer(small.release)
    turns = [{"role": "user", "content": "Que fait le chat ?"}]
    from fonderie.tokens.conversation import Turn

    wanted = tokens.encode_turns([Turn("user", "Que fait le chat ?")], answer=True)
    assert model.tok_encode(model.apply_chat_template(turns)) == wanted
    solved = [*turns, {"role": "assistant", "content": "Il dort."}, *turns]
    assert model.tok_encode(model.apply_chat_template(solved))[: len(wanted)] == wanted
    with pytest.raises(InputError, match="holds the text of a special token"):
        model.apply_chat_template([{"role": "user", "content": "<|end|> oui"}])


def test_what_does_not_fit_is_counted_or_refused(small: Build) -> None:
    model = our_model(small)
    model.loglikelihood([request("loglikelihood", "Le chat " * 60, "regarde")])
    assert model.truncated["toy"] == 1
    with pytest.raises(InputError, match="toy: a continuation of"):
        model.loglikelihood([request("loglikelihood", "Le", " chat" * 90)])
    with pytest.raises(InputError, match="leave no room in a context of 64"):
        model.generate_until([request("generate_until", "Le", {"until": [], "max_gen_toks": 64})])
    with pytest.raises(InputError, match="num_beams, which is not done here"):
        model.generate_until([request("generate_until", "Le", {"num_beams": 4})])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("choice.yaml", "{{subject}}", "{{subject"), None),
        (("choice.yaml", 'doc_to_text: "{{subject}}"', "doc_to_text: !function utils.text"), "runs Python"),
        (("texts.yaml", "metadata: {version: 1}", "unsafe_code: true"), "runs Python"),
        (
            ("_common", "dataset_path: json", "dataset_path: allenai/ai2_arc"),
            "reads the data set 'allenai/ai2_arc'",
        ),
        (("_common", "data/items.jsonl", "https://example.org/items.jsonl"), "not among the files"),
        (("_common", "data/items.jsonl", "../items.jsonl"), "not among the files"),
        (("choice.yaml", "include: _common", "include: /etc/passwd"), "includes /etc/passwd"),
        (("_common", "test_split: test", "include: _common"), "includes itself"),
        (("answer.yaml", "task: continue_it", "task: choose_verb"), "both define the task 'choose_verb'"),
        (("answer.yaml", "task: continue_it", "task: ["), "is not YAML"),
        (("texts.yaml", "tag: toy", "tag: other"), None),
        (("texts.yaml", "dataset_kwargs: {data_files: {test: data/texts.jsonl}}", ""), "names no data file"),
    ],
)
def test_what_reaches_out_or_runs_code_is_refused_before_anything_runs(
    tmp_path: Path, change: tuple[str, str, str], message: str | None
) -> None:
    folder = write_tasks(tmp_path / "toy", items=2)
    name, old, new = change
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    sources = find_sources(f"{folder}/**", tmp_path, "tasks")
    if message is None:
        check_tasks(read_tasks(sources), ("toy",), sources, code=False)
        return
    with pytest.raises(InputError, match=message):
        check_tasks(read_tasks(sources), ("toy",), sources, code=False)
    if "Python" in message:
        check_tasks(read_tasks(sources), ("toy",), sources, code=True)


def test_an_unknown_task_is_named(tasks: Path) -> None:
    sources = find_sources(f"{tasks}/**", tasks, "tasks")
    with pytest.raises(InputError, match="no task 'gsm8k'") as caught:
        check_tasks(read_tasks(sources), ("gsm8k",), sources, code=False)
    assert "choose_verb" in caught.value.hint


def test_the_network_is_forbidden_while_tasks_run_and_not_after() -> None:
    import datasets
    import huggingface_hub.constants

    def forbidden() -> list[bool]:
        return [
            datasets.config.HF_DATASETS_OFFLINE,
            datasets.config.HF_HUB_OFFLINE,
            huggingface_hub.constants.HF_HUB_OFFLINE,
        ]

    before = forbidden()
    with no_network():
        assert forbidden() == [True] * 3
    assert forbidden() == before == [False] * 3
