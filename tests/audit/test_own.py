"""Releases of our own: verified before anything they say is believed."""

import json
import shutil
from pathlib import Path

import pytest
from tests.audit.folders import look, rules, verdicts
from tests.evaluate.small import Build, build

from fonderie.audit.examine import Request, audit
from fonderie.audit.report import AuditReport
from fonderie.core.machine import Machine
from fonderie.core.manifest import list_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build(tmp_path_factory.mktemp("small"))


@pytest.fixture
def release(small: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.release, tmp_path / "release"))


def seal(release: Path) -> None:
    """What a forger does last: release.json lists every file as it now is."""
    path = release / "release.json"
    index = json.loads(path.read_bytes())
    index["files"] = [entry.model_dump() for entry in list_files(release) if entry.path != "release.json"]
    path.write_text(json.dumps(index))


def test_as_it_was_made(small: Build) -> None:
    report = look(small.release)
    assert report.subject.kind == "fonderie release"
    assert report.subject.digest == small.result.artifacts["release"].digest
    assert verdicts(report) == {"use": "pass", "data": "pass", "method": "partial"}
    assert rules(report, "partial") == {"method.replay"}
    assert not report.contradictions
    assert not [item for item in report.hazards if "pickle" in item.rule]
    assert all(check["ok"] for check in report.checks)
    assert report.exit_status == 0


def test_through_the_published_link(small: Build) -> None:
    assert look(small.result.releases[0]).subject.kind == "fonderie release"


def test_what_it_says_of_itself_is_not_believed(release: Path) -> None:
    path = release / "findings.json"
    findings = json.loads(path.read_bytes())
    for finding in findings:
        finding["verdict"] = "pass"
    path.write_text(json.dumps(findings))
    seal(release)
    report = look(release)
    assert rules(report, "partial") == {"method.replay"} or rules(report, "fail")
    assert report.criteria["method"].verdict != "pass"


@pytest.mark.parametrize("name", ["model.safetensors", "training/log.jsonl", "recipe.toml"])
def test_one_altered_byte_fails_it(release: Path, name: str) -> None:
    path = release / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    report = look(release)
    assert rules(report, "fail") >= {"data.integrity", "method.integrity"}
    assert name in next(item.summary for item in report.findings if item.rule == "data.integrity")
    assert "pass" not in {item.verdict for item in report.findings if item.criterion != "use"}
    assert report.exit_status == 1


def test_weights_exchanged_and_the_index_made_to_agree(release: Path) -> None:
    path = release / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    seal(release)
    assert rules(look(release), "fail") >= {"data.integrity", "method.integrity"}


def test_a_policy_slipped_into_it_restricts(release: Path) -> None:
    (release / "USE_POLICY.md").write_text("You may not use the model for war.")
    report = look(release)
    assert "use.policy.USE_POLICY.md" in rules(report, "fail")
    assert "not listed" in report.model_dump_json()


def test_manifests_that_cannot_be_understood(release: Path) -> None:
    path = sorted((release / "manifests").iterdir())[0]
    path.write_text("{}")
    seal(release)
    report = look(release)
    assert rules(report, "fail") >= {"method.manifests", "method.integrity"}


@pytest.mark.parametrize("text", ["[]", "{" * 100_000, '{"format": 99}', " " * 70_000_000], ids=range(4))
def test_a_release_json_that_is_none_shields_nothing(release: Path, text: str) -> None:
    (release / "release.json").write_text(text)
    report = look(release)
    assert report.subject.kind == "folder"
    assert report.criteria["method"].verdict != "pass"
    assert any("release.json" in item.summary for item in report.hazards)


def test_restricted_documents_are_told(tmp_path: Path) -> None:
    recipe_allows = "[policy]\nalso_allow = ['CC-BY-NC-4.0']\n"
    from tests.evaluate.small import RECIPE

    made = build(tmp_path, recipe_allows + RECIPE, licence="CC-BY-NC-4.0")
    report = look(made.release)
    assert report.criteria["use"].verdict == "fail"
    assert "open_with_data" in {item.rule.removeprefix("washing.") for item in report.contradictions}
    assert report.exit_status == 1


def with_replay(folder: Path, segments: int = 1) -> AuditReport:
    return audit(Request(str(folder), segments=segments, seed=3), Machine())


def test_a_segment_that_replays_opens_the_method(small: Build) -> None:
    report = with_replay(small.release)
    assert report.replay is not None
    assert report.replay["verdict"] == "identical"
    replay = next(item for item in report.findings if item.rule == "method.replay")
    assert (replay.verdict, replay.level) == ("pass", "verified")
    assert verdicts(report) == {"use": "pass", "data": "pass", "method": "pass"}
    assert report.verdict == "open"


def test_a_release_that_does_not_hold_is_not_replayed(release: Path) -> None:
    (release / "model.safetensors").write_bytes(b"")
    report = with_replay(release)
    assert report.replay is None
    assert report.criteria["method"].verdict == "fail"
