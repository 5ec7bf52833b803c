import hashlib
import json
from pathlib import Path

import pytest
from tests.audit.folders import card, look, rules, write

from fonderie.audit import integrity as integrity_module
from fonderie.audit.integrity import check_integrity
from fonderie.audit.report import AuditReport
from fonderie.audit.target import open_folder
from fonderie.release.findings.openness import Finding


def rows(licence: str, number: int = 3) -> str:
    return "".join(json.dumps({"text": f"text {n}", "license": licence}) + "\n" for n in range(number))


def sums(root: Path, *names: str) -> str:
    return "".join(f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}\n" for name in names)


def with_data(tmp_path: Path, licence: str = "CC-BY-4.0", collection: str = "cc-by-4.0") -> Path:
    root = write(
        tmp_path,
        {
            "README.md": card("A model.", license="mit"),
            "data/README.md": card("Texts.", license=collection),
            "data/a.jsonl": rows(licence),
            "data/b.jsonl": rows(licence),
        },
    )
    return write(root, {"SHA256SUMS": sums(root, "data/a.jsonl", "data/b.jsonl")})


def files_finding(report: AuditReport) -> Finding:
    (found,) = [item for item in report.findings if item.rule == "data.files"]
    return found


def test_data_that_are_there_free_and_as_listed_pass(tmp_path: Path) -> None:
    report = look(with_data(tmp_path))
    assert (report.criteria["data"].verdict, report.criteria["data"].level) == ("pass", "verified")
    assert any(item.path == "SHA256SUMS" for item in files_finding(report).evidence)


def test_without_hashes_they_do_not(tmp_path: Path) -> None:
    root = with_data(tmp_path)
    (root / "SHA256SUMS").unlink()
    report = look(root)
    assert report.criteria["data"].verdict == "partial"
    assert "0 of 2 have a hash" in files_finding(report).summary


def test_one_byte_of_the_data_fails_it(tmp_path: Path) -> None:
    root = with_data(tmp_path)
    path = root / "data/b.jsonl"
    path.write_bytes(path.read_bytes().replace(b"text 1", b"text I"))
    report = look(root)
    assert "data.hashes" in rules(report, "fail")
    assert report.exit_status == 1


def test_a_listed_file_that_is_missing_fails_it(tmp_path: Path) -> None:
    root = with_data(tmp_path)
    (root / "data/b.jsonl").unlink()
    assert "data.hashes" in rules(look(root), "fail")


@pytest.mark.parametrize(
    ("licence", "collection", "verdict"),
    [
        ("CC-BY-NC-4.0", "cc-by-4.0", "fail"),
        ("CC-BY-4.0", "cc-by-nc-sa-4.0", "fail"),
        ("", "cc-by-4.0", "partial"),
        ("CC-BY-4.0", "other", "partial"),
        ("etalab-2.0", "etalab-2.0", "pass"),
    ],
)
def test_contents_and_collection_are_both_asked_for(
    tmp_path: Path, licence: str, collection: str, verdict: str
) -> None:
    assert look(with_data(tmp_path, licence, collection)).criteria["data"].verdict == verdict


def test_one_restricted_row_among_many_is_found(tmp_path: Path) -> None:
    root = with_data(tmp_path)
    write(root, {"data/a.jsonl": rows("CC-BY-4.0", 500) + rows("CC-BY-NC-4.0", 1)})
    write(root, {"SHA256SUMS": sums(root, "data/a.jsonl", "data/b.jsonl")})
    assert "CC-BY-NC-4.0" in files_finding(look(root)).summary


def test_compressed_data_are_not_opened(tmp_path: Path) -> None:
    root = write(tmp_path, {"data/a.jsonl.zst": b"\x28\xb5\x2f\xfd", "data/README.md": card(license="cc0-1.0")})
    report = look(root)
    assert "the contents' licence is unknown" in files_finding(report).summary


def test_croissant_says_licence_and_hashes(tmp_path: Path) -> None:
    root = write(tmp_path, {"data/a.jsonl": rows("CC0-1.0")})
    digest = hashlib.sha256((root / "data/a.jsonl").read_bytes()).hexdigest()
    description = {
        "@type": "sc:Dataset",
        "license": "https://creativecommons.org/publicdomain/zero/1.0/",
        "distribution": [{"contentUrl": "data/a.jsonl", "sha256": digest}, {"contentUrl": "https://x.example/y"}],
    }
    write(root, {"croissant.json": json.dumps(description)})
    assert look(root).criteria["data"].verdict == "pass"


def test_data_named_only_cannot_be_judged_in_a_folder(tmp_path: Path) -> None:
    report = look(write(tmp_path, {"README.md": card(license="mit", datasets=["acme/web", "acme/books"])}))
    assert rules(report, "unknown") >= {"data.set.acme/web", "data.set.acme/books"}
    assert report.criteria["data"].level == "declared"


def test_data_described_only_are_not_provided(tmp_path: Path) -> None:
    report = look(write(tmp_path, {"README.md": card("It was trained on 2T tokens of the web.", license="mit")}))
    (found,) = [item for item in report.findings if item.rule == "data.named"]
    assert (found.verdict, found.level) == ("fail", "parsed")
    assert "2T tokens" in found.evidence[0].excerpt


def test_links_to_training_data_count_those_to_benchmarks_do_not(tmp_path: Path) -> None:
    body = (
        "## Training data\n\nWe used [this](https://huggingface.co/datasets/acme/web).\n\n"
        "## Evaluation\n\nOn [that](https://huggingface.co/datasets/acme/bench).\n"
    )
    found = rules(look(write(tmp_path, {"README.md": card(body, license="mit")})))
    assert "data.set.acme/web" in found
    assert "data.set.acme/bench" not in found


def test_lists_cannot_point_outside_or_at_themselves(tmp_path: Path) -> None:
    lines = [f"{'0' * 64}  {name}" for name in ("../../etc/passwd", "/etc/passwd", "SHA256SUMS", "a/../b")]
    root = write(tmp_path, {"SHA256SUMS": "\n".join(lines)})
    assert not check_integrity(open_folder(root)).broken


def test_what_is_too_large_to_hash_counts_as_unchecked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity_module, "HASH_BUDGET_BYTES", 10)
    found = check_integrity(open_folder(with_data(tmp_path)))
    assert found.unchecked == ("data/a.jsonl", "data/b.jsonl")
    assert not found.matched
    assert not found.broken
