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
