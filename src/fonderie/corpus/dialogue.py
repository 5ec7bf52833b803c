"""corpus.dialogue: spontaneous speech told in several ways, as Claire was (arXiv 2311.16840, section 3.2).

Transcripts differ in how they name speakers, punctuate and capitalise, and there is little spontaneous speech: it
is given in up to eight variants. Of every other document the text as it is goes on alone.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from fonderie.core.digest import digest_text
from fonderie.core.document import Document, read_documents, shard_paths
from fonderie.core.ledger import merge
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.corpus.transform import Decision, edit, keep, write_shard
from fonderie.corpus.turns import Turn, is_nameless, parse_turns, render

Change = Literal["anonymise", "dashes", "no_punctuation", "lower_case"]
MOST_VARIANTS = 8

_MARKS = re.compile(r"\[[^\[\]\n]{1,80}\]")
# Not the apostrophe and the hyphen, which are part of French words.
_PUNCTUATION = re.compile(r"[.,;:!?…«»“”\"()–—]+")
_SPACES = re.compile(r"\s+")


class DialogueParameters(Parameters):
    """Which changes, how many variants, and the seed that picks among them."""

    changes: tuple[Change, ...] = ("anonymise", "dashes", "no_punctuation", "lower_case")
    """Numbers for names, with [Nom] where a turn says one; a dash for each turn if there are two speakers; no
    punctuation; lower case. A variant is any set of these that can be had; dashes leave no name to anonymise."""
    most_variants: int = Field(default=MOST_VARIANTS, ge=1, le=MOST_VARIANTS)
    """Of a document of spontaneous speech (metadata `speech`), its own text the first of them."""
    seed: int = 0
    """Which variants are taken where there are more."""


@step(
    "corpus.dialogue",
    version=1,
    parameters=DialogueParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
)
def dialogue(inputs: Inputs, params: DialogueParameters, out: Output, machine: Machine) -> None:
    """Write the variants of each dialogue side by side; the ledger has a row for each, under one id before."""
    shards = [path for artifact in inputs.all("documents") for path in shard_paths(artifact.path)]
    work = partial(_shard, params=params, out=out.path)
    results = list(machine.map(work, list(enumerate(shards)), label="varying dialogues"))
    out.statistics["sources"] = merge(summary for summary, _ in results)
    out.statistics["documents_read"] = sum(count for _, count in results)


def _shard(
    job: tuple[int, Path], *, params: DialogueParameters, out: Path
) -> tuple[dict[str, dict[str, int]], int]:
    index, path = job
    read = 0

    def decisions() -> Iterator[tuple[Document, Decision]]:
        nonlocal read
        for document in read_documents(path):
            read += 1
            for decision in variants(document, params):
                yield document, decision

    return write_shard(out, index, decisions()), read


def variants(document: Document, params: DialogueParameters) -> Iterator[Decision]:
    """The document as it is; and if it is spontaneous speech, its other variants, each text once."""
    yield keep(document)
    if document.metadata.get("form") != "dialogue" or document.metadata.get("speech") != "spontaneous":
        return
    turns = parse_turns(document.text)
    seen = {document.text}
    for changes in _in_seeded_order(_possible(turns, params.changes), document.id, params.seed):
        if len(seen) == params.most_variants:
            return
        text = vary(turns, changes)
        if text not in seen and text.strip():
            seen.add(text)
            name = "+".join(changes)
            other = replace(document, text=text, metadata={**document.metadata, "variant": name})
            yield edit(other, "variant of a dialogue", name)


def _possible(turns: list[Turn], changes: tuple[Change, ...]) -> list[tuple[Change, ...]]:
    """Every set of changes that this conversation allows, but the empty one."""
    speakers = {turn.speaker for turn in turns}
    can = [change for change in dict.fromkeys(changes) if change != "dashes" or len(speakers) == 2]
    if all(is_nameless(speaker) for speaker in speakers):
        can = [change for change in can if change != "anonymise"]
    return [
        chosen
        for count in range(1, len(can) + 1)
        for chosen in itertools.combinations(can, count)
        if not {"anonymise", "dashes"} <= set(chosen)
    ]


def _in_seeded_order(sets: list[tuple[Change, ...]], document_id: str, seed: int) -> list[tuple[Change, ...]]:
    return sorted(sets, key=lambda chosen: digest_text(f"{seed} {document_id} {'+'.join(chosen)}"))


def vary(turns: list[Turn], changes: tuple[Change, ...]) -> str:
    """A conversation with these changes made."""
    named = "anonymise" not in changes
    if not named:
        turns = _without_names(turns)
    turns = [Turn(turn.speaker, _respell(turn.text, changes)) for turn in turns]
    turns = [turn for turn in turns if turn.text]
    if "dashes" in changes:
        return "\n".join(f"- {turn.text}" for turn in turns)
    return render(turns, named=named)


def _without_names(turns: list[Turn]) -> list[Turn]:
    names = sorted(
        {turn.speaker for turn in turns if not is_nameless(turn.speaker)}, key=lambda name: (-len(name), name)
    )
    # A forename or surname alone is said more often than both; particles and titles ("le", "de") are no names.
    parts = {part for name in names for part in re.findall(r"[^\W\d_]{3,}", name) if part[0].isupper()}
    said = [re.escape(name) for name in [*names, *sorted(parts, key=lambda part: (-len(part), part))]]
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(said)})(?!\w)")
    return [Turn(turn.speaker, pattern.sub("[Nom]", turn.text)) for turn in turns]


def _respell(text: str, changes: tuple[Change, ...]) -> str:
    """The words between the marks, which stay: [Nom], [rire]."""
    pieces: list[str] = []
    at = 0
    for mark in [*_MARKS.finditer(text), None]:
        piece = text[at : mark.start() if mark else len(text)]
        piece = _PUNCTUATION.sub(" ", piece) if "no_punctuation" in changes else piece
        pieces.append(piece.lower() if "lower_case" in changes else piece)
        if mark:
            pieces.append(mark[0])
            at = mark.end()
    joined = "".join(pieces)
    return _SPACES.sub(" ", joined).strip() if "no_punctuation" in changes else joined
