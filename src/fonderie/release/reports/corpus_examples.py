"""The examples of a corpus report, as HTML: what was dropped, what was edited, what was the same as something."""

from collections.abc import Iterable, Mapping
from html import escape

from fonderie.core.digest import short
from fonderie.core.step import Artifact
from fonderie.corpus.dedup.documents import NEAR, dedup
from fonderie.corpus.hold_out import hold_out
from fonderie.corpus.personal.kinds import KINDS
from fonderie.corpus.redact import redact_text
from fonderie.trace.changes import Piece
from fonderie.trace.clusters import Cluster, Member, clusters
from fonderie.trace.examples import (
    Changed,
    Example,
    Mask,
    Wanted,
    as_it_is,
    document_calls,
    examples,
    reasons_of,
)

DROPPED, EDITED, CLUSTERS = 12, 8, 6
"""Per call."""

EXAMPLES_STYLE = """
.example { border: 1px solid var(--line); border-left: 4px solid var(--line); border-radius: 4px;
  padding: .6rem .9rem; margin: .8rem 0; break-inside: avoid; }
.example.dropped { border-left-color: var(--alert); } .example.edited { border-left-color: var(--accent); }
.example p { margin: .2rem 0; overflow-wrap: anywhere; }
.about { color: var(--soft); font-size: .85rem; }
.text { white-space: pre-wrap; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; margin-top: .4rem; }
.sides h4 { margin: 0; }
del { color: var(--alert); background: var(--alert-tint); text-decoration: line-through; }
ins { color: var(--accent); background: var(--tint); font-weight: 600; text-decoration: none;
  border-bottom: 2px solid var(--accent); }
details summary { cursor: pointer; margin: .6rem 0; }
h3 + .about { break-after: avoid; }
@media (max-width: 40rem) { .sides { grid-template-columns: 1fr; } }
"""


def masked(text: str) -> str:
    """A text with a mark in place of each personal datum that corpus.redact recognises, of every kind."""
    return redact_text(text, KINDS)[0]


def examples_of(artifacts: Mapping[str, Artifact], mask: Mask) -> str:
    """The section of examples; steps that only hold documents out have none to show."""
    parts = ['<h2 id="examples">Examples</h2>\n', _how_drawn(mask)]
    for call, artifact in document_calls(artifacts).items():
        step = artifact.manifest.step
        if step == hold_out.name:
            continue
        parts += _of_call(call, artifact, "dropped", DROPPED, mask)
        parts += _of_call(call, artifact, "edited", EDITED, mask)
        if step == dedup.name:
            found = clusters(call, artifact, CLUSTERS, mask)
            if found:
                parts.append(f"<h3>{escape(call)}: clusters of duplicates</h3>\n")
                parts += map(_cluster, found)
    return "".join(parts)


def _how_drawn(mask: Mask) -> str:
    said = (
        "Drawn by hash and spread over the reasons, so that rare reasons are seen too: these are examples, "
        "not a sample from which shares could be estimated. "
    )
    if mask is as_it_is:
        return (
            f"<p>{said}</p>\n"
            '<blockquote class="notice"><p><strong>Texts are shown as they are, with the personal data that '
            "redaction removed: pass this page on to nobody who may not see them.</strong></p></blockquote>\n"
        )
    return (
        f"<p>{said}Personal data that corpus.redact recognises is masked here: what a redaction removed keeps its "
        "shape and no letter. Names of people are not recognised, and are not masked.</p>\n"
    )


def _of_call(call: str, artifact: Artifact, fate: Changed, number: int, mask: Mask) -> Iterable[str]:
    wanted = Wanted(fate, number)
    counts = reasons_of(artifact, wanted)
    if not counts:
        return
    yield f"<h3>{escape(call)}: {fate}</h3>\n"
    documents, reasons = sum(counts.values()), len(counts)
    yield (
        f'<p class="about">{documents:,} document{"s"[: documents != 1]}, '
        f"for {reasons:,} reason{'s'[: reasons != 1]}.</p>\n"
    )
    yield from map(_example, examples(call, artifact, wanted, mask))


def _example(example: Example) -> str:
    about = [example.licence, example.language, f"{example.size_bytes:,} bytes", short(example.id)]
    said = f": {escape(example.detail)}" if example.detail else ""
    return (
        f'<article class="example {example.fate}">\n<p><strong>{escape(example.reason)}</strong>{said}</p>\n'
        f'<p class="about">{escape(example.source)}: {escape(example.origin)} · '
        f"{escape(' · '.join(part for part in about if part))}</p>\n{_what_it_says(example)}</article>\n"
    )


def _what_it_says(example: Example) -> str:
    if example.changes:
        before, after = _side(example.changes, "added", "del"), _side(example.changes, "removed", "ins")
        return (
            f'<div class="sides"><div><h4>Before</h4><p class="text">{before}</p></div>'
            f'<div><h4>After</h4><p class="text">{after}</p></div></div>\n'
        )
    if example.excerpt is None:
        return '<p class="about">Its text is in no artifact: it was dropped as it was read.</p>\n'
    return f'<p class="text">{escape(example.excerpt)}</p>\n'


def _side(pieces: Iterable[Piece], without: str, tag: str) -> str:
    """One of the two texts, what is only in it marked."""
    return "".join(
        escape(piece.text) if piece.kind == "same" else f"<{tag}>{escape(piece.text)}</{tag}>"
        for piece in pieces
        if piece.kind != without
    )


def _cluster(cluster: Cluster) -> str:
    gone = "".join(
        f"<details><summary>{escape(member.reason)}{escape(f', {alike}') if (alike := _alike(member)) else ''}: "
        f"{escape(member.source)}: {escape(member.origin)}</summary>\n"
        f'<p class="text">{escape(member.excerpt)}</p></details>\n'
        for member in cluster.members
    )
    keeper = cluster.keeper
    more = cluster.gone - len(cluster.members)
    return (
        f'<article class="example">\n<p><strong>{cluster.gone:,} went in favour of one</strong></p>\n'
        f'<p class="about">kept: {escape(keeper.source)}: {escape(keeper.origin)} · {short(keeper.id)}</p>\n'
        f'<p class="text">{escape(keeper.excerpt)}</p>\n{gone}'
        + (f'<p class="about">… and {more:,} more.</p>\n' if more else "")
        + "</article>\n"
    )


def _alike(member: Member) -> str:
    """What the ledger says beside the other's name: the similarity, where one was measured."""
    return member.detail.rpartition(", ")[2] if member.reason == NEAR else ""
