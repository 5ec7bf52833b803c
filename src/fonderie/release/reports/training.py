"""The report of a training as one HTML page: while it runs, when it has ended, and inside a release.

It opens from a disk, without a net and without scripts, and says what the log, the mix and the manifests say: loss,
learning rate, gradient norm, speed, evaluation over checkpoints, the mix seen, energy and arithmetic. `Course` is
all that it is drawn from; who gathers it: training_course.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from fonderie.core.progress import in_words
from fonderie.evaluate.score import Score
from fonderie.release.reports.corpus_charts import STYLE
from fonderie.release.reports.training_charts import CHART_STYLE, COLOURS, Axis, Curve, chart, figure, stacked
from fonderie.release.writing.html import standing_alone
from fonderie.train.record.commitment import LogLine
from fonderie.train.settings.stopping import Measurement
from fonderie.train.view.mix import Mix

ROWS = 20
"""Of the table of figures."""
OTHERS = "all others"
LOSS = "Nats per token of each step's batch"
_LOSSES = {"train.prefer": "The objective of each step's batch, averaged over its pairs"}


@dataclass(frozen=True)
class Scored:
    """The scores of the model as it was after a step."""

    step: int
    scores: Sequence[Score]


@dataclass(frozen=True)
class Course:
    """One training, as far as it has come."""

    call: str
    step: str
    """The name of the step that trains."""
    state: str
    """What has become of it, in a sentence."""
    lines: Sequence[LogLine]
    planned: int
    """Steps in all."""
    phases: Sequence[tuple[str, int]] = ()
    """Name and last step of each."""
    facts: Sequence[tuple[str, str]] = ()
    """What it is and what it took, in rows."""
    throughput: Sequence[tuple[int, float]] = ()
    """Tokens per second up to a step."""
    mix: Mix | None = None
    validation: Sequence[Measurement] = ()
    scored: Sequence[Scored] = field(default=())


def training_report(
    title: str, courses: Sequence[Course], *, notice: str = "", refresh_seconds: int | None = None
) -> str:
    """The page of every training of a build; with `refresh_seconds`, browsers load it anew that often."""
    said = f'<blockquote class="notice"><p>{escape(notice)}</p></blockquote>\n' if notice else ""
    body = f"<h1>{escape(title)}: the training</h1>\n" + said + "".join(map(_course, courses))
    if not courses:
        body += "<p>There is no training to show.</p>\n"
    page = standing_alone(
        body,
        title=f"{title}: the training",
        language="en",
        skip="To the report",
        style=STYLE + CHART_STYLE,
    )
    if refresh_seconds is None:
        return page
    return page.replace("<title>", f'<meta http-equiv="refresh" content="{refresh_seconds}">\n<title>', 1)


def _course(course: Course) -> str:
    axis = Axis(max(course.planned, len(course.lines), 1), tuple(course.phases))
    parts = [
        f"<h2>{escape(course.call)}</h2>\n<p><code>{escape(course.step)}</code>. {escape(course.state)}</p>\n",
        _facts(course.facts),
    ]
    if course.lines:
        parts += [_loss(course, axis), _rates(course, axis), _speed(course, axis), _evaluation(course, axis)]
    if course.mix is not None:
        parts.append(_mix(course.mix, axis))
    if course.lines:
        parts.append(_figures(course))
    return "".join(parts)


def _facts(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f'<table class="facts">{cells}</table>\n' if rows else ""


def _loss(course: Course, axis: Axis) -> str:
    steps, losses = [line.step for line in course.lines], [line.loss for line in course.lines]
    last = losses[-max(1, len(losses) // 20) :]
    said = f"Training loss from {figure(losses[0])} at step 1 to {figure(losses[-1])} at step {steps[-1]:,}"
    caption = (
        f"{_LOSSES.get(course.step, LOSS)}, before the step: the mean of each bin of steps, and the range within. "
        f"The last {len(last):,} steps average {sum(last) / len(last):.4f}."
    )
    curves = [Curve("training", steps, losses, band=True)]
    return "<h3>Loss</h3>\n" + chart(curves, axis, said=said, caption=caption)


def _rates(course: Course, axis: Axis) -> str:
    steps = [line.step for line in course.lines]
    rates, norms = [line.learning_rate for line in course.lines], [line.gradient_norm for line in course.lines]
    return (
        "<h3>Learning rate</h3>\n"
        + _low(
            [Curve("learning rate", steps, rates)],
            axis,
            said=f"Learning rate, at most {figure(max(rates))}, {figure(rates[-1])} at step {steps[-1]:,}",
            caption="With which each step moves the weights.",
        )
        + "<h3>Norm of the gradient</h3>\n"
        + _low(
            [Curve("gradient norm", steps, norms, band=True)],
            axis,
            said=f"Norm of the gradient, from {figure(min(norms))} to {figure(max(norms))}",
            caption="Of the whole gradient, before it is clipped.",
            may_be_logarithmic=True,
        )
    )


def _low(curves: Sequence[Curve], axis: Axis, *, said: str, caption: str, may_be_logarithmic: bool = False) -> str:
    drawn = chart(curves, axis, said=said, caption=caption, may_be_logarithmic=may_be_logarithmic)
    return f'<div class="low">{drawn}</div>\n'


def _speed(course: Course, axis: Axis) -> str:
    if not course.throughput:
        return ""
    steps, speeds = [step for step, _ in course.throughput], [speed for _, speed in course.throughput]
    return "<h3>Speed</h3>\n" + _low(
        [Curve("tokens per second", steps, speeds, marks=len(steps) < 3)],
        axis,
        said=f"Tokens per second, from {figure(min(speeds))} to {figure(max(speeds))}",
        caption="Tokens per second, by the clock of the machine that trained: no part of the artifact's bytes.",
    )


def _evaluation(course: Course, axis: Axis) -> str:
    parts = []
    if course.validation:
        groups = list(course.validation[0].losses)
        curves = [
            Curve(
                group,
                [one.step for one in course.validation],
                [one.losses[group] for one in course.validation],
                marks=True,
            )
            for group in groups
        ]
        said = f"Validation loss of {len(groups)} groups at {len(course.validation)} steps"
        parts.append(chart(curves, axis, said=said, caption="Nats per token of documents held out, by group. "))
    parts += [_scores(name, course, axis) for name in _score_names(course)]
    if not parts:
        return ""
    return "<h3>Evaluation over checkpoints</h3>\n" + "".join(parts)


def _score_names(course: Course) -> list[str]:
    return list(dict.fromkeys(score.name for scored in course.scored for score in scored.scores))


def _scores(name: str, course: Course, axis: Axis) -> str:
    """One figure of every source, at each checkpoint that was evaluated, with its interval in the table."""
    found: dict[str, list[tuple[int, Score]]] = {}
    for scored in sorted(course.scored, key=lambda scored: scored.step):
        for score in scored.scores:
            if score.name == name:
                label = score.source + (f" ({score.language})" if score.language else "")
                found.setdefault(label, []).append((scored.step, score))
    curves = [
        Curve(source, [step for step, _ in points], [score.value for _, score in points], marks=True)
        for source, points in found.items()
    ]
    rows = "".join(
        f'<tr><th scope="row">{escape(source)}</th><td class="right">{step:,}</td>'
        f'<td class="right">{score.value:.4f}</td><td class="right">{score.low:.4f} to {score.high:.4f}</td>'
        f'<td class="right">{score.n:,} {score.unit}</td></tr>'
        for source, points in found.items()
        for step, score in points
    )
    better = next(iter(found.values()))[0][1].better
    words = name.replace("_", " ")
    drawn = curves[:COLOURS]
    left_out = f" {len(curves) - len(drawn)} more stand in the table alone." if len(curves) > len(drawn) else ""
    said = f"{words} of {len(found)} sources at {len(course.scored)} checkpoints; the figures are in the table"
    return (
        chart(drawn, axis, said=said, caption=f"{escape(words)}, {better} is better.{left_out} ")
        + f"<details><summary>{escape(words)}: the figures</summary>\n"
        + _table(("source", "step", "value", "95 % interval", "n"), rows)
        + "</details>\n"
    )


def _mix(mix: Mix, axis: Axis) -> str:
    totals: dict[str, float] = {}
    for stretch in mix.stretches:
        for name, share in _shares(stretch.tokens).items():
            # A stretch counts as long as it is, however many of its steps were counted.
            totals[name] = totals.get(name, 0.0) + share * (stretch.last - stretch.first + 1)
    ordered = sorted(totals, key=lambda name: (-totals[name], name))
    drawn, rest = (ordered, []) if len(ordered) <= COLOURS else (ordered[: COLOURS - 1], ordered[COLOURS - 1 :])
    names = [*drawn, *([OTHERS] if rest else [])]
    shares = []
    for stretch in mix.stretches:
        found = _shares(stretch.tokens)
        parts = [found.get(name, 0.0) for name in drawn] + (
            [sum(found.get(one, 0.0) for one in rest)] if rest else []
        )
        shares.append((stretch.first, stretch.last, parts))
    steps = sum(stretch.last - stretch.first + 1 for stretch in mix.stretches)
    counted = sum(stretch.counted for stretch in mix.stretches)
    whole = sum(totals.values()) or 1.0
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="right">{100 * totals[name] / whole:.2f} %</td></tr>'
        for name in ordered
    )
    said = "Share of the inputs by source: " + ", ".join(
        f"{name} {100 * totals[name] / whole:.0f} %" for name in ordered[:COLOURS]
    )
    how = "every step counted" if counted == steps else f"counted on {counted:,} of {steps:,} steps, evenly spread"
    return (
        '<h3>The mix seen</h3>\n<div class="low">'
        + stacked(shares, names, axis, said=said)
        + f"</div>\n<p>Share of the tokens read at each step, by source of their document; {how}. The order is "
        "settled before the first step, so steps to come are shown too.</p>\n"
        + "<details><summary>The shares</summary>\n"
        + _table(("source", "share of the tokens of all steps"), rows)
        + "</details>\n"
    )


def _shares(tokens: dict[str, int]) -> dict[str, float]:
    whole = sum(tokens.values())
    return {name: count / whole for name, count in tokens.items()} if whole else {}


def _figures(course: Course) -> str:
    every = max(1, -(-len(course.lines) // ROWS))
    lines = list(course.lines[::every])
    if lines[-1] != course.lines[-1]:
        lines.append(course.lines[-1])
    rows = "".join(
        f'<tr><th scope="row">{line.step:,}</th><td class="right">{line.tokens:,}</td>'
        f'<td class="right">{line.loss:.4f}</td><td class="right">{figure(line.learning_rate)}</td>'
        f'<td class="right">{line.gradient_norm:.4f}</td></tr>'
        for line in lines
    )
    heads = ("step", "tokens seen", "loss", "learning rate", "gradient norm")
    return f"<details><summary>The figures of {len(lines)} steps</summary>\n{_table(heads, rows)}</details>\n"


def _table(heads: Sequence[str], rows: str) -> str:
    first, *others = heads
    cells = "".join(f'<th scope="col" class="right">{escape(head)}</th>' for head in others)
    return (
        f'<div class="wide"><table><thead><tr><th scope="col">{escape(first)}</th>{cells}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>\n"
    )


def facts_of(
    statistics: dict[str, Any], measured: dict[str, Any], energy: dict[str, Any], environment: dict[str, Any]
) -> list[tuple[str, str]]:
    """The rows of a training that has ended, from its manifest; what a manifest does not say has no row."""
    rows = [
        ("Parameters", _count(statistics.get("parameters"))),
        ("Steps", _count(statistics.get("steps"))),
        ("Tokens", _count(statistics.get("tokens"))),
        ("On what was held out", _held_out_words(statistics.get("held_out") or {})),
        ("Floating-point operations", _operations(statistics)),
        ("Time of the last run", in_words(measured["training_seconds"]) if "training_seconds" in measured else ""),
        ("Runs", _runs(measured)),
        ("Speed", _speed_words(measured)),
        ("Model FLOPs utilisation", _mfu(measured)),
        (
            "Waiting for data",
            f"{measured['waited_for_data_share']:.2%}" if "waited_for_data_share" in measured else "",
        ),
        ("Energy", energy_words(energy)),
        ("Computed by", _computed_by(measured, environment)),
    ]
    return [(name, value) for name, value in rows if value]


def energy_words(energy: dict[str, Any]) -> str:
    """What was measured, how and where; an estimate is called one."""
    if not energy:
        return ""
    joules, method = energy.get("joules"), str(energy.get("method", "not recorded"))
    said = method if joules is None else f"{joules / 3.6e6:.4g} kWh ({method})"
    said += f"; country: {energy.get('country', 'not stated')}"
    estimate = energy.get("estimate")
    return said + (f"; estimate: {estimate['joules'] / 3.6e6:.4g} kWh ({estimate['formula']})" if estimate else "")


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _held_out_words(found: dict[str, Any]) -> str:
    """What a tuned model did on documents that were set aside: see train/steps/held_out.py."""
    if "preferred" in found:
        said = (
            f"the better answer gained on the worse one in {found['preferred']:.1%} of {found['pairs']:,} pairs "
            f"({found['preferred_low']:.1%} to {found['preferred_high']:.1%}), by {found['margin_nats']:.3f} nats "
            f"on average ({found['margin_nats_low']:.3f} to {found['margin_nats_high']:.3f})"
        )
    elif "model" in found:
        own, base = found["model"], found["base"]
        said = (
            f"{own['loss']:.4f} nats per token that counts ({own['loss_low']:.4f} to {own['loss_high']:.4f}), "
            f"where its base has {base['loss']:.4f}; {found['conversations']:,} conversations"
        )
    else:
        return ""
    seen = found["also_trained_on"]
    return f"{said}; {seen:,} of them were trained on" if seen else said


def _operations(statistics: dict[str, Any]) -> str:
    if "flops" not in statistics:
        return ""
    return f"{statistics['flops']:.4g}, counted as {statistics.get('flops_formula', 'not recorded')}"


def _runs(measured: dict[str, Any]) -> str:
    runs = measured.get("runs", 1)
    return f"{runs}, the last from step {measured.get('resumed_from_step', 0):,}" if runs > 1 else ""


def _speed_words(measured: dict[str, Any]) -> str:
    return f"{measured['tokens_per_second']:,.0f} tokens per second" if "tokens_per_second" in measured else ""


def _mfu(measured: dict[str, Any]) -> str:
    if "mfu" not in measured:
        return ""
    peak = f"{measured['peak_flops_per_second'] / 1e9:,.0f} GFLOP/s ({measured['peak_method']})"
    return f"{measured['mfu']:.1%} of {peak}"


def _computed_by(measured: dict[str, Any], environment: dict[str, Any]) -> str:
    gpus = environment.get("gpus") or []
    parts = [
        ", ".join(map(str, gpus)) if measured.get("device") not in (None, "cpu") and gpus else "",
        str(environment.get("processor") or ""),
        str(environment.get("cpu_capability") or ""),
        f"{measured['threads']} threads" if measured.get("threads", 0) > 1 else "",
        f"{measured['processes']} processes" if measured.get("processes", 1) > 1 else "",
        f"torch {(environment.get('libraries') or {}).get('torch')}" if environment.get("libraries") else "",
    ]
    return ", ".join(part for part in parts if part)
