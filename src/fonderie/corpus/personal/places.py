"""Postal addresses of France, and number plates."""

import re

import numpy as np

from fonderie.corpus.personal.bytes import ends, is_digit, is_letter, is_upper, is_word, separator, starts
from fonderie.corpus.personal.compiled import Bytes, Numbers, compiled
from fonderie.corpus.personal.words import OTHER, PLATE, label_before, way_at

_NAME_LONGEST, _CITY_LONGEST = 120, 60
"""Bytes from the type of way to the postcode, and of a city's name: the longest of France have 45 letters."""

_LINKS = ["sur", "sous", "en", "le", "la", "les", "de", "du", "des", "lès", "lez", "aux", "et"]
_LINK_TEXT = np.frombuffer("".join(_LINKS).encode(), np.uint8).copy()
_LINK_SIZE = np.array([len(link.encode()) for link in _LINKS], np.int64)
_LINK_START = np.cumsum(_LINK_SIZE) - _LINK_SIZE

_PLATE_WINDOW, _PLATE_NEAR = 60, 24


@compiled
def _skip(text: Bytes, at: int, commas: bool, lines: bool) -> int:
    """Past spaces, and at most one comma and one line break."""
    while at < text.size:
        gap = separator(text, at)
        if gap >> 3 == 1:
            at += gap & 7
        elif text[at] == 44 and commas:
            at += 1
            commas = False
        elif text[at] == 10 and lines:
            at += 1
            lines = False
        else:
            break
    return at


@compiled
def _after_number(text: Bytes, at: int) -> int:
    """Past a house number with its range and its bis, ter, A … E; 0 if it is none."""
    start = at
    while at < text.size and at - start < 5 and is_digit(text[at]):
        at += 1
    if at - start > 4 or text[start] == 48:
        return 0
    if at + 1 < text.size and text[at] in (45, 47) and is_digit(text[at + 1]):
        at += 1
        mark = at
        while at < text.size and at - mark < 5 and is_digit(text[at]):
            at += 1
    before = at
    at = _skip(text, at, False, False)
    mark = at
    while at < text.size and at - mark < 7 and is_letter(text[at]):
        at += 1
    size = at - mark
    letter = text[mark] | 32 if size else 0
    # bis, ter, quater and quinquies begin with b, t and q.
    repeated = (size == 1 and 97 <= letter <= 101) or (size in (3, 6) and letter in (98, 116, 113))
    return at if repeated and way_at(text, mark) == 0 else before


@compiled
def _ends_sentence(text: Bytes, at: int) -> bool:
    # A full stop after a word of four letters and before a space; "av.", "St." are abbreviations.
    if at < 4 or at + 1 >= text.size or text[at + 1] not in (32, 10):
        return False
    for k in range(at - 4, at):
        if not is_letter(text[k]):
            return False
    return True


@compiled
def _postcode(text: Bytes, at: int) -> int:
    """Where a postcode that follows ends: within the line or the next, before the sentence does."""
    start, lines = at, 0
    while at < text.size and at - start < _NAME_LONGEST:
        byte = text[at]
        if is_digit(byte):
            run = at
            while run < text.size and run - at < 6 and is_digit(text[run]):
                run += 1
            if run - at == 5 and ends(text, run) and not is_word(text[at - 1]):
                department = (byte - 48) * 10 + text[at + 1] - 48
                return run if 1 <= department <= 98 and department != 96 and at - start > 2 else 0
            if run - at > 4:
                return 0
            at = run
            continue
        if byte in (59, 40, 63, 33, 58, 34) or (
            byte == 0xC2 and at + 1 < text.size and text[at + 1] in (0xAB, 0xBB)
        ):
            return 0
        lines += byte == 10
        if lines > 2:
            return 0
        if byte == 46 and _ends_sentence(text, at):
            return 0
        at += 1
    return 0


@compiled
def _capital(text: Bytes, at: int) -> bool:
    if at >= text.size:
        return False
    return is_upper(text[at]) or (text[at] == 0xC3 and at + 1 < text.size and 0x80 <= text[at + 1] <= 0x9E)


@compiled
def _word_end(text: Bytes, at: int) -> int:
    """Past a word of a city's name with its hyphens and apostrophes."""
    while at < text.size:
        byte = text[at]
        apostrophe = byte == 0xE2 and at + 2 < text.size and text[at + 1] == 0x80 and text[at + 2] == 0x99
        if apostrophe:
            at += 3
        elif is_letter(byte) or byte in (45, 39) or 0xC3 <= byte <= 0xC5 or byte & 0xC0 == 0x80:
            at += 1
        else:
            break
    return at


@compiled
def _link_end(text: Bytes, at: int) -> int:
    """Past a small word inside a city's name ("Saint-Denis en Val"); 0 if there is none before a capital."""
    for k in range(_LINK_SIZE.size):
        size = _LINK_SIZE[k]
        if at + size + 1 >= text.size or text[at + size] != 32:
            continue
        same = True
        for j in range(size):
            if text[at + j] != _LINK_TEXT[_LINK_START[k] + j]:
                same = False
                break
        if same and _capital(text, at + size + 1):
            return int(at + size + 1)
    return 0


@compiled
def _city_end(text: Bytes, at: int) -> int:
    """Past a city's name that begins here, with CEDEX and its number; 0 if there is none."""
    if not _capital(text, at):
        return 0
    start = at
    end = at
    while at - start < _CITY_LONGEST and _capital(text, at):
        end = _word_end(text, at)
        if end >= text.size or text[end] != 32:
            break
        at = end + 1
        if is_digit(text[at]) if at < text.size else False:
            run = at
            while run < text.size and run - at < 3 and is_digit(text[run]):
                run += 1
            # Cedex 08, Lyon 3
            return run if run - at < 3 and ends(text, run) else end
        at = _link_end(text, at) or at
    return end if end - start > 1 else 0


@compiled
def address_end(text: Bytes, at: int) -> int:
    """A postal address from its number: number, type of way, name, postcode, city."""
    number = _after_number(text, at) if starts(text, at) else 0
    if number == 0:
        return 0
    way = _skip(text, number, True, False)
    if way == number or way >= text.size:
        return 0
    size = way_at(text, way)
    if size == 0:
        return 0
    code = _postcode(text, way + size)
    if code == 0:
        return 0
    return _city_end(text, _skip(text, code, False, True))


def _plates() -> tuple[Bytes, Numbers, Numbers, Numbers]:
    """Forms (d a digit, L a French letter, A any, D a department); their sizes, first digits, digits in a row."""
    forms = ["LL-ddd-LL", "LL ddd LL", "LLdddLL"]  # France since 2009, and Italy: arrêté du 9 février 2009
    forms += [  # France before 2009, still valid
        f"{'d' * digits}{gap}{'L' * letters}{gap}DD"
        for digits in (1, 2, 3, 4)
        for letters in (1, 2, 3)
        for gap in ("", " ", "-")
    ]
    forms += [  # Germany, Austria
        f"{'A' * town}{gap}{'A' * letters} {'d' * digits}"
        for town in (1, 2, 3)
        for letters in (1, 2)
        for digits in (1, 2, 3, 4)
        for gap in ("-", " ")
    ]
    forms += ["d-AAA-ddd", "dddd AAA", "dddd-AAA", "ddddAAA"]  # Belgium, Spain
    forms += ["AA-dd-AA", "dd-AA-dd", "dd-dd-AA", "AA-dd-dd"]  # Portugal, and the older Dutch ones
    forms += ["A-ddd-AA", "AA-ddd-A", "dd-AAA-d", "d-AAA-dd", "dd-AA-AA", "AA-AA-dd", "AAA-dd-A", "A-dd-AAA"]
    forms += [
        "AAdd AAA",
        "AAddAAA",
        "AA dddd",
        "AAdddd",
        "AAA-ddd",
        "AAA ddd",
    ]  # United Kingdom, Luxembourg, Sweden
    forms.sort(key=lambda form: -len(form))
    longest = max(map(len, forms)) + 1
    codes = np.frombuffer("".join(form.ljust(longest) for form in forms).encode(), np.uint8)
    digits = [match.span() for form in forms for match in [re.search("d+", form)] if match]
    sizes = np.array([(len(form), first, last - first) for form, (first, last) in zip(forms, digits, strict=True)])
    return codes.reshape(-1, longest).copy(), sizes[:, 0].copy(), sizes[:, 1].copy(), sizes[:, 2].copy()


_FORMS, _FORM_SIZE, _FORM_FIRST, _FORM_DIGITS = _plates()
_SIV = 0
for _k in range(len(_FORM_SIZE)):
    if bytes(_FORMS[_k]).rstrip() == b"LL-ddd-LL":
        _SIV = _k


@compiled
def _french(byte: int) -> bool:
    # I, O and U are never issued: they look like 1, 0 and V.
    return is_upper(byte) and byte not in (73, 79, 85)


@compiled
def _department(text: Bytes, at: int) -> bool:
    first, second = text[at], text[at + 1]
    if first == 50 and second in (65, 66):
        return True
    value = (first - 48) * 10 + second - 48
    return is_digit(first) and is_digit(second) and 1 <= value <= 95


@compiled
def _fits(text: Bytes, at: int, form: int) -> bool:
    size = _FORM_SIZE[form]
    if at < 0 or at + size > text.size or (at and is_word(text[at - 1])) or not ends(text, at + size):
        return False
    for k in range(size):
        want, byte = _FORMS[form, k], text[at + k]
        if want == 100:
            fit = is_digit(byte)
        elif want == 76:
            fit = _french(byte)
        elif want == 65:
            fit = is_upper(byte)
        elif want == 68:
            fit = _FORMS[form, k - 1] == 68 or _department(text, at + k)
            fit = fit and (is_digit(byte) or is_upper(byte))
        else:
            fit = byte == want
        if not fit:
            return False
    return True


@compiled
def plate_span(text: Bytes, at: int) -> tuple[int, int]:
    """Where a plate whose first digit is at `at` begins and ends; (0, 0) if there is none.

    AB-123-CD stands for itself; all else needs a word (immatriculée, plaque, véhicule …) before it.
    """
    alone = _fits(text, at - 3, _SIV) and _issued(text, at - 3)
    if alone and not label_before(text, at - 3, _PLATE_NEAR) & OTHER:
        return at - 3, at + 6
    if not _letter_beside(text, at):
        return 0, 0
    digits = 1
    while at + digits < text.size and digits < 5 and is_digit(text[at + digits]):
        digits += 1
    for form in range(_FORM_SIZE.size):
        start = at - _FORM_FIRST[form]
        if _FORM_DIGITS[form] != digits or not _fits(text, start, form) or (form == _SIV and not alone):
            continue
        if not label_before(text, start, _PLATE_WINDOW) & PLATE:
            return 0, 0
        return start, start + _FORM_SIZE[form]
    return 0, 0


@compiled
def _issued(text: Bytes, at: int) -> bool:
    # SS recalls too much, 000 is skipped; the second pair has no SS either.
    first, second = text[at] == 83 and text[at + 1] == 83, text[at + 7] == 83 and text[at + 8] == 83
    return not first and not second and not (text[at + 3] == 48 and text[at + 4] == 48 and text[at + 5] == 48)


@compiled
def _letter_beside(text: Bytes, at: int) -> bool:
    """Whether a capital stands beside the digits from `at`, one separator away at most: what a plate has."""
    if at and is_word(text[at - 1]) and not is_upper(text[at - 1]):
        return False
    if at and (is_upper(text[at - 1]) or (at > 1 and text[at - 1] in (32, 45) and is_upper(text[at - 2]))):
        return True
    stop = at
    while stop < text.size and stop - at < 5 and is_digit(text[stop]):
        stop += 1
    if stop + 1 < text.size and text[stop] in (32, 45):
        return is_upper(text[stop + 1]) or (text[stop] == 45 and is_digit(text[stop + 1]))
    return stop < text.size and is_upper(text[stop])
