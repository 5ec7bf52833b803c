import re
from pathlib import Path

import pytest
from benchmarks.corpus_pii import HOSTILE, texts
from benchmarks.personal_sentences import Case, Tally, cases, judge
from benchmarks.personal_strangers import strangers
from hypothesis import given
from hypothesis import strategies as st

from fonderie.corpus.personal.find import find
from fonderie.corpus.personal.kinds import INVALID, KINDS, VALIDATED, Kind
from fonderie.corpus.personal.tables import IBAN_COUNTRIES, IBAN_FORMS
from fonderie.corpus.redact import redact_text


def found(text: str, kinds: tuple[Kind, ...] = KINDS) -> list[tuple[str, str]]:
    data = text.encode()
    return [(kind, data[start:stop].decode()) for kind, start, stop in find(data, kinds)]


@pytest.fixture(scope="module")
def judged() -> tuple[list[Case], dict[str, Tally]]:
    made = cases()
    return made, judge(made, lambda data: find(data, KINDS))[0]


@pytest.mark.slow
def test_the_cases_are_as_many_as_promised(judged: tuple[list[Case], dict[str, Tally]]) -> None:
    planted = sum(case.value is not None for case in judged[0])
    assert planted >= 5_000
    assert len(judged[0]) - planted >= 20_000
    assert all(judged[1][kind].planted >= 500 for kind in KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_recall_and_precision(kind: Kind, judged: tuple[list[Case], dict[str, Tally]]) -> None:
    tally = judged[1][kind]
    assert tally.recall >= 0.99
    assert tally.precision >= 0.99


def test_recall_and_precision_on_the_sentences_of_a_stranger() -> None:
    tallies, errors = judge(strangers(), lambda data: find(data, VALIDATED))
    assert set(VALIDATED) == {kind for kind, tally in tallies.items() if tally.planted}
    for kind in VALIDATED:
        assert tallies[kind].recall >= 0.99, (kind, errors)
        assert tallies[kind].precision >= 0.99, (kind, errors)


def test_a_blind_recogniser_and_a_greedy_one_would_fail() -> None:
    made = cases()[::100]
    blind, _ = judge(made, lambda data: [])
    assert all(tally.recall == 0 for tally in blind.values())
    greedy, _ = judge(made, lambda data: [(kind, 0, len(data)) for kind in KINDS])
    assert all(tally.precision < 0.5 for tally in greedy.values())


def test_codes_and_novels_hold_less_than_one_in_a_thousand(real_corpora: Path) -> None:
    documents = spans = 0
    for _, text in texts(real_corpora, 4_000_000):
        documents += 1
        spans += len(find(text.encode(), KINDS))
    assert documents > 1_000
    assert spans * 1_000 < documents


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("né, 1 85 05 78 006 084 91", [("nir", "1 85 05 78 006 084 91")]),
        ("1 85 05 78 006 084 92", []),
        ("2 69 05 2A 588 157 64", []),
        ("Commande 0612345678, tél. 0612345678", [("phone", "0612345678")]),
        ("de 01 45 12 33 20 à 18 h", [("phone", "01 45 12 33 20")]),
        ("10 01 45 12 33 20 55 67", []),
        ("01 45 12 33 20 24 h/24", [("phone", "01 45 12 33 20")]),
        ("+33 (0)1 45 12 33 20", [("phone", "+33 (0)1 45 12 33 20")]),
        ("FR76 3000 6000 0112 3456 7890 189", [("iban", "FR76 3000 6000 0112 3456 7890 189")]),
        ("FR76 3000 6000 0112 3456 7890 188", []),
        ("GB82WEST12345698765432", [("iban", "GB82WEST12345698765432")]),
        ("gb82 west 1234 5698 7654 32", [("iban", "gb82 west 1234 5698 7654 32")]),
        ("total 732 829 320 euros", []),
        ("732 829 320 RCS Paris", [("siren", "732 829 320")]),
        ("4111 1111 1111 1111", [("card", "4111 1111 1111 1111")]),
        ("4111 1111 1111 1111 2222 3333", []),
        ("commande 4111111111111111", []),
        ("payé par carte 4111111111111111", [("card", "4111111111111111")]),
        ("http://10.0.0.17/ et Chrome/91.0.44.124", [("ipv4", "10.0.0.17")]),
        ("::ffff:192.168.10.4", [("ipv4", "192.168.10.4")]),
        ("std::string, 12:34:56, fe80::1", [("ipv6", "fe80::1")]),
        ("00:1A:2B:3C:4D:5E:6F:70", []),
        ("SS-123-AB et AB-123-CD", [("plate", "AB-123-CD")]),
        ("au 12, rue de la Paix, il y avait", []),
        ("git@github.com:a/b et photo@2x.png", []),
        ("0612345678@example.fr", [("email", "0612345678@example.fr")]),
        ('password = "Tr0ub4dor&3"', []),
        ("RCS Paris 732 829 320, capital de 732 829 320 euros", [("siren", "732 829 320")]),
        ("SIREN\u00a0: 732 829 320, soit 732 829 320,50", [("siren", "732 829 320")]),
        ("tel:0612345678, commandes au 06.12.34.56.78", [("phone", "0612345678"), ("phone", "06.12.34.56.78")]),
        ("commande n°\u00a006 12 34 56 78, l’article 1.2.13.4", []),
        ("ticket 8123 : 10.2.3.40, netmask 255.255.255.0", [("ipv4", "10.2.3.40")]),
        ("versions 1.2.3.40 et 1.2.3.41", []),
        ('digits = "0123456789"', []),
        ("tél. 01 23 45 67 89", [("phone", "01 23 45 67 89")]),
        ("https://u:s3cret@host.fr/, http://a:b/c@d", [("key", "s3cret")]),
        ("author = 9f86d081884c7d659a2feaa0c55ad015", []),
        ("apiKey = 9f86d081884c7d659a2feaa0c55ad015", [("key", "9f86d081884c7d659a2feaa0c55ad015")]),
    ],
)
def test_examples(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


def test_iban_forms_have_the_lengths_of_their_countries() -> None:
    known = {
        "FR": 27,
        "DE": 22,
        "BE": 16,
        "ES": 24,
        "IT": 27,
        "NL": 18,
        "LU": 20,
        "PT": 25,
        "MT": 31,
        "NO": 15,
        "PL": 28,
    }
    for country, length in known.items():
        row = IBAN_COUNTRIES[(ord(country[0]) - 65) * 26 + ord(country[1]) - 65]
        assert IBAN_FORMS[row, -1] == length
    assert IBAN_COUNTRIES[25 * 26 + 25] == -1


@pytest.mark.parametrize("kind", KINDS)
def test_an_invalid_substitute_is_not_found_again(kind: Kind) -> None:
    for before in ("", "Tél. : ", "SIREN ", "carte ", "plaque ", "clé : ", "IBAN "):
        assert found(f"{before}{INVALID[kind]}.") == []


def test_redacting_twice_changes_nothing_more() -> None:
    for case in cases()[::20]:
        for style in ("tag", "invalid"):
            once, _ = redact_text(case.text, KINDS, style)  # type: ignore[arg-type]
            assert redact_text(once, KINDS, style)[0] == once  # type: ignore[arg-type]


def test_only_what_is_asked_for_is_found() -> None:
    text = "a@example.fr, +33 6 12 34 56 78, 10.20.30.40, AB-123-CD"
    assert [kind for kind, _ in found(text)] == ["email", "phone", "ipv4", "plate"]
    assert [kind for kind, _ in found(text, VALIDATED)] == ["email", "phone", "ipv4"]
    for kind in KINDS:
        assert {name for name, _ in found(text, (kind,))} <= {kind}


@given(st.text(alphabet=st.sampled_from("01 2.-+@:/=aFR6é\u00a0\u202f«key\n_AB"), max_size=60))
def test_spans_are_in_order_apart_and_on_characters(text: str) -> None:
    data = text.encode()
    last = 0
    for kind, start, stop in find(data, KINDS):
        assert last <= start < stop <= len(data)
        data[start:stop].decode()
        last = stop
        assert kind in KINDS
    assert redact_text(text, KINDS)[0].encode().count(b"\n") <= text.count("\n")


@given(st.text(max_size=200))
def test_text_without_digits_or_signs_is_left_alone(text: str) -> None:
    plain = re.sub(r"[\d@:=]|[^\w\s]", "", text)
    assert redact_text(plain, ("email", "phone", "nir", "iban", "card", "siret"))[0] == plain


@pytest.mark.slow
def test_hostile_lines_come_to_an_end() -> None:
    """Each would take minutes if a recogniser read it again from every place; the seconds are in the benchmark."""
    for unit in HOSTILE:
        size = 2_500_000 if unit in ("06 ", "FR76 ", "a@") else 250_000
        line = (unit * (size // len(unit.encode()))).encode()
        assert len(find(line, KINDS)) <= len(line) // 5
