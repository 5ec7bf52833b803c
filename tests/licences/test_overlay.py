import pytest

from fonderie.licences.overlay import DESCRIBED
from fonderie.licences.text import judge_text
from fonderie.licences.texts import reference_texts
from fonderie.licences.verdict import judge

# Situations in our own words: a title as such a document bears it, and what its clauses come to.
SITUATIONS = (
    ("LicenseRef-Llama-2", "LLAMA 2 COMMUNITY LICENSE AGREEMENT\n\nThe Llama Materials come with conditions."),
    (
        "LicenseRef-Llama-3",
        "META LLAMA 3 COMMUNITY LICENSE AGREEMENT\n\nWhoever shares them writes Built with Meta Llama 3.",
    ),
    (
        "LicenseRef-Llama-3.1",
        "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date: July 23, 2024",
    ),
    ("LicenseRef-Llama-3.2", "LLAMA 3.2 COMMUNITY LICENSE AGREEMENT\n\nOnly some countries."),
    ("LicenseRef-Llama-3.3", "LLAMA 3.3 COMMUNITY LICENSE AGREEMENT\n\nWrite Built with Llama."),
    ("LicenseRef-Llama-4", "LLAMA 4 COMMUNITY LICENSE AGREEMENT\n\nWrite Built with Llama."),
    (
        "LicenseRef-Gemma",
        "Gemma Terms of Use\n\nWho passes Gemma on also passes on the Gemma Prohibited Use Policy.",
    ),
    (
        "LicenseRef-DeepSeek-Model",
        "DEEPSEEK LICENSE AGREEMENT\nVersion 1.0\n\nUses listed in Attachment A are excluded.",
    ),
    ("LicenseRef-Falcon-180B", "FALCON 180B TII LICENSE VERSION 1.0\n\nHosting Use needs another agreement."),
    ("LicenseRef-Falcon", "TII Falcon LLM License Version 1.0\n\nAbove a revenue, ten percent go to the licensor."),
    ("LicenseRef-MNPL-0.1", "Mistral AI Non-Production License\n\nNothing but tests."),
    ("LicenseRef-Mistral-Research", "Mistral AI Research License\n\nResearch and nothing else."),
    ("LicenseRef-Qwen-Research", "Qwen RESEARCH LICENSE AGREEMENT\n\nNo business."),
    ("LicenseRef-Qwen", "Tongyi Qianwen LICENSE AGREEMENT\n\nAbove 100 million monthly active users, ask."),
    ("LicenseRef-Cohere-CC-BY-NC", "C4AI Acceptable Use Addendum\n\nThe model follows these rules."),
    (
        "LicenseRef-CreativeML-OpenRAIL-M",
        "CreativeML Open RAIL-M\n\nStable Diffusion, with use-based restrictions.",
    ),
    ("LicenseRef-BigCode-OpenRAIL-M", "BigCode OpenRAIL-M v1 License Agreement\n\nSee Attachment A."),
    (
        "LicenseRef-BigScience-RAIL",
        "BigScience RAIL License v1.0\n\nSee the use-based restrictions of Attachment A.",
    ),
    ("LicenseRef-RAIL", "Example Open RAIL-M\n\nSee the use-based restrictions of Attachment A."),
    ("LicenseRef-Stability-Community", "STABILITY AI COMMUNITY LICENSE AGREEMENT\n\nSmall companies are welcome."),
    ("LicenseRef-FAIR-NC", "FAIR Noncommercial Research License\n\nLaboratories are welcome."),
    ("LicenseRef-AI2-ImpACT", "AI2 ImpACT License\n\nReports are asked for."),
)


@pytest.mark.parametrize(("licence", "text"), SITUATIONS, ids=[licence for licence, _ in SITUATIONS])
def test_an_ai_licence_is_known_by_its_title(licence: str, text: str) -> None:
    verdict = judge_text(text)
    assert (verdict.licence, verdict.status) == (licence, "restricted"), verdict
    assert verdict.excerpts
    assert judge(licence).status == "restricted"


def test_every_described_licence_has_a_situation() -> None:
    assert {licence.identifier for licence in DESCRIBED} - {"etalab-2.0"} == {name for name, _ in SITUATIONS}


def test_clauses_alone_betray_an_ai_licence_under_another_name() -> None:
    text = "EXAMPLE TERMS\n\n" + "Words of no weight. " * 100
    text += "Recipients pass on the use-based restrictions. They are found in Attachment A of this document."
    assert judge_text(text).licence == "LicenseRef-RAIL"


def test_apache_with_clauses_of_falcon_is_falcon() -> None:
    apache = reference_texts()["Apache-2.0"]
    text = (
        "TII Falcon LLM License Version 1.0\n\n"
        + apache
        + "\n\n10. A royalty of ten percent is due above one million."
    )
    verdict = judge_text(text)
    assert (verdict.licence, verdict.status) == ("LicenseRef-Falcon", "restricted")
    assert verdict.similarity > 0.9


def test_weights_under_another_licence_than_the_code() -> None:
    verdict = judge_text(
        reference_texts()["MIT"] + "\n\nThe weights are governed by the Llama 3.1 Community License."
    )
    assert verdict.status == "restricted"
    assert any("Llama" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    "licence", ["etalab-2.0", "OpenMDW-1.0", "PDDL-1.0", "ODC-By-1.0", "OGL-UK-3.0", "CDLA-Sharing-1.0"]
)
def test_no_free_licence_of_data_is_taken_for_one_of_these(licence: str) -> None:
    verdict = judge_text(reference_texts()[licence])
    assert (verdict.licence, verdict.status) == (licence, "free")


def test_licence_ouverte_in_other_words_is_named_but_not_passed() -> None:
    text = "OPEN LICENCE 2.0 / LICENCE OUVERTE\n\n" + "The Reuser may do as it likes with the Information. " * 40
    text += "Etalab wrote this. The source is named."
    verdict = judge_text(text)
    assert verdict.status == "unknown"
    assert any("compared by a person" in reason for reason in verdict.reasons)
