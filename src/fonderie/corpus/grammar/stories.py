"""Stories: a schema is drawn, cast, and told beat by beat in one register."""

import random
import re
from collections.abc import Mapping
from typing import Any

from fonderie.corpus.grammar.casting import cast
from fonderie.corpus.grammar.composition import Composition
from fonderie.corpus.grammar.lexicon import load
from fonderie.corpus.grammar.realise import Scene, pick
from fonderie.corpus.grammar.referents import Referent, default, pronoun
from fonderie.corpus.grammar.sandhi import join, polish

_CHARACTERS = ("hero", "helper", "other", "elder", "rival", "last")
"""The names that the casts give to those who act."""

_SENTENCE_END = re.compile(r"(?<=[.!?]) ")

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
    text, subject = "", ""
    for beat in beats:
        if beat.endswith("?") and scene.rng.random() < 0.5:
            continue
        name = beat.removesuffix("?")
        sentence = scene.render(pick(scene.rng, own[name]) if name in own else f"<{name}>")
        if sentence.startswith("— ") or text.rpartition("\n")[2].startswith("— "):
            text, subject = (f"{text}\n{sentence}" if text else sentence), ""
            continue
        sentence, subject = _resume(scene, text, sentence, subject)
        text = f"{text} {sentence}" if text else sentence
    return text


def _resume(scene: Scene, text: str, sentence: str, subject: str) -> tuple[str, str]:
    """The sentence, with a pronoun for the character whose name began the one before; and who that character is.

    subject: the character that the last pronoun stands for, where `text` ends with a sentence already changed.
    The name stays where another character of the same gender was spoken of: the pronoun would be read for both.
    """
    before = _SENTENCE_END.split(text.rpartition("\n")[2])[-1]
    cast_ = {name: bound for name in _CHARACTERS if isinstance(bound := scene.bindings.get(name), Referent)}
    for name, character in cast_.items():
        said = polish(default(character))
        if not sentence.startswith(said + " "):
            continue
        rivals = [other for other in cast_.values() if other is not character and other.gender == character.gender]
        clear = not any(join(default(other)) in before or polish(default(other)) in before for other in rivals)
        if clear and (before.startswith(said + " ") or subject == name):
            alone = not _SENTENCE_END.search(sentence)
            return pronoun("il", character.gender, many=False).capitalize() + sentence[len(said) :], name * alone
    return sentence, ""
