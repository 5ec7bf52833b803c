import io
from collections.abc import Callable

import pytest
from rich.console import Console

from fonderie.core import progress
from fonderie.core.progress import Silent, Terminal


def _console(terminal: bool) -> tuple[Console, Callable[[], str]]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=120), file.getvalue


def test_a_line_now_and_then_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_INTERVAL_SECONDS", 0.0)
    console, text = _console(terminal=False)
    with Terminal(console).bar("reading [/x]", 2_000, "shards") as bar:
        bar.advance(1_500, note="loss 2.1 [/y]")
    assert text() == "  reading [/x]: 1,500/2,000 shards loss 2.1 [/y]\n"


def test_bars_nest_and_bear_any_label() -> None:
    console, text = _console(terminal=True)
    terminal = Terminal(console)
    with terminal.bar("outer [/x]", 2, "calls") as outer, terminal.bar("inner", 2, "shards") as inner:
        inner.advance(note="[/y]")
        outer.advance()
    assert "outer [/x]" in text()


def test_markup_is_for_those_who_say() -> None:
    console, text = _console(terminal=False)
    Terminal(console).say("[bold]read[/bold] done")
    assert text() == "read done\n"


def test_silence() -> None:
    with Silent().bar("x", 1, "y") as bar:
        bar.advance(note="z")
    Silent().say("x")


def test_lines_tell_how_long_is_left_from_this_runs_own_speed() -> None:
    now = [0.0]
    console, text = _console(terminal=False)
    with Terminal(console, lambda: now[0]).bar("training", 1_000, "steps") as bar:
        now[0] = 100.0
        bar.skip(800)  # what an earlier run did took no time of this one
        for _ in range(100):
            now[0] += 1.0
            bar.advance(1, "loss 2.0")
    lines = text().splitlines()
    assert lines[0] == "  training: 815/1,000 steps loss 2.0, 3 min 5 s left"
    assert lines[-1].startswith("  training: 890/1,000 steps")
    assert len(lines) == 6


def test_lines_grow_rare() -> None:
    now = [0.0]
    console, text = _console(terminal=False)
    week = 7 * 24 * 60
    with Terminal(console, lambda: now[0]).bar("training", week, "minutes") as bar:
        for _ in range(week):
            now[0] += 60.0
            bar.advance()
    assert 900 < len(text().splitlines()) <= week / 10 + 30, "one every ten minutes, and those of the first hour"


def test_a_bar_that_goes_on_starts_where_it_was() -> None:
    console, text = _console(terminal=True)
    with Terminal(console).bar("training", 4, "steps") as bar:
        bar.skip(3)
    assert "3/4" in text()
    with Silent().bar("x", 1, "y") as silent:
        silent.skip(1)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (12.4, "12 s"), (185, "3 min 5 s"), (3_600, "1 h"), (4_805, "1 h 20 min"), (187_210, "2 d 4 h")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert progress.in_words(seconds) == words
