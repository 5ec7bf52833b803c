import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.corpus.builders import document, documents, ledger, run_step, texts

from fonderie.corpus.personal.kinds import KINDS as ALL_KINDS
from fonderie.corpus.redact import RedactParameters, redact, redact_text
from fonderie.release.writing.words import catalogue

KINDS = ("email", "ipv4")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Écrivez à anne.dupont@example.fr.", "Écrivez à [EMAIL]."),
        ("<a@b.example.org>, c_d+e@x-y.com", "<[EMAIL]>, [EMAIL]"),
        ("Depuis 192.168.10.4:8080", "Depuis [IP]:8080"),
        ("article 1.2.3.4 du code", "article 1.2.3.4 du code"),
        ("version 300.1.2.3 ou 10.0.0.256", "version 300.1.2.3 ou 10.0.0.256"),
        ("à 3 € @ l'unité", "à 3 € @ l'unité"),
        ("12.34.56.78.90", "12.34.56.78.90"),
    ],
)
def test_what_is_found_and_what_is_left(text: str, expected: str) -> None:
    assert redact_text(text, KINDS)[0] == expected


def test_an_edit_changes_the_id_and_counts_by_kind(tmp_path: Path) -> None:
    one, other = document("De a@example.org et b@example.org."), document("Rien.")
    made = documents(tmp_path / "in", [[one, other]])
    artifact, out = run_step(redact, RedactParameters(), tmp_path / "out", {"documents": (made,)})
    assert texts(artifact) == ["De [EMAIL] et [EMAIL].", "Rien."]
    first, second = ledger(artifact)
    assert (first.fate, first.reason, first.detail, first.id) == (
        "edited",
        "personal data: email",
        "2 email",
        one.id,
    )
    assert first.id_after != one.id
    assert (second.fate, second.id_after) == ("kept", other.id)
    assert out.statistics["sources"]["test"]["edited"] == {"personal data: email": 1}
    assert out.statistics["personal_data"] == {"test": {"email": 2}}


def test_every_kind_is_counted_by_source(tmp_path: Path) -> None:
    one = document("Tél. 06 12 34 56 78, IP 10.0.0.17, FR76 3000 6000 0112 3456 7890 189.")
    two = document("Tél. 06 12 34 56 79 et 06 12 34 56 70, AB-123-CD.")
    made = documents(tmp_path / "in", [[one], [two]])
    artifact, out = run_step(redact, RedactParameters(), tmp_path / "out", {"documents": (made,)})
    assert texts(artifact) == ["Tél. [PHONE], IP [IP], [IBAN].", "Tél. [PHONE] et [PHONE], AB-123-CD."]
    assert [entry.reason for entry in ledger(artifact)] == [
        "personal data: ipv4+phone+iban",
        "personal data: phone",
    ]
    assert out.statistics["personal_data"] == {"test": {"iban": 1, "ipv4": 1, "phone": 3}}


def test_what_stands_in_its_place_can_look_like_it(tmp_path: Path) -> None:
    made = documents(tmp_path / "in", [[document("Tél. 06 12 34 56 78, a@example.org.")]])
    artifact, _ = run_step(redact, RedactParameters(style="invalid"), tmp_path / "out", {"documents": (made,)})
    assert texts(artifact) == ["Tél. 00 00 00 00 00, nom@exemple.invalid."]


def test_an_empty_list_of_kinds_is_refused() -> None:
    with pytest.raises(ValidationError, match="no kind is given"):
        RedactParameters(kinds=())


def test_all_kinds_have_words_in_the_documents_of_a_release() -> None:
    assert set(ALL_KINDS) == set(catalogue()["personal"])


@given(
    st.from_regex(r"[a-z][a-z.]{0,10}[a-z]@[a-z]{1,9}(\.[a-z]{2,5}){1,2}", fullmatch=True),
    st.sampled_from(["", " ", "(", "<"]),
)
def test_every_plain_address_goes(address: str, before: str) -> None:
    assert address not in redact_text(f"{before}{address} ", KINDS)[0]


@pytest.mark.parametrize("unit", ["a.", "a@", "1.", "@a.", "a" * 64 + "@"])
def test_a_hostile_line_takes_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        began = time.perf_counter()
        redact_text(unit * (size // len(unit)), KINDS)
        return time.perf_counter() - began

    # Quadratic growth would be 64 times; the bound leaves room for a noisy machine.
    seconds(100_000)
    assert seconds(1_600_000) < 64 * max(seconds(200_000), 1e-3)
