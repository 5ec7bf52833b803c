"""Cases for the recognisers of personal data: values planted in sentences, and what only looks like them.

`cases()` is seeded; `judge()` counts what a recogniser finds, misses and makes up.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks import personal_cases as made
from benchmarks.personal_cases import Maker
from benchmarks.personal_look_alikes import LOOK_ALIKES

SEED = 2026
LONGER_BYTES = 2
"""A span may be this much longer than the planted value: a bracket, a full stop."""


class Case(NamedTuple):
    """A text, and the value planted in it if there is one."""

    text: str
    family: str
    """Kind of the planted value, or the family of look-alikes."""
    value: str | None = None


_BEFORE = (
    "",
    "Bonjour, ",
    "Comme convenu hier, ",
    "Fait à Nantes le 3 mars 2024. ",
    "Dear all, ",
    "Selon l’article 12 du contrat, conclu pour trois ans, voici la suite. ",
    "Il pleuvait ce jour-là. ",
    "- ",
    "« ",
)
_AFTER = ("", ".", ", merci d’avance.", " ; à bientôt.", "\nCordialement", ")", " (France).", " – merci", " »")

_PLANTED: list[tuple[str, Maker, int, str]] = [
    ("email", made.email, 700, "Écrivez à {}|contact : {}|<{}>|mailto:{}|You can reach me at {}|l’adresse {}|{}"),
    ("ipv4", made.ipv4, 600, "connexion depuis {}|IP : {}|from {}|http://{}/|serveur {}|[{}]|{}"),
    ("ipv6", made.ipv6, 500, "connexion depuis {}|IPv6 : {}|from {}|[{}]|serveur {}|{}"),
    (
        "phone",
        made.phone,
        1200,
        "Tél. : {}|Téléphone {}|appelez-moi au {}|joignable au {}|my number is {}|Call {}|Portable : {}|Fax {}|{}",
    ),
    (
        "nir",
        made.nir,
        800,
        "numéro de sécurité sociale {}|NIR : {}|assurée sous le n° {}|immatriculé {}|social security number {}|{}",
    ),
    (
        "siren",
        made.siren,
        500,
        "SIREN {}|SIREN : {}|RCS Paris {}|R.C.S. de Lyon {}|immatriculée sous le n° {}|n° SIREN {}|{} RCS Nanterre",
    ),
    ("siren", made.vat, 200, "TVA intracommunautaire {}|VAT {}|n° TVA : {}|{}"),
    ("siret", made.siret, 700, "SIRET {}|n° SIRET : {}|établissement {}|siret={}|Siret n° {}|{}"),
    ("iban", made.iban, 1200, "IBAN : {}|virement sur {}|mon compte {}|account {}|IBAN {}|{}"),
    (
        "card",
        made.printed_card,
        500,
        "réglé par {}|{}|numéro {}|number: {}",
    ),
    (
        "card",
        made.card_number,
        400,
        "carte bancaire {}|CB n° {}|Visa : {}|card number {}|paiement par carte {}|PAN={}|credit card: {}",
    ),
    ("key", made.key, 500, "clé {}|token: {}|export KEY={}|'{}'|Authorization: Bearer {}|{}"),
    (
        "key",
        made.secret,
        300,
        'api_key = "{}"|AWS_SECRET_ACCESS_KEY={}|password: {}|"token": "{}"|mot de passe : {}',
    ),
    ("plate", made.plate, 500, "immatriculé {}|plaque {}|véhicule immatriculé {}|voiture {}|registration {}"),
    ("address", made.address, 600, "J’habite {}|domicilié au {}|siège social : {}|{}|adresse : {}"),
]


def cases(seed: int = SEED) -> list[Case]:
    """All cases: planted values first, then look-alikes."""
    rng = random.Random(seed)
    out = []
    for kind, maker, count, templates in _PLANTED:
        for _ in range(count):
            value = maker(rng)
            sentence = rng.choice(templates.split("|")).format(value)
            out.append(Case(rng.choice(_BEFORE) + sentence + rng.choice(_AFTER), kind, value))
    for family, (maker, count) in LOOK_ALIKES.items():
        out += [Case(rng.choice(_BEFORE) + maker(rng) + rng.choice(_AFTER), family) for _ in range(count)]
    return out


@dataclass
class Tally:
    """What was found of one kind."""

    planted: int = 0
    found: int = 0
    made_up: int = 0
    """Spans of this kind where no value of it was planted."""

    @property
    def recall(self) -> float:
        """Share of the planted values that were covered whole."""
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        """Share of the spans that cover a planted value."""
        return self.found / (self.found + self.made_up) if self.found + self.made_up else 1.0


Spans = Sequence[tuple[str, int, int]]


def judge(cases: Iterable[Case], find: Callable[[bytes], Spans]) -> tuple[dict[str, Tally], list[tuple[Case, str]]]:
    """Tallies per kind, and the cases that went wrong with what happened: "missed", or what was made up."""
    tallies: dict[str, Tally] = {}
    errors = []
    for case in cases:
        data = case.text.encode()
        start = stop = -1
        if case.value is not None:
            start = data.rindex(case.value.encode())
            stop = start + len(case.value.encode())
            tallies.setdefault(case.family, Tally()).planted += 1
        hit = False
        for kind, first, last in find(data):
            right = kind == case.family and first <= start and last >= stop
            if right and last - first <= stop - start + LONGER_BYTES:
                hit = True
                continue
            tallies.setdefault(kind, Tally()).made_up += 1
            errors.append((case, f"{kind}: {data[first:last].decode()}"))
        if hit:
            tallies[case.family].found += 1
        elif case.value is not None:
            errors.append((case, "missed"))
    return tallies, errors
