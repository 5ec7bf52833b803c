"""The kinds of personal data, what stands in their place, and which are checked beyond their form."""

from typing import Literal, get_args

Kind = Literal[
    "email",
    "ipv4",
    "ipv6",
    "phone",
    "nir",
    "siren",
    "siret",
    "iban",
    "card",
    "key",
    "plate",
    "address",
]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order of their numbers in the kernels; those of the last two have no check but their form."""

VALIDATED: tuple[Kind, ...] = KINDS[:10]
"""Kinds with a check beyond the look: a checksum, a numbering plan, an address structure or a key's own format."""

PLACEHOLDERS: dict[Kind, str] = {
    "email": "[EMAIL]",
    "ipv4": "[IP]",
    "ipv6": "[IP]",
    "phone": "[PHONE]",
    "nir": "[NIR]",
    "siren": "[SIREN]",
    "siret": "[SIRET]",
    "iban": "[IBAN]",
    "card": "[CARD]",
    "key": "[KEY]",
    "plate": "[PLATE]",
    "address": "[ADDRESS]",
}

INVALID: dict[Kind, str] = {
    # The top-level domain that RFC 2606 sets aside so that it never resolves.
    "email": "nom@exemple.invalid",
    "ipv4": "0.0.0.0",  # RFC 1122, 3.2.1.3: never the address of a host
    "ipv6": "::",  # RFC 4291, 2.5.2: the same
    "phone": "00 00 00 00 00",  # no country code begins with 0, nor any French number with 00
    "nir": "0 00 00 00 000 000 00",  # no sex, no month, no department
    "siren": "000 000 001",  # fails Luhn
    "siret": "000 000 001 00001",  # the same
    "iban": "FR00 0000 0000 0000 0000 0000 000",  # check digits run from 02 to 98
    "card": "0000 0000 0000 0001",  # no issuer has 0000, and it fails Luhn
    "key": "XXXXXXXXXXXXXXXX",
    "plate": "SS-000-SS",  # neither SS nor 000 is ever issued
    "address": "0 rue Sans-Nom, 00000 Nulle-Part",
}
"""Well-formed to the eye, refused by every check. Constants: a value derived from what it replaces could be traced
back to it by trying them all, for there are only a billion phone numbers."""
