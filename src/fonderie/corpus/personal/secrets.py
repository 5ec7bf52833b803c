"""Keys and tokens: what services issue in a form of their own, private keys, and values that are called secret."""

import math

import numpy as np

from fonderie.corpus.personal.bytes import is_digit, is_equal, is_letter, is_upper, is_word
from fonderie.corpus.personal.compiled import Bytes, Numbers, compiled
from fonderie.corpus.personal.words import names_a_secret

SHORTEST = 16
"""Characters of the shortest key."""

_ANY, _CAPITALS, _ALNUM = 0, 1, 2

_ISSUED = """
AKIA 1 16 16, ASIA 1 16 16, ABIA 1 16 16, ACCA 1 16 16, ghp_ 2 36 36, gho_ 2 36 36, ghu_ 2 36 36, ghs_ 2 36 36,
ghr_ 2 36 36, github_pat_ 0 60 90, glpat- 0 20 60, xoxb- 0 20 90, xoxp- 0 20 90, xoxa- 0 20 90, xoxs- 0 20 90,
sk_live_ 2 16 99, sk_test_ 2 16 99, rk_live_ 2 16 99, AIza 0 35 35, hf_ 2 30 40, npm_ 2 36 36, pypi- 0 50 250,
sk-ant- 0 40 150, sk-proj- 0 40 200, sk- 2 20 64, shpat_ 2 32 32, dop_v1_ 2 64 64,
GOCSPX- 0 28 28, dckr_pat_ 0 27 36, whsec_ 2 24 44, xapp- 0 60 200, AGE-SECRET-KEY-1 1 58 58
"""
"""Opening, alphabet (0 letters, digits, - and _; 1 capitals and digits; 2 letters and digits), fewest and most
characters after it: Amazon, GitHub, GitLab, Slack, Stripe, Google, Hugging Face, npm, PyPI, Anthropic, OpenAI,
Shopify, DigitalOcean, and again Google, Docker, Stripe, Slack, age, as their own documentation gives them."""

_ENTROPY = 3.0
"""Bits a character that a value must have on average: words of the same length have less than 2.9 mostly, sixteen
random hexadecimal digits 3.4 (docs/log/0005-personal-data.md)."""

_CHANGES = 3
"""Times that a digit and a letter, or a small letter and a capital, stand side by side: customer_30_id has none."""

_VALUE_LONGEST = 512
_PEM_LONGEST = 1 << 14
"""Bytes of the longest private key block: RSA of 16,384 bits has 12,700."""


def _issued() -> tuple[Bytes, Numbers]:
    rows = [row.split() for row in _ISSUED.split(",")]
    openings = np.zeros((len(rows), 16), np.uint8)
    for k, row in enumerate(rows):
        openings[k, : len(row[0])] = np.frombuffer(row[0].encode(), np.uint8)
    return openings, np.array([[len(row[0]), *map(int, row[1:])] for row in rows], np.int64)


_OPENINGS, _FORMS = _issued()
_DOTTED = np.zeros((3, 5), np.uint8)
_DOTTED_SIZE = np.zeros(3, np.int64)
for _k, _opening in enumerate((b"SG.", b"hvs.", b"ya29.")):
    _DOTTED[_k, : len(_opening)] = np.frombuffer(_opening, np.uint8)
    _DOTTED_SIZE[_k] = len(_opening)
_SENDGRID_FIRST, _SENDGRID_SECOND, _DOTTED_LEAST = 22, 43, 24
"""Characters of SendGrid's two parts, and the fewest of the others, as their documentation gives them."""

_SCHEMES = ("bearer ", "basic ", "token ")
_SCHEME_TEXT = np.frombuffer("".join(_SCHEMES).encode(), np.uint8).copy()
_SCHEME_SIZE = np.array([len(name) for name in _SCHEMES], np.int64)
_SCHEME_START = np.cumsum(_SCHEME_SIZE) - _SCHEME_SIZE
"""Of "Authorization: Bearer …" (RFC 9110, section 11)."""

_USER_LONGEST, _PASSWORD_LONGEST, _OPTION_LONGEST = 64, 128, 32
_NO_PASSWORD = (34, 39, 47, 60, 62, 64, 92, 96)
"""Quotes, slashes, brackets and the sign @, which an address escapes (RFC 3986, section 3.2.1)."""

_BEGIN = np.frombuffer(b"-----BEGIN ", np.uint8).copy()
_END = np.frombuffer(b"-----END ", np.uint8).copy()
_PRIVATE = np.frombuffer(b"PRIVATE KEY-----", np.uint8).copy()


@compiled
def _stands(text: Bytes, at: int, what: Bytes, size: int) -> bool:
    if at + size > text.size:
        return False
    for k in range(size):
        if text[at + k] != what[k]:
            return False
    return True


@compiled
def token_span(text: Bytes, at: int, stop: int) -> tuple[int, int]:
    """Where an issued key begins and ends, given a run of letters, digits, - and _ of it; else end 0."""
    if at > 2 and text[at - 1] == 46:
        return _dotted_span(text, at, stop)
    if text[at] == 101 and text[at + 1] == 121 and text[at + 2] == 74:
        return at, _jwt_end(text, stop)
    return at, _issued_end(text, at, stop)


@compiled
def _issued_end(text: Bytes, at: int, stop: int) -> int:
    for k in range(_FORMS.shape[0]):
        opening, alphabet, least, most = _FORMS[k]
        if text[at] != _OPENINGS[k, 0] or not _stands(text, at, _OPENINGS[k], opening):
            continue
        length = stop - at - opening
        if not least <= length <= most:
            continue
        digits = capitals = small = other = 0
        for j in range(at + opening, stop):
            byte = text[j]
            digits += is_digit(byte)
            capitals += is_upper(byte)
            small += is_letter(byte) and not is_upper(byte)
            other += not is_word(byte) or byte == 95
        if alphabet == _CAPITALS:
            if small or other:
                return 0
            return stop
        # Random characters hold digits or capitals; "sk-learn-something-long" does not.
        return 0 if (alphabet == _ALNUM and other) or digits + capitals < 2 else stop
    return 0


@compiled
def _dotted_span(text: Bytes, at: int, stop: int) -> tuple[int, int]:
    """Keys whose opening ends with a dot, the run from `at` behind it: SendGrid, HashiCorp Vault, Google OAuth."""
    for k in range(_DOTTED_SIZE.size):
        start = at - _DOTTED_SIZE[k]
        if (
            start < 0
            or not _stands(text, start, _DOTTED[k], _DOTTED_SIZE[k])
            or (start and is_word(text[start - 1]))
        ):
            continue
        if k == 0:
            if stop - at != _SENDGRID_FIRST or stop >= text.size or text[stop] != 46:
                return 0, 0
            end = stop + 1
            while end < text.size and (is_word(text[end]) or text[end] == 45):
                end += 1
            return (start, end) if end - stop - 1 == _SENDGRID_SECOND else (0, 0)
        return (start, stop) if stop - at >= _DOTTED_LEAST and _changes(text, at, stop) >= _CHANGES else (0, 0)
    return 0, 0


@compiled
def _jwt_end(text: Bytes, at: int) -> int:
    """Past a JSON Web Token whose header ends at `at`: claims (which begin with {" in base64url), signature."""
    if not (
        at + 4 < text.size and text[at] == 46 and text[at + 1] == 101 and text[at + 2] == 121 and text[at + 3] == 74
    ):
        return 0
    at += 1
    for part in range(2):
        start = at
        while at < text.size and (is_word(text[at]) or text[at] == 45):
            at += 1
        if at - start < SHORTEST:
            return 0
        if part == 0:
            if at >= text.size or text[at] != 46:
                return 0
            at += 1
    return at


@compiled
def pem_end(text: Bytes, at: int) -> int:
    """Past a private key block that begins here, whole or cut off; 0 if none does."""
    if not _stands(text, at, _BEGIN, _BEGIN.size):
        return 0
    body = 0
    for k in range(at + _BEGIN.size, at + _BEGIN.size + 20):  # RSA, EC, OPENSSH, ENCRYPTED …
        if _stands(text, k, _PRIVATE, _PRIVATE.size):
            body = k + _PRIVATE.size
            break
        if k >= text.size or not (is_upper(text[k]) or text[k] == 32):
            break
    if body == 0:
        return 0
    stop = body
    while stop < text.size and stop - body < _PEM_LONGEST:
        byte = text[stop]
        if byte == 45 and _stands(text, stop, _END, _END.size):
            for k in range(stop + _END.size, min(stop + _END.size + 40, text.size)):
                if _stands(text, k, _PRIVATE, _PRIVATE.size):
                    return k + _PRIVATE.size
            return stop
        if byte == 45 and _stands(text, stop, _BEGIN, _BEGIN.size):
            return stop
        # Base64, headers of encrypted keys, and line breaks written as \n.
        if not (is_word(byte) or byte in (10, 13, 32, 43, 47, 61, 58, 44, 45, 92)):
            return stop
        stop += 1
    return stop


@compiled
def secret_span(text: Bytes, at: int) -> tuple[int, int]:
    """The value after the sign or space at `at`, if it looks random and a secret is named before; else (0, 0)."""
    start = at + 1
    while start < text.size and start - at < 5 and text[start] in (32, 34, 39, 61, 62, 96):
        start += 1
    for k in range(_SCHEME_SIZE.size):
        if is_equal(text, start, _SCHEME_TEXT, _SCHEME_START[k], _SCHEME_SIZE[k]):
            start += _SCHEME_SIZE[k]
            break
    stop = start
    digits = letters = capitals = slashes = dots = padding = 0
    while stop < text.size and stop - start < _VALUE_LONGEST:
        byte = text[stop]
        if is_digit(byte):
            digits += 1
        elif is_letter(byte):
            letters += 1
            capitals += is_upper(byte)
        elif byte == 47:
            slashes += 1
        elif byte == 46:
            dots += 1
        elif byte in (43, 61):
            padding += 1
        elif byte not in (95, 45, 126):
            break
        stop += 1
    while stop > start and text[stop - 1] == 46:
        stop -= 1
        dots -= 1
    # A path or a number is not random, nor is a name with a figure in it, nor what a function returns.
    if (
        stop - start < SHORTEST
        or letters < 2
        or (slashes and dots)
        or (slashes > 2 and text[start] == 47 and not padding)
    ):
        return 0, 0
    if stop < text.size and text[stop] == 40:
        return 0, 0
    # Of 22 characters in base64 one in ten has fewer than two digits; but then its letters are of both cases alike.
    if digits < 2 and not 3 * letters <= 10 * capitals <= 7 * letters:
        return 0, 0
    if _entropy(text, start, stop) < _ENTROPY or _changes(text, start, stop) < _CHANGES:
        return 0, 0
    name = at
    while name > 0 and at - name < 40 and text[name - 1] not in (10, 44, 59, 38, 63, 123, 40):
        name -= 1
    return (start, stop) if names_a_secret(text, name, at) else (0, 0)


@compiled
def option_span(text: Bytes, at: int) -> tuple[int, int]:
    """The value of the option whose -- is at `at`, if it is a secret: --token 1a2B…; else (0, 0)."""
    stop = at + 2
    while stop < text.size and stop - at < _OPTION_LONGEST and (is_letter(text[stop]) or text[stop] in (45, 95)):
        stop += 1
    return secret_span(text, stop) if stop < text.size and text[stop] == 32 else (0, 0)


@compiled
def password_span(text: Bytes, at: int) -> tuple[int, int]:
    """The password behind the : at `at` in an address: https://user:password@host; else (0, 0)."""
    start = at
    while (
        start > 0
        and at - start < _USER_LONGEST
        and (is_word(text[start - 1]) or text[start - 1] in (37, 43, 45, 46))
    ):
        start -= 1
    # Looked at first, since it fails soonest: few colons stand behind "://user".
    if (
        start < 4
        or text[start - 1] != 47
        or text[start - 2] != 47
        or text[start - 3] != 58
        or not is_letter(text[start - 4])
    ):
        return 0, 0
    stop = at + 1
    while (
        stop < text.size and stop - at <= _PASSWORD_LONGEST and text[stop] > 32 and text[stop] not in _NO_PASSWORD
    ):
        stop += 1
    hosted = stop + 1 < text.size and text[stop] == 64 and (is_word(text[stop + 1]) or text[stop + 1] == 91)
    return (at + 1, stop) if hosted and stop > at + 1 else (0, 0)


@compiled
def _changes(text: Bytes, start: int, stop: int) -> int:
    """Changes from letter to digit, from digit to letter, from small letter to capital."""
    count = 0
    for k in range(start + 1, stop):
        before, byte = text[k - 1], text[k]
        if is_digit(before):
            count += is_letter(byte)
        elif is_letter(before):
            count += is_digit(byte) or (is_upper(byte) and not is_upper(before))
    return count


@compiled
def _entropy(text: Bytes, start: int, stop: int) -> float:
    """Shannon entropy of the characters, in bits each."""
    counts = np.zeros(128, np.int64)
    for k in range(start, stop):
        counts[text[k]] += 1
    total = 0.0
    size = stop - start
    for count in counts:
        if count:
            total -= count / size * math.log2(count / size)
    return total
