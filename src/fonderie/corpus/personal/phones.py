"""Telephone numbers: the French plan in its national form, those of Europe behind + or 00."""

from fonderie.corpus.personal.bytes import (
    MIXED,
    SPACE,
    digit_before,
    ends,
    is_digit,
    is_word,
    number,
    separator,
    style_of,
)
from fonderie.corpus.personal.compiled import Bytes, Numbers, compiled
from fonderie.corpus.personal.tables import TELEPHONE_CODES
from fonderie.corpus.personal.words import OTHER, label_beside

_PAIRS = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 8
_MOBILE_PAIRS = 1 << 4 | 1 << 6 | 1 << 8
_FOURS = 1 << 2 | 1 << 6
_SERVICE = 1 << 4 | 1 << 7
_SERVICE_SPACED = 1 << 1 | _SERVICE
_MOBILE_HALVES = 1 << 4
_ALL_DIGITS = 123456789
"""0123456789 in a row: 45 times in 150 MB of programs, and nobody's number."""

_MOST = 16
_FRANCE, _ITALY = 33, 39


@compiled
def national_end(text: Bytes, at: int, count: int, groups: int, values: Numbers, stops: Numbers) -> int:
    """Ten digits from 01 to 09 (ARCEP's plan), in pairs or as printed for services, and no column of numbers.

    "Commande 06 12 34 56 78" is none, "commandes au 06 12 34 56 78" is: what calls it otherwise stands beside it.
    """
    groups &= (1 << 10) - 1
    if text[at] != 48 or count < 10 or values[1] == 0 or not ends(text, stops[10]):
        return 0
    service = values[1] == 8 and groups in (_SERVICE, _SERVICE_SPACED)
    mobile = values[1] in (6, 7) and groups in (_SERVICE, _MOBILE_HALVES)
    if not service and not mobile and groups not in (0, _PAIRS, _MOBILE_PAIRS, _FOURS):
        return 0
    stop = int(stops[10])
    gap = separator(text, stop)
    after = stop + (gap & 7)
    followed = gap != 0 and after < text.size and is_digit(text[after])
    if groups == 0:
        if at and text[at - 1] in (47, 35, 38, 37, 126, 46, 44, 45):
            return 0
        if followed and gap >> 3 != SPACE:
            return 0
        if number(values, 0, 10) == _ALL_DIGITS:
            return 0
        return 0 if label_beside(text, at) & OTHER else stop
    if _pair_before(text, at):
        return 0
    style = style_of(text, groups, 10, stops)
    if style == MIXED or (followed and gap >> 3 == style and not _is_hour(text, after)):
        return 0
    return 0 if label_beside(text, at) & OTHER else stop


@compiled
def _is_hour(text: Bytes, at: int) -> bool:
    # "01 23 45 67 89 24 h/24" goes on with hours, "… 89 75002" with a longer number: no column of pairs.
    stop = at
    while stop < text.size and stop < at + 3 and is_digit(text[stop]):
        stop += 1
    if stop - at > 2:
        return True
    stop += separator(text, stop) & 7
    return stop < text.size and (text[stop] | 32) == 104


@compiled
def _pair_before(text: Bytes, at: int) -> bool:
    # Two digits and a space: a column goes on. "le 3 06 12 34 56 78" is not one.
    return (
        at > 2
        and text[at - 1] == 32
        and is_digit(text[at - 2])
        and is_digit(text[at - 3])
        and (at < 4 or not is_word(text[at - 4]))
    )


@compiled
def _read_international(text: Bytes, at: int, values: Numbers, stops: Numbers) -> tuple[int, int]:
    """Digits after + or 00, through brackets and separators, (0) skipped: their count, and breaks as bits."""
    count = breaks = 0
    size = text.size
    while count < _MOST and at < size:
        if is_digit(text[at]):
            values[count] = text[at] - 48
            at += 1
            count += 1
            stops[count] = at
            continue
        after = at
        while after < size and after - at < 6:
            if after + 2 < size and text[after] == 40 and text[after + 1] == 48 and text[after + 2] == 41:
                after += 3
            elif text[after] in (40, 41):
                after += 1
            elif separator(text, after):
                after += separator(text, after) & 7
            else:
                break
        if after == at or after >= size or not is_digit(text[after]):
            break
        breaks |= 1 << count
        at = after
    return count, breaks


@compiled
def international_end(text: Bytes, at: int, values: Numbers, stops: Numbers) -> int:
    """Country code and number from the digit after + or 00: as many digits as the country's plan has."""
    count, breaks = _read_international(text, at, values, stops)
    if count < 8:
        return 0
    code, width = values[0] * 10 + values[1], 2
    if TELEPHONE_CODES[code, 0] == 0:
        code, width = code * 10 + values[2], 3
    least, most = TELEPHONE_CODES[code, 0], TELEPHONE_CODES[code, 1]
    # A space inside the country code is a table's.
    if least == 0 or values[0] == 0 or breaks & ((1 << width) - 2):
        return 0
    if values[width] == 0 and code != _ITALY:
        width += 1  # the national 0, kept by mistake
    if code == _FRANCE and values[width] == 0:
        return 0
    for digits in range(min(most, count - width), least - 1, -1):
        stop = int(stops[width + digits])
        if (width + digits == count or breaks >> (width + digits) & 1) and ends(text, stop):
            return stop
    return 0


@compiled
def _is_paired(text: Bytes, values: Numbers, stops: Numbers) -> bool:
    # 33 6 12 34 …, which looks like no sum of money.
    return values[0] == 3 and values[1] == 3 and separator(text, stops[3]) != 0 and separator(text, stops[5]) != 0


@compiled
def plus_end(text: Bytes, at: int, values: Numbers, stops: Numbers) -> int:
    """An international number from its +; with a space behind that only France's in pairs."""
    gap = separator(text, at + 1)
    spaced = gap >> 3 == SPACE
    first = at + 1 + (gap & 7 if spaced else 0)
    if first >= text.size or not is_digit(text[first]):
        return 0
    stop = international_end(text, first, values, stops)
    return stop if stop and (not spaced or _is_paired(text, values, stops)) else 0


@compiled
def bracket_end(text: Bytes, at: int, values: Numbers, stops: Numbers) -> int:
    """France's number in pairs from the first digit of "(33) 1 23 45 67 89"."""
    stop = international_end(text, at, values, stops)
    return stop if stop and _is_paired(text, values, stops) else 0


@compiled
def zeros_end(text: Bytes, at: int, values: Numbers, stops: Numbers) -> int:
    """An international number written with 00."""
    if text[at] != 48 or at + 2 >= text.size or text[at + 1] != 48 or digit_before(text, at):
        return 0
    first = at + 2
    first += separator(text, first) & 7
    if first >= text.size or not is_digit(text[first]) or label_beside(text, at) & OTHER:
        return 0
    return international_end(text, first, values, stops)
