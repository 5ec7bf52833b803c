"""lm-eval against the running server says what it says of the model itself."""

from pathlib import Path
from typing import Any

import pytest
from tests.evaluate.harness_tasks import write_tasks
from tests.serve.serving import door, serving

from fonderie.core.machine import Machine
from fonderie.model.convert import load_pretrained
from fonderie.serve.api.app import make_api
from fonderie.tokens.tokenizer import Tokenizer

lm_eval = pytest.importorskip("lm_eval", reason="the extra `eval` is not installed")
pytest.importorskip("tenacity", reason="lm-eval's client of completions needs it")


def evaluated(model: Any, tasks: Path, **settings: Any) -> list[dict[str, Any]]:
    from lm_eval.tasks import TaskManager

    found = lm_eval.simple_evaluate(
        model=model,
        tasks=["choose_verb"],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
        **settings,
    )
    return sorted(found["samples"]["choose_verb"], key=lambda sample: sample["doc_id"])


@pytest.mark.slow
def test_log_likelihoods_over_http_are_those_of_the_model(small, tmp_path, monkeypatch):
    from fonderie.evaluate.harness.model import Model

    tasks = write_tasks(tmp_path / "tasks")
    monkeypatch.chdir(tasks)  # its data are named from there
    direct = Model(
        load_pretrained(small.release), Tokenizer(small.release), bos=False, chat=False, seed=1, machine=Machine()
    )
    expected = evaluated(direct, tasks)
    with serving(
        [small.release], lambda served: make_api({one.name: one for one in served}, door(tmp_path))
    ) as running:
        arguments = {
            "model": "toy-0.1.0",
            "base_url": f"{running.url}/v1/completions",
            "tokenizer": str(small.release),
            "max_length": 512,
            "num_concurrent": 1,
        }
        found = evaluated("local-completions", tasks, model_args=arguments, batch_size=4)
    assert len(found) == len(expected) == 10
    for here, there in zip(found, expected, strict=True):
        ours = [(float(value), greedy) for ((value, greedy),) in here["resps"]]
        theirs = [(float(value), greedy) for ((value, greedy),) in there["resps"]]
        assert [value for value, _ in ours] == pytest.approx([value for value, _ in theirs], abs=1e-4)
        assert [greedy for _, greedy in ours] == [greedy for _, greedy in theirs]
        assert here["acc"] == there["acc"]
