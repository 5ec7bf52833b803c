"""The report of a corpus as one HTML page: what each step took from each source, what is left, and examples.

It opens from a disk, without a net and without scripts. Figures come from manifests, shares and lengths from the
documents, examples from the ledgers; all of it is streamed. The same store gives the same page, byte for byte.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fonderie.core.digest import short
from fonderie.core.step import Artifact
from fonderie.corpus.hold_out import HELD_OUT, NOT_HELD_OUT
from fonderie.licences.verdict import judge
from fonderie.release.records import Report, SourceReport
from fonderie.release.report import build_report
from fonderie.release.reports.corpus_charts import STYLE, Bar, bars, histogram, key_before_after
from fonderie.release.reports.corpus_examples import EXAMPLES_STYLE, examples_of, masked
from fonderie.release.reports.corpus_shares import Shares, ends, lengths_from_to, measure
from fonderie.release.writing.html import standing_alone
from fonderie.trace.examples import as_it_is

REASONS_DRAWN = 25
SHARES_DRAWN = 20
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def corpus_report(
    artifacts: Mapping[str, Artifact], lock: Mapping[str, Any], *, personal_data: bool = False
) -> str:
    """The page; personal data that is recognised in its examples is masked unless it is asked for."""
    report = build_report(artifacts.values(), lock)
    title = str(lock["recipe"]["title"])
    read, left = ends(artifacts)
    before, after = measure(read), measure(left)
    mask = as_it_is if personal_data else masked
    body = "".join(
        [
            f"<h1>{escape(title)}: the corpus</h1>\n",
            _warnings(report),
            _contents(),
            _summary(report, before, after),
            _funnels(report.sources),
            _reasons(report.sources),
            _shares(before, after),
            _lengths(before, after),
            examples_of(artifacts, mask),
            _made_from(lock),
        ]
    )
    return standing_alone(
        body, title=f"{title}: the corpus", language="en", skip="To the report", style=STYLE + EXAMPLES_STYLE
    )


def _warnings(report: Report) -> str:
    return "".join(
        f'<blockquote class="notice"><p><strong>{escape(warning)}</strong></p></blockquote>\n'
        for warning in report.warnings
    )


def _contents() -> str:
    parts = {
        "sources": "Sources",
        "reasons": "Reasons",
        "shares": "Languages and licences",
        "lengths": "Lengths",
        "examples": "Examples",
    }
    links = " · ".join(f'<a href="#{name}">{words}</a>' for name, words in parts.items())
    return f"<p>{links}</p>\n"


def _summary(report: Report, before: Shares, after: Shares) -> str:
    dropped = sum(sum(source.dropped.values()) for source in report.sources)
    edited = sum(sum(source.edited.values()) for source in report.sources)
    held_out = sum(source.held_out for source in report.sources)
    rows = [
        ("Documents read", f"{sum(source.read for source in report.sources):,}"),
        ("Their text", size(sum(source.read_bytes for source in report.sources))),
        ("Dropped", f"{dropped:,}"),
        ("Edits", f"{edited:,}"),
        ("Held out for evaluation", f"{held_out:,}"),
        ("Documents that go into training", f"{after.documents:,}"),
        (
            "Their text",
            f"{size(after.size_bytes)}, {share(after.size_bytes, before.size_bytes)} of what was let in",
        ),
    ]
    if report.tokens:
        rows.append(("Tokens", f"{report.tokens:,}"))
    cells = "".join(f'<tr><th scope="row">{name}</th><td class="right">{value}</td></tr>' for name, value in rows)
    return f'<table class="facts">{cells}</table>\n'


def _funnels(sources: Sequence[SourceReport]) -> str:
    parts = [
        '<h2 id="sources">From what was read to what is trained on</h2>\n',
        "<p>Documents of each source after each step. The longest bar is what was read.</p>\n",
    ]
    for source in sources:
        parts.append(f"<h3>{escape(source.name)}</h3>\n{bars(_funnel(source), _of_source(source))}")
    return "".join(parts)


def _funnel(source: SourceReport) -> list[Bar]:
    rows, most = [], max(source.read, 1)
    for stage in source.stages:
        if stage.branch != "training":
            continue
        held = stage.dropped.get(HELD_OUT, 0)
        lost = stage.read - stage.kept - held
        figure = f"{stage.kept:,} ({share(stage.kept, most)})" + (f", −{lost:,}" if lost else "")
        figure += f", {held:,} held out" if held else ""
        edits = sum(stage.edited.values())
        if edits:
            figure += f", {edits:,} edited"
        rows.append(Bar(stage.call, (min(stage.kept / most, 1.0),), figure))
    return rows


def _of_source(source: SourceReport) -> str:
    licences = ", ".join(f"{escape(count.licence)} ({count.status})" for count in source.licences)
    said = f"{source.read:,} documents {'composed' if source.generated else 'read'}, {size(source.read_bytes)}"
    held = f"; {source.held_out:,} held out for evaluation" if source.held_out else ""
    return f"{said}; {licences or 'no licence recorded'}{held}."


def _reasons(sources: Sequence[SourceReport]) -> str:
    counts: Counter[tuple[str, str, str]] = Counter()
    for source in sources:
        for stage in source.stages:
            if stage.branch != "training":
                continue
            for fate, reasons in (("dropped", stage.dropped), ("edited", stage.edited)):
                for reason, count in reasons.items():
                    if reason not in (HELD_OUT, NOT_HELD_OUT):
                        counts[(stage.call, fate, reason)] += count
    parts = ['<h2 id="reasons">Why documents were dropped or edited</h2>\n']
    if not counts:
        return parts[0] + "<p>None was.</p>\n"
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    most = ordered[0][1]
    rows = [
        Bar(f"{call}: {reason}", (count / most,), f"{count:,} {fate}", ("lost" if fate == "dropped" else "after",))
        for (call, fate, reason), count in ordered[:REASONS_DRAWN]
    ]
    more = len(ordered) - len(rows)
    caption = "Documents, by call and reason, all sources together."
    parts.append(bars(rows, caption + (f" {more:,} rarer reasons are not drawn." if more > 0 else "")))
    return "".join(parts)


def _shares(before: Shares, after: Shares) -> str:
    parts = ['<h2 id="shares">Languages and licences</h2>\n']
    languages = {name: name for name in before.languages | after.languages}
    licences = {name: f"{name} ({judge(name).status})" for name in before.licences | after.licences}
    for title, names, old, new in (
        ("Languages", languages, before.languages, after.languages),
        ("Licences of the documents", licences, before.licences, after.licences),
    ):
        ordered = sorted(names, key=lambda name: (-new[name], -old[name], name))
        rows = [
            Bar(
                names[name],
                (_ratio(old[name], before.size_bytes), _ratio(new[name], after.size_bytes)),
                f"{share(old[name], before.size_bytes)} → {share(new[name], after.size_bytes)}",
                ("before", "after"),
            )
            for name in ordered[:SHARES_DRAWN]
        ]
        more = len(ordered) - len(rows)
        caption = f"Share of the bytes of text: {key_before_after()}." + (
            f" {more:,} with less are not drawn." if more > 0 else ""
        )
        if names is languages and before.identified:
            caption += (
                " Where a document declares none, it is the language identified: on "
                f"{before.identified:,} documents drawn by hash."
            )
        parts.append(f"<h3>{title}</h3>\n{bars(rows, caption)}")
    return "".join(parts)


def _lengths(before: Shares, after: Shares) -> str:
    first, last = lengths_from_to(before.lengths.tolist(), after.lengths.tolist())
    labels = [size(1 << place) for place in range(first, last + 1)]
    old, new = before.lengths[first : last + 1].tolist(), after.lengths[first : last + 1].tolist()
    rows = "".join(
        f'<tr><th scope="row">from {label}</th><td class="right">{was:,}</td><td class="right">{now:,}</td></tr>'
        for label, was, now in zip(labels, old, new, strict=True)
    )
    said = f"Histogram of the lengths of documents, from {labels[0]} to {labels[-1]}; its figures are in the table."
    return (
        '<h2 id="lengths">Lengths of documents</h2>\n<figure class="plot">\n'
        + histogram(labels, old, new, said=said)
        + f"<figcaption>Documents by bytes of text; each bin is twice as wide as the one before. "
        f"{key_before_after()}.</figcaption>\n</figure>\n"
        '<details><summary>The figures</summary>\n<div class="wide"><table><thead><tr>'
        '<th scope="col">length</th><th scope="col" class="right">as read</th>'
        f'<th scope="col" class="right">into training</th></tr></thead><tbody>{rows}</tbody></table></div>\n'
        "</details>\n"
    )


def _made_from(lock: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(made["step"])} v{made["version"]}</td>'
        f"<td><code>{escape(short(made['digest']))}</code></td></tr>"
        for name, made in lock["calls"].items()
    )
    return (
        "<h2>What this was made from</h2>\n"
        f"<p>Recipe <code>{escape(str(lock['recipe']['sha256']))}</code>, and the artifacts of its calls:</p>\n"
        '<div class="wide"><table><thead><tr><th scope="col">call</th><th scope="col">step</th>'
        f'<th scope="col">digest</th></tr></thead><tbody>{rows}</tbody></table></div>\n'
    )


def size(count: float) -> str:
    """Bytes for people: whole up to 1 KiB, then three digits and a binary unit."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:,.3g} {_UNITS[unit]}" if count < 1000 else f"{count:,.0f} {_UNITS[unit]}"


def share(part: float, whole: float) -> str:
    """A share in per cent, to one digit; a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
