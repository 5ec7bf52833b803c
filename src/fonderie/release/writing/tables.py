"""The tables of a report, once, and their two forms: rich for terminals, Markdown for files."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fonderie.core.digest import short
from fonderie.corpus.hold_out import HELD_OUT, NOT_HELD_OUT
from fonderie.evaluate.score import ALL, Score
from fonderie.release.records import Report, SourceReport, Stage

if TYPE_CHECKING:
    from rich.console import RenderableType


_WORDS = {"tokens": "tokens seen", "flops": "FLOPs", "flops_formula": "FLOPs counted as"}
TEXT_WIDTH = 10
"""A column of words is never squeezed further than this, or than its title."""
_ESCAPED = str.maketrans({"\\": "\\\\", "`": "\\`", "*": "\\*", "|": "\\|", "<": "&lt;", ">": "&gt;", "\0": " "})
_LINK = re.compile(r"\](?=[\[(:])")
"""A bracket that would end the text of a link; others are left, for intervals to stay readable."""

_SPACES = re.compile(r"[^\S\u00a0\u202f]+")
"""Any white space but the no-break spaces, which French punctuation and figures need."""


@dataclass(frozen=True)
class Column:
    """One column; numbers stand to the right."""

    title: str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Cells as text, ready to be laid out."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(report: Report) -> list[Table]:
    """Every table of a report that has rows, in reading order."""
    found = [
        sources_table(report.sources),
        reasons_table(report.sources),
        training_table(report),
        scores_table(report.scores),
        lineage_table(report),
    ]
    return [table for table in found if table.rows]


def sources_table(sources: Sequence[SourceReport]) -> Table:
    """One row per source, from documents read to bits per byte; cells of several lines, to fit 80 columns."""
    rows = [
        (
            f"{source.name}\n{'generated' if source.generated else 'read'}",
            "\n".join(count.licence for count in source.licences) or "none recorded",
            f"{source.read:,}",
            f"{sum(source.dropped.values()):,}",
            f"{sum(source.edited.values()):,}",
            f"{source.held_out:,}",
            f"{source.kept:,}",
            f"{source.tokens:,}\n{source.token_share:.1%}" if source.tokens else "0",
            "\n".join(figure(score, "\n") for score in source.scores if score.name == "bits_per_byte"),
        )
        for source in sources
    ]
    columns = (
        Column("source"),
        Column("licence"),
        Column("read", number=True),
        Column("dropped", number=True),
        Column("edited", number=True),
        Column("held\nout", number=True),
        Column("kept", number=True),
        Column("tokens", number=True),
        Column("bits per byte", number=True),
    )
    note = (
        "Documents, but for tokens. Held out: good documents kept from training in order to evaluate on them. "
        "Bits per byte with its 95 % interval and n documents; lower is better."
    )
    return Table("Sources", columns, tuple(rows), note)


def reasons_table(sources: Sequence[SourceReport]) -> Table:
    """One row per source, step and reason: what was dropped, edited or held out."""
    rows = [row for source in sources for stage in source.stages for row in _reasons(source.name, stage)]
    columns = (
        Column("source"),
        Column("call"),
        Column("fate"),
        Column("reason"),
        Column("documents", number=True),
        Column("of", number=True),
    )
    return Table("What was dropped, edited or held out, and why", columns, tuple(rows))


def _reasons(source: str, stage: Stage) -> Iterable[tuple[str, ...]]:
    aside = "" if stage.branch == "training" else f" ({stage.branch} side)"
    for reason, count in stage.dropped.items():
        fate = ("held out" if reason == HELD_OUT else "dropped") + aside
        if reason != NOT_HELD_OUT:  # the other side of what is held out: these are the documents trained on
            yield source, stage.call, fate, reason, f"{count:,}", f"{stage.read:,}"
    for reason, count in stage.edited.items():
        yield source, stage.call, "edited" + aside, reason, f"{count:,}", f"{stage.read:,}"


def scores_table(scores: Sequence[Score]) -> Table:
    """One row per score, the whole first."""
    ordered = sorted(scores, key=lambda score: (score.name, score.source != ALL, score.source))
    rows = [
        (
            score.name.replace("_", " "),
            about(score),
            f"{score.value:.4f}",
            f"{score.low:.4f} to {score.high:.4f}",
            f"{score.n:,} {score.unit}",
            score.better,
            "unknown" if score.seen is None else f"{score.seen:,}",
        )
        for score in ordered
    ]
    columns = (
        Column("score"),
        Column("source"),
        Column("value", number=True),
        Column("95 % interval", number=True),
        Column("n", number=True),
        Column("better"),
        Column("trained on", number=True),
    )
    note = "Trained on: of the n, how many stand in the documents that the model was trained on."
    return Table("Evaluation", columns, tuple(rows), " ".join([*_methods(scores), note]))


def about(score: Score) -> str:
    """What a score is of, in a few words."""
    return f"{score.source} ({score.language})" if score.source == ALL and score.language else score.source


def _methods(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(score.method for score in scores))


def training_table(report: Report) -> Table:
    """One row per fact of each training."""
    rows = [
        (training.call, name, value)
        for training in report.trainings
        for name, value in [*_facts(training.statistics), *_facts(training.measured)]
    ]
    return Table("Training", (Column("call"), Column("fact"), Column("value", number=True)), tuple(rows))


def _facts(values: dict[str, object]) -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, bool | int | float | str):
            yield _WORDS.get(name, name.replace("_", " ")), quantity(value)


def lineage_table(report: Report) -> Table:
    """One row per making."""
    rows = [
        (
            entry.call,
            f"{entry.step} v{entry.version}",
            ", ".join(name for group in entry.inputs.values() for name in group),
            f"{entry.seconds:,.1f}",
            short(entry.digest),
        )
        for entry in report.lineage
    ]
    columns = (
        Column("call"),
        Column("step"),
        Column("made from"),
        Column("seconds", number=True),
        Column("digest"),
    )
    return Table("Lineage", columns, tuple(rows))


def quantity(value: object) -> str:
    """A figure for people: thousands set apart, floats to four digits, the very large as powers of ten."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if abs(value) >= 1e12:
        return f"{value:.3e}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def figure(score: Score, between: str = ", ") -> str:
    """A score, never without its interval and n."""
    interval = f"[{score.low:.3f}, {score.high:.3f}]"
    return f"{score.value:.3f}{' ' if between == ', ' else between}{interval}{between}n = {score.n:,}"


def to_rich(report: Report) -> "RenderableType":
    """The warnings and tables for a terminal."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    parts: list[RenderableType] = [
        Panel(Text(warning), style="bold red", expand=False) for warning in report.warnings
    ]
    return Group(*parts, *map(laid_out, tables(report)))


def laid_out(table: Table) -> "RenderableType":
    """One table for a terminal, its note below."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    laid = RichTable(
        title=table.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in table.columns:
        if column.number:
            laid.add_column(column.title, justify="right", no_wrap=True)
        else:
            laid.add_column(column.title, min_width=min(len(column.title), TEXT_WIDTH), overflow="fold")
    for row in table.rows:
        laid.add_row(*map(Text, row))  # Text: what documents say is never read as markup
    return Group(laid, Text(table.note + "\n", style="dim")) if table.note else laid


def to_markdown(report: Report) -> str:
    """The tables as Markdown."""
    parts = ["# Report\n"]
    parts += [f"> **{cell(warning)}**\n" for warning in report.warnings]
    parts += [markdown_table(table, heading="##") for table in tables(report)]
    return "\n".join(parts)


def markdown_table(table: Table, *, heading: str = "") -> str:
    """One table as Markdown; with a heading, its title above it."""
    lines = [f"{heading} {table.title}", ""] if heading else []
    lines.append(_line(column.title.replace("\n", " ") for column in table.columns))
    lines.append(_line("---:" if column.number else "---" for column in table.columns))
    lines += [_line("<br>".join(map(cell, text.split("\n"))) for text in row) for row in table.rows]
    if table.note:
        lines += ["", cell(table.note)]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cell(text: str) -> str:
    """Text that stays inside its cell and is no markup, whoever wrote it."""
    return _LINK.sub(r"\\]", one_line(text.translate(_ESCAPED)))


def one_line(text: str) -> str:
    """Text without line breaks; its no-break spaces stay."""
    return _SPACES.sub(" ", text).strip()
