"""fonderie show: the report of a recipe's last run, or of a release; and what became of the corpus, by example."""

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from fonderie.commands.options import add_json, add_store, console, positive, print_json
from fonderie.core.errors import UsageError
from fonderie.core.store import Store

if TYPE_CHECKING:
    from fonderie.core.step import Artifact
    from fonderie.trace.examples import Changed


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("show", help="lineage, statistics, what was dropped and why, with examples")
    parser.add_argument(
        "what", metavar="RECIPE|RELEASE", help="a recipe that ran in the store, or a release's folder"
    )
    corpus = parser.add_argument_group("the corpus of a recipe")
    corpus.add_argument(
        "--step", metavar="CALL", help="of this call alone; of every call that has any, if left out"
    )
    corpus.add_argument(
        "--dropped", type=positive, metavar="N", help="N documents that were dropped, spread over reasons"
    )
    corpus.add_argument("--edited", type=positive, metavar="N", help="N documents that were edited, changes marked")
    corpus.add_argument("--clusters", type=positive, metavar="N", help="N clusters of duplicates")
    corpus.add_argument("--reason", metavar="R", help="for this reason alone")
    corpus.add_argument("--source", metavar="S", help="of this source alone")
    corpus.add_argument("--html", type=Path, metavar="FILE", help="write a report that opens in a browser, offline")
    corpus.add_argument(
        "--with-personal-data",
        action="store_true",
        help="do not mask what the report's examples hold of personal data",
    )
    add_store(parser)
    add_json(parser)
    parser.set_defaults(command=_show)


def _show(options: argparse.Namespace) -> int:
    looks = options.dropped or options.edited or options.clusters
    if (options.reason or options.source) and not (options.dropped or options.edited):
        raise UsageError("--reason and --source choose among examples: give --dropped N or --edited N")
    if options.step and not looks:
        raise UsageError("--step says whose examples: give --dropped N, --edited N or --clusters N")
    if options.with_personal_data and not options.html:
        raise UsageError("--with-personal-data is for the report that --html FILE writes; a terminal is not masked")
    if (Path(options.what) / "release.json").is_file():
        if looks or options.html:
            raise UsageError(
                f"{options.what} is a release, which holds counts and no documents that were dropped",
                hint="Give the recipe, and with --store the store in which it ran.",
            )
        return _show_release(Path(options.what), options)
    return _show_recipe(options, looks=bool(looks))


def _show_release(folder: Path, options: argparse.Namespace) -> int:
    from fonderie.release.report import Report, render
    from fonderie.release.summary import print_gate, print_status

    report = Report.model_validate_json((folder / "report.json").read_bytes())
    if options.json:
        console().print_json(report.model_dump_json())
        return 0
    screen = console()
    print_status(folder, screen)
    print_gate(folder, screen)
    screen.print(render(report))
    return 0


def _show_recipe(options: argparse.Namespace, *, looks: bool) -> int:
    from fonderie.trace.why import artifacts_of

    what = Path(options.what)
    name = what.stem if what.suffix == ".toml" else options.what
    store = Store(options.store)
    lock = store.read_lock(name)
    if lock is None:
        raise UsageError(
            f"'{options.what}' is neither a release's folder nor a recipe that ran to its end in {store.root}",
            hint="Run it first: fonderie run RECIPE",
        )
    artifacts = artifacts_of(store, name)
    told = _look(artifacts, options) if looks else {}
    if options.html:
        _write_html(artifacts, lock, options)
        told["report"] = str(options.html)
    if options.json and told:
        print_json(told)
    if not looks and not options.html:
        from fonderie.release.report import build_report, render

        report = build_report(artifacts.values(), lock)
        if options.json:
            console().print_json(report.model_dump_json())
        else:
            console().print(render(report))
    return 0


def _write_html(artifacts: "Mapping[str, Artifact]", lock: Mapping[str, Any], options: argparse.Namespace) -> None:
    from fonderie.core.files import write_atomically
    from fonderie.release.reports.corpus import corpus_report

    page = corpus_report(artifacts, lock, personal_data=options.with_personal_data)
    try:
        write_atomically(options.html, page.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"--html: {options.html} cannot be written: {error.strerror}") from error
    if not options.json:
        console().print(f"Wrote {escape(str(options.html))}", highlight=False, soft_wrap=True)


def _look(artifacts: "Mapping[str, Artifact]", options: argparse.Namespace) -> dict[str, Any]:
    """The examples and clusters that were asked for, printed unless they are for a program."""
    from fonderie.trace.clusters import clusters
    from fonderie.trace.examples import document_calls, find_call

    chosen = {options.step: find_call(artifacts, options.step)} if options.step else document_calls(artifacts)
    told: dict[str, Any] = {}
    for fate in ("dropped", "edited"):
        if getattr(options, fate):
            told[fate] = _examples(chosen, fate, options)
    if options.clusters:
        of = {call: made for call, made in chosen.items() if options.step or made.manifest.step == "corpus.dedup"}
        found = [one for call, made in of.items() for one in clusters(call, made, options.clusters)]
        told["clusters"] = [asdict(cluster) for cluster in found]
        if not options.json:
            from fonderie.commands.examples import print_clusters

            print_clusters(found, console())
            if not found:
                console().print("No clusters: nothing was a duplicate of anything.")
    return told


def _examples(
    chosen: "Mapping[str, Artifact]", fate: "Changed", options: argparse.Namespace
) -> list[dict[str, Any]]:
    from fonderie.commands.examples import print_examples
    from fonderie.trace.examples import Wanted, examples, reasons_of

    wanted = Wanted(fate, getattr(options, fate), options.reason, options.source)
    counted = {call: reasons_of(made, wanted) for call, made in chosen.items()}
    if not any(counted.values()) and (options.reason or options.source):
        known = Counter[str]()
        for made in chosen.values():
            known.update(reasons_of(made, Wanted(fate, 1, None, options.source)))
        sources = sorted({name for made in chosen.values() for name in made.manifest.statistics.get("sources", {})})
        raise UsageError(
            f"no document was {fate} with that --reason or --source",
            hint=f"Reasons: {'; '.join(known) or 'none'}. Sources: {', '.join(sources) or 'none'}.",
        )
    told: list[dict[str, Any]] = []
    for call, made in chosen.items():
        found = examples(call, made, wanted) if counted[call] else []
        told += [asdict(example) for example in found]
        if found and not options.json:
            print_examples(call, found, counted[call], console())
    if not told and not options.json:
        console().print(f"No document was {fate}.", highlight=False)
    return told
