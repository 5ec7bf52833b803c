"""Watching what was published: is every file still there for anyone, and still the same?

Openness decays quietly: a repository is gated, a host is given up, a file is replaced. A watch asks for each file
as a stranger would, and writes down, with its date, what it found. It says nothing of why.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fonderie.audit.watch_fetch import Outcome, Web, check_file
from fonderie.audit.watch_plan import Plan, Published
from fonderie.audit.watch_report import Finding, WatchReport, carry_on, conclude, read_history, write_report
from fonderie.core.environment import installed_version
from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.release.folder import plain

if TYPE_CHECKING:
    import httpx2

Now = Callable[[], datetime]


def watch(
    plan: Plan,
    client: "httpx2.Client",
    reports: Path,
    *,
    quick: bool = False,
    machine: Machine | None = None,
    now: Now = lambda: datetime.now(UTC),
) -> tuple[WatchReport, Path]:
    """Look for every file of a plan and write a dated report; returns it with the path of its JSON.

    UsageError if the reports' folder cannot be made, InputError if an earlier report in it was altered.
    """
    try:
        reports.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"reports cannot be written to {reports}: {error.strerror}") from error
    if not os.access(reports, os.W_OK | os.X_OK):
        raise UsageError(f"reports cannot be written to {reports}: the folder is not yours to write")
    before, previous = read_history(reports)
    web = Web(client, plan.manners)
    started = _iso(now())
    findings = []
    with (machine or Machine()).bar("watching", len(plan.published), "files") as bar:
        for published in plan.published:
            past = before.get(published.identity)
            outcome = _look(published, web, quick, past.hashed_etag if past else None)
            findings.append(
                Finding(published=published, outcome=outcome, history=carry_on(past, outcome, _iso(now())))
            )
            bar.advance()
    report = conclude(
        findings,
        before,
        level="quick" if quick else "full",
        started=started,
        finished=_iso(now()),
        tool=f"fonderie {installed_version('fonderie')}",
        previous=previous,
    )
    return report, write_report(reports, report)


def _look(published: Published, web: Web, quick: bool, known_etag: str | None) -> Outcome:
    if published.kind == "file":
        outcome = check_file(published, quick=quick)
    else:
        outcome = web.check(published, quick=quick, known_etag=known_etag)
    # Part of it is a server's own words.
    return outcome.model_copy(update={"detail": plain(outcome.detail)})


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
