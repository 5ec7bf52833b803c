"""One pass over a text: at each byte that can begin or anchor something, the recognisers that start there.

Linear on any text: every recogniser reads a bounded window around its anchor, or what it reads is used up.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
from numba import njit, types

from fonderie.corpus.personal.bytes import is_digit, is_letter, is_word, read_run
from fonderie.corpus.personal.compiled import Bytes, Numbers, compiled
from fonderie.corpus.personal.kinds import KINDS
from fonderie.corpus.personal.network import domain_end, ipv4_end, ipv6_end, ipv6_start, is_mail_letter, local_start
from fonderie.corpus.personal.numbers import card_end, iban_end, nir_end, siren_end, siret_end, vat_end
from fonderie.corpus.personal.phones import international_end, national_end, zeros_end
from fonderie.corpus.personal.places import address_end, plate_span
from fonderie.corpus.personal.secrets import SHORTEST, pem_end, secret_span, token_end

Scan = Callable[[Bytes, int, Numbers], int]

SMALLEST_SPAN = 5
"""Bytes of the shortest thing found, which bounds how many there can be (a plate, 1A01)."""

_EMAIL, _IPV4, _IPV6, _PHONE, _NIR, _SIREN, _SIRET, _IBAN, _CARD, _KEY, _PLATE, _ADDRESS = range(len(KINDS))

_BREAK, _DIGIT, _AT, _COLON, _EQUALS, _DASH, _PLUS = 1, 2, 3, 4, 5, 6, 7
_CLASSES = np.ones(256, np.uint8)
_CLASSES[[*range(65, 91), *range(97, 123), 95, *range(128, 256)]] = 0
_CLASSES[48:58] = _DIGIT
for _class, _sign in enumerate("@:=-+", start=_AT):
    _CLASSES[ord(_sign)] = _class


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
def _letters_before(text: Bytes, at: int) -> int:
    """Where two letters before a number begin, a space or none between; -1 if they do not."""
    for gap in range(3):
        start = at - 2 - gap
        if start < 0:
            return -1
        between = gap == 0 or (gap == 1 and text[at - 1] == 32) or (gap == 2 and text[at - 1] == 0xA0)
        if between and is_letter(text[start]) and is_letter(text[start + 1]):
            return start if start == 0 or not is_word(text[start - 1]) else -1
    return -1


@compiled
def _long_number(text: Bytes, at: int, wanted: int, values: Numbers, stops: Numbers) -> tuple[int, int]:
    """Kind and end of what nine digits or more are; end 0 if nothing."""
    if wanted >> _NIR & 1:
        stop = nir_end(text, at, values, stops)
        if stop:
            return _NIR, stop
    if wanted >> _CARD & 1:
        stop = card_end(text, at, values, stops)
        if stop:
            return _CARD, stop
    if wanted >> _SIRET & 1:
        stop = siret_end(text, at, values, stops)
        if stop:
            return _SIRET, stop
    if wanted >> _PHONE & 1:
        stop = national_end(text, at, values, stops) or zeros_end(text, at, values, stops)
        if stop:
            return _PHONE, stop
    if wanted >> _SIREN & 1:
        return _SIREN, siren_end(text, at, values, stops)
    return 0, 0


@compiled
def _at_digit(text: Bytes, at: int, wanted: int, values: Numbers, stops: Numbers) -> tuple[int, int, int]:
    """Kind, start and end of what the first digit of a run anchors; end 0 if nothing."""
    digits, _, _ = read_run(text, at, 9, False, values, stops)
    if digits >= 2:
        start = _letters_before(text, at)
        if start >= 0:
            if wanted >> _IBAN & 1:
                stop = iban_end(text, start, values, stops)
                if stop:
                    return _IBAN, start, stop
            if wanted >> _SIREN & 1:
                stop = vat_end(text, start, values, stops)
                if stop:
                    return _SIREN, start, stop
    if digits >= 9 or digits == 6:  # six: a NIR of Corsica, before its letter
        kind, stop = _long_number(text, at, wanted, values, stops)
        if stop:
            return kind, at, stop
    if wanted >> _IPV4 & 1 and digits >= 4:
        stop = ipv4_end(text, at)
        if stop:
            return _IPV4, at, stop
    if wanted >> _ADDRESS & 1:
        stop = address_end(text, at)
        if stop:
            return _ADDRESS, at, stop
    if wanted >> _PLATE & 1:
        start, stop = plate_span(text, at)
        if stop:
            return _PLATE, start, stop
    return 0, 0, 0


@compiled
def _at_sign(text: Bytes, at: int, sign: int, wanted: int, values: Numbers, stops: Numbers) -> tuple[int, int, int]:
    """Kind, start and end of what @, :, =, - or + anchors; end 0 if nothing."""
    if sign == _AT:
        if wanted >> _EMAIL & 1 and at and is_mail_letter(text[at - 1]):
            stop = domain_end(text, at + 1)
            start = local_start(text, at) if stop else at
            return (_EMAIL, start, stop) if start < at else (0, 0, 0)
    elif sign == _PLUS:
        if (
            wanted >> _PHONE & 1
            and at + 1 < text.size
            and is_digit(text[at + 1])
            and not (at and is_word(text[at - 1]))
        ):
            stop = international_end(text, at + 1, values, stops)
            bracket = stop and at and text[at - 1] == 40
            return _PHONE, at - 1 if bracket else at, stop
    elif sign == _DASH:
        if wanted >> _KEY & 1 and at + 1 < text.size and text[at + 1] == 45:
            return _KEY, at, pem_end(text, at)
    else:
        if sign == _COLON and wanted >> _IPV6 & 1:
            start = ipv6_start(text, at)
            stop = ipv6_end(text, start) if start >= 0 else 0
            if stop:
                return _IPV6, start, stop
        if wanted >> _KEY & 1:
            start, stop = secret_span(text, at)
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
        if sign == 0:
            at += 1
            continue
        if sign == _DIGIT:
            kind, start, stop = _at_digit(text, at, wanted, values, stops)
            if stop:
                count = _add(spans, count, kind, start, stop)
                at = stop
            else:
                while at < size and is_digit(text[at]):
                    at += 1
            continue
        if sign != _DASH:
            count = _end_word(text, word, at, wanted, spans, count)
            word = at + 1
        if sign != _BREAK:
            kind, start, stop = _at_sign(text, at, sign, wanted, values, stops)
            if stop > at:
                count = _add(spans, count, kind, start, stop)
                at = word = stop
                continue
        at += 1
    return _end_word(text, word, size, wanted, spans, count)


@compiled
def _end_word(text: Bytes, word: int, at: int, wanted: int, spans: Numbers, count: int) -> int:
    if at - word >= SHORTEST and wanted >> _KEY & 1:
        stop = token_end(text, word, at)
        if stop:
            return _add(spans, count, _KEY, word, stop)
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
