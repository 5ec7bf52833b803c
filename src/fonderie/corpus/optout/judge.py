"""One document against everything known of its site and page: reserved, free, or nobody knows.

Signals of today apply to documents crawled years ago. The reverse does not hold: a page that said "not reserved"
when it was crawled lifts no reservation that its site's file has made since.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from fonderie.core.digest import digest_text
from fonderie.corpus.optout import noai, tdmrep
from fonderie.corpus.optout.addresses import Address, parse_address
from fonderie.corpus.optout.evidence import SITE_FILES, Evidence, Kind, Record
from fonderie.corpus.optout.page import metas
from fonderie.corpus.optout.robots import AGENTS, Robots
from fonderie.corpus.optout.usage import training_allowed

Signal = Literal["robots.txt", "TDMRep", "Content-Usage", "ai.txt", "noai"]
SIGNALS: tuple[Signal, ...] = ("robots.txt", "TDMRep", "Content-Usage", "ai.txt", "noai")
Treatment = Literal["drop", "keep"]
State = Literal["reserved", "free", "unreachable", "missing"]

RESERVED = "opt-out: "
UNKNOWN = "opt-out unknown: "
KEPT_UNKNOWN = "unknown, and kept by the recipe's policy"
_PARSED = 4_096
"""Files of sites held ready: pages of one site usually come together."""
_OF_PAGES: frozenset[Signal] = frozenset({"TDMRep", "Content-Usage", "noai"})
_FILES: Mapping[Kind, Signal] = {"robots.txt": "robots.txt", "tdmrep.json": "TDMRep", "ai.txt": "ai.txt"}


class Verdict(NamedTuple):
    """What is said of one document."""

    reason: str | None
    """Why it is dropped, or None."""
    detail: str
    """Every signal that was looked at: where, the day, the hash of its bytes, what it says."""


class _Finding(NamedTuple):
    """What one signal came to."""

    signal: str
    state: State
    text: str
    day: str = ""


@dataclass(frozen=True)
class Treatments:
    """What the recipe's policy does with what nobody knows."""

    unreachable: Treatment = "drop"
    missing: Treatment = "drop"
    page_missing: Treatment = "drop"


class _Page(NamedTuple):
    """What a page itself says, in its headers and its <meta>, as of one day."""

    day: str
    headers: Mapping[str, str]
    metas: Mapping[str, str]
    text: str
    """Where this is from, with hashes."""


@dataclass
class Judge:
    """Judges documents; holds the parsed files of recent sites."""

    evidence: Evidence
    signals: tuple[Signal, ...] = SIGNALS
    agents: tuple[str, ...] = AGENTS
    treatments: Treatments = field(default_factory=Treatments)
    since: str = ""
    """Evidence from before this day counts as none."""

    def __post_init__(self) -> None:
        self._parsed: Callable[[Kind, str], Any] = lru_cache(_PARSED)(self._parse)

    def __call__(self, url: str, metadata: Mapping[str, str]) -> Verdict:
        """The verdict on a document from a web address."""
        address = parse_address(url)
        if address is None:
            reason = f"{UNKNOWN}the address cannot be read" if self.treatments.missing == "drop" else None
            return Verdict(reason, f"{url}: {KEPT_UNKNOWN if reason is None else 'no address of the web'}")
        pages, about_page = self._pages(address, metadata)
        findings = [*self._files(address, pages), *about_page, *self._said_by(pages)]
        findings.sort(key=lambda finding: finding.state != "reserved")
        detail = "; ".join(finding.text for finding in findings)
        first = next((finding for finding in findings if self._drops(finding)), None)
        if first is not None:
            lead = RESERVED if first.state == "reserved" else UNKNOWN
            never = "'s own signals not known" if first.signal == "page" else " never asked for"
            how = {"unreachable": " unreachable", "missing": never}.get(first.state, "")
            return Verdict(f"{lead}{first.signal}{how}", detail)
        if any(finding.state in ("unreachable", "missing") for finding in findings):
            detail += f"; {KEPT_UNKNOWN}"
        return Verdict(None, detail)

    def _drops(self, finding: _Finding) -> bool:
        if finding.state == "missing":
            page = finding.signal == "page"
            return (self.treatments.page_missing if page else self.treatments.missing) == "drop"
        return finding.state == "reserved" or (
            finding.state == "unreachable" and self.treatments.unreachable == "drop"
        )

    def _files(self, address: Address, pages: list[_Page]) -> list[_Finding]:
        """What the site's files say; TDMRep of the page goes with its file, which it may overrule."""
        findings = []
        if "robots.txt" in self.signals or "Content-Usage" in self.signals:
            findings.append(self._ask("robots.txt", address, lambda found: self._robots(found, address)))
        if "TDMRep" in self.signals:
            in_file = self._ask("tdmrep.json", address, lambda rules: _tdm(rules, address))
            findings.append(_overruled(in_file, pages))
        if "ai.txt" in self.signals:
            findings.append(self._ask("ai.txt", address, lambda patterns: _ai(patterns, address)))
        return findings

    def _robots(self, found: Robots, address: Address) -> tuple[Signal, bool, str]:
        agent = found.refuses(address) if "robots.txt" in self.signals else None
        if agent is not None:
            return "robots.txt", True, f"{agent} may not fetch this"
        usage = found.usage(address) if "Content-Usage" in self.signals else None
        if usage is False:
            return "Content-Usage", True, "Content-Usage says no to training"
        return "robots.txt", False, "nothing reserved"

    def _ask(self, kind: Kind, address: Address, look: Callable[[Any], tuple[Signal, bool, str]]) -> _Finding:
        """What the newest answer says; where that is none, an older reservation holds until it is lifted."""
        signal = _FILES[kind]
        records = self.evidence.about(kind, address.site + SITE_FILES[kind], self.since)
        if not records:
            return _Finding(signal, "missing", f"{kind}: never asked for")
        newest, damage = records[0], ""
        for record in records:
            if record.answer == "absent":
                if record is newest:
                    text = f"{kind} {record.day} HTTP {record.status}: no such file, nothing reserved"
                    return _Finding(signal, "free", text, record.day)
                break
            if record.answer == "found" and record.sha256 is not None:
                content = self._content(kind, record)
                named, reserved, said = look(content)
                if record is newest:
                    damage = _damage(content, record)
                if reserved or (record is newest and not damage):
                    text = f"{kind} {record.day} {record.sha256}: {said}"
                    return _Finding(named, "reserved" if reserved else "free", text, record.day)
                if record is not newest:
                    break
        why = damage or newest.problem
        return _Finding(signal, "unreachable", f"{kind} {newest.day}: unreachable, {why}", newest.day)

    def _content(self, kind: Kind, record: Record) -> Any:
        assert record.sha256 is not None
        return self._parsed(kind, record.sha256)

    def _parse(self, kind: Kind, sha256: str) -> Any:
        data = self.evidence.data(sha256)
        if kind == "robots.txt":
            return Robots(data, self.agents)
        if kind == "tdmrep.json":
            return tdmrep.read_file(data)
        return noai.refused_patterns(data) if kind == "ai.txt" else metas(data)

    def _pages(self, address: Address, metadata: Mapping[str, str]) -> tuple[list[_Page], list[_Finding]]:
        """What is known of the page itself: from the archive that it was read from, and from the evidence."""
        if not _OF_PAGES & set(self.signals):
            return [], []
        pages, findings = [], []
        headers, meta = metadata.get("http_headers"), metadata.get("html_meta")
        if headers is not None or meta is not None:
            day = metadata.get("fetched", "")[:10]
            hashes = [
                f"{name} {digest_text(text)}" for name, text in (("headers", headers), ("meta", meta)) if text
            ]
            where = f"page as crawled {day or '(no date)'}, {', '.join(hashes)}"
            pages.append(_Page(day, _table(headers), _table(meta), where))
        records = self.evidence.about("page", address.url, self.since)
        if records and records[0].answer == "found" and records[0].sha256 is not None:
            record = records[0]
            where = f"page {record.day} {record.sha256}"
            pages.append(_Page(record.day, record.headers, self._content("page", record), where))
            if record.truncated and headers is None:
                findings.append(
                    _Finding("page", "unreachable", f"page {record.day}: longer than is read of it", record.day)
                )
        elif headers is None:
            if records and records[0].answer == "unreachable":
                text = f"page {records[0].day}: unreachable, {records[0].problem}"
                findings.append(_Finding("page", "unreachable", text, records[0].day))
            else:
                what = "gone" if records else "its headers and <meta> are not known"
                findings.append(_Finding("page", "missing", f"page: {what}"))
        return pages, findings

    def _said_by(self, pages: list[_Page]) -> list[_Finding]:
        """What pages say beside TDMRep."""
        findings = []
        for page in pages:
            said: Signal | None = None
            if "Content-Usage" in self.signals and any(
                training_allowed(fields.get("content-usage", "")) is False for fields in (page.headers, page.metas)
            ):
                said = "Content-Usage"
            elif "noai" in self.signals and (noai.in_header(page.headers) or noai.in_meta(page.metas)):
                said = "noai"
            state: State = "reserved" if said else "free"
            what = f"{said} says no to training" if said else "nothing reserved"
            findings.append(_Finding(said or "page", state, f"{page.text}: {what}", page.day))
        return findings


def _damage(content: Any, record: Record) -> str:
    """Why what a server sent cannot permit anything, though it may reserve; "" if it can."""
    if record.truncated:
        return "longer than is read of it"
    return "a page of HTML stands in its place" if isinstance(content, Robots) and content.is_page else ""


def _tdm(rules: tdmrep.Rules | None, address: Address) -> tuple[Signal, bool, str]:
    if rules is None:
        return "TDMRep", False, "no JSON, hence unset"
    reserved = tdmrep.of_file(rules, address.path)
    said = {True: "reserved", False: "not reserved", None: "no rule for this path, hence unset"}
    return "TDMRep", reserved is True, said[reserved]


def _ai(patterns: tuple[str, ...], address: Address) -> tuple[Signal, bool, str]:
    refused = noai.of_file(patterns, address.path)
    return "ai.txt", refused, "disallowed" if refused else "nothing reserved"


def _overruled(in_file: _Finding, pages: list[_Page]) -> _Finding:
    """TDMRep's precedence: file, header, <meta>; only a page as recent as the file lifts its reservation."""
    finding = in_file
    for page in pages:
        in_meta, in_header = tdmrep.of_page(page.metas), tdmrep.of_page(page.headers)
        said = in_header if in_meta is None else in_meta
        where = f"{page.text}: TDMRep in its {'header' if in_meta is None else 'meta'}"
        if said:
            return _Finding("TDMRep", "reserved", f"{where}, reserved", page.day)
        if said is False and in_file.day and page.day >= in_file.day:
            finding = _Finding("TDMRep", "free", f"{in_file.text}; {where}, not reserved", page.day)
    return finding


def _table(text: str | None) -> dict[str, str]:
    """Names and values as a reader wrote them, JSON; nothing where it is something else."""
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name).lower(): value for name, value in found.items() if isinstance(value, str)}
