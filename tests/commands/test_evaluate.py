import json
from pathlib import Path

import pytest
from tests.evaluate.harness_tasks import write_tasks
from tests.evaluate.small import Build, build

from fonderie.cli import main
from fonderie.evaluate.score import read_outcomes, read_scores


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build(tmp_path_factory.mktemp("small"))


def said(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> str:
    assert main([str(argument) for argument in arguments]) == status
    out = capsys.readouterr()
    return out.out if status == 0 else out.err


def test_suites_on_a_release(small: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ("--suite", "arithmetic", "--suite", "agreement", "--items", 8, "--threads", 1)
    found = json.loads(said(capsys, "evaluate", small.release, *short, "--json"))
    assert [score["source"] for score in found] == ["french/agreement", "french/arithmetic"]
    assert [score["n"] for score in found] == [8, 8]
    assert [score["seen"] for score in found] == [0, 0]  # counted in the documents that the release distributes
    kept = tmp_path / "kept"
    table = said(capsys, "evaluate", small.release, *short, "--out", kept)
    assert "french/arithmetic" in table
    assert "95 % interval" in table
    assert [score.model_dump(mode="json") for score in read_scores(kept)] == found
    assert len(read_outcomes(kept)) == 16
    other = json.loads(said(capsys, "evaluate", small.release, *short, "--seed", 1, "--json"))
    assert other != found or [item["low"] for item in other] == [item["low"] for item in found]


@pytest.mark.slow
def test_tasks_on_a_release(small: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lm_eval", reason="the extra `eval` is not installed")
    folder = write_tasks(tmp_path / "toy", items=4)
    found = json.loads(
        said(
            capsys,
            "evaluate",
            small.release,
            "--tasks",
            f"{folder}/**",
            "--run",
            "choose_verb",
            "--limit",
            3,
            "--json",
        )
    )
    assert {(score["source"], score["name"], score["n"]) for score in found} == {
        ("choose_verb", "acc", 3),
        ("choose_verb", "acc_norm", 3),
    }


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--suite", "poetry"], 2, "there is no suite 'poetry'"),
        (["--run", "x"], 2, "are for --tasks"),
        (["--suite", "agreement", "--tasks", "t/**"], 2, "--suite and --tasks are of two evaluations"),
        (
            ["--items", "5", "--seed", "0", "--tasks", "t/**", "--run", "x"],
            2,
            "--items, --seed and --tasks are of two",
        ),
        (["--tasks", "t/**"], 2, "--run says which"),
        (["--out", "."], 2, "is there already"),
        (["--suite", "identity", "--items", "9999"], 1, "Ask for fewer"),
    ],
)
def test_what_is_wrong_is_said(
    small: Build, capsys: pytest.CaptureFixture[str], more: list[str], status: int, message: str
) -> None:
    assert message in said(capsys, "evaluate", small.release, *more, status=status)


def test_a_folder_that_is_no_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no release" in said(capsys, "evaluate", tmp_path, status=1)
