"""Turns of speech as text: one line each, headed by its speaker, as Claire was trained on (arXiv 2311.16840).

    [Intervenant 1:] Bonjour. [rire]
    [Intervenant 2:] Bonjour, [Nom].

Speakers are numbered in the order in which they speak in a document, or keep their names.
"""

import re
from collections.abc import Container, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

_HEAD = re.compile(r"\[([^\[\]\n]{1,80}):\]")
_NUMBERED = r"(?:speaker|spk|intervenant|locuteur)[ _-]{0,2}"
_NAMELESS = re.compile(rf"{_NUMBERED}\d{{0,4}}", re.IGNORECASE)
_TORN = re.compile(rf"\[{_NUMBERED}\d{{1,4}}(?!\w)|^{_NUMBERED}\d{{1,4}}[ ]?:\]", re.IGNORECASE)
"""A numbered speaker where none can be: half of a mark, or one within another's turn."""
_OPENED = re.compile(r"\[([^\[\]:\n]{1,80}):")
_MARK = re.compile(r"\[([^\W\d_]{2,12})\]")
_MARKS = {
    **dict.fromkeys(("pii", "nom", "name", "anonyme"), "[Nom]"),
    **dict.fromkeys(("noise", "bruit", "bruits"), "[bruit]"),
    **dict.fromkeys(("laughter", "rire", "rires"), "[rire]"),
}
"""The transcribers' marks, in the spelling of the published data and its French one."""
_CUT = ". ", "? ", "! ", "… ", ", ", " "
"""Where a turn longer than a document may be is cut, the best place first."""


class Turn(NamedTuple):
    """What one speaker says at once."""

    speaker: str
    """What tells this speaker from the others of the conversation: a name, or a number."""
    text: str


def parse_turn(line: str) -> Turn | None:
    """A line that begins with a speaker, or None."""
    head = _HEAD.match(line)
    return None if head is None else Turn(head[1].strip(), line[head.end() :].strip())


def torn(words: str, speakers: Container[str]) -> bool:
    """Whether the words of a turn hold the mark of another's: "[speaker002: Oui", or one of these speakers'."""
    name, closed, _ = words.partition(":]")
    return (
        _TORN.search(words) is not None
        or bool(closed and name in speakers)
        or any(opened[1].strip() in speakers for opened in _OPENED.finditer(words))
    )


def join_turns(lines: Iterable[tuple[Turn | None, str]]) -> Iterator[Turn]:
    """Turns from lines, each with the turn that begins in it or with none: such lines go on with the turn above."""
    speaker: str | None = None
    said: list[str] = []
    for turn, line in lines:
        if turn is None:
            said.append(line)
            continue
        if speaker is not None:
            yield Turn(speaker, " ".join(said))
        speaker, said = turn.speaker, [turn.text]
    if speaker is not None:
        yield Turn(speaker, " ".join(said))


def parse_turns(text: str) -> list[Turn]:
    """Every turn of a document; lines without a speaker go on with the turn above."""
    lines = ((parse_turn(line), line.strip()) for line in text.split("\n") if line.strip())
    return list(join_turns(lines))


def tidy(turns: Iterable[Turn]) -> Iterator[Turn]:
    """Turns with one spelling of marks and spaces, without empty ones; those of one speaker in a row are one."""
    spoken = (Turn(turn.speaker, " ".join(_MARK.sub(_mark, turn.text).split())) for turn in turns)
    for speaker, following in groupby((turn for turn in spoken if turn.text), key=attrgetter("speaker")):
        yield Turn(speaker, " ".join(turn.text for turn in following))


def _mark(match: re.Match[str]) -> str:
    return _MARKS.get(match[1].casefold(), match[0])


def is_nameless(speaker: str) -> bool:
    """Whether a speaker is a number already: "speaker001", "Intervenant 2"."""
    return _NAMELESS.fullmatch(speaker) is not None


def render(turns: Iterable[Turn], *, named: bool) -> str:
    """One line a turn; speakers are numbered from 1, or keep their names where they have one."""
    labels: dict[str, str] = {}
    lines = []
    for turn in turns:
        if turn.speaker not in labels:
            keeps = named and not is_nameless(turn.speaker)
            labels[turn.speaker] = turn.speaker if keeps else f"Intervenant {len(labels) + 1}"
        lines.append(f"[{labels[turn.speaker]}:] {turn.text}")
    return "\n".join(lines)


def cut(turns: Iterable[Turn], longest: int) -> Iterator[list[Turn]]:
    """Runs of whole turns of at most `longest` characters; a turn longer than that is cut between sentences."""
    chunk: list[Turn] = []
    size = 0
    for turn in turns:
        for piece in _pieces(turn, longest):
            if chunk and size + len(piece.text) > longest:
                yield chunk
                chunk, size = [], 0
            chunk.append(piece)
            size += len(piece.text)
    if chunk:
        yield chunk


def _pieces(turn: Turn, longest: int) -> Iterator[Turn]:
    start, text = 0, turn.text
    while len(text) - start > longest:
        # Not before the middle: a full stop near the start would leave crumbs.
        found = (text.rfind(mark, start + longest // 2, start + longest) + len(mark) for mark in _CUT)
        end = next((at for at in found if at > start + longest // 2), start + longest)
        yield Turn(turn.speaker, text[start:end].strip())
        start = end
    yield Turn(turn.speaker, text[start:].strip())
