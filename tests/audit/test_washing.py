from pathlib import Path

import pytest
from tests.audit.folders import card, licence_text, look, washed, write

from fonderie.audit.report import AuditReport

MIT, APACHE = licence_text("MIT"), licence_text("Apache-2.0")
OPEN = "Acme is a fully open language model."


def seen(tmp_path: Path, **files: str) -> AuditReport:
    return look(
        write(tmp_path, {name.replace("__", "/").replace("_md", ".md"): text for name, text in files.items()})
    )


def test_the_card_says_apache_the_licence_says_otherwise(tmp_path: Path) -> None:
    report = seen(
        tmp_path, README_md=card(license="apache-2.0"), LICENSE=f"{APACHE}\nNo commercial use is permitted."
    )
    (found,) = [item for item in report.contradictions if item.rule == "washing.licence_text"]
    assert found.severity == "open-washing"
    assert [item.path for item in found.evidence] == ["README.md", "LICENSE"]
    assert found.evidence[0].excerpt == "license: apache-2.0"
    assert "commercial" in found.evidence[1].excerpt


def test_two_free_licences_that_differ_are_an_inconsistency(tmp_path: Path) -> None:
    report = seen(tmp_path, README_md=card(license="apache-2.0"), LICENSE=MIT)
    (found,) = report.contradictions
    assert (found.rule, found.severity) == ("washing.licence_text", "inconsistency")
    assert report.criteria["use"].verdict == "pass"


def test_a_tag_and_a_name_that_differ(tmp_path: Path) -> None:
    report = seen(tmp_path, README_md=card(license="mit", license_name="llama3"), LICENSE=MIT)
    assert "licence_name" in washed(report)


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"README_md": card(OPEN, license="cc-by-nc-4.0")}, "open_with_tag"),
        ({"README_md": card(OPEN, license="other")}, "open_without_licence"),
        ({"README_md": card(OPEN), "LICENSE": f"{MIT}\nFor non-commercial use only."}, "open_with_text"),
        (
            {"README_md": card(OPEN, license="mit"), "USE_POLICY_md": "You may not use it for war."},
            "open_with_policy",
        ),
        (
            {"README_md": card("A model.", license="mit"), "USE_POLICY_md": "You may not use it."},
            "free_with_policy",
        ),
        ({"README_md": card(OPEN, license="mit", extra_gated_prompt="Accept")}, "open_with_gate"),
        ({"README_md": card(f"{OPEN} It is for research only.", license="mit")}, "open_with_statement"),
        ({"README_md": card("It learnt from open data.", license="mit")}, "open_data_without_data"),
        ({"README_md": card(OPEN, license="mit")}, "open_without_method"),
        (
            {
                "README_md": card("An open-source model.", license="mit"),
                "data__README_md": card("Texts.", license="cc-by-nc-sa-4.0"),
                "data__a.jsonl": '{"text": "a"}\n',
            },
            "open_with_data",
        ),
        (
            {
                "README_md": card("A model.", license="apache-2.0"),
                "data__README_md": card("Texts.", license="cc-by-nc-4.0"),
                "data__a.jsonl": '{"text": "a"}\n',
            },
            "open_with_data",
        ),
        ({"README_md": card("A model.", license="mit", base_model="meta-llama/Llama-3.1-8B")}, "base_model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_open_washing(tmp_path: Path, files: dict[str, str], rule: str) -> None:
    report = seen(tmp_path, **files)
    assert rule in washed(report)
    for item in report.contradictions:
        assert item.evidence, item.rule
        assert all(evidence.excerpt and evidence.sha256 for evidence in item.evidence)


@pytest.mark.parametrize(
    "sentence",
    [
        "This model is not open source.",
        "It is no longer an open-source model.",
        "Unlike open models, it is closed.",
        "It was trained with an open-source framework.",
        "We thank the open-source community.",
        "Ce modèle n’est pas ouvert.",
        "The model has open weights.",
    ],
)
def test_words_that_claim_nothing(tmp_path: Path, sentence: str) -> None:
    assert not washed(seen(tmp_path, README_md=card(sentence, license="cc-by-nc-4.0")))


@pytest.mark.parametrize(
    "sentence",
    [
        "Acme is an open-source model.",
        "Acme is truly open.",
        "We open-sourced our model.",
        "Acme est un modèle ouvert, entièrement ouvert.",
    ],
)
def test_words_that_claim(tmp_path: Path, sentence: str) -> None:
    assert "open_with_tag" in washed(seen(tmp_path, README_md=card(sentence, license="cc-by-nc-4.0")))


def test_open_washing_comes_first_and_is_counted(tmp_path: Path) -> None:
    report = seen(
        tmp_path, README_md=card(OPEN, license="apache-2.0"), LICENSE=MIT, USE_POLICY_md="You may not use it."
    )
    severities = [item.severity for item in report.contradictions]
    assert severities == sorted(severities, reverse=True)
    assert "contradicts itself" in report.headline
