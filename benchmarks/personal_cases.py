"""Made-up personal data: each number follows the rules of its plan, by code that the recognisers do not share.

The same generator of random numbers gives the same values.
"""

import random
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Callable

Maker = Callable[[random.Random], str]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALNUM = _LETTERS + _LETTERS.lower() + "0123456789"
_SIV = "ABCDEFGHJKLMNPQRSTVWXYZ"
_FIRST = [
    "anne",
    "bernard",
    "chloé",
    "david",
    "élodie",
    "farid",
    "gaëlle",
    "hugo",
    "inès",
    "jean-paul",
    "karim",
    "léa",
    "marc",
    "nadia",
    "olivier",
    "zoé",
]
_LAST = [
    "martin",
    "durand",
    "lefèvre",
    "o-brien",
    "nguyen",
    "da_silva",
    "petit",
    "moreau",
    "garcía",
    "müller",
    "rossi",
    "kowalski",
    "le.goff",
]
_HOSTS = (
    "example.fr mail.example.org exemple.com univ-lille.example.eu laposte."
    "example.net société.fr post.example.co.uk"
)
_STREETS = (
    "de la Paix|Victor Hugo|du 11 novembre 1918|des Lilas|Jean-Jaurès|de l’Église|du Général de Gaulle|Saint-Honoré"
)
_CITIES = (
    "75002 Paris|69007 Lyon|13100 Aix-en-Provence|97400 Saint-Denis|20000 A"
    "jaccio|33000 BORDEAUX|59000 Lille Cedex 9"
)
_WAYS = "rue|avenue|av.|boulevard|bd|place|allée|chemin|impasse|quai|Rue|AVENUE|route|cours|square"


def digits(rng: random.Random, count: int) -> str:
    """Random digits."""
    return "".join(rng.choice("0123456789") for _ in range(count))


def _luhn_sum(number: str) -> int:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(number))]
    return sum(value // 10 + value % 10 for value in doubled)


def with_luhn(body: str) -> str:
    """A number with its last digit made right."""
    return body + str(-_luhn_sum(body + "0") % 10)


def _pieces(number: str, *sizes: int) -> list[str]:
    out, at = [], 0
    for size in sizes:
        out.append(number[at : at + size])
        at += size
    return out


def _gap(rng: random.Random, choices: str = " \u00a0\u202f") -> str:
    return rng.choice(choices)


def email(rng: random.Random) -> str:
    """Mailboxes as people have them."""
    name = rng.choice(["{0}.{1}", "{1}{2}", "{0}+{1}", "{0}_{1}{2}", "{2}.{0}-{1}", "{0}"])
    return name.format(rng.choice(_FIRST), rng.choice(_LAST), digits(rng, 2)) + "@" + rng.choice(_HOSTS.split())


def ipv4(rng: random.Random) -> str:
    """Four octets, one of them at least of two digits."""
    octets = [rng.randint(1, 223), rng.randint(0, 255), rng.randint(0, 255), rng.randint(10, 255)]
    return ".".join(map(str, octets))


def ipv6(rng: random.Random) -> str:
    """Whole, without leading zeros, or with a run of zeros left out; in either case."""
    first = rng.choice(["2001", "2a01", "2003", "fe80", "fd12", "2606"])
    groups = [first, *(f"{rng.randint(1, 65535):x}" for _ in range(7))]
    form = rng.randint(0, 2)
    if form == 0:
        text = ":".join(group.zfill(4) for group in groups)
    elif form == 1:
        text = ":".join(groups)
    else:
        keep = rng.randint(2, 4)
        text = ":".join(groups[:keep]) + "::" + ":".join(groups[keep : keep + rng.randint(1, 3)])
    return text.upper() if rng.random() < 0.3 else text


_EUROPE = (
    "32 d ddd dd dd|32 ddd dd dd dd|49 dd dddddddd|49 ddd ddddddd|39 dd dddd dddd|39 ddd ddd dddd|34 ddd ddd ddd|"
    "351 ddd ddd ddd|31 d dddddddd|31 dd ddd dddd|44 dd dddd dddd|44 dddd dddddd|41 dd ddd dd dd|43 d dddddd|"
    "352 ddd ddd ddd|48 ddd ddd ddd|420 ddd ddd ddd|30 ddd ddd dddd|45 dd dd dd dd|46 dd ddd dd dd|353 dd ddd dddd|"
    "40 ddd ddd ddd|36 dd ddd dddd|358 dd ddd dddd|262 ddd dd dd dd"
)


def phone(rng: random.Random) -> str:
    """French numbers in every usual spelling, and those of the EU behind + or 00."""
    kind = rng.choice("123456789")
    body = kind + digits(rng, 8)
    pairs = _pieces("0" + body, 2, 2, 2, 2, 2)
    rest = _pieces(body, 1, 2, 2, 2, 2)
    gap = rng.choice([" ", ".", "-", "\u00a0", "\u202f", "/"])
    forms = [gap.join(pairs), gap.join(pairs), "0" + body, "+33" + body, "0033" + body, "+33 " + gap.join(rest)]
    forms += ["+33 (0)" + gap.join(rest), "(+33) " + " ".join(rest), "00 33 " + " ".join(rest), "+33(0)" + body]
    if rng.random() < 0.7:
        return rng.choice(forms)
    code, pattern = rng.choice(_EUROPE.split("|")).split(" ", 1)
    local = "".join(rng.choice("123456789") if sign == "d" else sign for sign in pattern)
    spelled = local if rng.random() < 0.6 else local.replace(" ", rng.choice(["", "-", "."]))
    return rng.choice(["+", "+", "00"]) + code + rng.choice([" ", ""]) + spelled


def nir(rng: random.Random, wrong: int = 0) -> str:
    """Social security numbers, Corsica and overseas among them; `wrong` shifts the key."""
    department = rng.choice([*(f"{n:02d}" for n in range(1, 96)), "2A", "2B", "2A", "2B", "97", "99"])
    body = f"{rng.choice('12')}{rng.randint(0, 99):02d}{rng.randint(1, 12):02d}{department}"
    body += f"{rng.randint(1, 990):03d}{rng.randint(1, 999):03d}"
    number = int(body.replace("2A", "19").replace("2B", "18")) if department in ("2A", "2B") else int(body)
    key = f"{(97 - number % 97 - 1 + wrong) % 97 + 1:02d}"
    gap = _gap(rng)
    forms = [body + key, gap.join([*_pieces(body, 1, 2, 2, 2, 3, 3), key]), body + " " + key]
    forms += [gap.join([*_pieces(body, 1, 2, 2, 2, 3, 3), key]), "-".join([*_pieces(body, 1, 2, 2, 2, 3, 3), key])]
    return rng.choice(forms)


def siren_number(rng: random.Random) -> str:
    """Nine digits with their check."""
    return with_luhn(rng.choice("3456789") + digits(rng, 7))


def siren(rng: random.Random) -> str:
    """In a row or by threes."""
    number = siren_number(rng)
    return rng.choice([number, _gap(rng).join(_pieces(number, 3, 3, 3)), ".".join(_pieces(number, 3, 3, 3))])


def vat(rng: random.Random) -> str:
    """French VAT numbers."""
    number = siren_number(rng)
    key = f"{(12 + 3 * (int(number) % 97)) % 97:02d}"
    return rng.choice([f"FR{key}{number}", f"FR {key} {' '.join(_pieces(number, 3, 3, 3))}", f"FR{key} {number}"])


def siret(rng: random.Random) -> str:
    """In a row, or with the establishment's five digits apart."""
    number = with_luhn(siren_number(rng) + f"{rng.randint(1, 60):04d}")
    gap = _gap(rng)
    return rng.choice([number, gap.join(_pieces(number, 3, 3, 3, 5)), number[:9] + gap + number[9:]])


_IBANS = [
    "FR nnnnnnnnnncccccccccccnn",
    "DE nnnnnnnnnnnnnnnnnn",
    "BE nnnnnnnnnnnn",
    "ES nnnnnnnnnnnnnnnnnnnn",
    "IT annnnnnnnnncccccccccccc",
    "NL aaaannnnnnnnnn",
    "LU nnnccccccccccccc",
    "PT nnnnnnnnnnnnnnnnnnnnn",
    "IE aaaannnnnnnnnnnnnn",
    "AT nnnnnnnnnnnnnnnn",
    "FI nnnnnnnnnnnnnn",
    "GR nnnnnnncccccccccccccccc",
    "PL nnnnnnnnnnnnnnnnnnnnnnnn",
    "CH nnnnncccccccccccc",
    "MT aaaannnnncccccccccccccccccc",
    "GB aaaannnnnnnnnnnnnn",
    "MC nnnnnnnnnncccccccccccnn",
    "SE nnnnnnnnnnnnnnnnnnnn",
    "RO aaaacccccccccccccccc",
    "HR nnnnnnnnnnnnnnnnn",
    "CY nnnnnnnncccccccccccccccc",
    "LV aaaaccccccccccccc",
    "NO nnnnnnnnnnn",
]


def iban(rng: random.Random, wrong: int = 0) -> str:
    """Of twenty-three countries, by fours, by other groups or in a row; `wrong` shifts the check."""
    form = _IBANS[0] if rng.random() < 0.4 else rng.choice(_IBANS)
    country, pattern = form.split(" ")
    alphabets = {"n": "0123456789", "a": _LETTERS, "c": "0123456789" * 3 + _LETTERS}
    account = "".join(rng.choice(alphabets[sign]) for sign in pattern)
    numeric = "".join(str(int(sign, 36)) for sign in account + country + "00")
    check = f"{(98 - int(numeric) % 97 - 2 + wrong) % 97 + 2:02d}"
    whole = country + check + account
    by_fours = [whole[at : at + 4] for at in range(0, len(whole), 4)]
    forms = [whole, " ".join(by_fours), "\u00a0".join(by_fours), "-".join(by_fours), whole.lower()]
    if country == "FR":
        forms.append(" ".join(_pieces(whole, 4, 5, 5, 11, 2)))
    return rng.choice([*forms, forms[1]])


def card_number(rng: random.Random) -> str:
    """Visa, Mastercard, American Express, Diners, JCB, Discover."""
    prefix, size = rng.choice(
        [
            ("4", 16),
            ("4970", 16),
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("2719", 16),
            ("34", 15),
            ("37", 15),
            ("36", 14),
            ("3528", 16),
            ("6011", 16),
        ]
    )
    return with_luhn(prefix + digits(rng, size - len(prefix) - 1))


def printed_card(rng: random.Random) -> str:
    """As it is printed."""
    number = card_number(rng)
    sizes = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[len(number)]
    return rng.choice([" ", "-", "\u00a0"]).join(_pieces(number, *sizes))


def plate(rng: random.Random) -> str:
    """French, present series and former, and those of neighbours."""
    a, b = ("".join(rng.choice(_SIV.replace("S", "")) for _ in range(2)) for _ in range(2))
    number = f"{rng.randint(1, 999):03d}"
    old = f"{rng.randint(1, 9999)} {a}{rng.choice(['', b[0]])} {rng.randint(1, 95):02d}"
    gap = rng.choice("- ")
    others = [
        f"1-{a}{b[0]}-{number}",
        f"M-{a} {number}",
        f"{number}{rng.randint(0, 9)} {a}{b[0]}",
        f"{a}-{number[:2]}-{b}",
    ]
    return rng.choice(
        [f"{a}-{number}-{b}", f"{a}{gap}{number}{gap}{b}", a + number + b, old, old.replace(" ", "-"), *others]
    )


def address(rng: random.Random) -> str:
    """Number, way, postcode, city, in the usual spellings."""
    number = f"{rng.randint(1, 250)}{rng.choice(['', '', '', ' bis', ' ter', 'B'])}"
    way, street, city = (rng.choice(parts.split("|")) for parts in (_WAYS, _STREETS, _CITIES))
    return f"{number}{rng.choice([' ', ', '])}{way} {street}{rng.choice([', ', ' ', chr(10), ' – '])}{city}"


def key(rng: random.Random) -> str:
    """What services issue, and private keys."""

    def some(count: int, alphabet: str = _ALNUM) -> str:
        return "".join(rng.choice(alphabet) for _ in range(count))

    github = some(30)
    check, tail = zlib.crc32(github.encode()), ""
    for _ in range(6):
        check, place = divmod(check, 62)
        tail = ("0123456789" + _LETTERS + _LETTERS.lower())[place] + tail
    parts = [b'{"alg":"HS256","typ":"JWT"}', f'{{"sub":"{digits(rng, 12)}"}}'.encode(), rng.randbytes(32)]
    jwt = ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    lines = "\n".join(some(64, _ALNUM + "+/") for _ in range(4))
    kind = rng.choice(["", "RSA ", "EC ", "OPENSSH "])
    pem = f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"
    return rng.choice(
        [
            "AKIA" + some(16, _LETTERS + "234567"),
            f"ghp_{github}{tail}",
            jwt,
            pem,
            "sk_live_" + some(24),
            "AIza" + some(35),
            "hf_" + some(34),
            "glpat-" + some(20),
            f"xoxb-{digits(rng, 12)}-{digits(rng, 12)}-{some(24)}",
        ]
    )


def secret(rng: random.Random) -> str:
    """A random value that only its name gives away."""
    return rng.choice(
        ["".join(rng.choice(_ALNUM + "+/") for _ in range(40)), rng.randbytes(16).hex(), rng.randbytes(32).hex()]
    )
