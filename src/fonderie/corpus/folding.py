"""Text as comparisons see it: without case, accents, ligatures or punctuation, so that only changed words count."""

import re
import unicodedata

# What decomposition leaves whole, and French and its neighbours write either way.
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})
_MARKS = re.compile(r"[\u0300-\u036f]+")
# Letters and digits alone: an elision ("l'Aurélie") and a hyphen ("Jean-Luc") separate words.
_WORD = re.compile(r"[^\W_]+")


def fold(text: str) -> str:
    """The text in lower case, accents and ligatures resolved; "Œuvre D’Été" and "oeuvre d’ete" come out alike."""
    # Decomposed before, as the plain form of ornate letters may be a capital; and after, as folding the case of
    # some letters gives composed ones.
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_LIGATURES)
    return _MARKS.sub("", unicodedata.normalize("NFKD", plain))


def folded_words(text: str) -> list[str]:
    """The words of a text, folded."""
    return _WORD.findall(fold(text))


def folded_line(text: str) -> str:
    """The folded words between single spaces, one at either end: a substring of it that has them is whole words."""
    return f" {' '.join(folded_words(text))} "


def folded_with_places(text: str) -> tuple[str, list[int]]:
    """`folded_line`, and for each of its characters the index in `text` of the one it comes from.

    A character at a time, hence slow: for showing what was found, not for finding it.
    """
    pieces, places = [" "], [0]
    for index, character in enumerate(text):
        kept = _WORD.findall(fold(character)) if not _MARKS.fullmatch(character) else None
        if kept is None:  # a combining mark belongs to the letter before it
            continue
        if kept:
            pieces.append("".join(kept))
            places.extend([index] * len(pieces[-1]))
        elif not pieces[-1].endswith(" "):
            pieces.append(" ")
            places.append(index)
    if not pieces[-1].endswith(" "):
        pieces.append(" ")
        places.append(len(text))
    return "".join(pieces), places
