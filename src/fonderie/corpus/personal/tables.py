"""Facts of the numbering plans: IBAN formats, card issuers, country codes of telephones."""

import re

import numpy as np

from fonderie.corpus.personal.compiled import Numbers

ANY, DIGIT, LETTER, EITHER = 0, 1, 2, 3
"""What an IBAN holds at a position; ANY is past its end."""

_IBAN = """
AD 8n12c, AE 19n, AL 8n16c, AT 16n, AZ 4a20c, BA 16n, BE 12n, BG 4a6n8c, BH 4a14c, BI 23n, BR 23n1a1c,
BY 4c4n16c, CH 5n12c, CR 18n, CY 8n16c, CZ 20n, DE 18n, DJ 23n, DK 14n, DO 4c20n, EE 16n, EG 25n, ES 20n, FI 14n,
FK 2a12n, FO 14n, FR 10n11c2n, GB 4a14n, GE 2a16n, GI 4a15c, GL 14n, GR 7n16c, GT 24c, HN 4a20n, HR 17n, HU 24n,
IE 4a14n, IL 19n, IQ 4a15n, IS 22n, IT 1a10n12c, JO 4a4n18c, KW 4a22c, KZ 3n13c, LB 4n20c, LC 4a24c, LI 5n12c,
LT 16n, LU 3n13c, LV 4a13c, LY 21n, MC 10n11c2n, MD 20c, ME 18n, MK 3n10c2n, MN 16n, MR 23n, MT 4a5n18c,
MU 4a19n3a, NI 4a20n, NL 4a10n, NO 11n, OM 3n16c, PK 4a16c, PL 24n, PS 4a21c, PT 21n, QA 4a21c, RO 4a16c, RS 18n,
RU 14n15c, SA 2n18c, SC 4a20n3a, SD 14n, SE 20n, SI 15n, SK 20n, SM 1a10n12c, SO 19n, ST 21n, SV 4a20n, TL 19n,
TN 20n, TR 6n16c, UA 6n19c, VA 18n, VG 4a16n, XK 16n, YE 4a4n18c
"""
"""What follows the check digits, by country: digits (n), capitals (a), either (c). SWIFT IBAN registry 101."""

IBAN_LONGEST = 34  # ISO 13616-1

_CARDS = """
4-4 13,16,19 510000-559999 16 222100-272099 16 34-34 15 37-37 15 300-305 14 3095-3095 14 36-36 14 38-39 14
3528-3589 16 6011-6011 16,19 644-659 16,19 62-62 16,17,18,19 5018-5018 16 5020-5020 16 5038-5038 16 6304-6304 16
6759-6759 16,19 6761-6763 16,19 9792-9792 16
"""
"""Issuer prefixes (ISO/IEC 7812) and lengths, as the schemes publish them: Visa, Mastercard twice, American Express
twice, Diners Club four times, JCB, Discover twice, UnionPay, Maestro, Troy. French CB cards have numbers of Visa or
Mastercard."""

_TELEPHONES = """
33 9 9, 32 8 9, 352 5 11, 31 9 9, 49 6 12, 39 6 12, 34 9 9, 351 9 9, 353 7 10, 44 9 10, 41 9 9, 43 7 13, 45 8 8,
46 7 9, 47 8 8, 48 9 9, 420 9 9, 421 9 9, 36 8 9, 40 9 9, 359 7 9, 30 10 10, 357 8 8, 356 8 8, 370 8 8, 371 8 8,
372 7 8, 358 6 10, 386 8 8, 385 8 9, 354 7 9, 423 7 9, 377 8 9, 376 6 9, 378 8 10, 262 9 9, 590 9 9, 594 9 9,
596 9 9, 508 6 9, 687 6 6, 689 8 8, 681 6 6, 298 6 6, 299 6 6, 350 8 8
"""
"""Country code, fewest and most digits after it (ITU-T E.164 and the national plans): the EU, the EEA, Switzerland,
the United Kingdom, the small states, overseas France, the Faroes, Greenland, Gibraltar."""


def _iban_tables() -> tuple[Numbers, Numbers]:
    formats = re.findall(r"([A-Z]{2}) (\S+)", _IBAN)
    countries = np.full(26 * 26, -1, np.int64)
    forms = np.zeros((len(formats), IBAN_LONGEST + 1), np.int64)
    for row, (country, form) in enumerate(formats):
        countries[(ord(country[0]) - 65) * 26 + ord(country[1]) - 65] = row
        kinds = [LETTER, LETTER, DIGIT, DIGIT]
        for count, kind in re.findall(r"(\d+)([nac])", form):
            kinds += [{"n": DIGIT, "a": LETTER, "c": EITHER}[kind]] * int(count)
        forms[row, : len(kinds)] = kinds
        forms[row, -1] = len(kinds)
    return countries, forms


def _card_table() -> Numbers:
    rows = []
    for low, high, lengths in re.findall(r"(\d+)-(\d+) ([\d,]+)", _CARDS):
        allowed = sum(1 << int(length) for length in lengths.split(","))
        rows.append((int(low.ljust(6, "0")), int(high.ljust(6, "9")), allowed))
    return np.array(sorted(rows), np.int64)


def _telephone_table() -> Numbers:
    table = np.zeros((1000, 2), np.int64)
    for code, least, most in re.findall(r"(\d+) (\d+) (\d+)", _TELEPHONES):
        table[int(code)] = int(least), int(most)
    return table


IBAN_COUNTRIES, IBAN_FORMS = _iban_tables()
"""[26 * first letter + second]: the row of the country, -1 for none. [row, position]: what stands there; the last
column is the length."""
CARD_ISSUERS = _card_table()
"""[range, (first prefix, last prefix, lengths as bits)], prefixes of six digits."""
TELEPHONE_CODES = _telephone_table()
"""[country code, (fewest, most digits after it)]; 0 for no country of the table."""
