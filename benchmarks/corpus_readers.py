"""Readers: speed and peak memory of each format, and three of them against the libraries that peers use.

python benchmarks/corpus_readers.py [--corpora DIR] [--rounds N] [--megabytes N]

Against peers, on the same real texts, in turn, one process and one core each, CPU seconds after imports:
`warc_vs_warcio_trafilatura` (what datatrove reads crawls with, here without its guesses of type and encoding, that
would only cost it time), `html_vs_trafilatura`, `wikitext_vs_mwparserfromhell` (its strip_code). These need
`pip install 'fonderie[peers]'`. Then corpus.read alone on a file of each format,
at one size and at four times that: MB/s of the file on disk and of its text, and the peak of memory. One JSON line
each.
"""

import argparse
import gzip
import html
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from real_documents import real_texts

FORMATS = ("jsonl", "parquet", "warc", "wet", "mediawiki", "alto", "claire", "pdf", "drama")
PAGES = 400


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--corpora", type=Path, default=Path(os.environ.get("FONDERIE_CORPORA", "../shared/corpora"))
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=16, help="text of the small file of each format")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(_one(asked.one, asked.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        _write_pages(asked.corpora, Path(folder))
        for name in ("warc_vs_warcio_trafilatura", "html_vs_trafilatura", "wikitext_vs_mwparserfromhell"):
            _compare(name, Path(folder), asked.rounds)
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            _alone(name, Path(folder), asked)


def _write_pages(corpora: Path, folder: Path) -> None:
    """The same real texts as pages of a site, as a crawl of them, and as wikitext."""
    texts = list(real_texts(corpora, PAGES))
    pages = [_as_page(text, number) for number, text in enumerate(texts)]
    (folder / "pages.json").write_text(json.dumps(pages), encoding="utf-8")
    (folder / "wiki.json").write_text(json.dumps([_as_wikitext(text, i) for i, text in enumerate(texts)]))
    (folder / "crawl").mkdir()
    with (folder / "crawl/a.warc.gz").open("wb") as file:
        for number, page in enumerate(pages):
            file.write(gzip.compress(_as_record(page, number)))


def _as_page(text: str, number: int) -> str:
    """A text within the menus, scripts and links that surround texts on the web: some twenty kilobytes."""
    menu = "".join(f'<li class="m"><a href="/rubrique/{i}">Rubrique {i}</a></li>' for i in range(60))
    aside = "".join(
        f'<div class="t"><a href="/{number}/{i}"><img src="/{i}.jpg"/>À lire : {i}</a></div>' for i in range(40)
    )
    script = "".join(f"function f{i}(a){{return a*{i}+window.k[{i}]}};" for i in range(150))
    body = "".join(f"<p>{html.escape(line)}</p>\n" for line in text.split("\n") if line.strip())
    return (
        f'<!doctype html><html lang="fr"><head><title>Page {number}</title><script>{script}</script></head><body>'
        f"<nav><ul>{menu}</ul></nav><main><article><h1>Page {number}</h1>{body}</article></main>"
        f"<aside>{aside}</aside><footer><p>Mentions légales</p></footer></body></html>"
    )


def _as_wikitext(text: str, number: int) -> str:
    """A text with the links, references, templates and tables of an encyclopaedia."""
    chance = random.Random(number)
    words = [
        f"[[{word}|{word.lower()}]]"
        if chance.random() < 0.05
        else f"{word}<ref>{{{{ouvrage|titre={word}}}}}</ref>"
        if chance.random() < 0.02
        else word
        for word in text.replace("'", "’").split(" ")
    ]
    infobox = "{{Infobox\n" + "".join(f"| champ{i} = {{{{date|{i}|mai|1900}}}}\n" for i in range(20)) + "}}\n"
    table = '{| class="wikitable"\n' + "".join(f"|-\n| {i} || '''{i * i}'''\n" for i in range(20)) + "|}\n"
    return f"{infobox}'''Titre''' {' '.join(words)}\n== Suite ==\n{table}[[Catégorie:Page]]"


def _as_record(page: str, number: int) -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page.encode()
    return (
        (
            "WARC/1.0\r\nWARC-Type: response\r\nWARC-Identified-Payload-Type: text/html\r\n"
            f"WARC-Record-ID: <urn:uuid:{number:032d}>\r\nWARC-Target-URI: https://exemple.fr/{number}\r\n"
            "WARC-Date: 2024-05-01T12:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
            f"Content-Length: {len(http)}\r\n\r\n"
        ).encode()
        + http
        + b"\r\n\r\n"
    )


def _ours_warc(folder: Path) -> int:
    from fonderie.corpus.readers.warc import read_warc

    return sum(bool(raw.text) for raw in read_warc(folder / "crawl/a.warc.gz", text="main"))


def _warcio_and_trafilatura(folder: Path) -> int:
    """What datatrove's WarcReader and Trafilatura do, without their guesses of type and encoding."""
    import trafilatura
    from warcio.archiveiterator import ArchiveIterator

    count = 0
    with (folder / "crawl/a.warc.gz").open("rb") as file:
        for record in ArchiveIterator(file):
            page = record.content_stream().read().decode("utf-8")
            count += bool(trafilatura.extract(page, favor_precision=True, include_comments=False, deduplicate=True))
    return count


def _ours_html(folder: Path) -> int:
    from fonderie.corpus.readers.pages import page

    pages = json.loads((folder / "pages.json").read_text())
    return sum(bool(page(text.encode(), charset=None, text="main").text) for text in pages)


def _trafilatura_html(folder: Path) -> int:
    import trafilatura

    pages = json.loads((folder / "pages.json").read_text())
    return sum(bool(trafilatura.extract(text.encode())) for text in pages)


def _ours_wikitext(folder: Path) -> int:
    from fonderie.corpus.readers.wikitext import plain_text

    pages = json.loads((folder / "wiki.json").read_text())
    return sum(bool(plain_text(text, {"file", "category", "catégorie"})) for text in pages)


def _mwparserfromhell(folder: Path) -> int:
    import mwparserfromhell

    pages = json.loads((folder / "wiki.json").read_text())
    return sum(bool(mwparserfromhell.parse(text).strip_code()) for text in pages)


PEERS: dict[str, tuple[Callable[[Path], int], Callable[[Path], int]]] = {
    "warc_vs_warcio_trafilatura": (_ours_warc, _warcio_and_trafilatura),
    "html_vs_trafilatura": (_ours_html, _trafilatura_html),
    "wikitext_vs_mwparserfromhell": (_ours_wikitext, _mwparserfromhell),
}


def _compare(name: str, folder: Path, rounds: int) -> None:
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    documents = {}
    for _ in range(rounds):
        for who, measured in seconds.items():
            found = _in_a_process(f"{name}.{who}", folder)
            measured.append(found["seconds"])
            documents[who] = found["documents"]
    ours, peer = (statistics.median(seconds[who]) for who in ("ours", "peer"))
    detail = {"ours_seconds": round(ours, 3), "peer_seconds": round(peer, 3), "documents": documents}
    print(
        json.dumps(
            {
                "name": name,
                "peer": name.partition("_vs_")[2],
                "ratio": round(peer / ours, 2),
                "n": rounds,
                "detail": detail,
            }
        )
    )


def _alone(name: str, folder: Path, asked: argparse.Namespace) -> None:
    """One format at two sizes; ratio is the larger's seconds over four times the smaller's."""
    found = []
    for factor in (1, 4):
        inside = folder / f"{factor}x"
        inside.mkdir()
        _in_a_process(f"write.{name}.{factor * asked.megabytes}", inside)
        found.append(_in_a_process(f"read.{name}", inside))
    small, large = found
    detail = {
        "file_megabytes": [round(item["bytes"] / 1e6, 1) for item in found],
        "megabytes_per_second": [round(item["bytes"] / 1e6 / item["seconds"], 1) for item in found],
        "text_megabytes_per_second": [round(item["text_bytes"] / 1e6 / item["seconds"], 1) for item in found],
        "peak_megabytes": [round(item["peak_bytes"] / 1e6) for item in found],
    }
    ratio = round(large["seconds"] / (4 * small["seconds"]), 2)
    print(json.dumps({"name": f"read_{name}", "peer": "itself at 1x", "ratio": ratio, "n": 1, "detail": detail}))


def _one(task: str, folder: Path) -> dict[str, Any]:
    kind, _, rest = task.partition(".")
    if kind == "write":
        name, _, megabytes = rest.partition(".")
        _write(name, folder, int(megabytes))
        return {}
    if kind == "read":
        return _read(rest, folder)
    work = PEERS[kind][0 if rest == "ours" else 1]
    work(folder)  # imports, caches
    began = time.process_time()
    documents = work(folder)
    return {"seconds": time.process_time() - began, "documents": documents}


def _write(name: str, folder: Path, megabytes: int) -> None:
    from tests.corpus.large import DOCUMENTS, sentences, write
    from tests.corpus.pdfs import pdf

    if name == "pdf":
        pages = [sentences(i).replace(". ", ".\n") for i in range(megabytes * 250)]
        for number in range(0, len(pages), 50):
            (folder / f"a.{number}.pdf").write_bytes(pdf(*pages[number : number + 50]))
    elif name == "drama":
        speech = "".join(
            f"<sp who='#p{i % 3}'><speaker>P{i % 3}</speaker><p>{sentences(i)}</p></sp>" for i in range(250)
        )
        for number in range(megabytes):
            (folder / f"a.{number:04d}.xml").write_text(
                f"<TEI xmlns='http://www.tei-c.org/ns/1.0'><teiHeader/><text><body><div>{speech}</div></body></text></TEI>"
            )
    else:
        write(name, folder, max(megabytes * 250 // DOCUMENTS, 1))


def _read(name: str, folder: Path) -> dict[str, Any]:
    from tests.corpus.reading import read_path

    given = {"unit": "part"} if name in ("alto", "drama") else {}
    began = time.process_time()
    _, out = read_path(folder, "a.*", format=name, **given)
    seconds = time.process_time() - began
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
    size = sum(path.stat().st_size for path in folder.glob("a.*"))
    text = out.statistics["sources"]["here"]["kept_bytes"]
    return {"seconds": seconds, "peak_bytes": peak, "bytes": size, "text_bytes": text}


def _in_a_process(task: str, folder: Path) -> dict[str, Any]:
    root = Path(__file__).resolve().parents[1]
    core = min(os.sched_getaffinity(0))
    command = ["taskset", "-c", str(core), sys.executable, __file__, "--one", task, "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{root}:{root / 'benchmarks'}"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{task} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
