import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.licences.situations import HARMLESS, RESTRICTING_ENGLISH, RESTRICTING_FRENCH, UNREAD

from fonderie.licences.match import index
from fonderie.licences.text import LONGEST_TEXT, judge_text
from fonderie.licences.texts import reference_texts
from fonderie.licences.verdict import judge

TEXTS = reference_texts()
RESTRICTING = RESTRICTING_ENGLISH + RESTRICTING_FRENCH
FREE = (
    "MIT",
    "Apache-2.0",
    "BSD-3-Clause",
    "GPL-3.0-only",
    "CC-BY-4.0",
    "CC0-1.0",
    "etalab-2.0",
    "ODbL-1.0",
    "OpenMDW-1.0",
    "CDLA-Permissive-2.0",
)
PERMISSIVE = (
    "MIT",
    "BSD-2-Clause",
    "ISC",
    "Apache-2.0",
    "Zlib",
    "CC0-1.0",
    "Unlicense",
    "etalab-2.0",
    "OFL-1.1",
    "MPL-2.0",
)


def put(text: str, sentence: str, place: str) -> str:
    """`text` with a sentence as its own paragraph, or within a paragraph."""
    if place == "after":
        return f"{text}\n\n{sentence}"
    if place == "before":
        return f"{sentence}\n\n{text}"
    if place == "between":
        parts = text.split("\n\n")
        middle = max(1, len(parts) // 2)
        return "\n\n".join([*parts[:middle], sentence, *parts[middle:]])
    stop = max(text.find(". ", len(text) // 3), text.find(".\n", len(text) // 3))
    return f"{text[: stop + 1]} {sentence} {text[stop + 1 :]}"


PLACES = ("before", "after", "between", "within")


# What SPDX itself holds


@pytest.mark.parametrize(
    "part", [pytest.param(7, id="one in seven"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
def test_each_reference_text_is_judged_as_what_it_is(part: int) -> None:
    for identifier, text in list(TEXTS.items())[::part]:
        verdict = judge_text(text)
        reference = index().by_identifier[identifier]
        assert verdict.licence == reference.identifier, identifier
        assert verdict.status == judge(reference.identifier).status, (identifier, verdict)
        assert verdict.similarity == 1.0
        assert verdict.reasons
        assert bool(verdict.excerpts) == (verdict.status == "restricted") or verdict.status == "unknown"


def test_what_the_list_holds_of_free_and_of_restricted_texts() -> None:
    # The test above reads the texts of all of these.
    assert sum(judge(name).status == "free" for name in TEXTS) > 200
    restricted = [name for name in TEXTS if {"NC", "ND"} & set(name.split("-"))]
    assert len(restricted) > 25
    assert {judge(name).status for name in restricted} == {"restricted"}


# What people add


@pytest.mark.parametrize("sentence", RESTRICTING)
def test_a_restricting_sentence_restricts_a_free_text(sentence: str) -> None:
    for number, licence in enumerate(FREE):
        place = PLACES[number % len(PLACES)]
        verdict = judge_text(put(TEXTS[licence], sentence, place))
        assert verdict.status == "restricted", (licence, place, verdict)
        assert any(sentence.rsplit(maxsplit=1)[-1].strip(".") in excerpt for excerpt in verdict.excerpts), (
            verdict.excerpts
        )


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FREE), st.sampled_from(RESTRICTING), st.sampled_from(PLACES), st.sampled_from(HARMLESS))
def test_wherever_it_stands_and_whatever_else_is_there(licence: str, sentence: str, place: str, other: str) -> None:
    assert judge_text(put(put(TEXTS[licence], other, "after"), sentence, place)).status == "restricted"


@pytest.mark.parametrize("sentence", UNREAD)
def test_what_cannot_be_read_is_never_free(sentence: str) -> None:
    for number, licence in enumerate(FREE):
        assert judge_text(put(TEXTS[licence], sentence, PLACES[number % 2])).status != "free", licence


@pytest.mark.parametrize("sentence", HARMLESS)
def test_what_restricts_nothing_is_no_finding(sentence: str) -> None:
    for number, licence in enumerate(FREE):
        verdict = judge_text(put(TEXTS[licence], sentence, PLACES[number % 2]))
        assert verdict.status == "free", (licence, verdict)
        assert verdict.licence == licence


def test_a_notice_may_stand_within_a_licence() -> None:
    notice = "Copyright (c) 2001, 2004-2024 Jane Doe and others"
    for licence in FREE:
        assert judge_text(put(TEXTS[licence], notice, "between")).status == "free", licence


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(TEXTS)), st.randoms(use_true_random=False))
def test_white_space_case_and_notices_change_no_verdict(licence: str, random) -> None:  # type: ignore[no-untyped-def]
    wrapped = "".join(
        random.choice((" ", "\n", "  ", "\n   ", "\t")) if c == " " and random.random() < 0.3 else c
        for c in TEXTS[licence]
    )
    year = random.randint(1980, 2030)
    changed = judge_text(f"Copyright (c) {year} Anne Example\n\n{wrapped}\n\n© {year} Example Foundation\n")
    plain = judge_text(TEXTS[licence])
    assert (changed.licence, changed.status) == (plain.licence, plain.status)


# What people take away or change


def altered(licence: str, old: str, new: str) -> str:
    text = " ".join(TEXTS[licence].split())
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("licence", "old", "new"),
    [
        ("MIT", "sublicense, and/or sell copies", "and/or sublicense copies"),
        ("MIT", "without restriction", "with restriction"),
        ("MIT", "to any person", "to any student"),
        ("MIT", "to any person", "to any person At Harvard"),
        ("MIT", "subject to the following conditions", "for private study, subject to the following conditions"),
        ("BSD-3-Clause", "are permitted", "are not permitted"),
        ("BSD-3-Clause", "in source and binary forms", "in source forms"),
        ("BSD-3-Clause", "are permitted", "for academic purposes are permitted"),
        ("Apache-2.0", "no-charge, royalty-free", "royalty-bearing"),
        ("Apache-2.0", "prepare Derivative Works of, ", ""),
        ("Apache-2.0", "in Source or Object form", "in Source or Object form, except for military purposes,"),
        ("CC0-1.0", "including without limitation commercial", "excluding commercial"),
        ("etalab-2.0", "à des fins commerciales ou non,", "à des fins non commerciales,"),
        ("ISC", "for any purpose", "for any lawful research purpose"),
    ],
)
def test_a_grant_that_gives_less_is_never_free(licence: str, old: str, new: str) -> None:
    verdict = judge_text(altered(licence, old, new))
    assert verdict.status in ("restricted", "unknown"), verdict
    assert verdict.excerpts


@pytest.mark.parametrize(
    ("licence", "old", "new"),
    [
        ("MIT", "<year> <copyright holders>", "2024 Jane Doe, Example Labs"),
        ("BSD-3-Clause", "the copyright holder nor", "the University of Paris nor"),
        ("BSD-3-Clause", "COPYRIGHT HOLDERS AND CONTRIBUTORS", "REGENTS AND CONTRIBUTORS"),
        ("ISC", "Permission to use", "ISC License\n\nPermission to use"),
    ],
)
def test_a_filled_in_template_is_free(licence: str, old: str, new: str) -> None:
    verdict = judge_text(altered(licence, old, new))
    assert (verdict.licence, verdict.status) == (licence, "free"), verdict


def test_optional_parts_may_be_left_out() -> None:
    apache = TEXTS["Apache-2.0"]
    assert judge_text(apache[: apache.index("END OF TERMS")])[0::2] == judge_text(apache)[0::2]
    by = TEXTS["CC-BY-4.0"]
    assert judge_text(by[by.index("Section 1") :]).status == "free"
    gpl = TEXTS["GPL-3.0-only"]
    assert judge_text(gpl[: gpl.index("How to Apply These Terms")]).status == "free"


SHORTER = {("BSD-2-Clause", "BSD-1-Clause"), ("BSD-3-Clause", "BSD-1-Clause"), ("BSD-3-Clause", "BSD-2-Clause")}
"""Licences that are a whole licence of another name without one of their clauses."""


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(PERMISSIVE), st.floats(0.15, 0.6), st.floats(0.0, 0.4))
def test_half_a_licence_is_not_free(licence: str, share: float, start: float) -> None:
    text = TEXTS[licence]
    cut = int(len(text) * start)
    found = judge_text(text[:cut] + text[cut + int(len(text) * share) :])
    assert found.status != "free" or (licence, found.licence) in SHORTER


# Several, none, and named ones


def test_all_licences_of_a_file_are_judged_and_the_worst_wins() -> None:
    notices = "\n\n---\n\nlibfoo 1.2 (https://example.org)\n\n"
    free = judge_text(notices.join([TEXTS["Apache-2.0"], TEXTS["MIT"], TEXTS["BSD-2-Clause"], TEXTS["MIT"]]))
    assert (free.licence, free.status) == ("Apache-2.0", "free")
    assert len(free.reasons) == 3
    worst = judge_text(notices.join([TEXTS["Apache-2.0"], TEXTS["CC-BY-NC-4.0"], TEXTS["MIT"]]))
    assert worst.status == "restricted"
    assert any("CC-BY-NC-4.0" in reason for reason in worst.reasons)


@pytest.mark.parametrize(
    ("text", "licence", "status"),
    [
        ("SPDX-License-Identifier: Apache-2.0", "Apache-2.0", "free"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0", "free"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0", "free"),
        (
            "This corpus is released under the Creative Commons Attribution 4.0 International license.",
            "CC-BY-4.0",
            "free",
        ),
        (
            "Ce jeu de données est diffusé sous licence ouverte, https://www.etalab.gouv.fr/licence-ouverte-open-licence",
            "etalab-2.0",
            "free",
        ),
        ("This dataset is available under CC-BY-NC-SA-4.0.", "CC-BY-NC-SA-4.0", "restricted"),
        ("MIT for me", "MIT", "unknown"),
        ("MIT, but send a postcard", "MIT", "unknown"),
        ("All rights reserved", None, "unknown"),
        ("Tous droits réservés", None, "unknown"),
        ("hello world", None, "unknown"),
        ("", None, "unknown"),
    ],
)
def test_a_short_text_may_name_a_licence(text: str, licence: str | None, status: str) -> None:
    verdict = judge_text(text)
    assert (verdict.licence, verdict.status) == (licence, status), verdict


def test_the_header_of_a_file_names_its_licence() -> None:
    apache = TEXTS["Apache-2.0"]
    header = apache[apache.index("Licensed under the Apache License") :]
    assert judge_text(header)[0::2][:2] == ("Apache-2.0", "free")


# Adversaries


@pytest.mark.parametrize(
    "hidden", ["n\u200bon-com\u200bmercial use only", "Ｎｏｎ－commercial use only", "NON\u00adCOMMERCIAL use only"]
)
def test_hidden_characters_hide_nothing(hidden: str) -> None:
    assert judge_text(f"{TEXTS['MIT']}\n\n{hidden}").status == "restricted"


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        TEXTS["MIT"] * 9_000,
        "".join(TEXTS.values()) * 2,
        "a " * 5_000_000,
        "a" * 10_000_000,
        "not may require use for " * 400_000,
        "x:\n- y\n" * 1_400_000,
        "http://" * 1_400_000,
        "a@" * 5_000_000,
        "\n" * 10_000_000,
        "e\u0301" * 5_000_000,
    ],
    ids=[
        "copies",
        "all licences",
        "words",
        "one word",
        "negations",
        "colons",
        "addresses",
        "mails",
        "lines",
        "accents",
    ],
)
def test_ten_megabytes_are_read_in_bounded_time_and_never_free(text: str) -> None:
    # No measure of speed, which is benchmarks/licences.py: ten times what it takes, so that only an explosion fails.
    start = time.monotonic()
    assert judge_text(text).status != "free"
    assert time.monotonic() - start < 60


def test_what_stands_after_the_part_that_is_read_is_not_taken_for_free() -> None:
    padded = TEXTS["MIT"] + "\n" * LONGEST_TEXT + "For non-commercial use only."
    assert judge_text(padded).status == "unknown"


@settings(max_examples=80, deadline=None)
@given(st.text())
def test_any_text_has_a_verdict(text: str) -> None:
    verdict = judge_text(text)
    assert verdict.status in ("free", "restricted", "unknown")
    assert 0 <= verdict.similarity <= 1
    assert verdict.reasons
