import json
import re
from typing import Any

from tests.evaluate.small import Build

from fonderie.core.digest import digest_file
from fonderie.core.manifest import Manifest, list_files
from fonderie.release.findings.openness import FINDINGS_ORDER, Finding, openness_findings, overall
from fonderie.release.report import report_of


def findings_on(small: Build, licence: str = "Apache-2.0", **statistics: Any) -> dict[str, Finding]:
    """Findings on the small build, with the letters' statistics changed."""
    manifests = [artifact.manifest for artifact in small.result.artifacts["release"].lineage()[:-1]]
    changed = [
        _changed(manifest, statistics) if manifest.step == "corpus.read" else manifest for manifest in manifests
    ]
    lock = json.loads((small.release / "lock.json").read_bytes())
    found = openness_findings(changed, lock, report_of(changed, lock), licence, {})
    return {finding.rule: finding for finding in found}


def _changed(manifest: Manifest, statistics: dict[str, Any]) -> Manifest:
    return manifest.model_copy(update={"statistics": {**manifest.statistics, **statistics}})


def test_what_the_small_build_comes_to(small: Build) -> None:
    findings = [Finding.model_validate(item) for item in json.loads((small.release / "findings.json").read_bytes())]
    assert overall(findings) == {"use": "pass", "data": "pass", "method": "partial"}
    by_rule = {finding.rule: finding for finding in findings}
    assert by_rule["data.source.toy"].verdict == "pass"
    assert "seed 7" in by_rule["data.source.toy"].summary
    letters = by_rule["data.source.letters"]
    assert (letters.verdict, letters.level) == ("pass", "verified")
    assert "included, every shard with the hash that its making recorded, all under free" in letters.summary
    assert by_rule["method.checkpoints"].verdict == "pass"
    assert "(3: step-00000000 to step-00000003)" in by_rule["method.checkpoints"].summary
    assert by_rule["method.replay"].verdict == "partial"
    assert by_rule["method.replay"].summary.startswith("Everything needed to replay the training is included")
    assert "no third party has replayed it yet" in by_rule["method.replay"].summary
    assert not any(re.search(r"\bprove[dns]?\b", finding.summary) for finding in findings)
    order = [FINDINGS_ORDER.index(finding.verdict) for finding in findings]
    assert order == sorted(order)


def test_data_pass_only_whole_unaltered_and_free(small: Build) -> None:
    manifests = [artifact.manifest for artifact in small.result.artifacts["release"].lineage()[:-1]]
    lock = json.loads((small.release / "lock.json").read_bytes())
    files = {entry.path: entry.sha256 for entry in list_files(small.release)}
    shard, state = "data/documents/00001.parquet", "training/checkpoints/step-00000002/state.json"

    def found(manifests: list[Manifest], files: dict[str, str]) -> dict[str, Finding]:
        findings = openness_findings(manifests, lock, report_of(manifests, lock), "MIT", files)
        return {finding.rule: finding for finding in findings}

    whole = found(manifests, files)
    assert whole["data.source.letters"].verdict == whole["method.checkpoints"].verdict == "pass"
    for name in (shard, state):
        for changed in ({**files, name: "sha256:0"}, {key: value for key, value in files.items() if key != name}):
            rule = "data.source.letters" if name == shard else "method.checkpoints"
            assert found(manifests, changed)[rule].verdict == "partial"
    restricted = [
        item.model_copy(update={"parameters": {**item.parameters, "collection_licence": "CC-BY-NC-4.0"}})
        if item.step == "corpus.read"
        else item
        for item in manifests
    ]
    finding = found(restricted, files)["data.source.letters"]
    assert finding.verdict == "partial"
    assert "not all under free licences: CC-BY-NC-4.0" in finding.summary


def test_evidence_points_at_files_as_they_are(small: Build) -> None:
    findings = [Finding.model_validate(item) for item in json.loads((small.release / "findings.json").read_bytes())]
    evidence = [item for finding in findings for item in finding.evidence]
    assert len(evidence) >= 8
    for item in evidence:
        assert digest_file(small.release / item.path) == item.sha256


def test_a_licence_that_is_not_free_fails_the_use(small: Build) -> None:
    found = findings_on(small, licences={"letters": {"CC-BY-NC-SA-4.0": 4, "CC0-1.0": 2}})
    assert next(iter(found)) == "use.data_licence.letters"
    assert found["use.data_licence.letters"].verdict == "fail"
    assert found["use.data_licence.letters"].summary.startswith("4 documents of the source letters")
    assert "use.data_licences" not in found
    found = findings_on(small, licences={"letters": {"unknown": 1}})
    assert found["use.data_licence.letters"].verdict == "fail"


def test_a_licence_that_nobody_recorded_is_unknown(small: Build) -> None:
    found = findings_on(small, licences={})
    assert found["use.data_licences"].verdict == "unknown"
    assert overall(list(found.values()))["use"] == "unknown"


def test_restricted_weights_fail_and_unknown_ones_do_not_pass(small: Build) -> None:
    assert findings_on(small, "CC-BY-NC-4.0")["use.weights_licence"].verdict == "fail"
    assert findings_on(small, "Nobody-1.0")["use.weights_licence"].verdict == "unknown"


def test_a_record_that_is_not_whole_is_partial(small: Build) -> None:
    finding = findings_on(small)["method.record"]  # openness_findings is told of no file at all
    assert finding.verdict == "partial"
    assert "training/log.jsonl" in finding.summary


def test_no_finding_is_no_pass() -> None:
    assert overall([]) == {"use": "unknown", "data": "unknown", "method": "unknown"}


def test_an_evaluation_on_what_was_trained_on_is_partial(small: Build) -> None:
    manifests = [artifact.manifest for artifact in small.result.artifacts["release"].lineage()[:-1]]
    lock = json.loads((small.release / "lock.json").read_bytes())
    for count, said in ((0, "none were also"), (5, "5 were also"), (None, "an unknown number were also")):
        changed = [
            _changed(item, {"also_trained_on": count}) if "scores" in item.statistics else item
            for item in manifests
        ]
        files = {"scores.json": "sha256:0"}
        found = openness_findings(changed, lock, report_of(changed, lock), "MIT", files)
        (finding,) = [item for item in found if item.rule == "method.evaluation"]
        assert said in finding.summary
        assert finding.verdict == ("pass" if count == 0 else "partial")
