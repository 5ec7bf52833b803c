"""The dated reports of `fonderie watch`, and what they remember: one pair of files a watch, never overwritten.

Each report carries on every file's history from the reports before, and names the one before with its hash: a
report that was altered afterwards shows when the next one is written.
"""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fonderie.audit.watch_fetch import Outcome, Status
from fonderie.audit.watch_plan import Published
from fonderie.core.digest import digest_bytes
from fonderie.core.errors import InputError
from fonderie.core.files import sync_folder
from fonderie.release.folder import JSON_LIMIT_BYTES

FORMAT = 1
STATUSES: tuple[Status, ...] = ("ok", "missing", "altered", "refused", "unreachable")
_NAME = re.compile(r"(\d{8}T\d{6}Z)(?:-(\d+))?\.json")


class History(BaseModel):
    """What is known of one file at one place, over all watches; times are ISO 8601, UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_checked: str
    checks: int
    checks_ok: int
    ok_since: str | None = None
    """Of the unbroken row of good checks that goes on now; None while it is broken."""
    last_ok: str | None = None
    broken_since: str | None = None
    """The first check of the unbroken row of bad ones that goes on now; None while it is well."""
    hashed: str | None = None
    """When all its bytes were last hashed and right."""
    hashed_etag: str | None = None
    """The strong ETag it had then."""


class Finding(BaseModel):
    """One published file as it was found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    published: Published
    outcome: Outcome
    history: History


class Previous(BaseModel):
    """The report before this one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str


class WatchReport(BaseModel):
    """One watch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    tool: str
    level: Literal["full", "quick"]
    started: str
    finished: str
    ok: bool
    """Every file is there and unchanged, as far as the level looked."""
    counts: dict[Status, int]
    broke: tuple[str, ...]
    """Addresses that were well at the last watch, and are not now."""
    recovered: tuple[str, ...]
    """The reverse."""
    previous: Previous | None
    findings: tuple[Finding, ...]


def carry_on(before: History | None, outcome: Outcome, now: str) -> History:
    """A file's history with one more check."""
    past = before or History(first_checked=now, checks=0, checks_ok=0)
    well = outcome.status == "ok"
    hashed = well and outcome.evidence == "sha256"
    return History(
        first_checked=past.first_checked,
        checks=past.checks + 1,
        checks_ok=past.checks_ok + well,
        ok_since=(past.ok_since or now) if well else None,
        last_ok=now if well else past.last_ok,
        broken_since=None if well else (past.broken_since or now),
        hashed=now if hashed else past.hashed,
        hashed_etag=outcome.etag if hashed else past.hashed_etag,
    )


def conclude(
    findings: Sequence[Finding],
    before: Mapping[tuple[str, str, str], History],
    *,
    level: Literal["full", "quick"],
    started: str,
    finished: str,
    tool: str,
    previous: Previous | None,
) -> WatchReport:
    """The report of one watch."""
    was_ok = {key: history.broken_since is None for key, history in before.items()}

    def turned(well: bool) -> tuple[str, ...]:
        return tuple(
            finding.published.address
            for finding in findings
            if (finding.outcome.status == "ok") == well and was_ok.get(finding.published.identity, well) != well
        )

    counts = {status: sum(finding.outcome.status == status for finding in findings) for status in STATUSES}
    return WatchReport(
        tool=tool,
        level=level,
        started=started,
        finished=finished,
        ok=counts["ok"] == len(findings),
        counts=counts,
        broke=turned(False),
        recovered=turned(True),
        previous=previous,
        findings=tuple(findings),
    )


def read_history(folder: Path) -> tuple[dict[tuple[str, str, str], History], Previous | None]:
    """Every file's history as the last report that knows it has it, with the newest report's name and hash.

    From the newest, each report before is found by its hash, as far back as they are kept. InputError names one
    that was altered or cannot be read.
    """
    names = sorted((path.name for path in folder.glob("*.json") if _NAME.fullmatch(path.name)), key=_order)
    newest: Previous | None = None
    history: dict[tuple[str, str, str], History] = {}
    link = Previous(file=names[-1], sha256="") if names else None
    while link is not None and _NAME.fullmatch(link.file) and (newest is None or (folder / link.file).is_file()):
        data = _read(folder / link.file)
        found = Previous(file=link.file, sha256=digest_bytes(data))
        if newest is not None and found != link:
            raise InputError(
                f"{folder / link.file} was altered after the next report was written",
                hint="Restore it, or begin a new record: --report NEW_FOLDER",
            )
        newest = newest or found
        report = _parse(folder / link.file, data)
        for finding in report.findings:
            history.setdefault(finding.published.identity, finding.history)
        link = report.previous
    return history, newest


def write_report(folder: Path, report: WatchReport) -> Path:
    """Write JSON and Markdown under the time of its start, UTC; returns the JSON's path. Nothing is overwritten."""
    stamp = datetime.fromisoformat(report.started).strftime("%Y%m%dT%H%M%SZ")
    data = (report.model_dump_json(indent=1) + "\n").encode("utf-8")
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".watch-", delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    written = Path(file.name)
    try:
        written.chmod(0o644)
        number = 1
        while True:
            path = folder / (f"{stamp}.json" if number == 1 else f"{stamp}-{number}.json")
            try:
                # A second name for the whole file; fails where the name is taken, as two watches may end at once.
                path.hardlink_to(written)
                break
            except FileExistsError:
                number += 1
    finally:
        written.unlink()
    path.with_suffix(".md").write_text(to_markdown(report), encoding="utf-8", newline="\n")
    sync_folder(folder)
    return path


def verdict(report: WatchReport) -> str:
    """One sentence."""
    total = len(report.findings)
    if report.ok:
        hashed = sum(finding.outcome.evidence == "sha256" for finding in report.findings)
        seen = "all bytes hashed" if hashed == total else f"{hashed:,} hashed whole, the others by what servers say"
        return f"All {total:,} published files are there and unchanged ({seen})."
    bad = ", ".join(f"{report.counts[status]:,} {status}" for status in STATUSES[1:] if report.counts[status])
    return f"NOT AS PUBLISHED: of {total:,} files {bad}."


def to_markdown(report: WatchReport) -> str:
    """The report for people."""
    lines = [
        f"# Watch of {report.started}",
        "",
        f"**{verdict(report)}**",
        "",
        f"Level: {report.level}. From {report.started} to {report.finished}, by {report.tool}, without an account.",
        "",
        "| place | files | " + " | ".join(STATUSES) + " | hashed whole | all well since |",
        "|---|--:|" + "--:|" * len(STATUSES) + "--:|---|",
    ]
    for place in dict.fromkeys(finding.published.at for finding in report.findings):
        here = [finding for finding in report.findings if finding.published.at == place]
        cells = [sum(finding.outcome.status == status for finding in here) for status in STATUSES]
        hashed = sum(finding.outcome.evidence == "sha256" for finding in here)
        since = [finding.history.ok_since for finding in here]
        well = max(filter(None, since)) if all(since) else "no"
        counted = " | ".join(map(str, cells))
        lines.append(f"| {_cell(place)} | {len(here)} | {counted} | {hashed} | {well} |")
    broken = [finding for finding in report.findings if finding.outcome.status != "ok"]
    if broken:
        lines += ["", "## What is not as published", ""]
        lines += ["| file | what | detail | since | last well | well in |", "|---|---|---|---|---|---|"]
        for finding in broken:
            past, found = finding.history, finding.outcome
            cells_text = (
                _cell(finding.published.address),
                found.status,
                _cell(found.detail),
                past.broken_since or "",
                past.last_ok or "never seen well",
                f"{past.checks_ok} of {past.checks} checks",
            )
            lines.append("| " + " | ".join(cells_text) + " |")
    for title, addresses in (("Broke since the last watch", report.broke), ("Well again", report.recovered)):
        if addresses:
            lines += ["", f"## {title}", "", *(f"- {_cell(address)}" for address in addresses)]
    lines += [
        "",
        "Missing: the place says that there is no such file. Altered: it has another size or content. Refused: the "
        "place does not give it to the public. Unreachable: no usable answer; the fault may be the watcher's.",
    ]
    if report.level == "quick":
        lines += [
            "",
            "A quick watch believes what servers say of a file: a size, an ETag that has not changed since all its "
            "bytes were hashed, a hash that a hub states. Only a full watch sees the bytes.",
        ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text in a Markdown table: as code, where no character means anything but a backtick and a bar."""
    return f"`{text.replace('`', '%60').replace('|', chr(92) + '|')}`" if text else ""


def _order(name: str) -> tuple[str, int]:
    found = _NAME.fullmatch(name)
    assert found is not None
    return found[1], int(found[2] or 1)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(JSON_LIMIT_BYTES + 1)
    except OSError as error:
        raise InputError(f"the report {path} cannot be read: {error.strerror}") from error
    if len(data) > JSON_LIMIT_BYTES:
        raise InputError(f"{path} is larger than any report")
    return data


def _parse(path: Path, data: bytes) -> WatchReport:
    try:
        return WatchReport.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InputError(
            f"{path} cannot be understood as a report of fonderie watch: {first['msg']}",
            hint="Move it away, or begin a new record: --report NEW_FOLDER",
        ) from error
