"""Those and that of which a text speaks, and the ways to name them: `le renard`, `sa clé`, `trois pommes`."""

from dataclasses import dataclass

from fonderie.corpus.grammar.lexicon import precedes
from fonderie.corpus.grammar.morphology import agree, begins_with_vowel_sound, number_words
from fonderie.corpus.grammar.sandhi import MARK


@dataclass(frozen=True, slots=True)
class Referent:
    """A character, a thing or a place, the same all through a text."""

    noun: str
    plural: str
    gender: str
    name: str = ""
    """A proper name, or nothing."""
    epithet: str = ""
    """An adjective in the masculine singular, or nothing."""
    preposition: str = "dans"
    determiner: str = "le"
    """The operation that `{hero}` alone stands for, when there is no name: `le`, or `son` for kin."""


_DETERMINERS = {
    "le": (f"le{MARK} ", f"la{MARK} ", f"les{MARK} "),
    "un": ("un ", "une ", f"des{MARK} "),
    "ce": (f"ce{MARK} ", "cette ", "ces "),
    "son": ("son ", f"sa{MARK} ", "ses "),
    "mon": ("mon ", f"ma{MARK} ", "mes "),
    "du": (f"de le{MARK} ", f"de la{MARK} ", f"des{MARK} "),
    "nom": ("", "", ""),
}
"""Each determiner: masculine, feminine, plural; `du` is the partitive, `nom` the bare noun."""

_PLURALS = {"les": "le", "des": "un", "noms": "nom"}
"""Operations that put the noun in the plural, and the determiner they stand for."""

_PRONOUNS = {
    "il": ("il", "elle", "ils", "elles"),
    "ils": ("ils", "elles", "ils", "elles"),
    "lui": ("lui", "elle", "eux", "elles"),
    "cod": ("le", "la", "les", "les"),
    "coi": ("lui", "lui", "leur", "leur"),
    "celui": ("celui", "celle", "ceux", "celles"),
}
"""Each pronoun: masculine, feminine, and the same in the plural; `cod` and `coi` are the objects."""

_PLACES = ("à", "vers", "dans", "dans_un")
"""Where: `dans` and `dans_un` take the place's own preposition."""

OPERATIONS = (
    *("", *_DETERMINERS, *_PLURALS, *_PRONOUNS, *_PLACES),
    *("intro", "compte", "décompte", "vocatif", "genre", "en"),
)
"""All that may follow the dot in `{hero.un}`. Besides the tables above: `intro` (first mention), `compte=n`
(`3 pommes`), `décompte=n` (`trois pommes`), `vocatif`, `genre` (`masculin`), `en` (`en France`, `au Japon`)."""


def refer(referent: Referent, operation: str, *, epithet: bool) -> str:
    """The referent under an operation that needs nothing else: neither chance nor a number."""
    if operation == "":
        return referent.name or noun_phrase(referent, referent.determiner, epithet=epithet)
    if operation in _PRONOUNS:
        return pronoun(operation, referent.gender, many=False)
    if operation in _PLACES:
        preposition = referent.preposition if operation.startswith("dans") else operation
        determiner = "un" if operation == "dans_un" else referent.determiner
        return f"{preposition} {noun_phrase(referent, determiner, epithet=epithet)}"
    if operation == "vocatif":
        return referent.name or referent.noun
    if operation == "genre":
        return "féminin" if referent.gender == "f" else "masculin"
    if operation == "en":
        vowel = begins_with_vowel_sound(referent.noun)
        return f"{'en' if referent.gender == 'f' or vowel else 'au'} {referent.noun}"
    return noun_phrase(referent, operation, epithet=epithet)


def noun_phrase(referent: Referent, determiner: str, *, epithet: bool) -> str:
    """The noun with a determiner, in the number that the determiner says, with or without its epithet."""
    many = determiner in _PLURALS
    determiner = _PLURALS.get(determiner, determiner)
    noun = referent.plural if many else referent.noun
    adjective = agree(referent.epithet, referent.gender, many=many) if epithet and referent.epithet else ""
    before = bool(adjective) and precedes(referent.epithet)
    forms = _DETERMINERS[determiner]
    article = forms[2] if many else forms[referent.gender == "f"]
    if before and many and determiner == "un":
        article = f"de{MARK} "  # de petits chats, not des petits chats
    if not adjective:
        return article + noun
    if not before:
        return f"{article}{noun} {adjective}"
    return f"{article}{adjective}{'' if many else MARK} {noun}"


def default(referent: Referent) -> str:
    """What `{hero}` alone says: the name, or the noun with its definite article."""
    return referent.name or noun_phrase(referent, referent.determiner, epithet=False)


def agreed(word: str, gender: str, *, many: bool) -> str:
    """An adjective, participle or determiner (given in the masculine singular) in gender and number."""
    if word in _DETERMINERS:
        return _DETERMINERS[word][2 if many else gender == "f"].rstrip()
    return agree(word, gender, many=many)


def pronoun(kind: str, gender: str, *, many: bool) -> str:
    """A pronoun of `_PRONOUNS` in gender and number."""
    return _PRONOUNS[kind][2 * many + (gender == "f")]


def is_pronoun(operation: str) -> bool:
    """Whether the operation gives a pronoun."""
    return operation in _PRONOUNS


def introduction(referent: Referent, *, variant: bool) -> str:
    """First mention of a character: `une boulangère nommée Anna`, `un renard rusé`."""
    phrase = noun_phrase(referent, "un", epithet=True)
    if not referent.name:
        return phrase
    return f"{phrase} {'du nom de' if variant else agree('nommé', referent.gender)} {referent.name}"


def counted(referent: Referent, number: int, *, words: bool) -> str:
    """`3 pommes` or `trois pommes`; zero and one take the singular."""
    figure = number_words(number, gender=referent.gender) if words else str(number)
    return f"{figure} {referent.plural if number > 1 else referent.noun}"
