from pathlib import Path

import pytest
from tests.audit.folders import WEIGHTS, card, look, rules, verdicts, write

FULL = {
    "model.safetensors": WEIGHTS,
    "train.py": "print('never run')",
    "prepare_data.py": "x",
    "training_config.yaml": "learning_rate: 3e-4",
    "logs/train_loss.jsonl": "{}",
    "eval_results.json": "{}",
    "checkpoint-100/model.safetensors": WEIGHTS,
    "checkpoint-200/model.safetensors": WEIGHTS,
}


def test_all_of_it_there_is_partial_until_somebody_repeats_it(tmp_path: Path) -> None:
    report = look(write(tmp_path, FULL))
    assert rules(report, "partial") & {"method.replay"} == {"method.replay"}
    assert not any(
        item.criterion == "method" and item.verdict == "partial" and item.rule != "method.replay"
        for item in report.findings
    )
    assert report.criteria["method"].verdict == "partial"


@pytest.mark.parametrize(
    ("without", "rule", "verdict"),
    [
        ("train.py", "method.training_code", "fail"),
        ("training_config.yaml", "method.metadata", "fail"),
        ("prepare_data.py", "method.preprocessing_code", "partial"),
        ("logs/train_loss.jsonl", "method.logs", "partial"),
        ("eval_results.json", "method.evaluation_results", "partial"),
        ("checkpoint-100/model.safetensors", "method.checkpoints", "partial"),
    ],
)
def test_each_part_is_missed(tmp_path: Path, without: str, rule: str, verdict: str) -> None:
    report = look(write(tmp_path, {name: text for name, text in FULL.items() if name != without}))
    assert rule in rules(report, verdict)


def test_weights_that_are_not_there_fail_it(tmp_path: Path) -> None:
    report = look(write(tmp_path, {"README.md": card(license="mit")}))
    assert "method.weights" in rules(report, "fail")


def test_a_pointer_to_weights_is_no_weights(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    report = look(write(tmp_path, {"model.safetensors": pointer}))
    assert "method.weights" in rules(report, "unknown")


def test_what_the_card_only_points_to_is_declared(tmp_path: Path) -> None:
    body = (
        "The training code is at https://github.com/acme/train and logs at https://wandb.ai/acme.\n\n"
        "The learning rate was 3e-4, the batch size 512.\n"
    )
    results = [{"name": "acme", "results": [{"metrics": [{"type": "acc", "value": 0.5}]}]}]
    report = look(write(tmp_path, {"README.md": card(body, license="mit", **{"model-index": results})}))
    found = {item.rule: item for item in report.findings}
    assert (found["method.training_code"].verdict, found["method.training_code"].level) == ("partial", "declared")
    assert (found["method.logs"].verdict, found["method.logs"].level) == ("partial", "declared")
    assert (found["method.metadata"].verdict, found["method.metadata"].level) == ("pass", "parsed")
    assert found["method.evaluation_results"].verdict == "pass"


def test_half_of_the_settings_is_a_part(tmp_path: Path) -> None:
    report = look(write(tmp_path, {"README.md": card("We used a learning rate of 3e-4.", license="mit")}))
    assert "method.metadata" in rules(report, "partial")


def test_an_empty_folder_fails_data_and_method(tmp_path: Path) -> None:
    report = look(tmp_path)
    assert verdicts(report) == {"use": "unknown", "data": "fail", "method": "fail"}
    assert report.exit_status == 1
    assert report.mof["class"] == 0
