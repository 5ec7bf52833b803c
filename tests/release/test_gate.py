"""A release that failed its gate is shown to nobody who does not say why, and what is said is recorded."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.evaluate.gated import gated
from tests.evaluate.small import Build, find_step

from fonderie.cli import main
from fonderie.core.errors import ReleaseError, StepError, UsageError
from fonderie.core.machine import Machine
from fonderie.core.manifest import describe_file
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.evaluate.score import read_scores
from fonderie.release.gate import exposures, read_gate, refuse_failed
from fonderie.release.layout import EXPOSURES
from fonderie.release.verify import verify

SAID = 'i_know_it_failed = { reason = "A bench for *markdown*", by = "The team", on = 2026-11-26 }\n'
AT = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def failed(small: Build) -> Path:
    return gated(small, at_most=0.001, name="failed").release


@pytest.fixture(scope="module")
def passed(small: Build) -> Path:
    return gated(small, at_most=100.0, name="passed").release


@pytest.fixture
def copy(failed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(failed, tmp_path / "toy"))


def chat(release: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    with open("/dev/null") as nothing:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", nothing)
        return main(["chat", str(release), "--json", *more])


def test_chat_refuses_it_until_somebody_says_why(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(copy, monkeypatch) == 1
    said = capsys.readouterr().err
    assert "FAILED its gate" in said
    assert "at most 0.001 is demanded" in said
    assert "--i-know-it-failed" in said
    assert exposures(copy) == []
    assert chat(copy, monkeypatch, "--i-know-it-failed", "to see what it says") == 0
    assert chat(copy, monkeypatch) == 1  # once said is not said for ever
    capsys.readouterr()
    assert main(["show", str(copy)]) == 0
    said = capsys.readouterr().out
    assert "FAILED, of 2 demands" in said
    assert "(fonderie chat): to see what it says" in said
    (shown,) = exposures(copy)
    assert (shown.action, shown.reason) == ("fonderie chat", "to see what it says")
    assert shown.by
    assert abs((datetime.now(UTC) - shown.at).total_seconds()) < 600


def test_what_is_recorded_is_of_these_bytes(copy: Path) -> None:
    for reason in ("first", "second"):
        refuse_failed(copy, reason, action="fonderie serve", now=lambda: AT)
    assert [(item.reason, item.at) for item in exposures(copy)] == [("first", AT), ("second", AT)]
    beside = copy.with_name(f"toy.{EXPOSURES}")
    shutil.copyfile(beside, copy / EXPOSURES)  # as it travels when it is pushed
    assert len(exposures(copy)) == 2
    assert verify(copy).ok
    (copy / "release.json").write_bytes((copy / "release.json").read_bytes() + b" ")
    assert exposures(copy) == []
    beside.write_text("{}")
    with pytest.raises(ReleaseError, match="no record of what was shown"):
        exposures(copy)


def test_there_is_nothing_to_know_of_a_release_that_passed_or_states_no_gate(
    passed: Path, small: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = refuse_failed(passed, None, action="fonderie chat")
    assert gate is not None
    assert gate.passed
    assert refuse_failed(small.release, None, action="fonderie chat") is None
    assert chat(passed, monkeypatch) == 0
    with pytest.raises(UsageError, match="passed its gate, so there is nothing to know"):
        refuse_failed(passed, "because", action="fonderie chat")
    with pytest.raises(UsageError, match="states no gate"):
        refuse_failed(small.release, "because", action="fonderie chat")
    assert chat(passed, monkeypatch, "--i-know-it-failed", "because") == 2


def test_a_reason_must_be_given_and_written_down(copy: Path) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        refuse_failed(copy, "  ", action="fonderie chat")
    blocked = copy.with_name(f"toy.{EXPOSURES}")
    blocked.mkdir()
    with pytest.raises((UsageError, ReleaseError)):
        refuse_failed(copy, "because", action="fonderie chat")


def test_a_gate_that_was_altered_or_taken_away_lets_nothing_through(copy: Path) -> None:
    path = copy / "gate.json"
    written = path.read_text()
    path.write_text(written.replace('"passed": false', '"passed": true'))
    with pytest.raises(ReleaseError, match=r"is not the one that release\.json lists"):
        refuse_failed(copy, None, action="fonderie chat")
    path.unlink()
    with pytest.raises(ReleaseError, match="cannot be read"):
        refuse_failed(copy, "because", action="fonderie chat")


def test_verify_judges_every_line_again(copy: Path, passed: Path) -> None:
    (check,) = [check for check in verify(passed).checks if check.name == "gate"]
    assert (check.ok, check.detail.startswith("passed")) == (True, True)
    (check,) = [check for check in verify(copy).checks if check.name == "gate"]
    assert (check.ok, check.detail.startswith("FAILED")) == (True, True)
    gate = json.loads((copy / "gate.json").read_bytes())
    gate["passed"] = gate["lines"][0]["passed"] = True
    gate["lines"][1]["value"] = 0.99
    (copy / "gate.json").write_text(json.dumps(gate))
    index = json.loads((copy / "release.json").read_bytes())
    entries = {entry["path"]: entry for entry in index["files"]}
    entries["gate.json"].update(describe_file(copy / "gate.json", "gate.json").model_dump())
    (copy / "release.json").write_text(json.dumps(index))
    refuse_failed(copy, None, action="fonderie chat")  # a whole forgery passes here, and does not verify
    verification = verify(copy)
    assert not verification.ok
    problems = "\n".join(verification.problems)
    assert "gate.json: its manifest repeats it otherwise" in problems
    assert "its verdict does not follow from its figures" in problems
    assert "accuracy on french/agreement: no score of this release says so" in problems
    assert "gate.json: not the file that" in problems


def test_the_card_says_so_first_and_says_who_answers_for_it(failed: Path, passed: Path, small: Build) -> None:
    card = (failed / "README.md").read_text().split("---\n", 2)[2]
    assert card.index("FAILED the gate") < card.index("# toy")
    assert "it is not served or pushed unless somebody says why" in card
    assert "**FAILED**: bits\\_per\\_byte" in card or "**FAILED**: bits_per_byte" in card
    assert "ne satisfait PAS" in (failed / "README.fr.md").read_text().split("# toy")[0]
    assert "it passed" in (passed / "README.md").read_text()
    assert "No score was demanded" in (small.release / "README.md").read_text()
    report = json.loads((failed / "report.json").read_bytes())
    assert report["warnings"][0].startswith("FAILED GATE: bits_per_byte")
    known = gated(small, at_most=0.001, name="known", extra=SAID).release
    card = (known / "README.md").read_text().split("# toy")[0]
    assert "The team, 2026-11-26" in card
    assert "A bench for \\*markdown\\*" in card
    gate = refuse_failed(known, None, action="fonderie chat")  # its card says why
    assert gate is not None
    assert not gate.passed
    assert verify(known).ok


def test_a_failure_that_did_not_happen_is_not_acknowledged(small: Build) -> None:
    with pytest.raises((StepError, ReleaseError), match="says that it failed its gate, and it has passed"):
        gated(small, at_most=100.0, name="boast", extra=SAID)


def test_a_signature_shows_nobody_anything_and_says_what_was_signed(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = str(tmp_path / "key.pem")
    assert main(["sign", "--new-key", key]) == 0
    assert main(["sign", str(copy), "--key", key]) == 0
    assert "What you signed FAILED its gate" in capsys.readouterr().out
    assert read_gate(copy) is not None


def test_scores_of_a_checkpoint_are_its_own_and_no_releases(small: Build) -> None:
    """The same evaluation at several steps of a training, as a report draws it over them."""
    early = (
        '[early]\nstep = "evaluate.perplexity"\nbootstrap = 200\n'
        'inputs = { model = "base@step-2", tokenizer = "bpe", documents = "held" }\n'
    )
    scored = {}
    built = gated(small, at_most=100.0, name="course", extra=early)
    for call in ("early", "scores"):
        scored[call] = read_scores(built.result.artifacts[call].path)[0]
    assert scored["early"].n == scored["scores"].n
    assert scored["early"].value != scored["scores"].value
    assert exposures(built.release) == []
    path = small.store.root.parent / "course.toml"
    path.write_text(path.read_text().replace('["scores", "french"], gate', '["scores", "french", "early"], gate'))
    with pytest.raises((StepError, ReleaseError), match="scores of another model"):
        run_recipe(load_recipe(path, (), find_step), small.store, Machine())
