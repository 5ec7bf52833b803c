"""An audit in the terminal: the verdict first, then the three criteria, then what they rest on."""

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from fonderie.audit.report import CRITERIA, QUESTIONS, AuditReport
from fonderie.release.findings.openness import Finding

COLOURS = {"pass": "green", "partial": "yellow", "fail": "red", "unknown": "yellow"}
EVIDENCE_SHOWN = 2


def show(report: AuditReport, console: Console) -> None:
    """Print an audit; what a stranger wrote was made safe to print when it was collected, and is escaped here."""
    subject = report.subject
    colour = {"open": "green", "not open": "red"}.get(report.verdict, "yellow")
    console.print(
        f"[bold]{escape(subject.name)}[/bold]  {escape(subject.kind)}, {escape(subject.place)}", highlight=False
    )
    if subject.revision:
        console.print(f"at commit {escape(subject.revision)}", style="dim", highlight=False)
    console.print(f"[bold {colour}]{escape(report.headline)}[/bold {colour}]\n", highlight=False)
    for criterion in CRITERIA:
        grade = report.criteria[criterion]
        colour = COLOURS[grade.verdict]
        console.print(
            f"[bold]{QUESTIONS[criterion]}[/bold]  [{colour}]{grade.verdict}[/{colour}] ({grade.level})",
            highlight=False,
        )
        for finding in report.findings:
            if finding.criterion == criterion:
                _show_finding(finding, console)
        console.print()
    _show_contradictions(report, console)
    for hazard in report.hazards:
        console.print(f"[yellow]careful[/yellow]  {escape(hazard.summary)}", highlight=False, soft_wrap=True)
    _show_frameworks(report, console)


def _show_finding(finding: Finding, console: Console) -> None:
    mark = Text(f"{finding.verdict:<8}", style=COLOURS[finding.verdict])
    console.print(Padding(mark + Text(finding.summary, style=""), (0, 0, 0, 2), expand=False), highlight=False)
    if finding.verdict == "pass":
        return
    for item in finding.evidence[:EVIDENCE_SHOWN]:
        where = f"{item.path} ({item.sha256.removeprefix('sha256:')[:12] or 'not hashed'})"
        console.print(
            Padding(Text(f"{where}: “{item.excerpt}”", style="dim"), (0, 0, 0, 10), expand=False), highlight=False
        )


def _show_contradictions(report: AuditReport, console: Console) -> None:
    if not report.contradictions:
        return
    console.print("[bold]Contradictions[/bold]")
    for item in report.contradictions:
        colour = "red" if item.severity == "open-washing" else "yellow"
        console.print(f"  [{colour}]{item.severity}[/{colour}]  {escape(item.summary)}", highlight=False)
        for evidence in item.evidence:
            quote = Text(f"{evidence.path}: “{evidence.excerpt}”", style="dim")
            console.print(Padding(quote, (0, 0, 0, 10), expand=False), highlight=False)
    console.print()


def _show_frameworks(report: AuditReport, console: Console) -> None:
    progress = ", ".join(f"class {number} {share:.0f} %" for number, share in report.mof["progress"].items())
    index = report.european_index
    console.print("[bold]By others' measures[/bold]")
    console.print(f"  Model Openness Framework: {report.mof['label']} ({progress})", highlight=False)
    for note in report.mof_notes:
        console.print(Padding(Text(note, style="dim"), (0, 0, 0, 4), expand=False), highlight=False)
    console.print(f"  European Open Source AI Index: {index['score']:g} of {index['of']}", highlight=False)
    words = {"pass": "met", "relicense": "would be met under other terms", "fail": "not met"}
    console.print(f"  Open Source AI Definition 1.0: {words[report.osaid['verdict']]}", highlight=False)
