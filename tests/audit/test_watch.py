import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.audit.loopback import Request, Site, site

from fonderie.audit.watch import watch
from fonderie.audit.watch_fetch import SILENT_FILES, Outcome, Web, new_client
from fonderie.audit.watch_plan import Manners, Place, Plan, Published, plan_release, read_plan
from fonderie.audit.watch_report import History, WatchReport, carry_on, verdict
from fonderie.core.digest import digest_bytes
from fonderie.core.errors import InputError, UsageError
from fonderie.core.manifest import InputEntry, list_files
from fonderie.release.layout import ReleaseIndex

HURRY = Manners(timeout_seconds=0.5, pause_seconds=0, attempts=2, retry_seconds=0)
BODY = b"the weights of a small model" * 200
FILES = {"model.safetensors": BODY, "config.json": b"{}", "data/part é 1.parquet": b"rows", "empty": b""}


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as opened:
        yield opened


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with a release.json that lists its files; nothing else of a release matters to a watch."""
    folder = tmp_path / "release"
    for name, body in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    none = InputEntry(key="sha256:0", digest="sha256:0")
    index = ReleaseIndex(
        name="toy",
        version="1",
        licence="Apache-2.0",
        model_digest="sha256:0",
        model=none,
        tokenizer=none,
        lock=none,
        files=tuple(list_files(folder)),
    )
    (folder / "release.json").write_text(index.model_dump_json())
    return folder


def one(url: str, body: bytes = BODY) -> Published:
    return Place.parse(url, Path()).published("", hashlib.sha256(body).hexdigest(), len(body))


def ask(url: str, body: bytes = BODY, *, quick: bool = False, etag: str | None = None, **manners: Any) -> Outcome:
    with new_client(HURRY.model_copy(update=manners)) as client:
        fetcher = Web(client, HURRY.model_copy(update=manners))
        return fetcher.check(one(url, body), quick=quick, known_etag=etag)


def publish(folder: Path, web: Site, prefix: str = "/demo") -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            web.serve(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return f"{web.url}{prefix}/"


class Clock:
    """A day later at each watch."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def next_day(self) -> None:
        self.time += timedelta(days=1)


def run(plan: Plan, reports: Path, clock: Clock | None = None, *, quick: bool = False) -> WatchReport:
    plan = plan.model_copy(update={"manners": HURRY})
    with new_client(HURRY) as client:
        report, path = watch(plan, client, reports, quick=quick, now=clock or Clock())
    assert WatchReport.model_validate_json(path.read_bytes()) == report
    assert path.with_suffix(".md").read_text().startswith("# Watch of ")
    return report


def statuses(report: WatchReport) -> dict[str, str]:
    return {finding.published.path: finding.outcome.status for finding in report.findings}


# One file on the web


@pytest.mark.parametrize("quick", [False, True])
def test_a_file_that_is_there(web: Site, quick: bool) -> None:
    web.serve("/x", BODY)
    found = ask(f"{web.url}/x", quick=quick)
    assert found.status == "ok"
    assert found.evidence == ("size" if quick else "sha256")
    assert found.read_bytes == (0 if quick else len(BODY))
    method, _, headers = web.server.seen[0]
    assert method == ("HEAD" if quick else "GET")
    assert headers["User-Agent"] == "fonderie-watch"
    assert headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in headers


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    ("status", "verdict_"),
    [
        (404, "missing"),
        (410, "missing"),
        (401, "refused"),
        (403, "refused"),
        (451, "refused"),
        (500, "unreachable"),
        (503, "unreachable"),
        (429, "unreachable"),
        (204, "unreachable"),
        (418, "unreachable"),
    ],
)
def test_what_a_status_means(web: Site, status: int, verdict_: str, quick: bool) -> None:
    web.status("/x", status)
    found = ask(f"{web.url}/x", quick=quick)
    assert found.status == verdict_
    assert f"HTTP {status}" in found.detail


def test_other_bytes_of_the_same_size_are_seen_in_full_only(web: Site) -> None:
    web.serve("/x", BODY[:-1] + b"X")
    assert ask(f"{web.url}/x").status == "altered"
    assert ask(f"{web.url}/x", quick=True).status == "ok"  # and says that it saw a size


@pytest.mark.parametrize("quick", [False, True])
def test_another_size_is_seen_without_a_download(web: Site, quick: bool) -> None:
    web.serve("/x", BODY[:100])
    found = ask(f"{web.url}/x", quick=quick)
    assert found.status == "altered"
    assert found.detail == "100 bytes, where there should be 5,600"
    assert found.read_bytes == 0


def test_quick_looks_into_an_etag_that_changed(web: Site) -> None:
    web.serve("/x", BODY, etag='"one"')
    hashed = ask(f"{web.url}/x")
    assert hashed.etag == '"one"'
    same = ask(f"{web.url}/x", quick=True, etag='"one"')
    assert (same.status, same.evidence) == ("ok", "etag")
    web.serve("/x", BODY, etag='"two"')  # a mirror's own way of making them: the bytes are the same
    moved = ask(f"{web.url}/x", quick=True, etag='"one"')
    assert (moved.status, moved.evidence) == ("ok", "sha256")
    web.serve("/x", BODY[::-1], etag='"three"')
    assert ask(f"{web.url}/x", quick=True, etag='"one"').status == "altered"
    web.serve("/x", BODY, etag='W/"weak"')
    assert ask(f"{web.url}/x").etag is None
    assert ask(f"{web.url}/x", quick=True, etag='"one"').evidence == "size"


def test_quick_where_head_is_not_known(web: Site) -> None:
    def only_get(request: Request) -> None:
        if request.command == "HEAD":
            request.answer(405, b"")
        else:
            request.answer(200, BODY)

    web.behave("/x", only_get)
    found = ask(f"{web.url}/x", quick=True)
    assert (found.status, found.evidence) == ("ok", "size")
    assert web.asked("/x") == ["HEAD", "GET"]


def chunked(*parts: bytes) -> Callable[[Request], None]:
    def behave(request: Request) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for part in parts:
            request.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        request.wfile.write(b"0\r\n\r\n")

    return behave


def test_a_file_of_unknown_length(web: Site) -> None:
    web.behave("/x", chunked(BODY[:1000], BODY[1000:]))
    assert ask(f"{web.url}/x").evidence == "sha256"
    web.behave("/x", chunked(BODY[:1000]))
    assert ask(f"{web.url}/x").detail == "1,000 bytes, where there should be 5,600"
    web.serve("/x", BODY)
    web.behave("/y", lambda request: request.answer(200, BODY, Content_Length=""))
    assert ask(f"{web.url}/y", quick=True).evidence == "presence"


def test_a_file_without_end_is_left_at_its_size(web: Site) -> None:
    sent = []

    def endless(request: Request) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        while not request.server.released.is_set():
            request.wfile.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            sent.append(65_536)

    web.behave("/x", endless)
    found = ask(f"{web.url}/x", timeout_seconds=5)
    assert found.status == "altered"
    assert "larger than the 5,600 bytes" in found.detail
    assert found.read_bytes < 1_000_000


def test_a_transfer_cut_short_is_no_verdict_on_the_file(web: Site) -> None:
    def cut(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(BODY)))
        request.end_headers()
        request.wfile.write(BODY[:1000])
        request.wfile.flush()
        request.connection.shutdown(socket.SHUT_RDWR)

    web.behave("/x", cut)
    found = ask(f"{web.url}/x")
    assert found.status == "unreachable"
    assert "RemoteProtocolError" in found.detail
    assert "2 attempts" in found.detail
    assert len(web.asked("/x")) == 2


def test_a_second_attempt_may_do(web: Site) -> None:
    answers = iter([503, 200])

    def moody(request: Request) -> None:
        status = next(answers)
        request.answer(status, BODY if status == 200 else b"", Retry_After="7")

    web.behave("/x", moody)
    slept: list[float] = []
    with new_client(HURRY) as client:
        assert Web(client, HURRY, sleep=slept.append).check(one(f"{web.url}/x"), quick=False).status == "ok"
    assert 7.0 in slept


def test_a_server_that_falls_silent(web: Site) -> None:
    def silent(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(BODY)))
        request.end_headers()
        request.wfile.write(BODY[:1000])
        request.wfile.flush()
        request.server.released.wait(10)

    web.behave("/x", silent)
    web.behave("/y", lambda request: request.server.released.wait(10) and None)  # not a word
    for path in ("/x", "/y"):
        found = ask(f"{web.url}{path}", timeout_seconds=0.1, attempts=1)
        assert found.status == "unreachable"
        assert "ReadTimeout" in found.detail


def test_a_trickle_is_broken_off(web: Site) -> None:
    def trickle(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(BODY)))
        request.end_headers()
        for byte in BODY:
            if request.server.released.wait(0.05):
                return
            request.wfile.write(bytes([byte]))
            request.wfile.flush()

    web.behave("/x", trickle)
    found = ask(f"{web.url}/x", timeout_seconds=0.2, attempts=1, slowest_bytes_per_second=20_000)
    assert found.status == "unreachable"
    assert "slower than 20,000 bytes a second, broken off" in found.detail


def _every_so_often(request: Request, data: bytes) -> None:
    """Send without end, never silent for long."""
    try:
        while not request.server.released.wait(0.02):
            request.wfile.write(data)
            request.wfile.flush()
    except OSError:
        return  # whoever listened has hung up


@pytest.mark.parametrize("quick", [False, True])
def test_headers_that_trickle_are_broken_off(web: Site, quick: bool) -> None:
    def endless(request: Request) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        _every_so_often(request, b"x-a: b\r\n")

    web.behave("/x", endless)
    found = ask(f"{web.url}/x", quick=quick, timeout_seconds=0.1, attempts=1)
    assert found.status == "unreachable"
    assert "headers that did not end within 0.3 seconds, broken off" in found.detail


@pytest.mark.parametrize("said", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_that_trickles_is_neither_waited_for_nor_taken_for_a_whole_one(web: Site, said: bytes) -> None:
    """Without a length its breaking off looks like its end; a chunk's size may be written without end."""

    def endless(request: Request) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n" + said + b"\r\n")
        _every_so_often(request, b"0" if said else b"t")

    web.behave("/x", endless)
    found = ask(f"{web.url}/x", timeout_seconds=0.2, attempts=1, slowest_bytes_per_second=20_000)
    assert found.status == "unreachable"
    assert "broken off" in found.detail


def test_compressed_bytes_are_not_unpacked(web: Site) -> None:
    web.behave("/x", lambda request: request.answer(200, BODY, Content_Encoding="zstd"))
    for quick in (False, True):
        found = ask(f"{web.url}/x", quick=quick)
        assert found.status == "unreachable"
        assert "sent as zstd" in found.detail


@pytest.mark.parametrize("quick", [False, True])
def test_redirects_are_followed_within_limits(web: Site, quick: bool) -> None:
    web.serve("/end", BODY)
    for number in range(5):
        target = "/end" if number == 4 else f"/r{number + 1}"
        web.status(f"/r{number}", 302, Location=target)
    assert ask(f"{web.url}/r0", quick=quick).status == "ok"
    assert ask(f"{web.url}/r0", quick=quick, redirects=4).detail == "leads nowhere: more than 4 redirects"
    web.status("/loop", 301, Location="/loop")
    assert ask(f"{web.url}/loop", quick=quick).status == "unreachable"
    assert len(web.asked("/loop")) == 6


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://example.org/x", "data:,x"])
def test_redirects_elsewhere_are_refused(web: Site, where: str) -> None:
    web.status("/x", 302, Location=where)
    found = ask(f"{web.url}/x")
    assert found.status == "unreachable"
    assert len(web.asked("/x")) == 1  # asking again would not help


@pytest.mark.parametrize("where", ["http://[bad", "//", "http://\x00"])
def test_redirects_to_nowhere(web: Site, where: str) -> None:
    web.status("/x", 302, Location=where)
    assert ask(f"{web.url}/x").status == "unreachable"


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = ask(f"http://127.0.0.1:{taken.getsockname()[1]}/x")
    assert found.status == "unreachable"
    assert "ConnectError" in found.detail


def test_a_dead_server_is_left_alone_and_a_live_one_not(web: Site) -> None:
    web.serve("/x", BODY)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        with new_client(HURRY) as client:
            fetcher = Web(client, HURRY)
            found = [fetcher.check(one(dead), quick=False) for _ in range(SILENT_FILES + 1)]
            assert fetcher.check(one(f"{web.url}/x"), quick=False).status == "ok"
    assert {each.status for each in found} == {"unreachable"}
    assert "not asked for" in found[-1].detail
    assert "not asked for" not in found[-2].detail


def test_one_server_is_asked_with_pauses(web: Site) -> None:
    web.serve("/x", BODY)
    slept: list[float] = []
    manners = HURRY.model_copy(update={"pause_seconds": 5.0})
    with new_client(manners) as client:
        fetcher = Web(client, manners, sleep=slept.append, clock=lambda: 100.0)
        for _ in range(3):
            fetcher.check(one(f"{web.url}/x"), quick=True)
    assert slept == [5.0, 5.0]


def test_the_client_that_is_given_is_the_one_that_asks() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=iter([BODY])) if request.url.scheme == "https" else httpx2.Response(404)

    def downgrade(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(302, headers={"Location": "http://example.org/x"})

    with httpx2.Client(transport=httpx2.MockTransport(handler)) as client:
        assert Web(client, HURRY).check(one("https://example.org/x"), quick=False).status == "ok"
    with httpx2.Client(transport=httpx2.MockTransport(downgrade)) as client:
        found = Web(client, HURRY).check(one("https://example.org/x"), quick=False)
    assert found.detail == "leads nowhere: redirected from https to http"


# A hub


class Hub:
    """The routes of a hub that a stranger's download uses, as huggingface_hub asks for them."""

    def __init__(self, web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.web = web
        monkeypatch.setenv("HF_ENDPOINT", f"{web.url}/")

    def put(self, repo: str, revision: str, name: str, body: bytes, *, large: bool) -> None:
        path = f"/{repo}/resolve/{revision}/{name}"
        digest = hashlib.sha256(body).hexdigest()
        if not large:
            self.web.serve(path, body, etag=f'"{hashlib.sha1(body).hexdigest()}"')
            return
        self.web.status(
            path,
            302,
            Location=f"{self.web.url}/storage/{digest}",
            ETag=f'"{digest}"',
            X_Linked_Etag=f'"{digest}"',
            X_Linked_Size=str(len(body)),
        )
        self.web.behave(
            f"/storage/{digest}",
            lambda request: request.answer(403 if request.command == "HEAD" else 200, body),
        )


@pytest.fixture
def hub(web: Site, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(web, monkeypatch)


def on_hub(hub: Hub, release: Path, repo: str = "example/demo", revision: str = "main") -> None:
    for path in release.rglob("*"):
        if path.is_file():
            name = path.relative_to(release).as_posix()
            hub.put(repo, revision, name, path.read_bytes(), large=name.endswith((".safetensors", ".parquet")))


def test_a_release_on_a_hub(hub: Hub, release: Path, tmp_path: Path) -> None:
    on_hub(hub, release)
    plan = plan_release(release, ["hub:example/demo"])
    assert plan.published[0].address.startswith(hub.web.url)
    full = run(plan, tmp_path / "reports")
    assert full.ok
    assert {finding.outcome.evidence for finding in full.findings} == {"sha256"}
    quick = run(plan, tmp_path / "reports", quick=True)
    assert quick.ok
    evidence = {finding.published.path: finding.outcome.evidence for finding in quick.findings}
    assert evidence["model.safetensors"] == "stated"
    assert evidence["config.json"] == "etag"  # git's hash of it, unchanged since it was hashed whole


def test_revisions_and_data_sets_have_their_addresses(hub: Hub, release: Path, tmp_path: Path) -> None:
    on_hub(hub, release, "datasets/example/corpus", "v1.0")
    assert run(plan_release(release, ["hub:datasets/example/corpus@v1.0"]), tmp_path / "reports").ok
    assert not run(plan_release(release, ["hub:datasets/example/corpus"]), tmp_path / "reports").ok


@pytest.mark.parametrize("quick", [False, True])
def test_a_hub_that_gates_loses_and_replaces(hub: Hub, release: Path, tmp_path: Path, quick: bool) -> None:
    on_hub(hub, release)
    main = "/example/demo/resolve/main"
    hub.web.status(f"{main}/config.json", 401, X_Error_Code="GatedRepo")
    hub.web.status(f"{main}/empty", 404, X_Error_Code="EntryNotFound")
    hub.put("example/demo", "main", "model.safetensors", BODY[::-1], large=True)
    found = statuses(run(plan_release(release, ["hub:example/demo"]), tmp_path / "reports", quick=quick))
    assert found == {
        "config.json": "refused",
        "empty": "missing",
        "model.safetensors": "altered",
        "data/part é 1.parquet": "ok",
        "release.json": "ok",
    }


def test_a_repository_that_is_gone_and_one_that_moved(hub: Hub, release: Path, tmp_path: Path) -> None:
    on_hub(hub, release, "new-owner/demo")
    for path in release.rglob("*"):
        name = path.relative_to(release).as_posix()
        gone, moved = f"/gone/demo/resolve/main/{name}", f"/example/demo/resolve/main/{name}"
        hub.web.status(gone, 401, X_Error_Code="RepoNotFound")
        hub.web.behave(
            moved,
            lambda request: request.answer(307, b"", Location=request.path.replace("/example/", "/new-owner/")),
        )
    for quick in (False, True):
        report = run(plan_release(release, ["hub:gone/demo"]), tmp_path / "reports", quick=quick)
        assert set(statuses(report).values()) == {"missing"}
        assert run(plan_release(release, ["hub:example/demo"]), tmp_path / "reports", quick=quick).ok


# Files


def test_a_mirror_on_a_disk(release: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for path in release.rglob("*"):
        target = mirror / path.relative_to(release)
        target.parent.mkdir(exist_ok=True, parents=True)
        if path.is_file():
            target.write_bytes(path.read_bytes())
    plan = plan_release(release, [str(mirror), mirror.as_uri()])
    assert run(plan, tmp_path / "reports").ok
    (mirror / "config.json").write_bytes(b"[]")
    (mirror / "empty").unlink()
    os.mkfifo(mirror / "empty")  # opening it would wait for ever
    (mirror / "model.safetensors").unlink()
    assert statuses(run(plan_release(release, [str(mirror)]), tmp_path / "reports")) == {
        "config.json": "altered",
        "empty": "altered",
        "model.safetensors": "missing",
        "data/part é 1.parquet": "ok",
        "release.json": "ok",
    }
    quick = run(plan_release(release, [str(mirror)]), tmp_path / "reports", quick=True)
    assert statuses(quick)["config.json"] == "ok"


# Reports and history


def test_the_record_of_a_place_that_decays(web: Site, release: Path, tmp_path: Path) -> None:
    place = publish(release, web)
    plan = plan_release(release, [place])
    clock, reports = Clock(), tmp_path / "reports"
    first = run(plan, reports, clock)
    assert first.ok
    assert verdict(first) == "All 5 published files are there and unchanged (all bytes hashed)."
    assert first.previous is None
    clock.next_day()
    web.lose("/demo/config.json")
    web.serve("/demo/empty", b"no longer")
    second = run(plan, reports, clock)
    assert not second.ok
    assert second.counts == {"ok": 3, "missing": 1, "altered": 1, "refused": 0, "unreachable": 0}
    assert verdict(second) == "NOT AS PUBLISHED: of 5 files 1 missing, 1 altered."
    assert second.broke == (f"{place}config.json", f"{place}empty")
    clock.next_day()
    web.serve("/demo/empty", b"")
    third = run(plan, reports, clock, quick=True)
    assert third.broke == ()
    assert third.recovered == (f"{place}empty",)
    config = next(finding for finding in third.findings if finding.published.path == "config.json")
    assert config.history == History(
        first_checked="2026-11-01T12:00:00Z",
        checks=3,
        checks_ok=1,
        ok_since=None,
        last_ok="2026-11-01T12:00:00Z",
        broken_since="2026-11-02T12:00:00Z",
        hashed="2026-11-01T12:00:00Z",
        hashed_etag=config.history.hashed_etag,
    )
    names = sorted(path.name for path in reports.iterdir())
    days = ("20261101T120000Z", "20261102T120000Z", "20261103T120000Z")
    assert names == sorted(f"{day}.{ending}" for day in days for ending in ("json", "md"))
    text = (reports / "20261103T120000Z.md").read_text()
    assert "1 of 3 checks" in text
    assert "2026-11-02T12:00:00Z | 2026-11-01T12:00:00Z" in text
    assert "## Well again" in text
    assert "A quick watch believes" in text


def test_a_report_is_never_overwritten(release: Path, tmp_path: Path) -> None:
    plan, clock = plan_release(release, [str(release)]), Clock()
    run(plan, tmp_path / "reports", clock)
    before = {path: path.read_bytes() for path in (tmp_path / "reports").iterdir()}
    report = run(plan, tmp_path / "reports", clock)
    assert report.previous is not None
    assert report.previous.file == "20261101T120000Z.json"
    assert {path: path.read_bytes() for path in before} == before
    third = run(plan, tmp_path / "reports", clock)
    assert third.previous is not None
    assert third.previous.file == "20261101T120000Z-2.json"
    assert third.findings[0].history.checks == 3


def test_a_report_altered_afterwards_is_noticed(release: Path, tmp_path: Path) -> None:
    plan, clock, reports = plan_release(release, [str(release)]), Clock(), tmp_path / "reports"
    for _ in range(3):
        run(plan, reports, clock)
        clock.next_day()
    path = reports / "20261101T120000Z.json"
    original = path.read_text()
    path.write_text(original.replace('"ok": true', '"ok": false'))
    with pytest.raises(InputError, match=r"20261101T120000Z\.json was altered after the next report"):
        run(plan, reports, clock)
    path.unlink()  # old reports may be put away: the history goes on from the newest
    assert run(plan, reports, clock).findings[0].history.checks == 4
    newest = max(reports.glob("*.json"))
    newest.write_text("{}")
    with pytest.raises(InputError, match="cannot be understood as a report"):
        run(plan, reports, clock)


def test_two_plans_may_share_a_folder_of_reports(release: Path, tmp_path: Path) -> None:
    clock, reports = Clock(), tmp_path / "reports"
    one_plan, other = plan_release(release, [str(release)]), plan_release(release, [str(tmp_path / "nowhere")])
    run(one_plan, reports, clock)
    run(other, reports, clock)
    assert run(one_plan, reports, clock).findings[0].history.checks == 2
    assert run(other, reports, clock).findings[0].history.checks == 2


def test_a_new_version_at_the_same_place_begins_a_new_record(release: Path, tmp_path: Path) -> None:
    reports, path = tmp_path / "reports", release / "config.json"
    run(plan_release(release, [str(release)]), reports)
    path.write_bytes(b"{ }")
    index = json.loads((release / "release.json").read_text())
    for entry in index["files"]:
        if entry["path"] == "config.json":
            entry.update(sha256=digest_bytes(b"{ }"), size_bytes=3)
    (release / "release.json").write_text(json.dumps(index))
    report = run(plan_release(release, [str(release)]), reports)
    checks = {finding.published.path: finding.history.checks for finding in report.findings}
    assert checks["config.json"] == checks["release.json"] == 1
    assert checks["model.safetensors"] == 2


def test_what_a_server_says_is_spelt_out(web: Site, release: Path, tmp_path: Path) -> None:
    publish(release, web)
    web.status("/demo/config.json", 404, X_Error_Code="a\x1b[31m|`<b>")
    run(plan_release(release, [f"{web.url}/demo"]), tmp_path / "reports")
    text = next((tmp_path / "reports").glob("*.md")).read_text()
    assert "\x1b" not in text
    assert r"a\x1b[31m\|%60<b>" in text


def test_a_history_carries_on() -> None:
    ok, bad = Outcome(status="ok", evidence="sha256", etag='"a"'), Outcome(status="missing")
    past = carry_on(None, bad, "1")
    assert (past.broken_since, past.last_ok, past.ok_since) == ("1", None, None)
    past = carry_on(carry_on(past, ok, "2"), ok, "3")
    assert (past.broken_since, past.last_ok, past.ok_since, past.hashed_etag) == (None, "3", "2", '"a"')
    past = carry_on(past, Outcome(status="ok", evidence="size", etag='"b"'), "4")
    assert (past.hashed, past.hashed_etag, past.checks, past.checks_ok) == ("3", '"a"', 4, 3)


# What to watch


def test_a_watch_file(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org")
    path = tmp_path / "watch.toml"
    path.write_text(
        f"""
        timeout_seconds = 5
        [[release]]
        folder = "release"
        at = ["https://models.example.org/demo", "mirror", "hub:example/demo@v1"]
        [[file]]
        at = "https://data.example.org/a b.tar"
        sha256 = "{"0" * 64}"
        size_bytes = 12
        [[file]]
        at = "hub:datasets/example/corpus"
        path = "train/part 1.parquet"
        sha256 = "sha256:{"1" * 64}"
        size_bytes = 13
        """
    )
    plan = read_plan(path)
    assert plan.manners == Manners(timeout_seconds=5)
    assert len(plan.published) == 3 * (len(FILES) + 1) + 2
    addresses = [published.address for published in plan.published]
    assert "https://models.example.org/demo/data/part%20%C3%A9%201.parquet" in addresses
    assert str(tmp_path / "mirror/config.json") in addresses
    assert "https://hub.example.org/example/demo/resolve/v1/config.json" in addresses
    assert addresses[-1] == "https://hub.example.org/datasets/example/corpus/resolve/main/train/part%201.parquet"
    assert plan.published[-1].sha256 == "sha256:" + "1" * 64


def test_a_signature_inside_is_published_too(release: Path) -> None:
    (release / "release.dsse.json").write_text("{}")
    assert "release.dsse.json" in {published.path for published in plan_release(release, ["/x"]).published}
    assert plan_release(release / "release.json", ["/x"]) == plan_release(release, ["/x"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names nothing to watch"),
        ("timeout = 3", r"timeout: there is no such field \(known: timeout_seconds, "),
        ("timeout_seconds = -1", "timeout_seconds: Input should be greater than 0"),
        ("[[release]]\nfolder = 'release'\nat = []", r"release\.0\.at: "),
        ("[[release]]\nfolder = 'nowhere'\nat = ['x']", "no release can be read at .*nowhere"),
        ("[[release]]\nfolder = 'release'\nat = ['x', 'x']", "is named twice"),
        ("[[release]]\nfolder = 'release'\nat = ['s3://bucket/x']", "s3://bucket/x cannot be watched"),
        ("[[release]]\nfolder = 'release'\nat = ['hub:nobody']", "names no repository of a hub"),
        ("[[release]]\nfolder = 'release'\nat = ['https://a:b@c/']", "is no address of a public place"),
        ("[[file]]\nat = 'x'\nsha256 = 'abc'\nsize_bytes = 1", r"file\.0\.sha256: "),
        (f"[[file]]\nat = 'x'\npath = '../y'\nsha256 = '{'0' * 64}'\nsize_bytes = 1", "not a name inside"),
        (f"[[file]]\nat = 'hub:a/b'\nsha256 = '{'0' * 64}'\nsize_bytes = 1", "needs the file's path"),
        ("= ", "is not TOML"),
    ],
)
def test_a_watch_file_that_is_wrong(release: Path, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "watch.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_plan(path)


def test_a_list_that_leaves_its_folder_is_refused(release: Path) -> None:
    index = json.loads((release / "release.json").read_text())
    index["files"][0]["path"] = "../../etc/passwd"
    (release / "release.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match="not a name inside a release"):
        plan_release(release, ["/x"])


def test_reports_that_cannot_be_written_are_known_before_anything_is_asked(release: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with new_client(HURRY) as client, pytest.raises(UsageError, match="reports cannot be written to"):
        watch(plan_release(release, ["/x"]), client, tmp_path / "file")
