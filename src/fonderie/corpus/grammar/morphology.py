"""Plurals, feminines and the sound that begins a word: the rules of French written forms.

Every function is a rule over strings with its list of exceptions beside it. The lists hold what this grammar's
lexicon needs and the classic school lists; a word outside both follows the rule. Reference for the rules:
any school grammar (they are facts of the language); the wording and the lists are this project's own.
"""

import unicodedata

_VOWELS = frozenset("aeiouyàâäéèêëîïôöùûüœæ")

_ASPIRATE_STEMS = (
    *("hache", "haie", "haï", "halet", "halle", "halte", "hamac", "hameau", "hamster", "hanche", "handicap"),
    *("hangar", "hanneton", "hareng", "haricot", "harpe", "hasard", "hât", "hauss", "haut", "hériss", "héron"),
    *("herse", "hêtre", "heurt", "hibou", "hiss", "hoch", "hockey", "holland", "homard", "hongr", "hont", "hors"),
    *("hotte", "houle", "housse", "houx", "hublot", "huche", "huit", "hurl", "hutte"),
)
_UNELIDED = frozenset(("héros", "onze", "onzième", "oui", "ouistiti"))


def begins_with_vowel_sound(word: str) -> bool:
    """Whether `le`, `de`, `que`… elide before this word: a vowel or mute h, no aspirated h, not `onze` or `oui`."""
    word = word.lower()
    if word[:1] == "y" and word[1:2] in _VOWELS:  # de Yanis, le yaourt; but d'y aller, d'Yves
        return word == "yeux"
    if word[:1] in _VOWELS:
        return word not in _UNELIDED
    return word[:1] == "h" and word not in _UNELIDED and not word.startswith(_ASPIRATE_STEMS)


_PLURALS = {
    **{word: word + "s" for word in ("bal", "carnaval", "chacal", "festival", "récital", "bleu", "pneu", "landau")},
    **{word: word + "s" for word in ("naval", "final", "banal", "fatal")},
    **{word: word + "x" for word in ("bijou", "caillou", "chou", "genou", "hibou", "joujou", "pou")},
    **{word: word[:-2] + "ux" for word in ("travail", "vitrail", "corail", "bail", "émail")},
    **{"œil": "yeux", "monsieur": "messieurs", "madame": "mesdames", "mademoiselle": "mesdemoiselles"},
    **{"bonhomme": "bonshommes", "orange": "orange", "marron": "marron", "dû": "dus"},
}
"""Plurals that no rule gives. `orange` and `marron` are the colours, invariable; the nouns pass `noun=True`."""

_COLOURS_FROM_NOUNS = frozenset(("orange", "marron"))


def plural(word: str, *, noun: bool = False) -> str:
    """The plural of a noun or adjective; of a noun with a complement (`pomme de terre`), its head's plural.

    noun: the word is a noun, for the two whose colour adjective never changes (`orange`, `marron`).
    """
    head, space, rest = word.partition(" ")
    if space:
        # A complement stays (pommes de terre, moulins à vent); an adjective agrees (boîtes rondes).
        complement = rest.split(" ")[0] in ("de", "à", "en", "au", "aux") or rest.startswith("d'")
        return f"{plural(head, noun=noun)} {rest if complement else plural(rest)}"
    if word in _PLURALS and not (noun and word in _COLOURS_FROM_NOUNS):
        return _PLURALS[word]
    if word.endswith(("s", "x", "z")):
        return word
    if word.endswith("al"):
        return word[:-1] + "ux"
    return word + ("x" if word.endswith(("au", "eu")) else "s")


_FEMININES = {
    **{
        "beau": "belle",
        "nouveau": "nouvelle",
        "jumeau": "jumelle",
        "dû": "due",
        "vieux": "vieille",
        "fou": "folle",
        "nul": "nulle",
        "mou": "molle",
    },
    **{"doux": "douce", "roux": "rousse", "faux": "fausse", "jaloux": "jalouse", "frais": "fraîche"},
    **{"blanc": "blanche", "franc": "franche", "sec": "sèche", "public": "publique", "grec": "grecque"},
    **{"long": "longue", "favori": "favorite", "rigolo": "rigolote", "malin": "maligne", "bénin": "bénigne"},
    **{"gros": "grosse", "gras": "grasse", "bas": "basse", "épais": "épaisse", "las": "lasse"},
    **{"gentil": "gentille", "pareil": "pareille", "vermeil": "vermeille", "paysan": "paysanne"},
    **{"orange": "orange", "marron": "marron", "chic": "chic", "turc": "turque"},
    **{word: word[:-2] + "ète" for word in ("complet", "discret", "inquiet", "secret", "concret")},
    **{word: word + "e" for word in ("meilleur", "supérieur", "intérieur", "extérieur", "majeur", "mineur")},
}

_FEMININE_ENDINGS = (
    *(("teur", "trice"), ("eur", "euse"), ("eux", "euse"), ("er", "ère"), ("if", "ive"), ("euf", "euve")),
    *(("el", "elle"), ("en", "enne"), ("on", "onne"), ("et", "ette"), ("ef", "ève"), ("gu", "guë")),
)
_TEUR_BUT_TEUSE = frozenset(("menteur", "chanteur", "acheteur", "flatteur", "porteur", "sauteur"))


def feminine(word: str) -> str:
    """The feminine singular of an adjective or participle given in the masculine singular."""
    if word in _FEMININES:
        return _FEMININES[word]
    if word.endswith("e"):
        return word
    if word in _TEUR_BUT_TEUSE:
        return word[:-1] + "se"
    for ending, replacement in _FEMININE_ENDINGS:
        if word.endswith(ending):
            return word[: -len(ending)] + replacement
    return word + "e"


_BEFORE_VOWEL = {"beau": "bel", "nouveau": "nouvel", "vieux": "vieil", "fou": "fol", "mou": "mol"}


def before_vowel(adjective: str) -> str:
    """The masculine singular form used before a vowel sound: `un bel arbre`, `un vieil âne`."""
    return _BEFORE_VOWEL.get(adjective, adjective)


def agree(adjective: str, gender: str, *, many: bool = False) -> str:
    """An adjective or participle, given in the masculine singular, in `gender` (`m` or `f`) and number."""
    form = feminine(adjective) if gender == "f" else adjective
    return plural(form) if many else form


def bare(word: str) -> str:
    """The word without accents or ligatures, as alphabetical order and addresses want it."""
    split = unicodedata.normalize("NFD", word.replace("œ", "oe").replace("Œ", "Oe"))
    return "".join(letter for letter in split if not unicodedata.combining(letter))


_UNITS = (
    *("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze"),
    *("treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf"),
)
_TENS = {2: "vingt", 3: "trente", 4: "quarante", 5: "cinquante", 6: "soixante"}


def number_words(number: int, *, gender: str = "m") -> str:
    """A number from 0 to 100 in letters, spelt the traditional way: `vingt et un`, `quatre-vingts`."""
    if not 0 <= number <= 100:
        raise ValueError(f"{number} is outside 0..100")
    words = _number_words(number)
    return words + "e" if gender == "f" and (words == "un" or words.endswith((" un", "-un"))) else words


def _number_words(number: int) -> str:
    if number < 20:
        return _UNITS[number]
    if number == 100:
        return "cent"
    if number >= 80:
        return "quatre-vingts" if number == 80 else f"quatre-vingt-{_UNITS[number - 80]}"
    tens, unit = (6, number - 60) if number >= 60 else divmod(number, 10)
    if unit == 0:
        return _TENS[tens]
    return f"{_TENS[tens]}{' et ' if unit in (1, 11) else '-'}{_UNITS[unit]}"
