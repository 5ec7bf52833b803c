"""The documents for people: complete, alike in both languages, and only words, whoever wrote them."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from tests.evaluate.small import Build
from tests.release.publishing import FILLED, dossier, final_dossier, headings

from fonderie import release
from fonderie.core.manifest import FileEntry
from fonderie.release.law import people
from fonderie.release.law.people import PEOPLE, write_for_people
from fonderie.release.law.public_summary import RANGE_LARGE, RANGE_SMALL, write_public_summary
from fonderie.release.law.publisher import COPYRIGHT, DOCUMENTS, FORM, SUMMARY, Publisher, gaps
from fonderie.release.law.shared import GPAI_FLOPS, Dossier
from fonderie.release.records import Training
from fonderie.release.survey import SourceSurvey
from fonderie.release.writing.document import CATALOGUES, Page, catalogue, fields_of, typeset
from fonderie.release.writing.words import LANGUAGES, Language

SOURCE = Path(release.__file__).parent
SECTIONS = ("1", "1.1", "1.2", "1.3", "2", "2.1", "2.2", "2.2.1", "2.2.2", "2.3", "2.4", "2.5", "2.6", "3", "3.1", "3.2", "3.3")  # fmt: skip
FORM_PARTS = ("General information", "Model properties", "Methods of distribution and licences", "Use",
    "Training process", "Data used for training, testing and validation", "Computational resources during training",
    "Energy consumption")  # fmt: skip


@pytest.fixture(scope="module")
def draft(small: Build) -> Dossier:
    return dossier(small.release)


@pytest.fixture(scope="module")
def filled(small: Build) -> Dossier:
    return final_dossier(small.release)


# ── The catalogues ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", CATALOGUES)
def test_both_languages_say_the_same_things(name: str) -> None:
    english, french = catalogue(name, "en"), catalogue(name, "fr")
    assert list(english) == list(french)
    for key in english:
        assert fields_of(english[key]) == fields_of(french[key]), key
        assert english[key].count("`") == french[key].count("`"), key
        assert english[key].count("**") == french[key].count("**"), key


SAME_IN_BOTH = {
    "Source",
    "Documents",
    "Description",
    "Image",
    "Provenance",
    "Licence",
    "conversations",
    "{mwh} MWh.",
}
"""Words that French and English share."""


@pytest.mark.parametrize("name", CATALOGUES)
def test_nothing_is_left_untranslated(name: str) -> None:
    english, french = catalogue(name, "en"), catalogue(name, "fr")
    same = {key: text for key, text in english.items() if text == french[key]}
    wordless = {text for text in same.values() if not re.sub(r"\{\w+\}|\W", "", text)}
    assert set(same.values()) - wordless <= SAME_IN_BOTH


@pytest.mark.parametrize("name", CATALOGUES)
def test_french_is_typeset_as_french_is(name: str) -> None:
    for key, text in catalogue(name, "fr").items():
        prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
        assert "'" not in prose, key
        assert not re.search(r" [:;!?%»]|« ", prose), key
        assert not re.search(r"[^\W\d][:;!?»](?:\s|$)", prose), key


def test_typesetting_leaves_code_and_addresses_alone() -> None:
    assert typeset("l'a : b ; c ! « d »") == "l’a\u00a0: b\u202f; c\u202f! «\u00a0d\u00a0»"
    assert typeset("`data/x`, https://a.fr/?b;c") == "`data/x`, https://a.fr/?b;c"


def test_every_sentence_of_the_catalogues_is_used() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    built = re.compile(r"^(?:range_|category_|form_)|^(?:free|restricted|unknown|dropped|edited)$")
    for name in CATALOGUES:
        unused = [
            key
            for key in catalogue(name, "en")
            if not re.search(rf"[\"']{key}[\"']", code) and not built.match(key)
        ]
        if name == "index":
            unused = [key for key in unused if key.replace("_", "-") not in DOCUMENTS]
        assert not unused, name


# ── What the documents hold ─────────────────────────────────────────────────────────────────────────────────────


def test_every_document_is_written_in_both_languages_and_both_forms(filled: Dossier) -> None:
    texts = write_for_people(filled, ["README.md", "README.fr.md", "NOTICE.md"])
    assert tuple(texts) == PEOPLE
    assert "README.fr.md" in texts["documents/index.fr.html"]
    assert "README.fr.md" not in texts["documents/index.en.html"]
    assert "croissant" not in texts["documents/index.en.html"]  # not among the pages it was told of


@pytest.mark.parametrize("state", ["draft", "filled"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_both_languages_have_the_same_sections(name: str, state: str, request: pytest.FixtureRequest) -> None:
    texts = write_for_people(request.getfixturevalue(state), [])
    english, french = (texts[f"documents/{name}.{language}.md"] for language in LANGUAGES)
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(french)]
    assert english.count("\n|") == french.count("\n|")
    assert english.count("\n> ") == french.count("\n> ")
    numbers = [re.findall(r"(?<=^)[\d.]+(?= )", text) for _, text in headings(english)]
    assert numbers == [re.findall(r"(?<=^)[\d.]+(?= )", text) for _, text in headings(french)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_summary_has_every_section_of_the_template_in_its_order(filled: Dossier, language: Language) -> None:
    text = write_for_people(filled, [])[f"documents/public-summary.{language}.md"]
    numbers = [match.group(1) for _, title in headings(text) if (match := re.match(r"([\d.]+)\. ", title))]
    assert tuple(numbers) == SECTIONS


def test_the_form_has_the_parts_of_the_code_in_its_order(filled: Dossier) -> None:
    text = write_for_people(filled, [])["documents/model-documentation-form.en.md"]
    assert tuple(title for level, title in headings(text) if level == 2)[1:] == FORM_PARTS


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_policy_has_the_five_measures_in_order(filled: Dossier, language: Language) -> None:
    text = write_for_people(filled, [])[f"documents/copyright-policy.{language}.md"]
    numbers = [match.group(1) for _, title in headings(text) if (match := re.match(r"(1\.\d)\. ", title))]
    assert numbers == ["1.1", "1.2", "1.3", "1.4", "1.5"]


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_document_has_a_place_for_each_field_that_it_needs(draft: Dossier, name: str, language: Language) -> None:
    page: Page = people._WRITERS[name](draft, language)  # type: ignore[index]
    shown = {re.sub(r"\.(en|fr)$", "", field) for field in page.waiting}
    needed = {gap.field for gap in gaps(Publisher()) if name in gap.documents}
    sources = {field for field in shown if field.startswith("sources.")}
    assert shown - sources == needed
    if name != COPYRIGHT:
        # Which category, title and place each undescribed source has is asked where the source is listed.
        assert {"sources.letters.description", "sources.letters.collected"} <= sources


def test_what_is_filled_in_leaves_no_gap_and_appears_in_both_languages(filled: Dossier) -> None:
    texts = write_for_people(filled, [])
    everything = {
        language: "".join(t for n, t in texts.items() if f".{language}.md" in n) for language in LANGUAGES
    }
    for language, text in everything.items():
        assert "publisher.toml`.)" not in text
        for words in re.findall(rf"\b{language} = \"([^\"]+)\"", FILLED):
            for part in words.split("\\n\\n"):
                assert part in text, part
    assert "1 March 2026" in everything["en"]
    assert "1er mars 2026" in everything["fr"]
    assert "DRAFT" not in everything["en"]
    assert "BROUILLON" not in everything["fr"]


def test_placeholders_are_never_printed(small: Build) -> None:
    made = dossier(small.release, FILLED.replace("All letters were read by us.", "TODO: ask"))
    texts = write_for_people(made, [])
    assert "TODO" not in "".join(texts.values())
    assert "`data.illegal_content.en`" in texts["documents/public-summary.en.md"]
    assert "data.illegal_content" not in texts["documents/public-summary.fr.md"]


def test_figures_are_those_of_the_manifests(filled: Dossier) -> None:
    report = filled.facts.report
    form = write_for_people(filled, [])["documents/model-documentation-form.en.md"]
    (training,) = report.trainings
    n, d = training.statistics["parameters"], training.statistics["tokens"]
    assert f"exactly {n:,}." in form
    assert f"(6 × {n:,} × {d:,})" in form
    assert f"{report.tokens:,} distinct tokens, {d:,} tokens seen" in form
    for name in ("model.safetensors", "tokenizer.json"):
        assert filled.facts.files[name] in form
    assert filled.facts.index.model_digest in form
    for name, value in training.parameters.items():
        if value is not None:
            assert f"| {name} |" in form


def test_no_prohibition_is_written_as_a_term(filled: Dossier) -> None:
    form = write_for_people(filled, [])["documents/model-documentation-form.en.md"]
    advice = form[form.index("Uses advised against") :]
    assert advice.index("advice to people who would build on the model, not a term") < advice.index("Any decision")


# ── Thresholds ──────────────────────────────────────────────────────────────────────────────────────────────────


def trained(training: Training, parameters: int, tokens: int) -> Training:
    figures = {**training.statistics, "parameters": parameters, "tokens": tokens}
    return training.model_copy(update={"statistics": figures})


@pytest.mark.parametrize(
    ("parameters", "tokens", "owed"),
    [
        (6_706_958_336, 3_100_000_000_000, True),  # Lucie-7B
        (1_000_000_000, GPAI_FLOPS // (6 * 10**9), False),  # at most the threshold
        (10_000_000_000, 2 * 10**12, True),
        (28_832, 384, False),
    ],
)
def test_the_law_applies_above_its_threshold_only(small: Build, parameters: int, tokens: int, owed: bool) -> None:
    (training,) = dossier(small.release).facts.report.trainings
    made = dossier(small.release, trainings=(trained(training, parameters, tokens),))
    assert made.flops == 6 * parameters * tokens
    for name, text in write_for_people(made, []).items():
        if name.endswith(".en.md"):
            assert ("obligations of Article 53 apply" in text) == owed
            assert ("**voluntary**" in text) != owed


def test_two_trainings_are_added_and_an_unknown_one_leaves_it_open(small: Build) -> None:
    (training,) = dossier(small.release).facts.report.trainings
    both = (trained(training, 10**9, 10**13), trained(training, 10**9, 10**13))
    assert dossier(small.release, trainings=both).owed
    silent = (both[0], training.model_copy(update={"statistics": {}}))
    made = dossier(small.release, trainings=silent)
    assert made.flops is None
    assert "cannot be computed" in write_public_summary(made, "en").markdown()


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (RANGE_SMALL - 1, "less than 1 billion tokens"),
        (RANGE_SMALL, "1 billion to 10 trillion tokens"),
        (RANGE_LARGE, "1 billion to 10 trillion tokens"),
        (RANGE_LARGE + 1, "more than 10 trillion tokens"),
    ],
)
def test_sizes_fall_in_the_ranges_of_the_template(small: Build, tokens: int, words: str) -> None:
    text = write_public_summary(dossier(small.release, tokens=tokens), "en").markdown()
    assert f"| Text | {words} |" in text


# ── Sources, opt-outs, domains ──────────────────────────────────────────────────────────────────────────────────


def numbered(text: str, number: str) -> str:
    """What stands below a numbered heading, up to the next numbered one."""
    rest = re.split(rf"^#+ {re.escape(number)}\. .*$", text, flags=re.MULTILINE)[1]
    return re.split(r"^#+ \d(?:\.\d)*\. ", rest, flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("category", "place"),
    [("public", "2.1"), ("licensed", "2.2.1"), ("private", "2.2.2"), ("crawled", "2.3"), ("user", "2.4"), ("other", "2.6")],
)  # fmt: skip
def test_a_source_stands_in_the_section_of_its_category(small: Build, category: str, place: str) -> None:
    text = FILLED.replace('category = "public"', f'category = "{category}"')
    summary = write_public_summary(dossier(small.release, text), "en").markdown()
    for number in ("2.1", "2.2.1", "2.2.2", "2.3", "2.4", "2.6"):
        assert ("Letters of the association" in numbered(summary, number)) == (number == place)
    for number in {"2.1", "2.2.1", "2.2.2", "2.3"} - {place}:
        assert "\n\nNo\n" in numbered(summary, number)


def test_while_a_source_is_undescribed_no_section_answers_no(draft: Dossier) -> None:
    summary = write_public_summary(draft, "en").markdown()
    for number in ("2.1", "2.2.1", "2.2.2", "2.3", "2.5"):
        assert "Not established yet" in numbered(summary, number)
        assert "\n\nNo\n" not in numbered(summary, number)


def test_what_the_recipe_composes_is_no_data_of_an_ai_model(filled: Dossier) -> None:
    summary = write_public_summary(filled, "en").markdown()
    assert "\n\nNo\n" in numbered(summary, "2.5")
    assert "**toy** is composed by the step `corpus.toy` with the seed 7" in numbered(summary, "2.6")


def test_that_nothing_is_fetched_is_said_of_known_steps_only(filled: Dossier) -> None:
    assert "whether these steps fetch" in write_public_summary(filled, "en").markdown()
    known = [item.model_copy(update={"step": "corpus.read"}) if item.step == "corpus.toy" else item
             for item in filled.facts.manifests]  # fmt: skip
    made = replace(filled, facts=replace(filled.facts, manifests=known))
    assert "No step of this release fetches anything" in write_public_summary(made, "en").markdown()


def test_a_source_from_a_hub_was_fetched(filled: Dossier) -> None:
    file = FileEntry(path=f"datasets/acme/corpus@{'0' * 40}/a.parquet", size_bytes=1, sha256="sha256:" + "0" * 64)
    read = [item.model_copy(update={"step": "corpus.read", "sources": {"path": [file]}})
            if item.step in ("corpus.toy", "corpus.read") else item for item in filled.facts.manifests]  # fmt: skip
    made = replace(filled, facts=replace(filled.facts, manifests=read))
    assert "fetches anything" not in write_public_summary(made, "en").markdown()


def test_opt_outs_in_the_ledger_are_evidence_and_none_is_said_to_be_none(filled: Dossier) -> None:
    policy = write_for_people(filled, [])["documents/copyright-policy.en.md"]
    assert "names no opt-out signal" in policy
    sources = tuple(
        item.model_copy(update={"dropped": {"opted out: robots.txt disallows GPTBot": 4, "words >= 5": 1}})
        for item in filled.facts.report.sources
    )
    report = filled.facts.report.model_copy(update={"sources": sources})
    made = replace(filled, facts=replace(filled.facts, report=report))
    policy = write_for_people(made, [])["documents/copyright-policy.en.md"]
    assert "| letters | dropped | opted out: robots.txt disallows GPTBot | 4 |" in policy
    assert "names no opt-out signal" not in policy
    assert "words" not in policy[policy.index("name an opt-out") : policy.index("1.4.")]


def surveyed(made: Dossier, domains: dict[str, int]) -> Dossier:
    item = SourceSurvey(
        source="letters", documents=20, size_bytes=sum(domains.values()), languages={"fr": 1}, forms={}, created=None,
        domains=domains,
    )  # fmt: skip
    return replace(made, survey=[item])


@pytest.mark.parametrize(("small_enterprise", "shown"), [(False, 3), (True, 2)])
def test_the_largest_domains_are_as_many_as_the_template_asks(
    small: Build, small_enterprise: bool, shown: int
) -> None:
    text = FILLED.replace('category = "public"', 'category = "crawled"')
    if small_enterprise:
        text = text.replace("established_in_union", "small_enterprise = true\nestablished_in_union")
    made = surveyed(dossier(small.release, text), {f"d{number:02}.fr": 100 - number for number in range(25)})
    crawled = numbered(write_public_summary(made, "en").markdown(), "2.3")
    assert f"Largest domains by size of content: {shown} of 25" in crawled
    assert re.findall(r"^\| (d\d\d)", crawled, re.MULTILINE) == [f"d{number:02}" for number in range(shown)]


def test_a_small_enterprise_lists_at_most_a_thousand(small: Build) -> None:
    text = FILLED.replace('category = "public"', 'category = "crawled"')
    text = text.replace("established_in_union", "small_enterprise = true\nestablished_in_union")
    made = surveyed(dossier(small.release, text), {f"{number}.fr": 1 for number in range(30_000)})
    assert "1,000 of 30,000" in write_public_summary(made, "en").markdown()


def test_the_same_dossier_gives_the_same_bytes(small: Build) -> None:
    assert write_for_people(dossier(small.release), []) == write_for_people(dossier(small.release), [])


def test_toml_of_the_catalogues_has_no_key_twice() -> None:
    for path in (SOURCE / "writing" / "catalogue").glob("*.toml"):
        assert tomllib.loads(path.read_text(encoding="utf-8"))
    assert {path.name for path in (SOURCE / "writing" / "catalogue").iterdir()} == {
        f"{name}.{language}.toml" for name in CATALOGUES for language in LANGUAGES
    }
    assert (SUMMARY, FORM, COPYRIGHT) == DOCUMENTS
