"""The verdict on a document, and the step, from evidence on disk to ledger."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.corpus.builders import document, documents, ledger, run_step, texts

from fonderie.core.digest import digest_bytes
from fonderie.core.document import Document
from fonderie.core.errors import InputError
from fonderie.core.ledger import Entry
from fonderie.corpus.optout.evidence import INDEX, RAW, SITE_FILES, Evidence, Kind, Record, as_line, raw_path
from fonderie.corpus.optout.judge import Judge, Treatments, Verdict
from fonderie.corpus.optout.step import NOT_CONCERNED, OptOutParameters, optout
from fonderie.release.law.shared import _OPT_OUT

SITE = "https://exemple.fr"
PAGE = f"{SITE}/contes/loup"
DAY = "2026-11-20T08:00:00Z"
EARLIER = "2024-01-01T00:00:00Z"
HEADERS = {"http_headers": json.dumps({"content-type": "text/html"}), "fetched": "2019-03-01T00:00:00Z"}
"""A page crawled years ago that says nothing."""


def put(folder: Path, kind: Kind, content: bytes | str | int, *, url: str = "", at: str = DAY, **more: Any) -> None:
    """Add an answer: bytes that were found, 404, or any other status, which answers nothing."""
    url = url or SITE + SITE_FILES[kind]
    (folder / RAW).mkdir(parents=True, exist_ok=True)
    fields: dict[str, Any] = {"kind": kind, "url": url, "fetched": at, **more}
    if isinstance(content, int):
        answer = "absent" if content == 404 else "unreachable"
        fields |= {"answer": answer, "status": content, "problem": f"HTTP {content}"}
    else:
        data = content.encode() if isinstance(content, str) else content
        fields |= {"answer": "found", "status": 200, "sha256": digest_bytes(data), "size_bytes": len(data)}
        raw_path(folder, digest_bytes(data)).write_bytes(data)
    with (folder / INDEX).open("ab") as file:
        file.write(as_line(Record(**fields)))


def site(folder: Path, robots: bytes | str | int = 404, tdm: str | int = 404, ai: str | int = 404) -> Path:
    """A site that was asked for its three files."""
    for kind, content in (("robots.txt", robots), ("tdmrep.json", tdm), ("ai.txt", ai)):
        put(folder, kind, content)  # type: ignore[arg-type]
    return folder


def verdict(folder: Path, metadata: dict[str, str] | None = None, url: str = PAGE, **given: Any) -> Verdict:
    return Judge(Evidence([folder]), **given)(url, HEADERS if metadata is None else metadata)


def tdm(value: int) -> str:
    return json.dumps([{"location": "/", "tdm-reservation": value}])


def test_a_site_that_has_no_such_files_reserves_nothing_and_that_is_stated(tmp_path: Path) -> None:
    found = verdict(site(tmp_path))
    assert found.reason is None
    assert found.detail.count("HTTP 404: no such file, nothing reserved") == 3
    assert "2026-11-20" in found.detail


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"robots": "User-agent: CCBot\nDisallow: /contes"}, "opt-out: robots.txt"),
        ({"robots": "User-agent: *\nContent-Usage: train-ai=n"}, "opt-out: Content-Usage"),
        ({"tdm": tdm(1)}, "opt-out: TDMRep"),
        ({"ai": "User-Agent: *\nDisallow: *.html"}, "opt-out: ai.txt"),
        ({"robots": "User-agent: CCBot\nDisallow: /prive", "tdm": tdm(0), "ai": "#"}, None),
        ({"tdm": "<html>"}, None),
    ],
)
def test_each_file_of_a_site_counts(files: dict[str, str], reason: str | None, tmp_path: Path) -> None:
    found = verdict(site(tmp_path, **files))  # type: ignore[arg-type]
    assert found.reason == reason
    for content in files.values():
        assert digest_bytes(content.encode()) in found.detail


@pytest.mark.parametrize(
    ("headers", "metas", "reason"),
    [
        ({"tdm-reservation": "1"}, {}, "opt-out: TDMRep"),
        ({}, {"tdm-reservation": "1"}, "opt-out: TDMRep"),
        ({"tdm-reservation": "1"}, {"tdm-reservation": "0"}, None),
        ({"tdm-reservation": "0"}, {"tdm-reservation": "1"}, "opt-out: TDMRep"),
        ({"content-usage": "train-ai=n"}, {}, "opt-out: Content-Usage"),
        ({"x-robots-tag": "noai"}, {}, "opt-out: noai"),
        ({}, {"robots": "noai"}, "opt-out: noai"),
        ({}, {"robots": "noindex"}, None),
    ],
)
def test_what_the_page_itself_said_is_honoured(
    headers: dict[str, str], metas: dict[str, str], reason: str | None, tmp_path: Path
) -> None:
    told = {"http_headers": json.dumps(headers), "html_meta": json.dumps(metas), "fetched": "2019-03-01T00:00:00Z"}
    found = verdict(site(tmp_path), told)
    assert found.reason == reason
    assert "page as crawled 2019-03-01" in found.detail
    assert digest_bytes(told["http_headers"].encode()) in found.detail


def test_signals_of_today_apply_to_what_was_crawled_years_ago(tmp_path: Path) -> None:
    old = {"http_headers": json.dumps({"tdm-reservation": "0"}), "fetched": "2019-03-01T00:00:00Z"}
    assert verdict(site(tmp_path, tdm=tdm(1)), old).reason == "opt-out: TDMRep"
    assert verdict(tmp_path, {**old, "fetched": "2026-11-21T00:00:00Z"}).reason is None
    assert verdict(tmp_path, {"http_headers": old["http_headers"]}).reason == "opt-out: TDMRep"


def test_a_page_asked_for_today_speaks_for_one_whose_headers_were_never_kept(tmp_path: Path) -> None:
    site(tmp_path)
    assert verdict(tmp_path, {}).reason == "opt-out unknown: page's own signals not known"
    assert verdict(tmp_path, {}, treatments=Treatments(page_missing="keep")).reason is None
    put(tmp_path, "page", '<head><meta name="robots" content="noai">', url=PAGE, headers={"tdm-reservation": "0"})
    assert verdict(tmp_path, {}).reason == "opt-out: noai"
    put(tmp_path, "page", "<head>", url=PAGE, at="2026-11-21T00:00:00Z")
    assert verdict(tmp_path, {}).reason is None
    put(tmp_path, "page", "<head> ", url=PAGE, at="2026-11-22T00:00:00Z", truncated=True)
    assert verdict(tmp_path, {}).reason == "opt-out unknown: page unreachable"
    put(tmp_path, "page", 500, url=PAGE, at="2026-11-23T00:00:00Z")
    assert verdict(tmp_path, {}).reason == "opt-out unknown: page unreachable"
    put(tmp_path, "page", 404, url=PAGE, at="2026-11-24T00:00:00Z")
    assert verdict(tmp_path, {}).reason == "opt-out unknown: page's own signals not known"
    assert "gone" in verdict(tmp_path, {}).detail


@pytest.mark.parametrize("kind", ["robots", "tdm", "ai"])
def test_a_site_that_gives_no_answer_is_dropped_unless_the_recipe_says_otherwise(kind: str, tmp_path: Path) -> None:
    site(tmp_path, **{kind: 503})  # type: ignore[arg-type]
    name = {"robots": "robots.txt", "tdm": "TDMRep", "ai": "ai.txt"}[kind]
    assert verdict(tmp_path).reason == f"opt-out unknown: {name} unreachable"
    kept = verdict(tmp_path, treatments=Treatments(unreachable="keep"))
    assert kept.reason is None
    assert kept.detail.endswith("unknown, and kept by the recipe's policy")


def test_a_reservation_is_the_reason_even_beside_what_is_unknown(tmp_path: Path) -> None:
    found = verdict(site(tmp_path, robots=503, tdm=tdm(1)))
    assert found.reason == "opt-out: TDMRep"
    assert "robots.txt 2026-11-20: unreachable, HTTP 503" in found.detail


def test_a_site_that_was_never_asked_is_dropped_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    assert verdict(tmp_path).reason == "opt-out unknown: robots.txt never asked for"
    assert verdict(tmp_path, treatments=Treatments(missing="keep")).reason is None
    assert verdict(site(tmp_path), since="2026-11-21").reason == "opt-out unknown: robots.txt never asked for"
    assert verdict(tmp_path, since="2026-11-20").reason is None
    assert verdict(tmp_path, url="https://autre.fr/").reason == "opt-out unknown: robots.txt never asked for"
    assert verdict(tmp_path, url="https://[").reason == "opt-out unknown: the address cannot be read"


def test_a_reservation_stands_until_an_answer_lifts_it(tmp_path: Path) -> None:
    site(tmp_path, robots=500)
    put(tmp_path, "robots.txt", "User-agent: *\nDisallow: /", at=EARLIER)
    keep = Treatments("keep", "keep", "keep")
    assert verdict(tmp_path, treatments=keep).reason == "opt-out: robots.txt"
    put(tmp_path, "robots.txt", 404, at="2026-11-21T00:00:00Z")
    assert verdict(tmp_path).reason is None


def test_an_old_permission_does_not_outlive_its_server(tmp_path: Path) -> None:
    site(tmp_path, robots=500)
    put(tmp_path, "robots.txt", "User-agent: *\nAllow: /", at=EARLIER)
    assert verdict(tmp_path).reason == "opt-out unknown: robots.txt unreachable"


def test_a_file_too_long_to_be_read_whole_permits_nothing(tmp_path: Path) -> None:
    site(tmp_path)
    put(tmp_path, "robots.txt", "#" * 100, at="2026-11-21T00:00:00Z", truncated=True)
    assert verdict(tmp_path).reason == "opt-out unknown: robots.txt unreachable"
    put(tmp_path, "robots.txt", "User-agent: *\nDisallow: /", at="2026-11-22T00:00:00Z", truncated=True)
    assert verdict(tmp_path).reason == "opt-out: robots.txt"


@pytest.mark.parametrize("page", ["<!DOCTYPE html><title>Un instant…", "\n <HTML lang=fr>", "\ufeff<script>"])
def test_a_page_in_the_place_of_robots_txt_permits_nothing(page: str, tmp_path: Path) -> None:
    site(tmp_path, robots=page)
    found = verdict(tmp_path)
    assert found.reason == "opt-out unknown: robots.txt unreachable"
    assert "a page of HTML stands in its place" in found.detail
    assert verdict(tmp_path, treatments=Treatments(unreachable="keep")).reason is None
    put(tmp_path, "robots.txt", "User-agent: *\nDisallow: /", at=EARLIER)
    assert verdict(tmp_path).reason == "opt-out: robots.txt"


def test_only_the_signals_that_the_recipe_names_are_looked_at(tmp_path: Path) -> None:
    site(tmp_path, robots="User-agent: *\nDisallow: /\nContent-Usage: train-ai=n", tdm=tdm(1))
    assert verdict(tmp_path, signals=("ai.txt",)).reason is None
    assert verdict(tmp_path, signals=("Content-Usage",)).reason == "opt-out: Content-Usage"
    assert verdict(tmp_path, {}, signals=("robots.txt", "TDMRep")).reason == "opt-out: robots.txt"


def test_metadata_that_is_no_table_is_no_signal(tmp_path: Path) -> None:
    for text in ("", "[]", "{", "[" * 100_000, '{"tdm-reservation": 1}'):
        assert verdict(site(tmp_path), {"http_headers": text}).reason is None


# The step


def written(number: int, url: str | None, **metadata: str) -> Document:
    told = {**HEADERS, **metadata, **({"url": url} if url else {})}
    return document(f"Le conte numéro {number}.", origin=f"crawl.warc.gz#record-{number}", metadata=told)


def judged(tmp_path: Path, pattern: str, workers: int = 1, **given: Any) -> tuple[Any, Any]:
    shards = [
        [written(1, PAGE), written(2, f"{SITE}/prive/a"), document("Un roman.", origin="romans/zola.txt")],
        [written(3, "https://autre.fr/a"), document("Ailleurs.", origin="https://autre.fr/b", metadata={})],
    ]
    folder = tmp_path / f"in-{workers}"
    return run_step(
        optout,
        OptOutParameters(**given),
        tmp_path / f"out-{workers}",
        {"documents": (documents(folder, shards),)},
        {"evidence": pattern} if pattern else {},
        workers=workers,
    )


def test_the_ledger_holds_signal_hash_date_and_decision_of_each_document(tmp_path: Path) -> None:
    robots = "User-agent: GPTBot\nDisallow: /prive"
    site(tmp_path / "evidence", robots=robots)
    artifact, out = judged(tmp_path, f"{tmp_path}/evidence/**/*")
    assert texts(artifact) == ["Le conte numéro 1.", "Un roman."]
    entries: list[Entry] = ledger(artifact)
    assert [entry.reason for entry in entries] == [
        None,
        "opt-out: robots.txt",
        None,
        "opt-out unknown: robots.txt never asked for",
        "opt-out unknown: robots.txt never asked for",
    ]
    said = f"robots.txt 2026-11-20 {digest_bytes(robots.encode())}"
    assert (entries[0].detail or "").startswith(f"{said}: nothing reserved; tdmrep.json 2026-11-20 HTTP 404")
    assert (entries[1].detail or "").startswith(f"{said}: GPTBot may not fetch this")
    assert entries[2].detail == NOT_CONCERNED
    assert out.statistics["opt_out"] == {
        "test": {"reserved": 1, "unknown, dropped": 2, "unknown, kept": 0, "free": 1, "not concerned": 1}
    }
    assert out.statistics["evidence"]["records"] == 3
    # Documents of a release find opt-outs in ledgers by these words.
    assert all(_OPT_OUT.search(entry.reason) for entry in entries if entry.reason)


def test_without_evidence_everything_from_the_web_is_dropped(tmp_path: Path) -> None:
    artifact, _ = judged(tmp_path, "")
    assert texts(artifact) == ["Un roman."]


def test_a_policy_that_keeps_the_unknown_says_how_much_it_kept(tmp_path: Path) -> None:
    site(tmp_path / "evidence")
    _, out = judged(tmp_path, f"{tmp_path}/evidence/**/*", missing="keep", page_missing="keep")
    assert out.statistics["opt_out"]["test"]["unknown, kept"] == 2


def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    site(tmp_path / "evidence", robots="User-agent: GPTBot\nDisallow: /prive")
    one, _ = judged(tmp_path, f"{tmp_path}/evidence/**/*")
    two, _ = judged(tmp_path, f"{tmp_path}/evidence/**/*", workers=2)
    files = [path.relative_to(one.path) for path in sorted(one.path.rglob("*.parquet"))]
    assert len(files) == 4
    assert all((one.path / name).read_bytes() == (two.path / name).read_bytes() for name in files)


def test_evidence_that_is_altered_or_incomplete_stops_the_build(tmp_path: Path) -> None:
    site(tmp_path / "evidence", robots="User-agent: GPTBot")
    (raw,) = (tmp_path / "evidence" / RAW).iterdir()
    raw.write_text("User-agent: Nobody")
    with pytest.raises(InputError, match="missing or altered"):
        judged(tmp_path, f"{tmp_path}/evidence/**/*")
    with pytest.raises(InputError, match=r"exemple\.fr/robots\.txt"):
        judged(tmp_path, f"{tmp_path}/evidence/{INDEX}", workers=2)


@pytest.mark.parametrize("wrong", [{"signals": ()}, {"agents": ()}, {"since": "hier"}, {"missing": "ask"}])
def test_bad_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OptOutParameters(**wrong)
