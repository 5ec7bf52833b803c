"""What a run ends with: the release's path, what stands against calling it open, its figures, its words."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from fonderie.evaluate.gate import in_words
from fonderie.release.findings.openness import Finding, overall
from fonderie.release.gate import exposures, read_gate
from fonderie.release.layout import INDEX
from fonderie.release.report import FAILED_GATE, Report
from fonderie.release.writing.tables import laid_out, sources_table

_COLOURS = {"pass": "green", "partial": "yellow", "fail": "red", "unknown": "yellow"}
_CRITERIA = {"use": "no restriction of use", "data": "data provided", "method": "method transparent"}
SAMPLES_SHOWN = 3
DRAFT_PAGE = "documents/public-summary.en.md"


def print_summary(release: Path, console: Console) -> None:
    """Print the summary of a release folder; what restricts it comes first."""
    report = Report.model_validate_json((release / "report.json").read_bytes())
    findings = [Finding.model_validate(item) for item in json.loads((release / "findings.json").read_bytes())]
    console.print()
    for warning in report.warnings:
        kind = "" if warning.startswith(FAILED_GATE) else "[bold red]RESTRICTED[/bold red] "
        console.print(f"{kind}{escape(warning)}", style="" if kind else "bold red", highlight=False)
    console.print(f"[bold]Release[/bold] {escape(_near(release))}", highlight=False, soft_wrap=True)
    print_status(release, console)
    print_gate(release, console)
    console.print()
    console.print(laid_out(sources_table(report.sources)))
    _print_openness(findings, console)
    _print_samples(release, console)
    console.print(f"\nTalk with it:  fonderie chat {_near(release)}", highlight=False, soft_wrap=True)
    console.print(f"Check it:      fonderie verify {_near(release)}", highlight=False, soft_wrap=True)
    console.print(f"Full report:   fonderie show {_near(release)}", highlight=False, soft_wrap=True)


def print_status(release: Path, console: Console) -> None:
    """Whether a release is final or a draft, and where its gaps are shown; one line for a terminal."""
    status = json.loads((release / INDEX).read_bytes()).get("status", "draft")
    if status == "final":
        console.print(
            "[bold]Status[/bold]  final: its publisher has said what only people can say", highlight=False
        )
    else:
        page = escape(_near(release / DRAFT_PAGE))
        console.print(
            f"[bold]Status[/bold]  [yellow]draft[/yellow]: what its publisher has not said yet is shown in {page}",
            highlight=False,
            soft_wrap=True,
        )


def print_gate(release: Path, console: Console) -> None:
    """Whether a release passed its gate, and who showed it all the same; nothing where none was set."""
    gate = read_gate(release)
    if gate is None:
        return
    verdict = "passed" if gate.passed else "[bold red]FAILED[/bold red]"
    console.print(f"[bold]Gate[/bold]    {verdict}, of {len(gate.lines):,} demands", highlight=False)
    for line in gate.failed:
        console.print(f"        {escape(in_words(line))}", style="red", highlight=False, soft_wrap=True)
    for shown in exposures(release):
        said = f"shown all the same by {shown.by} on {shown.at:%Y-%m-%d} ({shown.action}): {shown.reason}"
        console.print(f"        {escape(said)}", highlight=False, soft_wrap=True)


def _near(path: Path) -> str:
    """The path as the person would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _print_openness(findings: list[Finding], console: Console) -> None:
    console.print("\n[bold]Openness, so far[/bold]")
    for criterion, verdict in overall(findings).items():
        colour = _COLOURS[verdict]
        console.print(f"  {_CRITERIA[criterion]:<24}[{colour}]{verdict}[/{colour}]", highlight=False)
        for finding in findings:
            if finding.criterion == criterion and finding.verdict != "pass":
                console.print(f"    {escape(finding.summary)}", style="dim", highlight=False)


def _print_samples(release: Path, console: Console) -> None:
    path = release / "samples.json"
    if not path.exists():
        return
    samples: list[dict[str, Any]] = json.loads(path.read_bytes())
    console.print("\n[bold]It says[/bold]")
    for sample in samples[:SAMPLES_SHOWN]:
        console.print(f"  [cyan]{escape(sample['prompt'])}[/cyan]", highlight=False)
        console.print(f"  {escape(sample['answer'].strip())}\n", highlight=False)
