"""Stories: a schema is drawn, cast, and told beat by beat in one register."""

import random
from collections.abc import Mapping
from typing import Any

from fonderie.corpus.grammar.casting import cast
from fonderie.corpus.grammar.composition import Composition
from fonderie.corpus.grammar.lexicon import load
from fonderie.corpus.grammar.realise import Scene, pick

_REGISTERS = ("tale", "tale", "told", "now")
"""The written tale twice as often as the two others: it is the register of French stories."""

_BASE = {
    "season": "season",
    "tree": "nature.tree",
    "hero": "character",
    "home": "place.home+place / place.den+place",
}
"""What every story binds; a schema's own cast overrides it."""


def story(rng: random.Random) -> Composition:
    """A little story of two to five paragraphs, with a title."""
    data = load("stories")
    schema = pick(rng, data["schema"])
    world = schema.get("world") or pick(rng, ("people", "animals"))
    bindings = cast(rng, {**_BASE, **schema["cast"]}, world)
    scene = Scene(rng, bindings, register=pick(rng, _REGISTERS), rules=data["rules"])
    paragraphs = [_paragraph(scene, beats, schema["beats"]) for beats in schema["paragraphs"]]
    title = scene.render(pick(rng, schema["titles"]))
    return Composition("\n\n".join(paragraphs), "text", title, {"kind": "story", "schema": schema["name"]})


def _paragraph(scene: Scene, beats: list[str], own: Mapping[str, Any]) -> str:
    """The beats of a paragraph, one sentence or a few each; a speech begins and ends its own line."""
    text = ""
    for beat in beats:
        if beat.endswith("?") and scene.rng.random() < 0.5:
            continue
        name = beat.removesuffix("?")
        sentence = scene.render(pick(scene.rng, own[name]) if name in own else f"<{name}>")
        spoken = sentence.startswith("— ") or text.rpartition("\n")[2].startswith("— ")
        text += sentence if not text else ("\n" if spoken else " ") + sentence
    return text
