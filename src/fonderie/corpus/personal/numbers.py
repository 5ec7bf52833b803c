"""Numbers with check digits: NIR, IBAN, cards, SIREN, SIRET and the VAT number made of a SIREN.

Each function is told where a number may begin and returns where it ends, or 0. Where chance passes the check too
often (Luhn: one number in ten), the words before must say what the number is, or its groups must.
"""

from fonderie.corpus.personal.bytes import (
    SPACE,
    digit_before,
    ends,
    folded,
    is_digit,
    is_letter,
    is_word,
    luhn,
    number,
    read_run,
    separator,
)
from fonderie.corpus.personal.compiled import Bytes, Numbers, compiled
from fonderie.corpus.personal.tables import CARD_ISSUERS, DIGIT, IBAN_COUNTRIES, IBAN_FORMS, LETTER
from fonderie.corpus.personal.words import CARD, COMPANY, OTHER, label_before

_NEAR, _FAR, _REGISTER = 24, 60, 100
"""Bytes before a number in which its name is looked for: a reference names what it is at once, a card may be named
earlier in the sentence (docs/log/0005-personal-data.md), and the register of companies has a long name ("registre
du commerce et des sociétés de Boulogne-sur-Mer sous le numéro")."""

_NIR_BREAKS = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 10 | 1 << 13
_NIR_GROUPS = 1 << 1 | 1 << 3 | 1 << 5
_CARD_16 = 1 << 4 | 1 << 8 | 1 << 12
_CARD_19 = _CARD_16 | 1 << 16
_CARD_AMEX = 1 << 4 | 1 << 10
_SIREN_GROUPS = 1 << 3 | 1 << 6
_SIRET_GROUPS = _SIREN_GROUPS | 1 << 9
_SIREN_POSTE = 356000000


@compiled
def nir_end(text: Bytes, count: int, groups: int, values: Numbers, stops: Numbers) -> int:
    """French social security number with its key: sex, year, month, department, commune, order, 97 - n mod 97."""
    groups &= (1 << 15) - 1
    if count < 15 or groups & ~_NIR_BREAKS or not ends(text, stops[15]):
        return 0
    corse = 0
    for k in range(15):
        if values[k] > 9:
            # Corsica: 2A counts as 19, 2B as 18.
            if k != 6 or values[5] != 2 or values[6] > 11:
                return 0
            corse = values[6]
            values[6] = 9 if corse == 10 else 8
            values[5] = 1
    sex, month, department = values[0], number(values, 3, 5), number(values, 5, 7)
    grouped = groups & _NIR_GROUPS == _NIR_GROUPS
    # Sexes 3, 4, 7, 8 (provisional) and months 20, 30-42, 50-99 (civil status incomplete) exist but are rare
    # (INSEE, Répertoire national d'identification): only the number's own groups make them believable.
    if not (sex in (1, 2) or (grouped and sex in (3, 4, 7, 8))):
        return 0
    if not (1 <= month <= 12 or (grouped and (month == 20 or 30 <= month <= 42 or month >= 50))):
        return 0
    if (department == 0 and not corse) or number(values, 7, 10) == 0 or number(values, 10, 13) == 0:
        return 0
    key = number(values, 13, 15)
    return int(stops[15]) if 97 - number(values, 0, 13) % 97 == key else 0


@compiled
def _read_form(text: Bytes, at: int, form: Numbers, length: int, values: Numbers) -> int:
    """Past the characters of a form, with single separators where they please; 0 at the first that does not fit."""
    for k in range(length):
        gap = separator(text, at) if k else 0
        at += gap & 7
        if at >= text.size:
            return 0
        byte = text[at]
        if is_digit(byte) and form[k] != LETTER:
            values[k] = byte - 48
        elif is_letter(byte) and form[k] != DIGIT:
            values[k] = (byte | 32) - 87
        else:
            return 0
        at += 1
    return at


@compiled
def stands_apart(text: Bytes, at: int) -> bool:
    """Whether letters that begin here are no part of a word, unless that is "IBAN": IBANFR76…"""
    if at == 0 or not is_word(text[at - 1]):
        return True
    if at < 4 or (at > 4 and is_word(text[at - 5])):
        return False
    return (
        folded(text, at - 4) == 105
        and folded(text, at - 3) == 98
        and folded(text, at - 2) == 97
        and (folded(text, at - 1) == 110)
    )


@compiled
def iban_end(text: Bytes, at: int, values: Numbers) -> int:
    """IBAN from its first letter: the country's length and form, and ISO 7064 mod 97-10; spaced in any way."""
    if not stands_apart(text, at) or not is_letter(text[at + 1]):
        return 0
    row = IBAN_COUNTRIES[(folded(text, at) - 97) * 26 + folded(text, at + 1) - 97]
    if row < 0:
        return 0
    length = IBAN_FORMS[row, -1]
    stop = _read_form(text, at, IBAN_FORMS[row], length, values)
    if stop == 0 or not ends(text, stop):
        return 0
    check = values[2] * 10 + values[3]
    if not 2 <= check <= 98:
        return 0
    remainder = 0
    for k in range(length):
        value = values[(k + 4) % length]
        remainder = (remainder * (100 if value > 9 else 10) + value) % 97
    return stop if remainder == 1 else 0


@compiled
def _card_lengths(prefix: int) -> int:
    allowed = 0
    for k in range(CARD_ISSUERS.shape[0]):
        if CARD_ISSUERS[k, 0] <= prefix <= CARD_ISSUERS[k, 1]:
            allowed |= CARD_ISSUERS[k, 2]
    return allowed


@compiled
def card_end(text: Bytes, at: int, count: int, groups: int, values: Numbers, stops: Numbers) -> int:
    """Payment card: issuer's prefix and length, Luhn, and the groups that are printed on it."""
    if count < 13 or groups & 14:
        return 0
    allowed = _card_lengths(number(values, 0, 6))
    for size in range(min(count, 19), 12, -1):
        if not allowed >> size & 1:
            continue
        within = groups & ((1 << size) - 1)
        if size < count and not groups >> size & 1:
            continue
        printed = within in (_CARD_16, _CARD_19) or (within == _CARD_AMEX and size < 16)
        if (not printed and within != 0) or not ends(text, stops[size]) or not luhn(values, size):
            continue
        style = separator(text, stops[4]) >> 3
        if _is_card(text, at, stops[size], size, printed, style):
            return int(stops[size])
    return 0


@compiled
def _is_card(text: Bytes, at: int, stop: int, size: int, printed: bool, style: int) -> bool:
    if printed:
        # Columns of numbers of four digits look the same, and go on or began before; after "carte" 1227 is a date.
        if style == SPACE and (_digit_beyond(text, stop) or digit_before(text, at)):
            return bool(label_before(text, at, _FAR) & CARD)
        return not label_before(text, at, _NEAR) & OTHER
    if label_before(text, at, _FAR) & CARD:
        return True
    return label_before(text, at, _NEAR) == 0 and size in (15, 16) and _is_bare(text, at, stop)


@compiled
def _digit_beyond(text: Bytes, at: int) -> bool:
    # Four more digits after a space.
    gap = separator(text, at)
    first = at + (gap & 7)
    if gap >> 3 != SPACE or first + 4 > text.size:
        return False
    for k in range(first, first + 4):
        if not is_digit(text[k]):
            return False
    return True


@compiled
def _is_bare(text: Bytes, at: int, stop: int) -> bool:
    # Part of an address on the web, or of a decimal number, is nobody's.
    if at and text[at - 1] in (47, 61, 35, 38, 37, 126, 46, 44, 45):
        return False
    gap = separator(text, stop)
    return not (gap and gap >> 3 != SPACE and stop + 1 < text.size and is_digit(text[stop + 1]))


@compiled
def siret_end(text: Bytes, at: int, count: int, groups: int, values: Numbers, stops: Numbers) -> int:
    """French establishment: Luhn on the SIREN and on the whole; La Poste's own by the sum of its digits."""
    groups &= (1 << 14) - 1
    if count < 14 or groups not in (0, _SIREN_GROUPS, _SIRET_GROUPS, 1 << 9):
        return 0
    stop = stops[14]
    if not ends(text, stop) or number(values, 9, 14) == 0:
        return 0
    siren = number(values, 0, 9)
    if siren == 0 or not luhn(values, 9):
        return 0
    if not luhn(values, 14):
        total = 0
        for k in range(14):
            total += values[k]
        if siren != _SIREN_POSTE or total % 5:
            return 0
    if groups == _SIRET_GROUPS:
        return int(stop)
    if groups == 1 << 9:
        return 0 if label_before(text, at, _NEAR) & OTHER else int(stop)
    if label_before(text, at, _FAR) & COMPANY:
        return int(stop)
    # A business with a thousand establishments is rare: chance passes both checks and this once in ten thousand.
    small = groups == 0 and number(values, 9, 11) == 0
    return int(stop) if small and label_before(text, at, _NEAR) == 0 and _is_bare(text, at, stop) else 0


@compiled
def siren_end(text: Bytes, at: int, count: int, groups: int, values: Numbers, stops: Numbers) -> int:
    """French business: Luhn, and a word before (SIREN, RCS, immatriculée …) or RCS after; no sum of money."""
    if count < 9 or groups & ((1 << 9) - 1) not in (0, _SIREN_GROUPS) or not ends(text, stops[9]):
        return 0
    if number(values, 0, 9) == 0 or not luhn(values, 9):
        return 0
    stop = int(stops[9])
    if _rcs_after(text, stop) or (label_before(text, at, _REGISTER) & COMPANY and not _money_after(text, stop)):
        return stop
    return 0


@compiled
def _money_after(text: Bytes, at: int) -> bool:
    """Whether what follows makes a number a sum: decimals, €, $, EUR, euros, F, francs, k€, M€."""
    if at + 1 < text.size and text[at] in (44, 46) and is_digit(text[at + 1]):
        return True
    at += separator(text, at) & 7
    if at < text.size and text[at] in (107, 77):
        at += 1
    if at >= text.size:
        return False
    if text[at] == 36 or (
        text[at] == 0xE2 and at + 2 < text.size and text[at + 1] == 0x82 and text[at + 2] == 0xAC
    ):
        return True
    letters = 0
    while letters < 5 and at + letters < text.size and is_letter(text[at + letters]):
        letters += 1
    first, second = folded(text, at), folded(text, at + 1) if letters > 1 else 0
    return (letters == 1 and text[at] == 70) or (
        letters > 2 and ((first == 101 and second == 117) or (first == 102 and second == 114))
    )


@compiled
def _rcs_after(text: Bytes, at: int) -> bool:
    gap = separator(text, at)
    at += gap & 7
    if gap == 0 or at + 3 > text.size:
        return False
    if text[at] == 82 and text[at + 1] == 67 and text[at + 2] == 83:
        return ends(text, at + 3)
    # R.C.S.
    return (
        at + 5 <= text.size
        and text[at] == 82
        and text[at + 1] == 46
        and text[at + 2] == 67
        and text[at + 3] == 46
        and text[at + 4] == 83
    )


@compiled
def vat_end(text: Bytes, at: int, values: Numbers, stops: Numbers) -> int:
    """French VAT number from its F: two digits that follow from the SIREN behind them (CGI, annexe III)."""
    if (at and is_word(text[at - 1])) or text[at] != 70 or text[at + 1] != 82:
        return 0
    start = at + 2
    start += separator(text, start) & 7
    if start >= text.size or not is_digit(text[start]):
        return 0
    count, groups = read_run(text, start, 11, False, values, stops)
    if count < 11 or groups & ~(1 << 2 | 1 << 5 | 1 << 8) or not ends(text, stops[11]):
        return 0
    siren = number(values, 2, 11)
    if siren == 0 or number(values, 0, 2) != (12 + 3 * (siren % 97)) % 97:
        return 0
    return int(stops[11])
