"""One pass over a text: at each byte that can begin or anchor something, the recognisers that start there.

Linear on any text: every recogniser reads a bounded window around its anchor, or what it reads is used up.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
from numba import njit, types

from fonderie.corpus.personal.bytes import HYPHEN, SLASH, is_digit, is_letter, is_word, read_run, separator, starts
from fonderie.corpus.personal.compiled import Bytes, Numbers, compiled
from fonderie.corpus.personal.kinds import KINDS
from fonderie.corpus.personal.network import domain_end, ipv4_end, ipv6_end, ipv6_start, is_mail_letter, local_start
from fonderie.corpus.personal.numbers import (
    card_end,
    iban_end,
    nir_end,
    siren_end,
    siret_end,
    stands_apart,
    vat_end,
)
from fonderie.corpus.personal.phones import bracket_end, national_end, plus_end, zeros_end
from fonderie.corpus.personal.places import address_end, plate_span
from fonderie.corpus.personal.secrets import SHORTEST, option_span, password_span, pem_end, secret_span, token_span

Scan = Callable[[Bytes, int, Numbers], int]

SMALLEST_SPAN = 5
"""Bytes of the shortest thing found, which bounds how many there can be (a plate, 1A01)."""

_EMAIL, _IPV4, _IPV6, _PHONE, _NIR, _SIREN, _SIRET, _IBAN, _CARD, _KEY, _PLATE, _ADDRESS = range(len(KINDS))

_LONG = 1 << _PHONE | 1 << _NIR | 1 << _SIREN | 1 << _SIRET | 1 << _CARD
_WITH_LETTERS = 1 << _IBAN | 1 << _SIREN
_SHORT = 1 << _PLATE | 1 << _ADDRESS
_RUN = 20
"""Digits read of a run: one more than the longest number has."""

_BREAK, _DIGIT, _AT, _COLON, _EQUALS, _DASH, _PLUS = 1, 2, 3, 4, 5, 6, 7
_CLASSES = np.ones(256, np.uint8)
_CLASSES[[*range(65, 91), *range(97, 123), 95, *range(128, 256)]] = 0
_CLASSES[48:58] = _DIGIT
for _class, _sign in enumerate("@:=-+", start=_AT):
    _CLASSES[ord(_sign)] = _class
_SIGNS = np.array([0, 0, 0, 1 << _EMAIL, 1 << _IPV6 | 1 << _KEY, 1 << _KEY, 1 << _KEY, 1 << _PHONE], np.int64)
"""The kinds that each class of bytes can anchor."""


@compiled
def _add(spans: Numbers, count: int, kind: int, start: int, stop: int) -> int:
    """Add a span; one that overlaps it gives way, being part of something longer."""
    while count and spans[count - 1, 2] > start:
        count -= 1
    spans[count, 0] = kind
    spans[count, 1] = start
    spans[count, 2] = stop
    return count + 1


@compiled
def _key_ends(spans: Numbers, count: int, at: int) -> bool:
    return count > 0 and spans[count - 1, 2] == at and spans[count - 1, 0] == _KEY


@compiled
def _letters_before(text: Bytes, at: int) -> int:
    """Where two letters before a number begin, a space or none between; -1 if they do not."""
    for gap in range(3):
        start = at - 2 - gap
        if start < 0:
            return -1
        between = gap == 0 or (gap == 1 and text[at - 1] == 32) or (gap == 2 and text[at - 1] == 0xA0)
        if between and is_letter(text[start]) and is_letter(text[start + 1]):
            return start if stands_apart(text, start) else -1
    return -1


@compiled
def _long_number(text: Bytes, at: int, wanted: int, values: Numbers, stops: Numbers) -> tuple[int, int]:
    """Kind and end of what nine digits or more are; end 0 if nothing."""
    count, groups = read_run(text, at, _RUN, False, values, stops)
    if count == 6 and values[5] == 2 and wanted >> _NIR & 1:  # Corsica's departments are 2A and 2B
        count, groups = read_run(text, at, 15, True, values, stops)
        return _NIR, nir_end(text, count, groups, values, stops)
    if count < 9:
        return 0, 0
    if wanted >> _CARD & 1:
        stop = card_end(text, at, count, groups, values, stops)
        if stop:
            return _CARD, stop
    if wanted >> _SIRET & 1:
        stop = siret_end(text, at, count, groups, values, stops)
        if stop:
            return _SIRET, stop
    if wanted >> _PHONE & 1 and text[at] == 48:
        stop = national_end(text, at, count, groups, values, stops)
        if stop:
            return _PHONE, stop
    if wanted >> _SIREN & 1:
        stop = siren_end(text, at, count, groups, values, stops)
        if stop:
            return _SIREN, stop
    if wanted >> _NIR & 1:
        stop = nir_end(text, count, groups, values, stops)
        if stop:
            return _NIR, stop
    return _PHONE, zeros_end(text, at, values, stops) if wanted >> _PHONE & 1 else 0


@compiled
def _after_letters(text: Bytes, at: int, wanted: int, values: Numbers, stops: Numbers) -> tuple[int, int, int]:
    """Kind, start and end of what two letters before a number make of it: an IBAN, a VAT number."""
    start = _letters_before(text, at)
    if start < 0:
        return 0, 0, 0
    if wanted >> _IBAN & 1:
        stop = iban_end(text, start, values)
        if stop:
            return _IBAN, start, stop
    if wanted >> _SIREN & 1:
        stop = vat_end(text, start, values, stops)
        if stop:
            return _SIREN, start, stop
    return 0, 0, 0


@compiled
def _at_digit(
    text: Bytes, at: int, last: int, wanted: int, values: Numbers, stops: Numbers
) -> tuple[int, int, int]:
    """Kind, start and end of what the digits from `at` to `last` anchor; end 0 if nothing."""
    digits = last - at
    gap = separator(text, last)
    after = last + (gap & 7)
    goes_on = gap != 0 and after < text.size and is_digit(text[after])
    if digits >= 2 and wanted & _WITH_LETTERS:
        kind, start, stop = _after_letters(text, at, wanted, values, stops)
        if stop:
            return kind, start, stop
    if wanted & _LONG and (goes_on or digits >= 6) and starts(text, at):
        kind, stop = _long_number(text, at, wanted, values, stops)
        if stop:
            return kind, at, stop
    if digits > 4:
        return 0, 0, 0
    if wanted >> _PHONE & 1 and _in_brackets(text, at, last):
        stop = bracket_end(text, at, values, stops)
        if stop:
            return _PHONE, at - 1, stop
    if wanted >> _IPV4 & 1 and goes_on and text[last] == 46:
        stop = ipv4_end(text, at)
        if stop:
            return _IPV4, at, stop
    if wanted >> _ADDRESS & 1 and (not goes_on or gap >> 3 in (HYPHEN, SLASH)):  # 12-14, rue
        stop = address_end(text, at)
        if stop:
            return _ADDRESS, at, stop
    if wanted >> _PLATE & 1:
        start, stop = plate_span(text, at)
        if stop:
            return _PLATE, start, stop
    return 0, 0, 0


@compiled
def _in_brackets(text: Bytes, at: int, last: int) -> bool:
    return last - at == 2 and at > 0 and text[at - 1] == 40 and last < text.size and text[last] == 41


@compiled
def _is_worth(text: Bytes, at: int, last: int, wanted: int) -> bool:
    """Whether digits can be more than a figure in a sentence: more follow, they are many, letters precede."""
    if wanted & _SHORT or last - at >= 6:
        return True
    gap = separator(text, last)
    after = last + (gap & 7)
    if gap and after < text.size and is_digit(text[after]):
        return True
    if wanted & _WITH_LETTERS and last - at >= 2 and _letters_before(text, at) >= 0:
        return True
    return _in_brackets(text, at, last)


@compiled
def _at_sign(text: Bytes, at: int, sign: int, wanted: int, values: Numbers, stops: Numbers) -> tuple[int, int, int]:
    """Kind, start and end of what @, :, =, - or + anchors; end 0 if nothing."""
    if sign == _AT:
        if wanted >> _EMAIL & 1 and at and is_mail_letter(text[at - 1]):
            stop = domain_end(text, at + 1)
            start = local_start(text, at) if stop else at
            return (_EMAIL, start, stop) if start < at else (0, 0, 0)
    elif sign == _PLUS:
        if wanted >> _PHONE & 1 and not (at and is_word(text[at - 1])):
            stop = plus_end(text, at, values, stops)
            bracket = stop and at and text[at - 1] == 40
            return _PHONE, at - 1 if bracket else at, stop
    elif sign == _DASH:
        if wanted >> _KEY & 1 and at + 1 < text.size and text[at + 1] == 45:
            stop = pem_end(text, at)
            start, stop = (at, stop) if stop else option_span(text, at)
            return _KEY, start, stop
    else:
        if sign == _COLON and wanted >> _IPV6 & 1:
            start = ipv6_start(text, at)
            stop = ipv6_end(text, start) if start >= 0 else 0
            if stop:
                return _IPV6, start, stop
        if wanted >> _KEY & 1:
            start, stop = secret_span(text, at)
            if stop == 0 and sign == _COLON:
                start, stop = password_span(text, at)
            return _KEY, start, stop
    return 0, 0, 0


@compiled
def _scan(text: Bytes, wanted: int, spans: Numbers) -> int:
    """Fill `spans` with (kind, start, end), in order, without overlaps; returns how many."""
    values, stops = np.zeros(64, np.int64), np.zeros(64, np.int64)
    size = text.size
    at = word = count = 0
    while at < size:
        sign = _CLASSES[text[at]]
        if sign <= _BREAK:
            # Nearly every byte comes here: no branch that prose would make the processor guess wrong.
            ended = sign == _BREAK
            if ended & (at - word >= SHORTEST):
                count = _end_word(text, word, at, wanted, spans, count)
            at += 1
            word = at if ended else word
            continue
        if sign == _DIGIT:
            last = at + 1
            while last < size and is_digit(text[last]):
                last += 1
            if _is_worth(text, at, last, wanted):
                kind, start, stop = _at_digit(text, at, last, wanted, values, stops)
                if stop:
                    count = _add(spans, count, kind, start, stop)
                    last = stop
            at = last
            continue
        if sign != _DASH:
            if at - word >= SHORTEST:
                count = _end_word(text, word, at, wanted, spans, count)
            word = at + 1
        # What ends at an @ is a password, whatever its host.
        if _SIGNS[sign] & wanted and not (sign == _AT and _key_ends(spans, count, at)):
            kind, start, stop = _at_sign(text, at, sign, wanted, values, stops)
            if stop > at:
                count = _add(spans, count, kind, start, stop)
                at = word = stop
                continue
        at += 1
    return _end_word(text, word, size, wanted, spans, count) if size - word >= SHORTEST else count


@compiled
def _end_word(text: Bytes, word: int, at: int, wanted: int, spans: Numbers, count: int) -> int:
    """Add the key that the run of letters, digits, - and _ from `word` to `at` is, if it is one."""
    if wanted >> _KEY & 1:
        start, stop = token_span(text, word, at)
        if stop:
            return _add(spans, count, _KEY, start, stop)
    return count


def _sources_digest() -> str:
    """Hash of the kernels' own sources."""
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build() -> Scan:
    """The compiled pass, from the cache on disk where it is the same.

    The cache looks at the file of the function alone, not at those it calls; the hash of all of them, held by the
    function, becomes part of its name there.
    """
    sources = _sources_digest()

    def scan(text: Bytes, wanted: int, spans: Numbers) -> int:
        return _scan(text, wanted, spans) if len(sources) > 0 else 0

    # Text comes straight from Python's bytes, which cannot be written to.
    signature = types.int64(types.Array(types.uint8, 1, "C", readonly=True), types.int64, types.int64[:, ::1])
    compiled_scan: Scan = njit(signature, nogil=True, cache=True)(scan)
    return compiled_scan
