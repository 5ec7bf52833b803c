"""Asking real servers on the loopback interface."""

import gzip
import itertools
import json
import random
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.corpus.optout.servers import broken, endless_headers, serve, serve_all, silence, trickle

from fonderie.cli import main
from fonderie.core.errors import InputError
from fonderie.corpus.optout.collect import AGENT, Collector, Store, wanted
from fonderie.corpus.optout.evidence import INDEX, SITE_FILES, Evidence, Record, read_index
from fonderie.corpus.optout.fetch import Fetcher, Manners, new_client
from fonderie.corpus.optout.robots import MOST_BYTES
from fonderie.corpus.optout.usage import training_allowed

QUICK = Manners(
    "test@exemple.fr", "1", pause_seconds=0, timeout_seconds=0.5, whole_seconds=0.6, allow_loopback=True
)
NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with new_client(QUICK) as client:
        yield client


@pytest.fixture
def fetcher(client: httpx2.Client) -> Fetcher:
    return Fetcher(client, QUICK)


def collect(fetcher: Fetcher, folder: Path, *urls: str, now: datetime = NOW, pages: bool = False) -> Collector:
    collector = Collector(fetcher, Store(folder), now=lambda: now)
    collector.run(wanted(urls, pages=pages))
    return collector


def test_a_file_comes_with_its_bytes_and_says_who_asked(fetcher: Fetcher) -> None:
    with serve({"/robots.txt": b"User-agent: *"}) as site:
        found = fetcher.get(f"{site.url}/robots.txt")
        assert (found.answer, found.status, found.data) == ("found", 200, b"User-agent: *")
        headers = site.asked[0][2]
    assert headers["User-Agent"] == "fonderie-evidence/1 (+test@exemple.fr)"
    assert headers["Host"] == site.url.removeprefix("http://")
    assert "Cookie" not in headers


@pytest.mark.parametrize(("status", "answer"), [(404, "absent"), (410, "absent"), (204, "found")])
def test_only_a_server_that_says_so_has_no_such_file(fetcher: Fetcher, status: int, answer: str) -> None:
    with serve({"/robots.txt": status}) as site:
        assert fetcher.get(f"{site.url}/robots.txt").answer == answer


@pytest.mark.parametrize("status", [400, 401, 403, 418, 429, 451, 500, 503, 304])
def test_any_other_status_leaves_the_matter_open(fetcher: Fetcher, status: int) -> None:
    with serve({"/robots.txt": status}) as site:
        found = fetcher.get(f"{site.url}/robots.txt")
    assert (found.answer, found.status) == ("unreachable", status)
    assert str(status) in found.problem


@pytest.mark.parametrize("route", [trickle, endless_headers, silence, broken])
def test_a_slow_or_broken_answer_is_none_and_is_not_waited_for(fetcher: Fetcher, route: object) -> None:
    with serve({"/robots.txt": route}) as site:  # type: ignore[dict-item]
        began = time.monotonic()
        found = fetcher.get(f"{site.url}/robots.txt")
    assert found.answer == "unreachable"
    assert found.problem
    assert time.monotonic() - began < 1.5


def test_a_huge_file_is_read_to_the_limit_of_rfc_9309(fetcher: Fetcher) -> None:
    with serve({"/robots.txt": b"#" * (3 * MOST_BYTES)}) as site:
        found = fetcher.get(f"{site.url}/robots.txt")
    assert found.answer == "found"
    assert found.truncated
    assert len(found.data) == MOST_BYTES == 512_000


def test_what_unpacks_without_end_is_cut(fetcher: Fetcher) -> None:
    packed = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(b"#" * (50 << 20))
    routes = {
        "/bomb": (200, packed, bomb),
        "/small": (200, packed, gzip.compress(b"rien")),
        "/lie": (200, packed, b"rien"),
    }
    with serve({**routes, "/br": (200, {"Content-Encoding": "br"}, b"rien")}) as site:
        found = fetcher.get(f"{site.url}/bomb")
        assert (len(found.data), found.truncated) == (MOST_BYTES, True)
        assert fetcher.get(f"{site.url}/small").data == b"rien"
        assert fetcher.get(f"{site.url}/lie").answer == "unreachable"
        assert fetcher.get(f"{site.url}/br").answer == "unreachable"


def test_what_was_packed_counts_only_if_all_of_it_came(fetcher: Fetcher) -> None:
    packed = {"Content-Encoding": "gzip"}
    rules = b"User-agent: *\nAllow: /\n" * 200 + b"User-agent: GPTBot\nDisallow: /\n"
    noise = random.Random(1).randbytes(2 * MOST_BYTES)
    routes = {
        "/cut": (200, packed, gzip.compress(rules)[:-20]),
        "/members": (200, packed, gzip.compress(rules[:100]) + gzip.compress(rules[100:])),
        "/long": (200, packed, gzip.compress(noise)),
        "/empty": (200, packed, b""),
    }
    with serve(routes) as site:
        cut = fetcher.get(f"{site.url}/cut")
        assert (cut.answer, cut.problem) == ("unreachable", "cannot be unpacked: its end is missing")
        members = fetcher.get(f"{site.url}/members")
        assert (members.data, members.truncated) == (rules, False)
        assert fetcher.get(f"{site.url}/long").truncated
        assert fetcher.get(f"{site.url}/empty").data == b""


def test_a_reservation_at_the_end_of_a_long_header_is_kept(fetcher: Fetcher) -> None:
    usage = ", ".join(f"x{number}=y" for number in range(900)) + ", train-ai=n"
    with serve({"/page": (200, {"Content-Usage": usage}, b"<html>")}) as site:
        assert training_allowed(fetcher.get(f"{site.url}/page").headers["content-usage"]) is False


def test_redirects_are_followed_five_times_and_never_in_a_circle(fetcher: Fetcher) -> None:
    steps = {f"/{n}": (302, {"Location": f"/{n + 1}"}, b"") for n in range(6)}
    with serve({**steps, "/6": b"ici", "/loop": (301, {"Location": "/loop"}, b"")}) as site:
        found = fetcher.get(f"{site.url}/1")
        assert (found.data, found.final_url) == (b"ici", f"{site.url}/6")
        assert "redirects" in fetcher.get(f"{site.url}/0").problem
        site.asked.clear()
        assert fetcher.get(f"{site.url}/loop").answer == "unreachable"
        assert len(site.asked) == 6


@pytest.mark.parametrize("where", ["ftp://exemple.fr/", "http://[", "//", "javascript:alert(1)"])
def test_a_redirect_out_of_the_web_leads_nowhere(fetcher: Fetcher, where: str) -> None:
    with serve({"/robots.txt": (302, {"Location": where}, b"")}) as site:
        assert fetcher.get(f"{site.url}/robots.txt").answer == "unreachable"


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
    ],
)
def test_private_addresses_are_never_asked(client: httpx2.Client, ip: str) -> None:
    strict = Fetcher(client, Manners("test@exemple.fr"), resolve=lambda host, port: ["93.184.216.34", ip])
    found = strict.get("http://exemple.fr/robots.txt")
    assert found.answer == "unreachable"
    assert "no public address" in found.problem


def test_loopback_is_asked_only_when_allowed_and_other_private_addresses_not_even_then(
    client: httpx2.Client,
) -> None:
    with serve({"/robots.txt": b"#"}) as site:
        assert "no public address" in Fetcher(client, Manners("x")).get(f"{site.url}/robots.txt").problem
        assert site.asked == []
    loose = Fetcher(client, QUICK, resolve=lambda host, port: ["10.0.0.1"])
    assert "no public address" in loose.get("http://exemple.fr/").problem


def test_the_address_that_was_checked_is_the_one_that_is_asked(client: httpx2.Client) -> None:
    with serve({"/robots.txt": b"ici"}) as site:
        port = site.url.rpartition(":")[2]
        found = Fetcher(client, QUICK, resolve=lambda host, port: ["127.0.0.1"]).get(
            f"http://exemple.invalid:{port}/robots.txt"
        )
        assert found.data == b"ici"
        assert site.asked[0][2]["Host"] == f"exemple.invalid:{port}"


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server of that name shows, and a client's trust in it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    shows = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shows.load_cert_chain(pem)
    return shows, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())


def test_a_certificate_is_checked_against_the_name_and_for_each_host_anew(tmp_path: Path) -> None:
    shows, trusts = certificate(tmp_path, "exemple.test")
    with serve({"/robots.txt": b"ici", "/slow": trickle}, shows) as site, httpx2.Client(verify=trusts) as client:
        port = site.url.rpartition(":")[2]
        fetcher = Fetcher(client, QUICK, resolve=lambda host, port: ["127.0.0.1"])
        assert fetcher.get(f"https://exemple.test:{port}/robots.txt").data == b"ici"
        # The same address, where a connection kept alive would be found.
        other = fetcher.get(f"https://autre.test:{port}/robots.txt")
        assert (other.answer, len(site.asked)) == ("unreachable", 1)
        assert "autre.test" in other.problem
        assert "slower" in fetcher.get(f"https://exemple.test:{port}/slow").problem


def test_a_host_is_asked_one_thing_at_a_time_with_pauses(client: httpx2.Client, tmp_path: Path) -> None:
    polite = Fetcher(client, Manners("x", pause_seconds=0.1, allow_loopback=True))
    with serve_all({}, {}) as sites:
        collect(polite, tmp_path, *[f"{site.url}/a" for site in sites])
    for site in sites:
        assert site.paths == list(SITE_FILES.values())
        assert site.most_at_once == 1
        moments = [moment for moment, _, _ in site.asked]
        assert all(after - before >= 0.099 for before, after in itertools.pairwise(moments))


def test_evidence_is_kept_by_hash_with_its_date(fetcher: Fetcher, tmp_path: Path) -> None:
    with serve({"/robots.txt": b"User-agent: *", "/ai.txt": 500}) as site:
        collect(fetcher, tmp_path, f"{site.url}/a", f"{site.url}/b")
    records = {record.kind: record for record in read_index(tmp_path / INDEX)}
    assert {kind: record.answer for kind, record in records.items()} == {
        "robots.txt": "found",
        "tdmrep.json": "absent",
        "ai.txt": "unreachable",
    }
    robots = records["robots.txt"]
    assert robots.fetched == "2026-11-26T10:00:00Z"
    assert robots.sha256 is not None
    assert Evidence([tmp_path]).data(robots.sha256) == b"User-agent: *"


def test_asking_again_asks_only_for_what_is_old_or_was_unreachable(fetcher: Fetcher, tmp_path: Path) -> None:
    routes = {"/robots.txt": b"#", "/ai.txt": 503}
    with serve(routes) as site:  # type: ignore[arg-type]
        collect(fetcher, tmp_path, site.url)
        site.asked.clear()
        collect(fetcher, tmp_path, site.url, now=NOW + timedelta(days=29))
        assert site.paths == ["/ai.txt"]
        site.asked.clear()
        collect(fetcher, tmp_path, site.url, now=NOW + timedelta(days=31))
        assert site.paths == ["/robots.txt", "/.well-known/tdmrep.json", "/ai.txt"]
    assert len(list(read_index(tmp_path / INDEX))) == 7


def test_a_line_cut_by_a_crash_is_asked_for_again(fetcher: Fetcher, tmp_path: Path) -> None:
    with serve({}) as site:
        collect(fetcher, tmp_path, site.url)
        index = tmp_path / INDEX
        index.write_bytes(index.read_bytes()[:-20])
        with pytest.raises(InputError, match="line 3"):
            list(read_index(index))
        site.asked.clear()
        collect(fetcher, tmp_path, site.url)
        assert site.paths == ["/ai.txt"]
    assert len(list(read_index(index))) == 3


def test_a_dead_host_is_not_asked_three_times(fetcher: Fetcher, tmp_path: Path) -> None:
    with serve({}) as site:
        dead = site.url
    collect(fetcher, tmp_path, dead)
    records = list(read_index(tmp_path / INDEX))
    assert {record.answer for record in records} == {"unreachable"}
    assert records[1].problem.startswith("not asked for")
    assert records[2].problem == records[1].problem


def test_pages_are_asked_for_only_where_robots_txt_lets_everyone(fetcher: Fetcher, tmp_path: Path) -> None:
    robots = f"User-agent: GPTBot\nDisallow: /a\n\nUser-agent: {AGENT}\nDisallow: /b\n".encode()
    page = b'<head><meta name="tdm-reservation" content="1"></head><body>' + b"texte " * 1_000
    reply = (200, {"Content-Usage": "train-ai=n", "Set-Cookie": "a=b"}, page)
    plain = (200, {"Content-Type": "text/plain"}, b"Le texte lui-meme.")
    with (
        serve({"/robots.txt": robots, "/c": reply, "/d": plain}) as open_site,
        serve({"/robots.txt": 500, "/c": reply}) as closed,
    ):
        urls = [f"{open_site.url}/{name}" for name in "abccd"]
        collect(fetcher, tmp_path, *urls, f"{closed.url}/c", pages=True)
        assert [path for path in open_site.paths if len(path) == 2] == ["/c", "/d"]
        assert "/c" not in closed.paths
    (record,) = Evidence([tmp_path]).about("page", f"{open_site.url}/c")
    assert record.headers == {"content-usage": "train-ai=n"}
    assert record.sha256 is not None
    assert Evidence([tmp_path]).data(record.sha256) == page.partition(b"<body")[0]
    (record,) = Evidence([tmp_path]).about("page", f"{open_site.url}/d")
    assert (record.answer, record.size_bytes) == ("found", 0), "the text itself is no evidence, and is not kept"


def test_an_index_line_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text('{"kind": "robots.txt"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1"):
        Evidence([tmp_path])
    line = Record(
        kind="ai.txt", url="https://a/ai.txt", fetched="2026-01-01T00:00:00Z", answer="absent"
    ).model_dump_json()
    (tmp_path / INDEX).write_text(line + "\n", encoding="utf-8")
    assert len(Evidence([tmp_path])) == 1


# The command


def test_the_command_asks_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve_all({"/robots.txt": b"#"}, {}) as sites:
        urls = tmp_path / "urls.txt"
        urls.write_text(f"# mes pages\n{sites[0].url}/a\n{sites[0].url}/b\nrien\n", encoding="utf-8")
        words = [
            "evidence",
            "fetch",
            str(urls),
            sites[1].url,
            "--out",
            str(tmp_path / "evidence"),
            "--contact",
            "x@exemple.fr",
        ]
        assert main([*words, "--pause", "0", "--allow-loopback", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told == {
            "sites": 2,
            "not_addresses": 1,
            "found": 1,
            "absent": 5,
            "unreachable": 0,
            "known": 0,
            "left_alone": 0,
        }
        assert main([*words, "--pause", "0", "--limit", "1"]) == 0
    assert "1 site: 0 files found, 0 not there, 0 unreachable, 3 known" in capsys.readouterr().out


def test_the_command_says_which_site_gave_no_answer_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch = ["evidence", "fetch", "--contact", "x", "--pause", "0", "--allow-loopback"]
    with serve({"/robots.txt": 503}) as site:
        urls = tmp_path / "urls.txt"
        urls.write_text(f"{site.url}\nrien\n", encoding="utf-8")
        assert main([*fetch, str(urls), "--out", str(tmp_path / "evidence")]) == 0
        told = capsys.readouterr().out
        assert f"{site.url}, 1 asked for: robots.txt: HTTP 503" in told
        assert "no addresses of the web: 1" in told
        (tmp_path / "file").write_bytes(b"")
        assert main([*fetch, site.url, "--out", str(tmp_path / "file")]) == 1
    assert "evidence cannot be kept in" in capsys.readouterr().err
    for option, value, said in (
        ("--again-after", "demain", "demain is no number"),
        ("--limit", "2.5", "2.5 is no whole number"),
    ):
        with pytest.raises(SystemExit):
            main([*fetch, "https://exemple.fr", "--out", "x", option, value])
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["https://exemple.fr"], "says who they are"),
        (["https://exemple.fr", "--contact", "a\nb"], "printable"),
        (["rien.txt", "--contact", "x"], "rien.txt"),
        (["empty.txt", "--contact", "x"], "no address"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FONDERIE_CONTACT", raising=False)
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    assert main(["evidence", "fetch", *words, "--out", "evidence"]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "evidence").exists()
