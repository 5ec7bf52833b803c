"""Personal data: speed against datatrove, recall and precision on generated cases, what is found in real texts.

python -m benchmarks.corpus_pii [--corpora DIR] [--rounds N]   a JSON line, then recall and precision
python -m benchmarks.corpus_pii --real [--corpora DIR]         what is found in 20 MB of codes and novels
python -m benchmarks.corpus_pii --hostile                      seconds for lines of 10 MB made to be slow

The peer looks for its own kinds (e-mail and IP addresses), and so do we: same texts, this process, in turn.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.personal_sentences import SEED, Case, cases, judge
from benchmarks.personal_strangers import strangers
from benchmarks.settle import settle

from fonderie.corpus.personal.find import find
from fonderie.corpus.personal.kinds import KINDS, VALIDATED
from fonderie.corpus.readers.prose import read_markdown
from fonderie.corpus.readers.tei import read_tei
from fonderie.corpus.redact import redact_text

CORPORA = Path(os.environ.get("FONDERIE_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))
SIZE_BYTES = 20_000_000

HOSTILE = (
    *(
        "a.",
        "a@",
        "1.",
        "@a.",
        "a" * 64 + "@",
        "1 ",
        "0",
        "06 ",
        "0612345678 ",
        "a@b.fr ",
        "+33 ",
        "4111 ",
        "FR76 ",
    ),
    *(
        ":",
        "::",
        "a:",
        "2001:db8:",
        "key=",
        "key: a1B2",
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
        "----",
        "AKIA",
        "ghp_a1",
    ),
    *("12 rue a ", "1 rue ", "plaque 1A ", "é", "réf 1", "carte 4111111111111111 ", "1" * 20 + " ", "a-", "\n"),
    *(
        "--token ",
        "--a",
        "x://a:",
        "x://a:b",
        "token: Bearer ",
        "n° n° 06 12 34 56 78 ",
        "registre 732829320 ",
        "(33)",
        "SG.",
    ),
)
"""What is repeated to make a line that a careless pattern reads again and again."""


def texts(corpora: Path, size_bytes: int = SIZE_BYTES) -> Iterator[tuple[str, str]]:
    """Articles of codes and chapters of novels with where they are from, half of the bytes each."""
    for pattern, read in (("lois/*.md", read_markdown), ("romans/*.xml", read_tei)):
        size = 0
        for path in sorted(corpora.glob(pattern)):
            for raw in read(path, parts=True):
                size += len(raw.text.encode())
                yield path.name + raw.fragment, raw.text
            if size >= size_bytes // 2:
                break


def seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    settle()
    began = time.process_time()
    work()
    return time.process_time() - began


def against_datatrove(corpora: Path, rounds: int) -> None:
    """Print the ratio of CPU times, with how much each found."""
    from datatrove.pipeline.formatters import PIIFormatter

    documents = [text for _, text in texts(corpora)]
    peer = PIIFormatter()
    ours: dict[str, int] = Counter()

    def run_ours() -> None:
        ours.clear()
        for text in documents:
            ours.update(redact_text(text, ("email", "ipv4"))[1])

    def run_peer() -> None:
        for text in documents:
            peer.format(text)

    run_ours()
    pairs = [(seconds(run_peer), seconds(run_ours)) for _ in range(rounds)]
    theirs, mine = (statistics.median(side) for side in zip(*pairs, strict=True))
    size = sum(len(text.encode()) for text in documents)
    every = seconds(lambda: [redact_text(text, KINDS) for text in documents])
    line = {
        "name": "pii_vs_datatrove",
        "peer": "datatrove PIIFormatter, e-mail and IP",
        "ratio": round(statistics.median(peer / own for peer, own in pairs), 1),
        "n": len(documents),
        "detail": {
            "rounds": rounds,
            "megabytes": round(size / 1e6, 1),
            "ours_mb_per_s": round(size / 1e6 / mine, 1),
            "peer_mb_per_s": round(size / 1e6 / theirs, 1),
            "ours_all_kinds_mb_per_s": round(size / 1e6 / every, 1),
        },
    }
    print(json.dumps(line))


def quality(seeds: tuple[int, ...] = (SEED, 1, 2)) -> None:
    """Print recall and precision per kind, for each seed of the generated cases, and for a stranger's sentences."""
    lists: list[tuple[str, list[Case]]] = [(f"seed {seed}", cases(seed)) for seed in seeds]
    for name, made in [*lists, ("a stranger's", strangers())]:
        tallies, _ = judge(made, lambda data: find(data, KINDS))
        planted = sum(case.value is not None for case in made)
        print(f"{name}: {planted:,} planted, {len(made) - planted:,} look-alikes")
        for kind in (kind for kind in KINDS if kind in tallies):
            tally = tallies[kind]
            checked = "" if kind in VALIDATED else "  (form only)"
            figures = f"recall {tally.recall:.4f}  precision {tally.precision:.4f}"
            print(f"  {kind:8} {figures}  n {tally.planted:5,}  made up {tally.made_up}{checked}")


def real(corpora: Path) -> None:
    """Print each thing found in real texts with what surrounds it, and the rate per 1,000 documents."""
    documents = size = 0
    counts: Counter[str] = Counter()
    for origin, text in texts(corpora):
        data = text.encode()
        documents += 1
        size += len(data)
        for kind, start, stop in find(data, KINDS):
            counts[kind] += 1
            context = data[max(start - 60, 0) : stop + 40].decode(errors="ignore").replace("\n", " ")
            print(f"{kind:8} {data[start:stop].decode()!r}  {origin}  … {context} …")
    total = sum(counts.values())
    print(
        f"{total} found in {documents:,} documents, {size / 1e6:.1f} MB: {1000 * total / documents:.3f} per 1,000"
    )
    print(dict(counts))


def hostile() -> None:
    """Print the CPU seconds that each hostile line of 10 MB takes, all kinds looked for."""
    worst = 0.0
    for unit in HOSTILE:
        line = unit * (10_000_000 // len(unit.encode()))
        taken = seconds(lambda line=line: redact_text(line, KINDS))  # type: ignore[misc]
        worst = max(worst, taken)
        print(f"{taken:6.2f} s  {unit[:40]!r} repeated")
    print(json.dumps({"name": "pii_hostile_line", "seconds": round(worst, 2), "n": len(HOSTILE), "megabytes": 10}))


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 if there are no corpora to measure on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=CORPORA)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--hostile", action="store_true")
    given = parser.parse_args(arguments)
    find(b"", KINDS)  # compiled before anything is timed
    if given.hostile:
        hostile()
        return 0
    if not given.corpora.is_dir():
        print(f"no corpora at {given.corpora}: say where with --corpora", file=sys.stderr)
        return 1
    if given.real:
        real(given.corpora)
        return 0
    against_datatrove(given.corpora, given.rounds)
    quality()
    return 0


if __name__ == "__main__":
    sys.exit(main())
