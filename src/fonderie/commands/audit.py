"""fonderie audit: grade any release by what binds, what is there and what holds."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from fonderie.commands.options import add_json, console, positive, print_json
from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.core.progress import Silent, Terminal
from fonderie.release.folder import Folder
from fonderie.release.hashing import Hashing
from fonderie.release.layout import INDEX


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser(
        "audit", help="grade a model's openness: free use, data provided, method transparent; ours or anyone's"
    )
    parser.add_argument(
        "what",
        metavar="PATH|HUB_ID",
        help="a release's folder, an MOF YAML file, or OWNER/NAME on a hub ($HF_ENDPOINT names which)",
    )
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of a hub's repository")
    parser.add_argument("--replay", type=positive, metavar="K", help="train K sampled segments again and compare")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="draws the segments; default: %(default)s")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write one self-contained page")
    add_json(parser)
    parser.set_defaults(command=_audit)


def _audit(options: argparse.Namespace) -> int:
    if options.html is not None and (options.html.is_dir() or not options.html.absolute().parent.is_dir()):
        raise UsageError(f"{options.html} cannot be written: it is a folder, or its folder is not there")
    screen = console()
    # Before the rest is imported, which takes as long as hashing a gigabyte.
    hashing = _begin_hashing(Path(options.what))
    from fonderie.audit.examine import Request, audit

    # The bar goes to the error stream, so that what is printed is the report alone.
    reporter = Silent() if options.json else Terminal(Console(stderr=True))
    request = Request(options.what, revision=options.revision, segments=options.replay or 0, seed=options.seed)
    report = audit(request, Machine(reporter=reporter), hashing=hashing)
    if options.html is not None:
        from fonderie.audit.page import write_page

        write_page(report, options.html)
    if options.json:
        print_json(report.model_dump(mode="json"))
    else:
        from fonderie.audit.show import show

        show(report, screen)
        if options.html is not None:
            screen.print(f"\nPage: {options.html}", highlight=False, markup=False, soft_wrap=True)
    return report.exit_status


def _begin_hashing(path: Path) -> Hashing | None:
    """Of a folder that looks like a release of ours; of others, few files are asked for their hash."""
    return Hashing(Folder.open(path)) if (path / INDEX).is_file() else None
