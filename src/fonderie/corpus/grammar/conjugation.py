"""Conjugation: from a verb's principal parts to each of its forms, simple and compound.

Tenses are named in two letters, as the templates write them: `pr` présent, `im` imparfait, `ps` passé simple,
`fs` futur simple, `co` conditionnel présent, `pc` passé composé, `pq` plus-que-parfait, `fp` futur proche.
Persons are numbered 0 to 5: je, tu, il, nous, vous, ils.
"""

from dataclasses import dataclass

SIMPLE_TENSES = ("pr", "im", "ps", "fs", "co")
COMPOUND_TENSES = {"pc": "pr", "pq": "im"}
"""Compound tense to the tense of its auxiliary."""

_IMPERFECT = ("ais", "ais", "ait", "ions", "iez", "aient")
_FUTURE = ("ai", "as", "a", "ons", "ez", "ont")
_PAST = {
    "a": ("ai", "as", "a", "âmes", "âtes", "èrent"),
    "i": ("is", "is", "it", "îmes", "îtes", "irent"),
    "u": ("us", "us", "ut", "ûmes", "ûtes", "urent"),
    "in": ("ins", "ins", "int", "înmes", "întes", "inrent"),
}
_DOUBLING = ("appeler", "jeter", "épeler", "étinceler", "ficeler", "chanceler", "feuilleter")
"""Verbs whose consonant doubles before a mute e (`il appelle`); the others take a grave accent (`il achète`)."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb by its principal parts, from which `form` makes the rest."""

    infinitive: str
    present: tuple[str, ...]
    """The six persons of the présent."""
    imperfect: str
    """Stem of the imparfait (`finiss`)."""
    future: str
    """Stem of the futur and the conditionnel (`ir`)."""
    past: str
    """Third person singular of the passé simple (`fit`), whose ending gives the other five."""
    participle: str
    """Past participle, masculine singular."""
    auxiliary: str
    """`avoir` or `être`, when the verb is not reflexive."""

    def form(self, tense: str, person: int) -> str:
        """One form of a simple tense."""
        if tense == "pr":
            return self.present[person]
        if tense == "ps":
            return _past(self.past, person)
        if tense == "im":
            return _soften(self.imperfect, _IMPERFECT[person])
        if tense in ("fs", "co"):
            return self.future + (_FUTURE if tense == "fs" else _IMPERFECT)[person]
        raise ValueError(f"no simple tense {tense!r}: one of {', '.join(SIMPLE_TENSES)}")


def _past(third: str, person: int) -> str:
    for kind in ("in", "i", "u"):
        if third.endswith(kind + "t"):
            return third[: -len(kind) - 1] + _PAST[kind][person]
    return _soften(third[:-1].removesuffix("e") if third.endswith("gea") else third[:-1], _PAST["a"][person])


def _soften(stem: str, ending: str) -> str:
    """Join a stem and an ending, keeping the sound of a final c or g before a and o (`plaçons`, `mangeait`)."""
    hard = ending[0] in "aâo"
    if stem.endswith("ç"):
        stem = stem[:-1] + "c"
    if stem.endswith("c") and hard:
        return stem[:-1] + "ç" + ending
    return stem + ("e" if stem.endswith("g") and hard else "") + ending


def _mute_stem(stem: str, infinitive: str) -> str:
    """The stem of an -er verb before a mute e: `appell`, `achèt`, `espèr`, `nettoi`."""
    if stem.endswith("y"):
        return stem[:-1] + "i"
    if infinitive.endswith(_DOUBLING):
        return stem + stem[-1]
    for size in (2, 3):  # e or é, then one consonant (lever) or two (régler)
        if len(stem) > size - 1 and stem[-size] in "eé" and not set(stem[-size + 1 :]) & set("aeiouéèy"):
            doubled = size == 3 and (stem[-1] == stem[-2] or stem[-1] not in "lr")
            if not doubled:
                return stem[:-size] + "è" + stem[-size + 1 :]
    return stem


def regular(infinitive: str, auxiliary: str = "avoir") -> Verb:
    """A verb of the first group (-er), of the second (-ir, like finir) or in -dre (like rendre)."""
    stem, ending = infinitive[:-2], infinitive[-2:]
    if ending == "er":
        mute = _mute_stem(stem, infinitive)
        strong = [_soften(stem, "ons"), stem + "ez"]
        present = (mute + "e", mute + "es", mute + "e", *strong, mute + "ent")
        # Traditional spelling: the accent of espérer stays acute in the future (espérera).
        future = infinitive if "é" in stem[-3:] and mute != stem else mute + "er"
        return Verb(infinitive, present, stem, future, _soften(stem, "a"), stem + "é", auxiliary)
    if ending == "ir":
        present = (f"{stem}is", f"{stem}is", f"{stem}it", f"{stem}issons", f"{stem}issez", f"{stem}issent")
        return Verb(infinitive, present, stem + "iss", infinitive, stem + "it", stem + "i", auxiliary)
    if infinitive.endswith("dre"):
        present = (f"{stem}s", f"{stem}s", stem, f"{stem}ons", f"{stem}ez", f"{stem}ent")
        return Verb(infinitive, present, stem, infinitive[:-1], stem + "it", stem + "u", auxiliary)
    raise ValueError(f"{infinitive} is not regular: give its principal parts in verbs.toml")


def modelled(infinitive: str, model: Verb, auxiliary: str) -> Verb:
    """A verb that conjugates like another: `tenir` like `venir`, `apprendre` like `prendre`.

    What precedes the longest common ending of the two infinitives is exchanged in every form.
    """
    size = 0
    for mine, its in zip(reversed(infinitive), reversed(model.infinitive), strict=False):
        if mine != its:
            break
        size += 1
    old, new = model.infinitive[: len(model.infinitive) - size], infinitive[: len(infinitive) - size]

    def exchange(form: str) -> str:
        if not form.startswith(old):
            raise ValueError(f"{infinitive} cannot follow {model.infinitive}: {form} does not begin with {old}")
        return new + form[len(old) :]

    return Verb(
        infinitive,
        tuple(exchange(form) for form in model.present),
        exchange(model.imperfect),
        exchange(model.future),
        exchange(model.past),
        exchange(model.participle),
        auxiliary,
    )
