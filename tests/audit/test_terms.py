from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.folders import card, licence_text, look, rules, verdicts, write

from fonderie.audit.report import AuditReport
from fonderie.audit.terms import judge_tag

MIT, APACHE = licence_text("MIT"), licence_text("Apache-2.0")


def use(tmp_path: Path, **files: str) -> AuditReport:
    return look(
        write(tmp_path, {name.replace("__", "/").replace("_md", ".md"): text for name, text in files.items()})
    )


def test_a_free_licence_alone_restricts_nothing(tmp_path: Path) -> None:
    report = use(tmp_path, LICENSE=APACHE, README_md=card(license="apache-2.0"))
    assert report.criteria["use"].verdict == "pass"
    assert not report.contradictions


def test_a_tag_without_a_text_is_only_declared(tmp_path: Path) -> None:
    report = use(tmp_path, README_md=card(license="mit"))
    assert (report.criteria["use"].verdict, report.criteria["use"].level) == ("pass", "declared")


def test_no_licence_is_no_permission(tmp_path: Path) -> None:
    report = use(tmp_path, README_md=card("words"))
    assert report.criteria["use"].verdict == "unknown"
    assert "nobody has the right" in report.findings[0].summary


@pytest.mark.parametrize(
    "added",
    [
        "This licence is for non-commercial use only.",
        "The Software shall not be used for military purposes.",
        "Toute utilisation commerciale est interdite.",
    ],
)
def test_a_restriction_written_into_a_free_licence_is_found(tmp_path: Path, added: str) -> None:
    report = use(tmp_path, LICENSE=f"{MIT}\n\n{added}", README_md=card(license="mit"))
    assert report.criteria["use"].verdict == "fail"
    (finding,) = [item for item in report.findings if item.rule == "use.licence_text.LICENSE"]
    assert finding.level == "parsed"
    assert added.rstrip(".")[:30] in finding.evidence[0].excerpt
    assert finding.evidence[0].sha256.startswith("sha256:")


@pytest.mark.parametrize(
    "tag", ["cc-by-nc-4.0", "cc-by-nd-4.0", "llama3", "llama3.1", "gemma", "openrail", "bigscience-bloom-rail-1.0"]
)
def test_restricted_tags(tmp_path: Path, tag: str) -> None:
    assert use(tmp_path, README_md=card(license=tag)).criteria["use"].verdict == "fail"


@pytest.mark.parametrize(
    "tag", ["odc-by", "odbl", "pddl", "gpl-3.0", "etalab-2.0", "cc-by-sa-4.0", "MIT OR Apache-2.0"]
)
def test_free_tags_of_the_hub(tag: str) -> None:
    assert judge_tag(tag).status == "free"


def test_other_is_judged_by_its_name_or_the_text_it_points_to(tmp_path: Path) -> None:
    report = use(tmp_path / "1", README_md=card(license="other"))
    assert report.criteria["use"].verdict == "unknown"
    report = use(tmp_path / "2", README_md=card(license="other", license_name="llama3", license_link="LICENSE"))
    assert report.criteria["use"].verdict == "fail"
    report = use(
        tmp_path / "3", README_md=card(license="other", license_name="ours", license_link="LICENSE"), LICENSE=APACHE
    )
    assert report.criteria["use"].verdict == "pass"
    link = "https://creativecommons.org/licenses/by-nc/4.0/"
    report = use(tmp_path / "4", README_md=card(license="other", license_name="ours", license_link=link))
    assert report.criteria["use"].verdict == "fail"


@pytest.mark.parametrize(
    "name", ["USE_POLICY.md", "ACCEPTABLE_USE_POLICY.txt", "aup.md", "docs__Prohibited-Use.md"]
)
def test_a_policy_of_use_binds_beside_the_licence(tmp_path: Path, name: str) -> None:
    policy = "You may not use the model for weapons. You must not use it to harm anyone."
    report = look(write(tmp_path, {"LICENSE": APACHE, name.replace("__", "/"): policy}))
    assert report.criteria["use"].verdict == "fail"


def test_a_policy_that_nobody_can_read_is_unknown(tmp_path: Path) -> None:
    report = look(write(tmp_path, {"LICENSE": APACHE, "USE_POLICY.pdf": b"%PDF-\x00\x01"}))
    assert report.criteria["use"].verdict == "unknown"


def test_a_gate_that_asks_to_accept_terms_restricts(tmp_path: Path) -> None:
    report = use(tmp_path, LICENSE=MIT, README_md=card(license="mit", extra_gated_prompt="You agree to our terms."))
    assert "use.gate" in rules(report, "fail")
    buttons = card(license="mit", extra_gated_button_content="Submit")
    assert use(tmp_path / "2", LICENSE=MIT, README_md=buttons).criteria["use"].verdict == "pass"


@pytest.mark.parametrize(
    "sentence",
    [
        "The weights may be used for non-commercial purposes only.",
        "This model is released for research use only.",
        "Commercial use is not permitted; no commercial use whatsoever.",
        "By downloading this model you agree to be bound by the terms below.",
        "Its use is governed by our Acceptable Use Policy.",
        "Usage non commercial, uniquement à des fins de recherche.",
        "En téléchargeant ce modèle, vous acceptez les conditions.",
    ],
)
def test_sentences_of_the_card_that_bind(tmp_path: Path, sentence: str) -> None:
    report = use(tmp_path, LICENSE=MIT, README_md=card(f"# A model\n\n{sentence}\n", license="mit"))
    assert report.criteria["use"].verdict == "fail", sentence


@pytest.mark.parametrize(
    "sentence",
    [
        "It may be used for commercial and non-commercial purposes.",
        "It can be used for both commercial and research use.",
        "It is intended for research and educational use.",
        "Unlike others it has no acceptable use policy.",
        "Users should not use it to give medical advice.",
        "We released it so that anyone may study it, sell it, or change it.",
        "```\nfor non-commercial use only\n```",
        "<!-- for non-commercial use only -->",
    ],
)
def test_sentences_of_the_card_that_do_not(tmp_path: Path, sentence: str) -> None:
    report = use(tmp_path, LICENSE=MIT, README_md=card(f"# A model\n\n{sentence}\n", license="mit"))
    assert report.criteria["use"].verdict == "pass", sentence


def test_the_worst_term_decides(tmp_path: Path) -> None:
    report = use(
        tmp_path,
        LICENSE=APACHE,
        weights__LICENSE=f"{MIT}\nFor non-commercial use only.",
        README_md=card(license="mit"),
    )
    assert verdicts(report)["use"] == "fail"


@given(st.sets(st.sampled_from(["LICENSE", "card", "policy", "gate"])), st.sampled_from(["policy", "gate"]))
def test_another_term_never_frees(tmp_path_factory: pytest.TempPathFactory, have: set[str], more: str) -> None:
    order = ["fail", "unknown", "partial", "pass"]

    def grade(terms: set[str]) -> int:
        files = {"LICENSE": MIT} if "LICENSE" in terms else {}
        if "policy" in terms:
            files["USE_POLICY.md"] = "You may not use it for war."
        if terms & {"card", "gate"}:
            files["README.md"] = card(
                **({"license": "mit"} if "card" in terms else {}),
                **({"extra_gated_prompt": "Accept."} if "gate" in terms else {}),
            )
        report = look(write(tmp_path_factory.mktemp("terms"), files))
        return order.index(report.criteria["use"].verdict)

    assert grade(have | {more}) <= grade(have)
