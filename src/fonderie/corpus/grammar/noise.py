"""The documents that a pipeline must catch: boilerplate, other languages, e-mail addresses, near-duplicates.

They are planted in the demo corpus so that each filter has something to find, and a test can say what it found.
Every site, person and address is invented; the addresses stand under example domains.
"""

import random
import re
from collections.abc import Callable, Mapping
from typing import Any

from fonderie.corpus.grammar.composition import Composition
from fonderie.corpus.grammar.lexicon import load
from fonderie.corpus.grammar.morphology import bare
from fonderie.corpus.grammar.realise import Binding, Scene, pick

_SIMILAR = 0.8
"""Least Jaccard similarity, on five-word shingles, between a text and its near-duplicate."""


def noise(kind: str, rng: random.Random) -> Composition:
    """One document of a kind of `NOISE`; its metadata say what a filter should see. KeyError on another kind."""
    return _MAKERS[kind](rng)


def _some(rng: random.Random, items: list[str], number: int) -> list[str]:
    """That many different items, in an order of chance."""
    left = list(items)
    rng.shuffle(left)
    return left[:number]


def _boilerplate(rng: random.Random) -> Composition:
    """A page of menus, banner and buttons around no text; some lines come back again and again."""
    data = load("noise")["boilerplate"]
    bindings: dict[str, Binding] = {"site": pick(rng, data["site"]), "year": 2015 + int(rng.random() * 10)}
    scene = Scene(rng, bindings, rules={})
    menu = _some(rng, data["menu"], 6 + int(rng.random() * 5))
    again = _some(rng, data["repeated"], 2)
    blocks = [
        [str(bindings["site"]), *(menu if rng.random() < 0.5 else [" | ".join(menu)])],
        [scene.draw(pick(rng, data["cookie"])), *_some(rng, data["button"], 3)],
        again * (3 + int(rng.random() * 4)),
        [scene.draw(line) for line in _some(rng, data["footer"], 3)],
    ]
    text = "\n".join(line for block in blocks for line in block)
    return Composition(text, "text", None, {"kind": "boilerplate"})


def _foreign(rng: random.Random) -> Composition:
    """A paragraph of 60 to 120 words in English, German, Spanish or Italian."""
    data = load("noise")["foreign"]
    language = pick(rng, list(data))
    scene = Scene(rng, {}, rules={})
    sentences = [scene.draw(line) for line in _some(rng, data[language], 5 + int(rng.random() * 2))]
    return Composition(" ".join(sentences), "text", None, {"kind": "foreign", "language": language})


def _email(rng: random.Random) -> Composition:
    """A short French notice that gives one to three addresses."""
    data = load("noise")["email"]
    bindings = _correspondents(rng, data)
    scene = Scene(rng, bindings, rules={})
    body = [*_some(rng, data["news"], 2), pick(rng, data["detail"]), pick(rng, data["ask"])]
    extra = rng.random() < 0.5
    if extra:
        body.append(pick(rng, data["more"]))
    paragraph = " ".join(scene.render(line) for line in body)
    signed = rng.random() < 0.5
    signature = f"{pick(rng, data['closing'])}\n{bindings['name']}" + (f"\n{bindings['own']}" if signed else "")
    addresses = ["mail"] + ["other"] * extra + ["own"] * signed
    listed = " ".join(str(bindings[name]) for name in addresses)
    text = f"{pick(rng, data['opening'])}\n\n{paragraph}\n\n{signature}"
    return Composition(text, "text", None, {"kind": "email", "addresses": listed})


def _correspondents(rng: random.Random, data: Mapping[str, Any]) -> dict[str, Binding]:
    """Someone's name and address, and two mailboxes, all different."""
    first = pick(rng, load("people")["names"][pick(rng, ("m", "f"))])
    family = pick(rng, data["families"])
    local = f"{bare(first)}.{bare(family)}".lower()
    boxes = _some(rng, data["boxes"], 2)
    return {
        "name": f"{first} {family}",
        "own": f"{local}@{pick(rng, data['domains'])}",
        "mail": f"{boxes[0]}@{pick(rng, data['domains'])}",
        "other": f"{boxes[1]}@{pick(rng, data['domains'])}",
        "hour": 9 + int(rng.random() * 11),
    }


_MAKERS: Mapping[str, Callable[[random.Random], Composition]] = {
    "boilerplate": _boilerplate,
    "foreign": _foreign,
    "email": _email,
}

NOISE: tuple[str, ...] = tuple(_MAKERS)
"""What `noise` can make."""


def similarity(one: str, other: str) -> float:
    """Jaccard similarity of the five-word shingles of two texts, words split at spaces; without any, equality."""
    left, right = _shingles(one), _shingles(other)
    return len(left & right) / len(left | right) if left | right else float(one == other)


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[index : index + 5]) for index in range(len(words) - 4)}


def near_duplicate(text: str, rng: random.Random) -> str:
    """A changed copy of `text`, at least 0.8 similar: one to three words swapped, dropped, doubled or repointed.

    An edit that would bring the copy under that similarity is not made; if none can be, as in a very short text,
    only the mark at the end changes.
    """
    pieces = re.split(r"(\s+)", text)  # words at even places, what separates them at odd ones
    for _ in range(1 + int(rng.random() * 3)):
        changed = _edit(list(pieces), rng)
        copy = "".join(changed)
        if copy != text and similarity(text, copy) >= _SIMILAR:
            pieces = changed
    copy = "".join(pieces)
    if copy != text:
        return copy
    return text[:-1] + "!" if text.endswith(".") else text + "."


def _edit(pieces: list[str], rng: random.Random) -> list[str]:
    """The pieces after one small edit at a place of chance."""
    place = 2 * int(rng.random() * ((len(pieces) + 1) // 2))
    way = pick(rng, ("swap", "drop", "double", "point"))
    if way == "swap" and place + 2 < len(pieces):
        pieces[place], pieces[place + 2] = pieces[place + 2], pieces[place]
    elif way == "drop":
        start = min(place, max(len(pieces) - 2, 0))  # the last word goes with the space before it
        del pieces[start : start + 2]
    elif way == "double":
        pieces[place:place] = [pieces[place], " "]
    else:
        word = pieces[place]
        pieces[place] = word.rstrip(",.;") if word.endswith((",", ".", ";")) else word + ","
    return pieces
