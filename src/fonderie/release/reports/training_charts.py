"""Curves as HTML with inline SVG, in the look of the corpus report: they follow the page's width and its colours.

Lines are drawn in a box of 1000 by 400 that stretches; words stand in HTML around it, at the size of the page's.
A curve of more points than a screen has is drawn as the mean of each bin, with a band from its least to its
greatest value: nothing that happened is smoothed away. Colours never say anything alone: every curve is named, and
the figures stand in a table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 1000, 400
BINS = 250
LOG_BEYOND = 30.0
"""A scale that may be logarithmic is so where its greatest value is so many times the least."""
COLOURS = 8

CHART_STYLE = """
.chart { display: grid; grid-template-columns: 4.2rem 1fr; gap: 0 .6rem; break-inside: avoid; }
.chart .scale { position: relative; font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.chart .scale span { position: absolute; right: 0; transform: translateY(-50%); white-space: nowrap; }
.chart svg { display: block; width: 100%; height: 15rem; overflow: visible; border-left: 1px solid var(--line);
  border-bottom: 1px solid var(--line); }
.chart .axis { grid-column: 2; } .chart .low svg { height: 9rem; }
.chart line { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
.chart line.phase { stroke: var(--soft); stroke-dasharray: 4 3; }
.chart polyline { fill: none; stroke-width: 1.7; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.chart polygon { opacity: .25; } .chart .mark { stroke-width: 6; stroke-linecap: round; }
.phases { display: flex; grid-column: 2; font-size: .8rem; color: var(--soft); }
.phases span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.legend { font-size: .9rem; margin: .4rem 0 0; }
.legend .key { border-radius: 2px; }
:root { --c0: #1d4f91; --c1: #b3541e; --c2: #2f7d4f; --c3: #7a3f98; --c4: #8a6d00; --c5: #a02c5a; --c6: #13717d;
  --c7: #5c5c66; }
@media (prefers-color-scheme: dark) { :root { --c0: #8db8f2; --c1: #f0a36f; --c2: #86cfa3; --c3: #c9a0e3;
  --c4: #dcc45a; --c5: #f09abb; --c6: #74c8d4; --c7: #a5a5b0; } }
@media print { :root { --c0: #1d4f91; --c1: #b3541e; --c2: #2f7d4f; --c3: #7a3f98; --c4: #8a6d00; --c5: #a02c5a;
  --c6: #13717d; --c7: #5c5c66; } }
""" + "".join(
    f".s{n} {{ stroke: var(--c{n}); }} .f{n} {{ fill: var(--c{n}); }} .key.f{n} {{ background: var(--c{n}); }}\n"
    for n in range(COLOURS)
)


@dataclass(frozen=True)
class Curve:
    """One named line over steps."""

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    band: bool = False
    """Whether the range of each bin is drawn around its mean."""
    marks: bool = False
    """Whether each point is marked: for few points, far apart."""


@dataclass(frozen=True)
class Axis:
    """What every chart of a training has below it."""

    last: int
    """The last step of the plan: what is not trained yet stays blank."""
    phases: Sequence[tuple[str, int]] = ()
    """Name and last step of each phase, in order."""


def chart(curves: Sequence[Curve], axis: Axis, *, said: str, caption: str, may_be_logarithmic: bool = False) -> str:
    """Curves over steps; `said` describes them to those who do not see them."""
    values = [value for curve in curves for value in curve.values if math.isfinite(value)]
    if not values:
        return f'<p class="gap">{escape(said)}: nothing yet.</p>\n'
    scale = Scale.of(values, may_be_logarithmic=may_be_logarithmic)
    drawn = [_rule(scale.at(tick)) for tick in scale.ticks]
    drawn += [_phase_line(end, axis.last) for _, end in axis.phases[:-1]]
    for number, curve in enumerate(curves):
        drawn += _curve(curve, scale, axis, number % COLOURS)
    legend = _legend([curve.name for curve in curves]) if len(curves) > 1 else ""
    return _figure("".join(drawn), scale, axis, said=said, caption=caption + legend)


def stacked(
    shares: Sequence[tuple[int, int, Sequence[float]]], names: Sequence[str], axis: Axis, *, said: str
) -> str:
    """Shares of named parts, from 0 to 1, of stretches of steps: first, last, and a share of each name."""
    drawn = []
    for first, last, parts in shares:
        left, right = WIDTH * (first - 1) / axis.last, WIDTH * last / axis.last
        top = 0.0
        for number, part in enumerate(parts):
            drawn.append(
                f'<rect class="f{number % COLOURS}" x="{left:.2f}" y="{HEIGHT * top:.2f}" '
                f'width="{right - left:.2f}" height="{HEIGHT * part:.2f}"/>'
            )
            top += part
    drawn += [_phase_line(end, axis.last) for _, end in axis.phases[:-1]]
    return _figure("".join(drawn), Scale(0.0, 1.0, (0.0, 0.5, 1.0)), axis, said=said, caption=_legend(names))


@dataclass(frozen=True)
class Scale:
    """From values to heights."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    @classmethod
    def of(cls, values: Sequence[float], *, may_be_logarithmic: bool = False) -> "Scale":
        """A scale with round ticks that holds all values."""
        low, high = min(values), max(values)
        if may_be_logarithmic and low > 0 and high / low > LOG_BEYOND:
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            every = max(1, (last - first) // 5)
            ticks = tuple(10.0**power for power in range(first, last + 1, every))
            return cls(10.0**first, 10.0**last, ticks, logarithmic=True)
        if high == low:
            low, high = low - abs(low) / 10 - 1e-12, high + abs(high) / 10 + 1e-12
        step = _round_step((high - low) / 4)
        first, last = math.floor(low / step), math.ceil(high / step)
        return cls(first * step, last * step, tuple(round(step * n, 12) for n in range(first, last + 1)))

    def at(self, value: float) -> float:
        """The height of a value, from 0 at the top to HEIGHT."""
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        return HEIGHT * (1 - (value - low) / (high - low))


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= step * 0.999), 10 * power)


def _curve(curve: Curve, scale: Scale, axis: Axis, colour: int) -> list[str]:
    bins = _bins(curve)
    points = [(WIDTH * step / axis.last, scale.at(mean)) for step, mean, _, _ in bins]
    drawn = []
    if curve.band:
        edge = [(WIDTH * step / axis.last, scale.at(most)) for step, _, _, most in bins]
        edge += [(WIDTH * step / axis.last, scale.at(least)) for step, _, least, _ in reversed(bins)]
        drawn.append(f'<polygon class="f{colour}" points="{_points(edge)}"/>')
    if len(points) == 1 or curve.marks:
        # A line of no length with round ends: a dot that no stretching of the box makes an ellipse.
        drawn += [f'<polyline class="s{colour} mark" points="{x:.2f},{y:.2f} {x:.2f},{y:.2f}"/>' for x, y in points]
    drawn.append(f'<polyline class="s{colour}" points="{_points(points)}"/>')
    return drawn


def _bins(curve: Curve) -> list[tuple[float, float, float, float]]:
    """Step, mean, least and greatest of at most BINS bins of finite values."""
    finite = [(step, value) for step, value in zip(curve.steps, curve.values, strict=True) if math.isfinite(value)]
    size = max(1, -(-len(finite) // BINS))
    found = []
    for start in range(0, len(finite), size):
        part = finite[start : start + size]
        values = [value for _, value in part]
        middle = sum(step for step, _ in part) / len(part)
        found.append((middle, sum(values) / len(values), min(values), max(values)))
    return found


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _rule(y: float) -> str:
    return f'<line x1="0" x2="{WIDTH}" y1="{y:.2f}" y2="{y:.2f}"/>'


def _phase_line(end: int, last: int) -> str:
    x = WIDTH * end / last
    return f'<line class="phase" x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="{HEIGHT}"/>'


def _legend(names: Sequence[str]) -> str:
    keys = (f'<span class="key f{number % COLOURS}"></span>{escape(name)} ' for number, name in enumerate(names))
    return f'<span class="legend">{"".join(keys)}</span>'


def _figure(drawn: str, scale: Scale, axis: Axis, *, said: str, caption: str) -> str:
    ticks = "".join(
        f'<span style="top:{100 * scale.at(tick) / HEIGHT:.2f}%">{figure(tick)}</span>' for tick in scale.ticks
    )
    steps = [round(axis.last * part / 4) for part in range(5)] if axis.last >= 4 else [0, axis.last]
    numbers = "".join(f"<span>{step:,}</span>" for step in steps)
    phases = ""
    if len(axis.phases) > 1:
        begun, parts = 0, []
        for name, end in axis.phases:
            parts.append(f'<span style="width:{100 * (end - begun) / axis.last:.2f}%">{escape(name)}</span>')
            begun = end
        phases = f'<div class="phases">{"".join(parts)}</div>'
    return (
        f'<figure class="plot"><div class="chart"><div class="scale" aria-hidden="true">{ticks}</div>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(said)}">'
        f'{drawn}</svg><div class="axis" aria-hidden="true">{numbers}</div>{phases}</div>'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def figure(value: float) -> str:
    """A number as short as its ticks need it."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
