"""What looks like personal data and is none: references, dates, prices, versions, numbers whose check is wrong."""

import random
from collections.abc import Callable

from benchmarks import personal_cases as made
from benchmarks.personal_cases import Maker, digits


def _n(rng: random.Random, low: int, high: int) -> int:
    return rng.randint(low, high)


def _law(rng: random.Random) -> str:
    letter = rng.choice("LRDA")
    return rng.choice(
        [
            f"l’article {letter}. {_n(rng, 100, 999)}-{_n(rng, 1, 99)}-{_n(rng, 1, 9)} du code",
            f"article {letter}{_n(rng, 1000, 9999)}-{_n(rng, 1, 30)} et suivants",
            f"articles {_n(rng, 100, 999)}, {_n(rng, 100, 999)} et {_n(rng, 1000, 2000)} du code civil",
            f"§ {_n(rng, 1, 20)}.{_n(rng, 1, 20)}.{_n(rng, 1, 20)}.{_n(rng, 10, 20)}",
            f"article {_n(rng, 1, 20)}.{_n(rng, 1, 20)}.{_n(rng, 10, 20)}.{_n(rng, 1, 20)}",
        ]
    )


def _reference_of_law(rng: random.Random) -> str:
    year = _n(rng, 1958, 2025)
    return rng.choice(
        [
            f"loi n° {year}-{_n(rng, 100, 1999)} du {_n(rng, 1, 28)} octobre {year}",
            f"JORF n°{_n(rng, 1, 300):04d} du 8 juin {year}, texte n° {_n(rng, 1, 90)}",
            f"règlement (UE) {year}/{_n(rng, 100, 2999)}, CELEX 3{year}R{_n(rng, 1, 2999):04d}",
            f"pourvoi n° {_n(rng, 10, 23)}-{_n(rng, 10, 29)}.{digits(rng, 3)}",
            f"ECLI:FR:CCASS:{year}:C1{digits(rng, 5)}",
            f"NOR : ECFI{digits(rng, 7)}L",
            f"LEGIARTI{digits(rng, 12)}, LEGITEXT{digits(rng, 12)}",
        ]
    )


def _date(rng: random.Random) -> str:
    day, month, year = _n(rng, 1, 28), _n(rng, 1, 12), _n(rng, 1900, 2030)
    return rng.choice(
        [
            f"{day:02d}/{month:02d}/{year}",
            f"{year}-{month:02d}-{day:02d}T{_n(rng, 0, 23):02d}:{_n(rng, 0, 59):02d}:{_n(rng, 0, 59):02d}Z",
            f"{day:02d}.{month:02d}.{year} {_n(rng, 0, 23):02d}:{_n(rng, 0, 59):02d}",
            f"{day:02d} {month:02d} {year}",
            f"{year}{month:02d}{day:02d}{_n(rng, 0, 23):02d}{_n(rng, 0, 59):02d}{_n(rng, 0, 59):02d}",
            f"{day:02d}.{month:02d}.{year % 100:02d} et {day:02d}-{month:02d}-{year % 100:02d}",
        ]
    )


def _book(rng: random.Random) -> str:
    body = rng.choice(["978", "979"]) + digits(rng, 9)
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body))
    isbn = body + str(-weighted % 10)
    ten = digits(rng, 9)
    check = -sum(int(digit) * (10 - place) for place, digit in enumerate(ten)) % 11
    short = ten + ("X" if check == 10 else str(check))
    return rng.choice(
        [
            f"ISBN {isbn}",
            f"ISBN {isbn[:3]}-{isbn[3]}-{isbn[4:8]}-{isbn[8:12]}-{isbn[12]}",
            f"ISBN : {short}",
            f"EAN {isbn}",
            isbn,
            f"ISSN {digits(rng, 4)}-{digits(rng, 4)}",
            f"ISBN 2-07-{short[3:9]}-{short[9]}",
        ]
    )


def _price(rng: random.Random) -> str:
    thousands = f"{_n(rng, 1, 999)} {digits(rng, 3)} {digits(rng, 3)}"
    return rng.choice(
        [
            f"{thousands},{digits(rng, 2)} €",
            f"{thousands} euros",
            f"{thousands} {digits(rng, 3)} F",
            "$" + thousands,
            f"un total de {thousands.replace(' ', '.')} EUR",
            f"{thousands.replace(' ', ',')} dollars",
        ]
    )


def _table(rng: random.Random) -> str:
    size, count = _n(rng, 1, 4), _n(rng, 6, 12)
    row = [digits(rng, size) for _ in range(count)]
    return rng.choice([" ", "  ", "\t", " | ", "; "]).join(row)


def _version(rng: random.Random) -> str:
    four = f"{_n(rng, 1, 20)}.{_n(rng, 0, 20)}.{_n(rng, 10, 250)}.{_n(rng, 0, 250)}"
    return rng.choice(
        [
            f"version {four}",
            f"v{four}",
            f"Chrome/{four}",
            f"build {four}",
            f"Python 3.{_n(rng, 1, 14)}.{_n(rng, 0, 9)}",
            f"firmware {four}",
            f"logiciel, version {four}",
            f"10.0.{_n(rng, 1000, 30000)}.{_n(rng, 1, 900)}",
        ]
    )


def _reference(rng: random.Random) -> str:
    pairs = f"0{_n(rng, 1, 9)} {digits(rng, 2)} {digits(rng, 2)} {digits(rng, 2)} {digits(rng, 2)}"
    name = rng.choice(["réf.", "référence", "dossier n°", "commande", "facture n°", "lot", "n° de série", "ticket"])
    return f"{name} {rng.choice([pairs, pairs.replace(' ', ''), pairs.replace(' ', '-'), pairs.replace(' ', '.')])}"


def _order(rng: random.Random) -> str:
    name = rng.choice(
        [
            "commande",
            "facture n°",
            "colis",
            "n° de suivi",
            "dossier",
            "order",
            "invoice",
            "tracking number",
            "contrat n°",
            "série",
            "bordereau",
            "matricule",
            "bon de livraison",
            "identifiant",
        ]
    )
    return f"{name} {digits(rng, _n(rng, 8, 19))}"


def _random(rng: random.Random) -> str:
    return rng.choice(["", "le numéro ", "code ", "sous le n° "]) + digits(
        rng, rng.choice([13, 14, 15, 15, 15, 17, 18])
    )


def _hash(rng: random.Random) -> str:
    raw = rng.randbytes(20).hex()
    return rng.choice(
        [
            f"sha1:{raw}",
            f"commit {raw}",
            f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:32]}",
            f"#{raw[:6]}",
            ":".join(raw[at : at + 2] for at in range(0, 12, 2)),
            ":".join(raw[at : at + 2] for at in range(0, 32, 2)),
        ]
    )


def _time(rng: random.Random) -> str:
    parts = [f"{_n(rng, 0, 59):02d}" for _ in range(4)]
    return rng.choice(
        [
            ":".join(parts),
            ":".join(parts[:3]),
            f"std::vector<a::b> x{parts[0]}",
            f"{parts[0]}::{parts[1]}",
            "Face::Bad",
            f"{parts[0]} h {parts[1]}",
            f"{parts[0]}:{parts[1]} contre {parts[2]}:{parts[3]}",
            f"Gn {parts[0]}:{parts[1]}",
        ]
    )


def _at(rng: random.Random) -> str:
    number = _n(rng, 1, 30)
    return rng.choice(
        [
            f"@media (min-width: {number}px)",
            "@dupont et @martin",
            f"{number} @ {number} €",
            "root@localhost",
            "C@fé",
            f"photo@{number}x.png",
            "git@github.com:a/b.git",
            f"numpy@1.{number}.3",
            f"f(a)@b.{number}",
            "l'@ commercial",
        ]
    )


def _decimal(rng: random.Random) -> str:
    return rng.choice(
        [
            f"3.{digits(rng, 15)}",
            f"{_n(rng, 1, 90)},{digits(rng, 14)}",
            f"48.{digits(rng, 6)}, 2.{digits(rng, 6)}",
            f"10.{digits(rng, 4)}/{digits(rng, 9)}",
            f"arXiv:{digits(rng, 4)}.{digits(rng, 5)}",
            f"{digits(rng, 3)}e{digits(rng, 2)}",
        ]
    )


def _looks_like_a_plate(rng: random.Random) -> str:
    a, b, n = rng.choice(["AB", "XR", "GT", "DE"]), rng.choice(["CD", "LA", "TT"]), digits(rng, 3)
    return rng.choice(
        [
            f"réf. {a}-{n}-{b}",
            f"modèle {a}-{n}-{b}",
            f"vol AF {n}4",
            f"la D {n}",
            f"{n} {a} {n[:2]}",
            f"{a}{n}{b}",
            f"PAGES {n} {a} {n[1:]}",
            f"{a} {n} {b}",
            f"taille {n[:2]} {a} 42",
        ]
    )


def _looks_like_an_address(rng: random.Random) -> str:
    number, way = _n(rng, 1, 99), rng.choice(["rue", "place", "avenue", "quai"])
    return rng.choice(
        [
            f"au {number}, {way} de la Paix, il y avait",
            f"le {number} de la {way} des Lilas",
            f"la {way} {number}",
            f"{number} places à {digits(rng, 5)} francs",
            f"{number} {way}s ; {digits(rng, 5)} habitants",
            f"{number} {way} du Port ! En {_n(rng, 1800, 1999)}, 12345 Parisiens",
            f"{number} rue Monge, {digits(rng, 4)} fois",
        ]
    )


def _code(rng: random.Random) -> str:
    return rng.choice(
        [
            f'primary_key = "customer_{digits(rng, 2)}_identifier"',
            f"token_count = {digits(rng, 16)}",
            "key: value",
            "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
            "sk-learn-contrib-something-long",
            "api_key = None",
            f"password = get_password_from_environment({digits(rng, 2)})",
            'secret: "${SECRET_FROM_VAULT}"',
            "eyJournal.eyJob",
            "keyboard: qwertzuiop-azertyuiop-layout",
            "clé : anticonstitutionnellement",
            "tokens: 1234567890.1234567890",
        ]
    )


def _wrong(maker: Callable[[random.Random, int], str], name: str) -> Maker:
    return lambda rng: f"{name} {maker(rng, rng.randint(1, 90))}"


def _spoiled(maker: Maker, name: str) -> Maker:
    """A value whose first digit is wrong, so that its Luhn check fails, and that of the SIREN in a SIRET."""

    def spoil(rng: random.Random) -> str:
        value = maker(rng)
        return f"{name} {(int(value[0]) + rng.randint(1, 9)) % 10}{value[1:]}"

    return spoil


def _bad_address(rng: random.Random) -> str:
    octets = [_n(rng, 256, 999), _n(rng, 0, 255), _n(rng, 0, 255), _n(rng, 10, 999)]
    rng.shuffle(octets)
    return "IP " + ".".join(map(str, octets))


def _not_a_number(rng: random.Random) -> str:
    return rng.choice(
        [
            f"Tél. 00 {digits(rng, 8)[:2]} 00",
            "composez le 15, le 17 ou le 112",
            "appelez le 36 46",
            "3615 ULLA",
            f"+{digits(rng, 2)} %",
            f"+ {digits(rng, 9)} habitants",
            f"tél. 0{digits(rng, 6)}",
            f"appel n° {digits(rng, 12)}",
        ]
    )


LOOK_ALIKES: dict[str, tuple[Maker, int]] = {
    "article of law": (_law, 1600),
    "reference of law": (_reference_of_law, 1600),
    "date": (_date, 1600),
    "ISBN, ISSN, EAN": (_book, 1600),
    "price": (_price, 1600),
    "table": (_table, 1600),
    "version": (_version, 1200),
    "phone-like reference": (_reference, 1200),
    "order number": (_order, 1600),
    "random digits": (_random, 1600),
    "hash": (_hash, 800),
    "time": (_time, 800),
    "at sign": (_at, 800),
    "decimal": (_decimal, 800),
    "plate-like": (_looks_like_a_plate, 600),
    "address-like": (_looks_like_an_address, 600),
    "code": (_code, 600),
    "no telephone": (_not_a_number, 600),
    "NIR, wrong key": (_wrong(made.nir, "NIR"), 300),
    "IBAN, wrong check": (_wrong(made.iban, "IBAN"), 300),
    "card, wrong check": (_spoiled(made.card_number, "carte"), 300),
    "SIRET, wrong check": (_spoiled(made.siret, "SIRET"), 300),
    "SIREN, wrong check": (_spoiled(made.siren, "SIREN"), 300),
    "IPv4, out of range": (_bad_address, 300),
}
