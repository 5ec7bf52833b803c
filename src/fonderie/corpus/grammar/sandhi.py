"""What neighbouring words do to each other in written French: elision, contraction, forms before a vowel.

The realiser writes every word in full and marks with `MARK` the articles, possessives and adjectives it laid
itself (`de le¤ arbre`, `sa¤ amie`, `vieux¤ âne`). The mark is what tells an article from a pronoun: `à le¤ marché`
becomes `au marché`, while `de le voir` stays. A template may therefore write `de {hero}` whatever the hero is.
"""

import re

from fonderie.corpus.grammar.morphology import before_vowel, begins_with_vowel_sound

MARK = "\x01"
"""Follows each word that may contract or change before a vowel; never survives `polish`."""

_WORD = r"([^\W\d_]+)"
_AFTER_DE = re.compile(rf"\b([Dd]e) (?:des|de|de (?:le|la|les)){MARK} ")
_MARKED = re.compile(rf"\b(sa|ma|ta|ce|beau|nouveau|vieux|fou){MARK} (?={_WORD})", re.IGNORECASE)
_ELIDED = re.compile(
    r"(?<![\w'-])(le|la|de|que|je|me|te|se|ne|jusque|lorsque|puisque|quoique|si|ce)"
    rf"{MARK}? (?={_WORD})",
    re.IGNORECASE,
)
_CONTRACTED = re.compile(rf"\b([Dd]e|[ÀàAa]) (les?){MARK} ")
_CONTRACTIONS = {"de le": "du", "de les": "des", "à le": "au", "à les": "aux"}
_START = re.compile(r"(?:^|(?<=\. )|(?<=\n)|(?<=— ))([a-zà-ÿœ])")


def _bind(match: re.Match[str]) -> str:
    word, following = match[1], match[2]
    if not begins_with_vowel_sound(following):
        return match[0]
    lower = word.lower()
    form = {"sa": "son", "ma": "mon", "ta": "ton", "ce": "cet"}.get(lower) or before_vowel(lower)
    return (form.capitalize() if word[0].isupper() else form) + " "


def _elide(match: re.Match[str]) -> str:
    word, following = match[1], match[2]
    if word.lower() == "si":
        return f"{word[0]}'" if following in ("il", "ils") else match[0]
    if word.lower() == "ce":  # the pronoun, since the determiner has become `cet` already
        return f"{word[0]}'" if following in ("est", "était", "étaient") else match[0]
    return f"{word[:-1]}'" if begins_with_vowel_sound(following) else match[0]


def _contract(match: re.Match[str]) -> str:
    form = _CONTRACTIONS[f"{match[1].lower().replace('a', 'à')} {match[2]}"]
    return (form.capitalize() if match[1][0].isupper() else form) + " "


def join(text: str) -> str:
    """Elide, contract and choose forms before vowels; the marks are consumed."""
    text = _AFTER_DE.sub(r"\1 ", text)
    text = _MARKED.sub(_bind, text)
    text = _ELIDED.sub(_elide, text)
    text = _CONTRACTED.sub(_contract, text)
    return text.replace(MARK, "")


def polish(text: str) -> str:
    """`join`, then a capital at the start of the text, after a full stop, a line break or a dash."""
    return _START.sub(lambda match: match[1].upper(), join(text))
