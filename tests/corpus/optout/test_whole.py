"""From a crawl, by evidence fetched from real servers, to the documents that are left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.corpus.builders import all_documents, ledger, run_step
from tests.corpus.crawls import archive, response
from tests.corpus.optout.servers import Site, serve
from tests.corpus.reading import read_path

from fonderie.cli import main
from fonderie.core.store import Store
from fonderie.corpus.optout.evidence import INDEX, read_index
from fonderie.corpus.optout.step import OptOutParameters, optout

PAGE = "<html lang=fr><head>{head}</head><body><main><p>Il était une fois {name}, qui courait par les bois.</p></main></body></html>"
FETCH = ("evidence", "fetch", "--contact", "test@exemple.fr", "--pause", "0", "--allow-loopback", "--out")


@pytest.fixture
def site() -> Iterator[Site]:
    tdm = json.dumps([{"location": "/contes/*", "tdm-reservation": 1}]).encode()
    with serve({"/robots.txt": b"User-agent: CCBot\nDisallow: /prive", "/.well-known/tdmrep.json": tdm}) as site:
        yield site


def captured(site: Site, path: str, head: str = "", header: str = "X-Served-By: moi") -> bytes:
    body = PAGE.format(head=head, name=path).encode()
    return response(body, url=f"{site.url}{path}", headers=f"Content-Type: text/html; charset=utf-8\r\n{header}")


def test_an_old_crawl_is_judged_by_what_its_site_says_today(site: Site, tmp_path: Path) -> None:
    records = [
        captured(site, "/libre"),
        captured(site, "/prive/a"),
        captured(site, "/contes/b", header="tdm-reservation: 0"),
        captured(site, "/c", head='<meta name="tdm-reservation" content="1">'),
        captured(site, "/d", header="Content-Usage: search=y, train-ai=n"),
        captured(site, "/e", head='<meta name="robots" content="noai, noimageai">'),
    ]
    (tmp_path / "crawl.warc.gz").write_bytes(archive(*records))
    crawl, _ = read_path(tmp_path, "crawl.warc.gz", format="warc")
    urls = tmp_path / "urls.txt"
    urls.write_text("\n".join(document.metadata["url"] for document in all_documents(crawl)), encoding="utf-8")
    assert main([*FETCH, str(tmp_path / "evidence"), str(urls)]) == 0
    assert sorted(site.paths) == ["/.well-known/tdmrep.json", "/ai.txt", "/robots.txt"]
    judged, _ = run_step(
        optout,
        OptOutParameters(),
        tmp_path / "judged",
        {"documents": (crawl,)},
        {"evidence": f"{tmp_path}/evidence/**/*"},
    )
    assert [(entry.fate, entry.reason) for entry in ledger(judged)] == [
        ("kept", None),
        ("dropped", "opt-out: robots.txt"),
        ("dropped", "opt-out: TDMRep"),
        ("dropped", "opt-out: TDMRep"),
        ("dropped", "opt-out: Content-Usage"),
        ("dropped", "opt-out: noai"),
    ]


RECIPE = """
[pages]
step = "corpus.read"
path = "pages.jsonl"
format = "jsonl"
licence = "CC0-1.0"

[allowed]
step = "corpus.optout"
inputs = { documents = "pages" }
evidence = "evidence/**/*"
"""


def test_a_recipe_says_whom_to_ask_and_new_answers_judge_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"text": f"Le texte de {path}.", "url": f"{site.url}{path}"} for path in ("/libre", "/contes/a")]
    Path("pages.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    Path("mine.toml").write_text(RECIPE, encoding="utf-8")
    assert main(["run", "mine.toml"]) == 2, "no evidence, no build"
    assert "evidence" in capsys.readouterr().err
    assert main([*FETCH, "evidence", "mine.toml", "--pages"]) == 0
    assert main(["run", "mine.toml", "--json"]) == 0
    capsys.readouterr()
    assert main(["run", "mine.toml", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["made"] == []
    counts = Store(Path("fonderie-store")).get(again["calls"]["allowed"]["key"])
    assert counts is not None
    # The server does not have the pages any more: what they said of themselves is unknown.
    assert counts.manifest.statistics["opt_out"]["pages"]["unknown, dropped"] == 1
    assert main([*FETCH, "evidence", "mine.toml", "--again-after", "0"]) == 0
    capsys.readouterr()
    assert main(["run", "mine.toml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == ["allowed"]


def test_a_recipe_without_opt_outs_needs_no_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE.partition("[allowed]")[0], encoding="utf-8")
    assert main([*FETCH, str(tmp_path / "evidence"), str(path)]) == 2
    assert "corpus.optout" in capsys.readouterr().err


def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    with serve({}) as first, serve({}) as second, serve({}) as third:
        urls = [site.url for site in (first, second, third)]
        words = [sys.executable, "-m", "fonderie.cli", *FETCH[:-1], "--parallel", "1", "--out", str(folder), *urls]
        words[words.index("--pause") + 1] = "0.2"
        running = subprocess.Popen(words, env={**os.environ}, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not second.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
        before = list(read_index(folder / INDEX)) if (folder / INDEX).read_bytes().endswith(b"\n") else None
        assert before is None or 3 <= len(before) < 9
        first.asked.clear()
        assert main([*FETCH, str(folder), *urls]) == 0
        assert first.asked == []
    after = list(read_index(folder / INDEX))
    assert len({record.url for record in after}) == len(after) == 9
