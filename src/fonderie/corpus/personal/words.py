"""Words that decide between readings: what a number is called, the kinds of ways, the names of secrets.

A number with ten digits is a phone number after "tél." and none after "commande n°". The nearest word of the tables
before a number says what it is, or the word right beside it where the number's form is evidence already.
Recognisers ask for one where the checksum alone lets chance through.
"""

from typing import NamedTuple

import numpy as np

from fonderie.corpus.personal.bytes import folded, is_digit, is_equal, is_letter, is_upper
from fonderie.corpus.personal.compiled import Bytes, Numbers, compiled

PHONE, CARD, COMPANY, PLATE, OTHER, DOTTED, NUMBER = 1, 2, 4, 8, 16, 32, 64
"""OTHER names a number that is nobody's; DOTTED, with it, one that is written with dots as an address is; NUMBER
says that a number follows, and not of what."""

_LABELS: dict[int, str] = {
    PHONE: """
        tél tel téléph* teleph* telef* phone* portable* mobile* gsm fax télécop* appel* rappel* call* joindre
        joignable* contact* sms whatsapp* hotline cell rufnummer
    """,
    CARD: """
        carte* card* cb visa mastercard amex maestro paiement* payment* payé* paid crédit* credit* débit* debit*
        bancaire* kreditkarte* pan cvv cvc
    """,
    COMPANY: """
        siren* siret* rcs r.c.s kbis tva vat sirene registre* register
    """,
    PLATE: """
        plaque* plate plates véhicule* vehicle* voiture* kennzeichen camion* moto motos scooter* automobile* grise
    """,
    COMPANY | PLATE: """
        immatricul* registration registered
    """,
    OTHER: """
        réf réfs ref référence* reference* commande order facture* invoice* dossier* colis suivi tracking lot
        lots batch série* serial* sku isbn* issn* ean* gtin* doi barres barcode* ticket* bordereau*
        contrat* contract* brevet* patent* jorf nor celex ecli pourvoi arxiv pmid
        catalogue* modèle* model* pièce* produit* product* compteur* loto tirage*
        population* total* montant* prix price* budget* statistique* id identifiant*
        code codes numéroté* parcel* shipment* expédition* item* notice* timestamp*
    """,
    OTHER | DOTTED: """
        version* v build* release* firmware logiciel* software article* art chapitre* chapter* section* alinéa*
        paragraphe* annexe* décret* loi lois law arrêté* directive* règlement* regulation* décision* tableau* table*
        inventaire* inventory cote rubrique* nomenclature* norme* oid
    """,
    NUMBER: """
        n no nos nr num numéro* numero* number*
    """,
}
"""A star stands for any ending."""

_WAYS = """
rue r av avenue bd bld boulevard blvd place pl chemin ch che allée allées all impasse imp quai cours route rte
square sq passage pass faubourg fbg villa cité résidence rés sentier voie esplanade promenade prom hameau
lotissement lot rond-point chaussée montée traverse venelle ruelle cour galerie mail parvis pont porte boucle clos
corniche côte domaine rocade sente
"""
"""Types of way of the French national address base, and their usual abbreviations (AFNOR NF Z 10-011)."""

_SECRETS = """
key keys apikey* accesskey* secretkey* privatekey* appkey* authkey* passkey* token tokens accesstoken* authtoken*
apitoken* secret* password* passwd* passphrase* passe motdepasse* pwd mdp clé clés jeton jetons credential* auth
authoriz* authentic* authentif* autoris*
"""
"""Of an identifier its parts count each: AWS_SECRET_ACCESS_KEY, apiKey, mot_de_passe. A monkey is no key."""


class Words(NamedTuple):
    """Words as arrays that kernels read: found by their first byte."""

    text: Bytes
    start: Numbers
    size: Numbers
    prefix: Numbers
    """1 if longer words that begin so count too."""
    meaning: Numbers
    first: Numbers
    """The words whose two first bytes fall in bucket b are those from first[b] to first[b + 1]."""


_BUCKETS = 1 << 10
_LONGEST_WORD = 24
"""Bytes of a word before a number that is looked up; the tables have none as long."""


def _bucket_of(word: bytes) -> int:
    """Five bits of each of the first two bytes; of the second none if it is no letter."""
    second = word[1] if len(word) > 1 and (chr(word[1]).isalpha() or word[1] >= 0x80) else 0
    return (word[0] & 31) << 5 | second & 31


def _table(groups: dict[int, str]) -> Words:
    entries = [
        (word.rstrip("*").encode(), word.endswith("*"), meaning)
        for meaning, words in groups.items()
        for word in words.split()
    ]
    entries.sort(key=lambda entry: (_bucket_of(entry[0]), entry))
    sizes = np.array([len(word) for word, _, _ in entries], np.int64)
    heads = np.array([_bucket_of(word) for word, _, _ in entries], np.int64)
    return Words(
        np.frombuffer(b"".join(word for word, _, _ in entries), np.uint8).copy(),
        np.cumsum(sizes) - sizes,
        sizes,
        np.array([prefix for _, prefix, _ in entries], np.int64),
        np.array([meaning for _, _, meaning in entries], np.int64),
        np.searchsorted(heads, np.arange(_BUCKETS + 1)).astype(np.int64),
    )


# Kernels take arrays of a module as constants, but not tuples of arrays.
_L_TEXT, _L_START, _L_SIZE, _L_PREFIX, _L_MEANING, _L_FIRST = _table(_LABELS)
_W_TEXT, _W_START, _W_SIZE, _W_PREFIX, _W_MEANING, _W_FIRST = _table({1: _WAYS})
_S_TEXT, _S_START, _S_SIZE, _S_PREFIX, _S_MEANING, _S_FIRST = _table({1: _SECRETS})


@compiled
def _in_word(text: Bytes, at: int) -> bool:
    """Whether a byte is of a letter: of U+0080 to U+00BF (no-break space, °, «) and U+2000 on (’, –, €) none is."""
    byte = text[at]
    if byte < 0x80:
        return is_letter(byte)
    if byte >= 0xC0:
        return byte not in (0xC2, 0xE2)
    return not (at > 0 and text[at - 1] in (0xC2, 0xE2)) and not (at > 1 and text[at - 2] == 0xE2)


@compiled
def _bucket(text: Bytes, at: int) -> int:
    second = folded(text, at + 1) if at + 1 < text.size and _in_word(text, at + 1) else 0
    return (folded(text, at) & 31) << 5 | second & 31


@compiled
def _find_word(
    text: Bytes, at: int, words: Bytes, start: Numbers, size: Numbers, prefix: Numbers, first: Numbers
) -> int:
    head = _bucket(text, at)
    for entry in range(first[head], first[head + 1]):
        if is_equal(text, at, words, start[entry], size[entry]):
            after = at + size[entry]
            if prefix[entry] or after >= text.size or not _in_word(text, after) or _is_hump(text, after):
                return entry
    return -1


@compiled
def _is_hump(text: Bytes, at: int) -> bool:
    # Where the next part of an identifier begins: apiKey.
    return at > 0 and is_upper(text[at]) and is_letter(text[at - 1]) and not is_upper(text[at - 1])


@compiled
def label_before(text: Bytes, at: int, window: int) -> int:
    """What the nearest telling word in the `window` bytes before calls this: flags, or 0 if there is none.

    One that calls it nobody's is used up by a number between, unless that has dots ("versions 1.2.3 et 1.2.3.41").
    """
    inside = at > 0 and _in_word(text, at - 1)
    used, end = False, at
    for k in range(at - 1, max(at - window, 0) - 1, -1):
        here = inside
        inside = k > 0 and _in_word(text, k - 1)
        if here and not inside:
            # Looked up here as well: a call costs more than most words are worth.
            head = _bucket(text, k)
            if _L_FIRST[head] == _L_FIRST[head + 1]:
                continue
            entry = _find_word(text, k, _L_TEXT, _L_START, _L_SIZE, _L_PREFIX, _L_FIRST)
            if entry >= 0 and _L_MEANING[entry] != NUMBER and not (used and _L_MEANING[entry] & OTHER):
                return int(_L_MEANING[entry])
        elif is_digit(text[k]):
            end = end if is_digit(text[k + 1]) else k + 1
            if not (k and (is_digit(text[k - 1]) or text[k - 1] == 46)) and text[end] != 46:
                used = True
    return 0


_SIGNS_BESIDE = 8
"""Bytes of signs between a number and the word beside it: "n° : « 12"."""


@compiled
def label_beside(text: Bytes, at: int) -> int:
    """What the word right before calls this, past signs and "n°", "no", "numéro": flags, 0 if it tells nothing."""
    for _ in range(3):
        stop = at
        while (
            stop > 0 and at - stop < _SIGNS_BESIDE and not _in_word(text, stop - 1) and not is_digit(text[stop - 1])
        ):
            stop -= 1
        start = stop
        while start > 0 and stop - start < _LONGEST_WORD and _in_word(text, start - 1):
            start -= 1
        if start == stop:
            return 0
        entry = _find_word(text, start, _L_TEXT, _L_START, _L_SIZE, _L_PREFIX, _L_FIRST)
        if entry < 0:
            return 0
        if _L_MEANING[entry] != NUMBER:
            return int(_L_MEANING[entry])
        at = start
    return 0


@compiled
def way_at(text: Bytes, at: int) -> int:
    """Bytes of the type of way that stands here, with the dot of an abbreviation; 0 if none does."""
    best = 0
    head = _bucket(text, at)
    for entry in range(_W_FIRST[head], _W_FIRST[head + 1]):
        size = _W_SIZE[entry]
        if size > best and is_equal(text, at, _W_TEXT, _W_START[entry], size):
            after = at + size
            if after < text.size and not _in_word(text, after):
                best = size
    return best + 1 if best and text[at + best] == 46 else best


@compiled
def names_a_secret(text: Bytes, start: int, stop: int) -> bool:
    """Whether a name between two places is that of a secret: api_key, AWS_SECRET_ACCESS_KEY, mot de passe."""
    for k in range(start, stop):
        begins = _in_word(text, k) and (k == 0 or not _in_word(text, k - 1) or _is_hump(text, k))
        if begins and _find_word(text, k, _S_TEXT, _S_START, _S_SIZE, _S_PREFIX, _S_FIRST) >= 0:
            return True
    return False
