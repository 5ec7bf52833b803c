"""Plots as HTML with inline SVG: bars and histograms that follow the page's width, its colours, and its printer.

Words stand in HTML beside the bars, at the size of the page's own, so that a phone shows them as readable as a
screen does; only lengths are drawn. Colours never say anything alone: every bar has its figure, every histogram its
table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
main { max-width: 66rem; }
.facts { max-width: 40rem; } .facts .right { white-space: normal; }
.plot { margin: 1rem 0 1.6rem; }
.plot figcaption { color: var(--soft); font-size: .9rem; margin-top: .5rem; }
.bar { display: grid; grid-template-columns: minmax(7rem, 15rem) 1fr minmax(9rem, 14rem); gap: .15rem .8rem;
  align-items: center; padding: .2rem 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
.bar .name { overflow-wrap: anywhere; }
.bar .figure { font-variant-numeric: tabular-nums; font-size: .9rem; text-align: right; }
.bar svg { display: block; width: 100%; }
.track { fill: var(--tint); } .before { fill: var(--soft); opacity: .55; } .after { fill: var(--accent); }
.lost { fill: var(--alert); opacity: .75; }
.key { display: inline-block; width: .8em; height: .8em; vertical-align: -.05em; margin: 0 .3em 0 .8em; }
.key.before { background: var(--soft); opacity: .55; } .key.after { background: var(--accent); }
.histogram { display: block; width: 100%; height: 15rem; overflow: visible; }
.histogram text { fill: var(--soft); font-size: .75rem; } .histogram line { stroke: var(--line); }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) {
  .bar { grid-template-columns: 1fr auto; } .bar svg { grid-column: 1 / 3; grid-row: 2; }
}
@media print {
  .bar { grid-template-columns: 9rem 1fr 9.5rem; } .track { fill: none; stroke: #ccc; }
  * { print-color-adjust: exact; }
}
"""


@dataclass(frozen=True)
class Bar:
    """One row of a plot."""

    name: str
    shares: tuple[float, ...]
    """Lengths from 0 to 1, one thin bar each."""
    figure: str
    colours: tuple[str, ...] = ("after",)
    """One class per length."""


def bars(rows: Sequence[Bar], caption: str) -> str:
    """Named bars with their figures."""
    return f'<figure class="plot">\n{"".join(map(_bar, rows))}<figcaption>{caption}</figcaption>\n</figure>\n'


def _bar(row: Bar) -> str:
    height, thick = 8 * len(row.shares) + 4, 8 if len(row.shares) > 1 else 12
    drawn = "".join(
        f'<rect class="{colour}" y="{place * thick}" width="{_percent(share)}" height="{thick - 1}"/>'
        for place, (share, colour) in enumerate(zip(row.shares, row.colours, strict=True))
    )
    return (
        f'<div class="bar"><span class="name">{escape(row.name)}</span>'
        f'<svg height="{height}" aria-hidden="true"><rect class="track" width="100%" height="{height - 1}"/>'
        f"{drawn}</svg>"
        f'<span class="figure">{escape(row.figure)}</span></div>\n'
    )


def _percent(share: float) -> str:
    # Something is never drawn as nothing.
    return f"{max(share * 100, 0.3 if share else 0):.2f}%"


def key_before_after() -> str:
    """What the two colours mean."""
    return '<span class="key before"></span>as read <span class="key after"></span>as it goes into training'


def histogram(labels: Sequence[str], before: Sequence[int], after: Sequence[int], *, said: str) -> str:
    """Two histograms of the same bins, side by side; `said` describes them to those who do not see them."""
    most = max([*before, *after, 1])
    width = 100 / max(len(labels), 1)
    drawn = [f'<line x1="0" x2="100%" y1="{_y(0)}" y2="{_y(0)}"/>']
    every = -(-len(labels) // 6)  # more than six labels run into each other on a phone
    for place, (label, old, new) in enumerate(zip(labels, before, after, strict=True)):
        left = place * width
        for number, colour, offset in ((old, "before", 0.08), (new, "after", 0.5)):
            if number:
                height = max(80 * number / most, 0.4)
                drawn.append(
                    f'<rect class="{colour}" x="{left + offset * width:.2f}%" y="{88 - height:.2f}%" '
                    f'width="{0.42 * width:.2f}%" height="{height:.2f}%"><title>{escape(label)}: {number:,} '
                    f"{'as read' if colour == 'before' else 'into training'}</title></rect>"
                )
        if place % every == 0:
            drawn.append(f'<text x="{left + 0.08 * width:.2f}%" y="97%">{escape(label)}</text>')
    drawn.append(f'<text x="0" y="5%">{most:,} documents</text>')
    return f'<svg class="histogram" role="img" aria-label="{escape(said)}">{"".join(drawn)}</svg>\n'


def _y(share: float) -> str:
    return f"{88 - 80 * share:.2f}%"
