"""Dialogues: transcripts in the format of Claire's corpora, and TEI drama, as turns of speakers."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lxml import etree

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import DOCUMENT_BYTES, Raw, decode, open_binary
from fonderie.corpus.readers.tei import TEI, blocks, divisions, header_of, language_of, parse_tei, plain
from fonderie.corpus.turns import Turn, cut, join_turns, parse_turn, render, tidy, torn

Speakers = Literal["numbered", "named"]
Speech = Literal["spontaneous", "prepared", "written"]

_TURNS = "Each turn begins a line with its speaker: [speaker001:] Bonjour."


class Dialogues(NamedTuple):
    """How dialogues become documents."""

    speakers: Speakers
    speech: Speech | None
    longest: int | None
    """Characters of the words of one document, which ends with a turn; None if it holds the whole conversation."""


def read_claire(path: Path, how: Dialogues) -> Iterator[Raw]:
    """Conversations with a blank line between them, one turn a line: "[speaker001:] …". One is held at a time.

    A line without a speaker goes on with the turn above. InputError names file and line where a conversation begins
    with none, or where a speaker's mark is torn, for the words would be another's.
    """
    number = 0
    for number, turns in enumerate(_conversations(path), start=1):
        yield from _documents(turns, how, f"#conversation-{number}", {})
    if not number:
        yield Raw("")


def read_drama(path: Path, how: Dialogues) -> Iterator[Raw]:
    """A play's speeches without stage directions: the whole play, or documents that end with a turn and a scene.

    InputError if the file is not TEI, or holds no speech.
    """
    root = parse_tei(path)
    text = root.find(f"{TEI}text")
    divisions_of_text = () if text is None else divisions(text)
    spoken = [(number, list(_speeches(division))) for number, division in enumerate(divisions_of_text)]
    scenes = [(number, speeches) for number, speeches in spoken if speeches]
    if not scenes:
        raise InputError(f"{path} holds no <sp>: not a play", hint='Read it with format = "tei".')
    names = _names(speech for _, speeches in scenes for speech in speeches)
    common = {**header_of(root), "language": language_of(root)}
    if how.longest is None:
        scenes = [(0, [speech for _, speeches in scenes for speech in speeches])]
    for number, speeches in scenes:
        turns = (Turn(names[speech.who], speech.words) for speech in speeches)
        yield from _documents(turns, how, "" if how.longest is None else f"#div-{number}", common)


def _documents(turns: Iterable[Turn], how: Dialogues, fragment: str, common: dict[str, Any]) -> Iterator[Raw]:
    whole = list(tidy(turns))
    pieces = [whole] if how.longest is None else list(cut(whole, how.longest))
    for number, piece in enumerate(pieces, start=1):
        metadata = {
            **common.get("metadata", {}),
            "form": "dialogue",
            "turns": str(len(piece)),
            "speakers": str(len({turn.speaker for turn in piece})),
            **({"speech": how.speech} if how.speech else {}),
        }
        where = f"{fragment}.{number}" if len(pieces) > 1 else fragment
        text = render(piece, named=how.speakers == "named")
        yield Raw(**{**common, "text": text, "fragment": where, "metadata": metadata})


def _conversations(path: Path) -> Iterator[list[Turn]]:
    lines: list[tuple[Turn | None, str]] = []
    speakers: set[str] = set()
    size = offset = 0
    with open_binary(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(DOCUMENT_BYTES), b""), start=1):
            text = decode(line, path, start=offset).strip()
            offset += len(line)
            size += len(line)
            if size > DOCUMENT_BYTES:
                raise InputError(f"{path}, line {number}: a conversation of more than {DOCUMENT_BYTES >> 20} MiB")
            if not text:
                if lines:
                    yield list(join_turns(lines))
                lines, speakers, size = [], set(), 0
                continue
            turn = parse_turn(text)
            if turn is not None:
                speakers.add(turn.speaker)
            if torn(text if turn is None else turn.text, speakers):
                raise InputError(f"{path}, line {number}: a speaker's mark is torn: {text[:60]!r}", hint=_TURNS)
            if turn is None and not lines:
                raise InputError(f"{path}, line {number}: no speaker at the head of a conversation", hint=_TURNS)
            lines.append((turn, text))
    if lines:
        yield list(join_turns(lines))


class _Speech(NamedTuple):
    who: str
    """What @who says, else the label."""
    label: str
    words: str


def _speeches(division: Any) -> Iterator[_Speech]:
    """The speeches of a division that are not in one within it."""
    for child in division:
        if not isinstance(child.tag, str) or child.tag == f"{TEI}div":
            continue
        if child.tag != f"{TEI}sp":
            yield from _speeches(child)
            continue
        # "TIRACINQ, consultant le cadran." tells how he speaks after the comma.
        label = plain(child.find(f"{TEI}speaker")).partition(",")[0].partition("(")[0].strip(" .:[]")
        yield _Speech(child.get("who") or f"={label.casefold()}", label, _spoken(child))
        yield from _speeches(child)


def _names(speeches: Iterable[_Speech]) -> dict[str, str]:
    """One name for each who: the first label it had; where two share a label the second is numbered."""
    names: dict[str, str] = {}
    for speech in speeches:
        if speech.who not in names:
            name = (speech.label or speech.who.lstrip("#=")).replace("[", "").replace("]", "")[:60]
            taken = sum(name == other.partition(" (")[0] for other in names.values())
            names[speech.who] = f"{name} ({taken + 1})" if taken else name
    return names


def _spoken(sp: Any) -> str:
    """The words of a speech, without the stage directions in it, nor the speeches of others."""
    copy = etree.fromstring(etree.tostring(sp, with_tail=False))
    etree.strip_elements(copy, f"{TEI}stage", with_tail=False)
    for other in copy.findall(f".//{TEI}sp"):
        other.clear(keep_tail=True)
    return " ".join(" ".join(blocks(copy, nested=True)).split())
