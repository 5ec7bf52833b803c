"""Addresses of the network: e-mail, IPv4, IPv6."""

import numpy as np

from fonderie.corpus.personal.bytes import ends, is_digit, is_letter, is_word
from fonderie.corpus.personal.compiled import Bytes, compiled
from fonderie.corpus.personal.words import DOTTED, label_before

_WORD = np.packbits([chr(point).isalnum() or point == 95 for point in range(1 << 16)], bitorder="little")
"""What `\\w` matches in Python, a bit a code point; names of mailboxes and of hosts may have accents (RFC 6531)."""

_LOCAL_LONGEST, _LABEL_LONGEST, _MOST_LABELS = (
    64,
    63,
    8,
)  # RFC 5321, RFC 1035; eight labels are more than any we met
_TLD_LONGEST = 24  # the longest of IANA's list, XN--VERMGENSBERATUNG-PWB, has as many

_FILES = ("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "json", "html", "htm", "tgz", "invalid", "local")
_NO_TLD = np.array(sorted(int.from_bytes(ending.encode(), "big") for ending in _FILES), np.int64)
"""Endings that are no top-level domain of IANA's, as numbers: files (photo@2x.png), hosts without a name."""

_WINDOW = 24
"""Bytes before four numbers with dots in which "article", "version" … say that they are no address."""


@compiled
def _code_point(text: Bytes, at: int) -> tuple[int, int]:
    """Code point that begins here and its size; astral ones, never part of an address here, as 0."""
    byte = int(text[at])
    if byte < 0x80:
        return byte, 1
    if byte >= 0xF0:
        return 0, 4
    if byte >= 0xE0 and at + 2 < text.size:
        return (byte & 15) << 12 | (int(text[at + 1]) & 63) << 6 | int(text[at + 2]) & 63, 3
    if byte >= 0xC0 and at + 1 < text.size:
        return (byte & 31) << 6 | int(text[at + 1]) & 63, 2
    return 0, 1


@compiled
def _in_name(point: int) -> bool:
    return bool(_WORD[point >> 3] >> (point & 7) & 1)


@compiled
def local_start(text: Bytes, at: int) -> int:
    """Where the name before the sign at `at` begins; `at` if there is none."""
    start = at
    for _ in range(_LOCAL_LONGEST + 1):
        previous = start - 1
        while previous >= 0 and text[previous] & 0xC0 == 0x80:
            previous -= 1
        if previous < 0:
            break
        point, _ = _code_point(text, previous)
        if not _in_name(point) and point not in (43, 45, 46, 37):
            break
        start = previous
    else:
        return at  # longer than any mailbox's name
    while start < at and text[start] == 46:
        start += 1
    # O'Brien: of one letter before an apostrophe, the rest may be the name.
    if (
        start > 1
        and text[start - 1] == 39
        and text[start - 2] | 32 == 111
        and not (start > 2 and is_word(text[start - 3]))
    ):
        start -= 2
    # A repository's address (git@host:path) is not a person's.
    if at - start == 3 and text[start] == 103 and text[start + 1] == 105 and text[start + 2] == 116:
        return at
    return start


@compiled
def _is_file(ending: int) -> bool:
    found = np.searchsorted(_NO_TLD, ending)
    return bool(found < _NO_TLD.size and _NO_TLD[found] == ending)


@compiled
def domain_end(text: Bytes, at: int) -> int:
    """Where the host from `at` ends: labels, then a top-level domain of letters; 0 if there is none."""
    end = 0
    for label in range(_MOST_LABELS + 1):
        start, letters, length, ending = at, True, 0, 0
        # A domain of another script, in ASCII: xn--p1ai.
        puny = (
            at + 4 < text.size
            and text[at] | 32 == 120
            and text[at + 1] | 32 == 110
            and text[at + 2] == text[at + 3] == 45
        )
        while at < text.size and length <= _LABEL_LONGEST:
            point, size = _code_point(text, at)
            if (not _in_name(point) and point != 45) or (point == 95 and _ends_emphasis(text, at)):
                break
            letters = letters and point not in (45, 95) and not is_digit(point)
            ending = ending << 8 | (point | 32) & 255 if length < 8 else 0
            length += 1
            at += size
        if at == start or length > _LABEL_LONGEST:
            break
        # A later label may yet follow; the last that can be a top-level domain counts.
        if label and (letters or puny) and 2 <= length <= _TLD_LONGEST and not _is_file(ending):
            end = at
        elif label:
            end = 0 if not (at + 1 < text.size and text[at] == 46) else end
        if at >= text.size or text[at] != 46:
            break
        at += 1
    return end


@compiled
def _ends_emphasis(text: Bytes, at: int) -> bool:
    # _anne@example.org_ in Markdown: no label of a host ends so.
    while at < text.size and text[at] == 95:
        at += 1
    return at >= text.size or not (is_word(text[at]) or text[at] in (45, 46) or text[at] >= 0x80)


@compiled
def _octet(text: Bytes, at: int) -> tuple[int, int]:
    """A number from 0 to 255 without leading zeros, and its size; size 0 if there is none."""
    value = size = 0
    while at + size < text.size and size < 4 and is_digit(text[at + size]):
        value = value * 10 + text[at + size] - 48
        size += 1
    if size > 3 or value > 255 or (size > 1 and text[at] == 48):
        return 0, 0
    return value, size


@compiled
def ipv4_end(text: Bytes, at: int) -> int:
    """Four octets with dots, not all of one digit: codes of law number their sections 1.1.2.3.

    What that lets through (1.1.1.1, 8.8.8.8) are public servers, not people.
    """
    if at and (is_word(text[at - 1]) or text[at - 1] == 46):
        return 0
    if at > 1 and text[at - 1] == 47 and is_letter(text[at - 2]):
        return 0  # Chrome/91.0.44.124
    start, long = at, False
    for part in range(4):
        value, size = _octet(text, at)
        # From 224 on no host has an address: groups, reserved ones, and masks (RFC 5771, RFC 1112).
        if size == 0 or (part == 0 and not 0 < value < 224):
            return 0
        long = long or size > 1
        at += size
        if part < 3:
            if at >= text.size or text[at] != 46:
                return 0
            at += 1
    if not long or not ends(text, at) or (at + 1 < text.size and text[at] == 46 and is_digit(text[at + 1])):
        return 0
    # §, with a space or a no-break space behind or none
    section = (start > 1 and text[start - 1] == 0xA7) or (start > 2 and text[start - 2] == 0xA7)
    section = section or (start > 3 and text[start - 3] == 0xA7)
    return 0 if section or label_before(text, start, _WINDOW) & DOTTED else at


@compiled
def _hex(byte: int) -> int:
    if is_digit(byte):
        return byte - 48
    folded = byte | 32
    return folded - 87 if 97 <= folded <= 102 else -1


@compiled
def ipv6_start(text: Bytes, at: int) -> int:
    """Where an address whose first colon is at `at` begins; -1 if none can."""
    start = at
    while start > 0 and at - start < 4 and _hex(text[start - 1]) >= 0:
        start -= 1
    if start and (is_word(text[start - 1]) or text[start - 1] in (58, 46)):
        return -1
    if start == at and not (at + 1 < text.size and text[at + 1] == 58):
        return -1
    return start


@compiled
def ipv6_end(text: Bytes, at: int) -> int:
    """Eight groups, or fewer around one "::" (RFC 4291), in a range that is in use; an IPv4 may be the last two.

    Global unicast (2000::/3), unique local (fc00::/7), link-local (fe80::/10) and 64:ff9b::/96: times, names of
    C++ and hardware addresses fall outside them.
    """
    start = at
    groups, first, gap, letters = 0, -1, False, False
    while groups < 8 and at < text.size:
        value, digits = 0, 0
        while at + digits < text.size and digits < 5 and _hex(text[at + digits]) >= 0:
            letters = letters or not is_digit(text[at + digits])
            value = value * 16 + _hex(text[at + digits])
            digits += 1
        if digits > 4:
            return 0
        if digits and groups and at + digits < text.size and text[at + digits] == 46:
            end = _embedded_end(text, at)
            if end:
                at, groups = end, groups + 2
                break
        if digits:
            first = value if first < 0 else first
            groups += 1
            at += digits
        elif at != start and not (text[at - 1] == 58 and text[at - 2] == 58):
            at -= 1  # a colon after the address
            break
        if at >= text.size or text[at] != 58 or groups == 8:
            break
        if at + 1 < text.size and text[at + 1] == 58:
            if gap:
                return 0
            gap = True
            at += 2
            first = max(first, 0)
            if at >= text.size or _hex(text[at]) < 0:
                break
        else:
            at += 1
    if not ends(text, at) or (at < text.size and text[at] == 58 and at + 1 < text.size and is_word(text[at + 1])):
        return 0
    if (gap and groups > 7) or (not gap and groups != 8) or groups < 2:
        return 0
    in_use = 0x2000 <= first < 0x4000 or 0xFC00 <= first < 0xFE00 or 0xFE80 <= first < 0xFEC0 or first == 0x64
    return at if in_use and (not gap or groups > 2 or letters) else 0


@compiled
def _embedded_end(text: Bytes, at: int) -> int:
    for part in range(4):
        _, size = _octet(text, at)
        if size == 0:
            return 0
        at += size
        if part < 3:
            if at >= text.size or text[at] != 46:
                return 0
            at += 1
    return at


@compiled
def is_mail_letter(byte: int) -> bool:
    """What may stand before the sign @: to skip it at once elsewhere ("à 3 € @ l'unité")."""
    return is_letter(byte) or is_digit(byte) or byte >= 0x80 or byte in (43, 45, 95, 37, 46)
