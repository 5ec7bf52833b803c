"""fonderie watch: look whether everything that was published is still there, and still the same."""

import argparse
from pathlib import Path
from typing import Any

from rich.markup import escape

from fonderie.commands.options import add_json, console, print_json
from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.core.progress import Silent, Terminal

REPORTS = "watch-reports"


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("watch", help="are published files still there, for anyone, and unchanged?")
    parser.add_argument(
        "what", type=Path, metavar="WATCH.toml|RELEASE", help="a list of what to watch, or a release's own folder"
    )
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="PLACE",
        help="where the release was published: URL, hub:OWNER/NAME[@REVISION] or path; may be repeated",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="ask servers for sizes, ETags and stated hashes; download only in doubt",
    )
    parser.add_argument(
        "--report", type=Path, default=Path(REPORTS), metavar="DIR", help="of dated reports; default: %(default)s"
    )
    add_json(parser)
    parser.set_defaults(command=_watch)


def _watch(options: argparse.Namespace) -> int:
    from fonderie.audit.watch import watch
    from fonderie.audit.watch_fetch import new_client
    from fonderie.audit.watch_plan import plan_release, read_plan
    from fonderie.audit.watch_report import STATUSES, verdict

    if options.what.suffix == ".toml":
        if options.at:
            raise UsageError("--at goes with a release's folder", hint=f"{options.what} names its own places.")
        plan = read_plan(options.what)
    else:
        if not options.at:
            raise UsageError(
                "watch it where? No place is named",
                hint="fonderie watch RELEASE --at URL, or --at hub:OWNER/NAME, or --at PATH; or a watch.toml",
            )
        plan = plan_release(options.what, options.at)
    screen = console()
    machine = Machine(reporter=Silent() if options.json else Terminal(screen))
    with new_client(plan.manners) as client:
        report, path = watch(plan, client, options.report, quick=options.quick, machine=machine)
    if options.json:
        print_json({"report": str(path), **report.model_dump(mode="json")})
        return 0 if report.ok else 1
    for finding in report.findings:
        if finding.outcome.status == "ok":
            continue
        since = finding.history.broken_since or ""
        line = f"{finding.published.address}: {finding.outcome.detail} (since {since})"
        screen.print(f"  [red]{finding.outcome.status}[/red] {escape(line)}", highlight=False, soft_wrap=True)
    for place in dict.fromkeys(finding.published.at for finding in report.findings):
        here = [finding.outcome.status for finding in report.findings if finding.published.at == place]
        counted = ", ".join(f"{here.count(status):,} {status}" for status in STATUSES if status in here)
        screen.print(f"  {escape(place)}: {counted}", highlight=False, soft_wrap=True)
    for address in report.recovered:
        screen.print(f"  [green]well again[/green] {escape(address)}", highlight=False, soft_wrap=True)
    screen.print(escape(verdict(report)), highlight=False, soft_wrap=True)
    screen.print(f"Report: {escape(str(path.with_suffix('.md')))}", highlight=False, soft_wrap=True)
    return 0 if report.ok else 1
