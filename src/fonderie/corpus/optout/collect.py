"""From web addresses to an evidence store: which files to ask for, in which order, and what is written down.

Resumable: what the store knows from the last days is not asked for again, unless nobody could be reached then.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from fonderie.core.errors import StoreError
from fonderie.core.files import write_atomically
from fonderie.corpus.optout.addresses import Address, parse_address
from fonderie.corpus.optout.evidence import INDEX, RAW, SITE_FILES, Evidence, Kind, Record, as_line, raw_path
from fonderie.corpus.optout.fetch import Fetched, Fetcher
from fonderie.corpus.optout.page import head_of
from fonderie.corpus.optout.robots import AGENTS, Robots

AGENT = "fonderie-evidence"
"""The product token that robots.txt may name us by."""
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Wanted(NamedTuple):
    """Which sites to ask, and which of their pages."""

    sites: dict[str, list[Address]]
    """Pages by site; none where only the site's files are wanted."""
    skipped: int = 0
    """Addresses that are none."""


def wanted(urls: Iterable[str], *, pages: bool) -> Wanted:
    """The sites of these addresses, each once, in order; and their pages if those are to be asked for."""
    sites: dict[str, dict[str, Address]] = {}
    skipped = 0
    for url in urls:
        address = parse_address(url)
        if address is None:
            skipped += 1
            continue
        of_site = sites.setdefault(address.site, {})
        if pages:
            of_site.setdefault(address.url, address)
    return Wanted({site: list(found.values()) for site, found in sites.items()}, skipped)


@dataclass
class Counts:
    """What a round of asking came to."""

    found: int = 0
    absent: int = 0
    unreachable: int = 0
    known: int = 0
    """Not asked for: the store knows, and it is recent."""
    left_alone: int = 0
    """Pages that robots.txt keeps us or a training agent out of, or whose robots.txt could not be read."""

    def add(self, other: "Counts") -> None:
        """Add up."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Store:
    """An evidence folder being added to; one process at a time."""

    def __init__(self, folder: Path) -> None:
        try:
            (folder / RAW).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"evidence cannot be kept in {folder}: {error.strerror}",
                hint="Name a folder that can be written to.",
            ) from error
        self._folder = folder
        self._lock = threading.Lock()
        _drop_half_a_line(folder / INDEX)
        self.before = Evidence([folder])

    def add(self, record: Record, data: bytes | None) -> Record:
        """Write down an answer: the bytes first, so that no record is without them."""
        with self._lock:
            if data is not None:
                digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
                record = record.model_copy(update={"sha256": digest, "size_bytes": len(data)})
                path = raw_path(self._folder, digest)
                if not path.exists():
                    write_atomically(path, data)
            with (self._folder / INDEX).open("ab") as file:
                file.write(as_line(record))
                file.flush()
                os.fsync(file.fileno())
        return record

    def data(self, record: Record) -> bytes:
        """The bytes that a record speaks of."""
        assert record.sha256 is not None
        path = raw_path(self._folder, record.sha256)
        try:
            return path.read_bytes()
        except OSError as error:
            raise StoreError(
                f"{path}, the evidence of {record.url}, cannot be read: {error.strerror}",
                hint="Put it back, or begin another folder.",
            ) from error


def _is_html(fetched: Fetched) -> bool:
    """Whether an answer may have a head with <meta>; a server that states no type may mean anything."""
    return "html" in fetched.headers.get("content-type", "html").lower()


def _drop_half_a_line(path: Path) -> None:
    """A crash may have left the last line unfinished; its address will be asked for again."""
    if path.exists() and (data := path.read_bytes()) and not data.endswith(b"\n"):
        write_atomically(path, data[: data.rfind(b"\n") + 1])


@dataclass
class Collector:
    """Asks sites and fills a store."""

    fetcher: Fetcher
    store: Store
    fresh_days: float = 30.0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    stopped: threading.Event = field(default_factory=threading.Event)
    problems: dict[str, str] = field(default_factory=dict)
    """Of each site that gave no answer to something, why not, the first time."""

    def run(self, asked: Wanted, *, parallel: int = 8, each: Callable[[str, Counts], None] | None = None) -> Counts:
        """Ask every site, several at a time but each one in turn; `each` hears what a site came to."""
        total = Counts()
        with ThreadPoolExecutor(parallel) as pool:
            jobs = {pool.submit(self.site, site, pages): site for site, pages in asked.sites.items()}
            try:
                for job in as_completed(jobs):
                    counts = job.result()
                    total.add(counts)
                    if each is not None:
                        each(jobs[job], counts)
            except BaseException as error:
                self.stopped.set()
                pool.shutdown(cancel_futures=True)
                if isinstance(error, OSError):
                    raise StoreError(f"evidence cannot be written: {error}") from error
                raise
        return total

    def site(self, site: str, pages: Iterable[Address]) -> Counts:
        """Ask one site for its files, then for pages; without a connection, for nothing more."""
        counts = Counts()
        dead = ""
        robots: Record | None = None
        for kind, path in SITE_FILES.items():
            record = self._one(kind, site + path, counts, dead)
            if kind == "robots.txt":
                robots = record
            if record is None:
                return counts
            if not dead and record.answer == "unreachable" and record.status is None and not record.final_url:
                dead = f"not asked for, since {kind} gave: {record.problem}"
        self._pages(pages, robots, counts)
        return counts

    def _pages(self, pages: Iterable[Address], robots: Record | None, counts: Counts) -> None:
        readable = robots is not None and robots.answer == "found"
        rules = Robots(self.store.data(robots), (*AGENTS, AGENT)) if readable and robots is not None else None
        closed = robots is None or robots.answer == "unreachable" or robots.truncated
        closed = closed or (rules is not None and rules.is_page)
        pause = rules.delay_seconds(AGENT) if rules else 0.0
        for address in pages:
            if closed or (rules is not None and rules.refuses(address)):
                counts.left_alone += 1
            elif self._one("page", address.url, counts, pause_seconds=pause) is None:
                return

    def _one(
        self, kind: Kind, url: str, counts: Counts, dead: str = "", pause_seconds: float = 0.0
    ) -> Record | None:
        """The record of one address, asked for unless it is known; None once everything is to stop."""
        known = self._recent(kind, url)
        if known is not None:
            counts.known += 1
            return known
        if self.stopped.is_set():
            return None
        fetched = (
            Fetched("unreachable", problem=dead) if dead else self.fetcher.get(url, pause_seconds=pause_seconds)
        )
        setattr(counts, fetched.answer, getattr(counts, fetched.answer) + 1)
        if fetched.answer == "unreachable" and (address := parse_address(url)) is not None:
            self.problems.setdefault(address.site, f"{kind}: {fetched.problem}")
        return self._write(kind, url, fetched)

    def _write(self, kind: Kind, url: str, fetched: Fetched) -> Record:
        data, truncated = fetched.data, fetched.truncated
        if kind == "page":
            # Of a page only its head is evidence; the rest is the very text whose use is in question.
            data, whole = head_of(data) if _is_html(fetched) else (b"", True)
            truncated = truncated and not whole
        record = Record(
            kind=kind,
            url=url,
            fetched=self.now().astimezone(UTC).strftime(_TIME),
            answer=fetched.answer,
            status=fetched.status,
            truncated=truncated,
            headers=dict(fetched.headers) if kind == "page" else {},
            final_url=fetched.final_url,
            problem=fetched.problem,
        )
        return self.store.add(record, data if fetched.answer == "found" else None)

    def _recent(self, kind: Kind, url: str) -> Record | None:
        oldest = (self.now().astimezone(UTC) - timedelta(days=self.fresh_days)).strftime(_TIME)
        records = self.store.before.about(kind, url)
        if records and records[0].answer != "unreachable" and records[0].fetched > oldest:
            return records[0]
        return None
