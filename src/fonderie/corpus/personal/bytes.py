"""What every recogniser needs: classes of bytes, separators, and digits read through their separators."""

from fonderie.corpus.personal.compiled import Bytes, Numbers, compiled

SPACE, DOT, HYPHEN, SLASH, MIXED = 1, 2, 3, 4, 9
"""Kinds of separators between the groups of a number."""

MOST_BREAKS = 7
"""Separators read inside a number: a NIR has six; a column of figures need not be read to its end."""


@compiled
def is_digit(byte: int) -> bool:
    """0 to 9."""
    return 48 <= byte <= 57


@compiled
def is_upper(byte: int) -> bool:
    """A to Z."""
    return 65 <= byte <= 90


@compiled
def is_letter(byte: int) -> bool:
    """A to Z, a to z."""
    return 65 <= byte <= 90 or 97 <= byte <= 122


@compiled
def is_word(byte: int) -> bool:
    """What makes a number part of something longer: an ASCII letter, a digit, an underscore."""
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122 or byte == 95


@compiled
def starts(text: Bytes, at: int) -> bool:
    """Whether a number may begin here: what is before is not part of it."""
    if at == 0:
        return True
    before = text[at - 1]
    if is_word(before):
        return False
    # 3.14159, 1,234, 12-34: the number began earlier.
    return not (at > 1 and before in (44, 45, 46, 47) and is_digit(text[at - 2]))


@compiled
def ends(text: Bytes, at: int) -> bool:
    """Whether a number may end here."""
    return at >= text.size or not is_word(text[at])


@compiled
def separator(text: Bytes, at: int) -> int:
    """Bytes of the separator that stands here, plus eight times its kind; 0 if none does."""
    if at >= text.size:
        return 0
    byte = text[at]
    if byte == 32:
        return 1 + 8 * SPACE
    if byte == 46:
        return 1 + 8 * DOT
    if byte == 45:
        return 1 + 8 * HYPHEN
    if byte == 47:
        return 1 + 8 * SLASH
    if byte == 0xC2 and at + 1 < text.size and text[at + 1] == 0xA0:
        return 2 + 8 * SPACE  # no-break space
    if byte == 0xE2 and at + 2 < text.size and text[at + 1] == 0x80:
        last = text[at + 2]
        if last == 0xAF or 0x80 <= last <= 0x8A:
            return 3 + 8 * SPACE  # narrow no-break space, and the typographic ones
        if last in (0x90, 0x91):
            return 3 + 8 * HYPHEN  # hyphen, no-break hyphen
    return 0


@compiled
def digit_before(text: Bytes, at: int) -> bool:
    """Whether a separator and before it a digit precede: a longer number, or a column of them, goes on here."""
    for width in range(1, 4):
        start = at - width
        if start > 0 and separator(text, start) & 7 == width and is_digit(text[start - 1]):
            return True
    return False


@compiled
def read_run(text: Bytes, at: int, most: int, letters: bool, values: Numbers, stops: Numbers) -> tuple[int, int]:
    """Up to `most` digits (and letters, if asked) with single separators between groups.

    Fills `values` (letters from 10) and `stops` (where the first n characters end, at n). Returns how many there
    are, and the positions that a separator precedes as bits.
    """
    count = groups = breaks = 0
    while count < most and at < text.size:
        byte = text[at]
        if is_digit(byte):
            values[count] = byte - 48
        elif letters and is_letter(byte):
            values[count] = (byte | 32) - 87
        else:
            gap = 1 + 8 * SPACE if byte == 32 else separator(text, at)
            after = at + (gap & 7)
            if count == 0 or gap == 0 or after >= text.size or breaks == MOST_BREAKS:
                break
            if not (is_digit(text[after]) or (letters and is_letter(text[after]))):
                break
            groups |= 1 << count
            breaks += 1
            if breaks == 3 and count < 5:  # 1 23 45 67: no number we know has shorter groups
                break
            at = after
            continue
        at += 1
        count += 1
        stops[count] = at
    return count, groups


@compiled
def style_of(text: Bytes, groups: int, count: int, stops: Numbers) -> int:
    """The kind of separator between the groups of the first `count` digits; MIXED if there are several."""
    style = 0
    for k in range(1, count):
        if groups >> k & 1:
            kind = separator(text, stops[k]) >> 3
            if style not in (0, kind):
                return MIXED
            style = kind
    return style


@compiled
def luhn(values: Numbers, count: int) -> bool:
    """The check of ISO/IEC 7812-1: cards, SIREN, SIRET."""
    total = 0
    for k in range(count):
        digit = values[count - 1 - k]
        if k & 1:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return total % 10 == 0


@compiled
def number(values: Numbers, start: int, stop: int) -> int:
    """Digits from `start` to `stop` as a number."""
    value = 0
    for k in range(start, stop):
        value = value * 10 + values[k]
    return value


@compiled
def folded(text: Bytes, at: int) -> int:
    """A byte of a word in lower case: ASCII, and the Latin-1 letters é, à, ç … in UTF-8."""
    byte = int(text[at])
    if 65 <= byte <= 90:
        return byte + 32
    if 0x80 <= byte <= 0x9E and at > 0 and text[at - 1] == 0xC3:
        return byte + 32
    return byte


@compiled
def is_equal(text: Bytes, at: int, word: Bytes, start: int, size: int) -> bool:
    """Whether a word (lower case, `size` bytes from `start`) stands here, in either case."""
    if at + size > text.size:
        return False
    for k in range(size):
        if folded(text, at + k) != word[start + k]:
            return False
    return True
