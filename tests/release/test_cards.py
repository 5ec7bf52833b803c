"""Model card and data card: what the hub reads, what people read, in both languages, from the same figures."""

import re

import pytest
import yaml
from huggingface_hub import DatasetCardData, EvalResult, ModelCard, ModelCardData
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluate.small import Build
from tests.release.reading import contents_of, facts_with, measured, without_documents

from fonderie.core.document import SCHEMA
from fonderie.corpus.dedup.documents import EXACT, NEAR
from fonderie.corpus.hold_out import HELD_OUT
from fonderie.corpus.tombstones import ERASED
from fonderie.release.attribution import Attribution
from fonderie.release.cards.data import DATA_CARDS, data_licences, dataset_head, treatments, write_data_cards
from fonderie.release.cards.hub_terms import hub_licence, size_class, slug
from fonderie.release.cards.model import AUTHORS_SHOWN, CARDS, front_matter, write_cards
from fonderie.release.cards.notices import write_notices
from fonderie.release.energy import Electricity
from fonderie.release.law.publisher import Publisher
from fonderie.release.writing import words

ELECTRICITY = Electricity(grams_co2e_per_kwh=21.5, source="the operator's yearly report", location="Isère, France")
HUB_FIELDS = {
    "license",
    "license_name",
    "license_link",
    "language",
    "library_name",
    "pipeline_tag",
    "tags",
    "co2_eq_emissions",
    "model-index",
}
"""Of the hub's documentation, "Model cards": those that we write."""
CO2_FIELDS = {"emissions", "source", "training_type", "geographical_location", "hardware_used"}


def test_the_hub_reads_the_head_and_every_score_with_its_interval(small: Build) -> None:
    card = ModelCard.load(small.release / "README.md", ignore_metadata_errors=False)
    assert isinstance(card.data, ModelCardData)
    scores = contents_of(small.release)
    assert set(yaml.safe_load(front_matter(facts_with(small.release)))) <= HUB_FIELDS
    results = card.data.eval_results
    assert results
    assert all(isinstance(result, EvalResult) for result in results)
    report = facts_with(small.release).report
    assert sorted(result.metric_value for result in results) == sorted(round(s.value, 4) for s in report.scores)
    assert all(re.search(r"\[\d+\.\d+, \d+\.\d+\], n = \d+", result.metric_name) for result in results)
    assert "model-index" in card.data.to_dict()
    assert scores.index.name == card.data.model_name


@pytest.mark.parametrize(
    ("licence", "head"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("ODbL-1.0", {"license": "odbl"}),
        ("OpenMDW-1.0", {"license": "other", "license_name": "openmdw-1.0", "license_link": "LICENSE"}),
        ("MIT OR Apache-2.0", {"license": "other", "license_name": "mit-or-apache-2.0", "license_link": "LICENSE"}),
    ],
)
def test_a_licence_that_the_hub_does_not_know_has_a_name_and_a_link(
    small: Build, licence: str, head: dict[str, str]
) -> None:
    found = yaml.safe_load(front_matter(facts_with(small.release, index={"licence": licence})))
    assert {name: value for name, value in found.items() if name.startswith("license")} == head


def test_emissions_are_stated_only_when_both_halves_are_known(small: Build) -> None:
    known = Publisher(electricity=ELECTRICITY)
    energy = measured(small.release, 7.2e6)
    whole = facts_with(small.release, manifests=energy, publisher=known)
    found = yaml.safe_load(front_matter(whole))["co2_eq_emissions"]
    assert set(found) == CO2_FIELDS
    assert found["emissions"] == pytest.approx(2 * 21.5)  # 7.2 MJ are 2 kWh
    assert (found["training_type"], found["geographical_location"]) == ("pre-training", "Isère, France")
    assert "43.0 g of CO2 equivalent" in write_cards(whole)["README.md"]
    nothing = measured(small.release, None)
    halves = {"manifests": energy}, {"manifests": nothing, "publisher": known}
    for facts in (facts_with(small.release, **half) for half in halves):
        assert "co2_eq_emissions" not in yaml.safe_load(front_matter(facts))
        assert "No emissions are stated" in write_cards(facts)["README.md"]
        assert "Aucune émission n’est déclarée" in write_cards(facts)["README.fr.md"]


def test_energy_that_nothing_measured_is_said_to_be_unmeasured(small: Build) -> None:
    facts = facts_with(small.release, manifests=measured(small.release, None))
    for name, sentence in zip(CARDS, ("was not measured", "n’a pas été mesurée"), strict=True):
        assert sentence in write_cards(facts)[name]
        assert "kWh sur" not in write_cards(facts)[name]


def test_both_languages_carry_the_same_figures(small: Build) -> None:
    facts = facts_with(small.release)
    english, french = (write_data_cards(facts)[name] for name in DATA_CARDS)
    assert table_figures(english.split("---\n", 2)[2]) == table_figures(french)
    source = facts.sources[0]
    for text, language in zip((english, french), words.LANGUAGES, strict=True):
        assert f"| {words.number(source.tokens, language)} |" in text


def table_figures(text: str) -> list[str]:
    """Every number of every table row, without the marks that set thousands and decimals apart."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    plain = [re.sub(r"(?<=\d)[\u202f,.](?=\d)", "", row) for row in rows]
    return [figure for row in plain for figure in re.findall(r"\d+", row)]


def test_the_data_card_says_what_the_ledger_says(small: Build) -> None:
    facts = facts_with(small.release)
    steps = treatments(facts)
    assert [step.call for step in steps] == ["toy", "letters", "distinct", "training"]
    assert dict(steps[2].dropped) == {"exact duplicate": 3}
    assert steps[-1].kept == sum(source.kept for source in facts.sources)
    assert [step.call for step in treatments(facts, held_out=True)] == ["toy", "letters", "distinct", "held"]
    french = write_data_cards(facts)["data/README.fr.md"]
    assert "écartés, `copie exacte`\u00a0: 3" in french
    assert "mis de côté pour l’évaluation" in french


def test_the_hub_s_data_set_library_is_told_where_the_documents_lie(small: Build) -> None:
    head = yaml.safe_load(dataset_head(facts_with(small.release)))
    card = DatasetCardData(**head)
    assert card.language == ["fr"]
    assert card.size_categories == ["n<1K"]
    (config,) = head["configs"]
    (files,) = config["data_files"]
    there = {path for pattern in files["path"] for path in (small.release / "data").glob(pattern)}
    assert there == set((small.release / "data" / "documents").glob("*.parquet"))
    assert there
    columns = [feature["name"] for feature in head["dataset_info"]["features"]]
    assert columns == config["columns"] == [name for name in SCHEMA.names if name != "metadata"]


def test_without_documents_nothing_points_at_them(small: Build) -> None:
    facts = without_documents(small.release)
    assert "configs" not in yaml.safe_load(dataset_head(facts))
    english = write_data_cards(facts)["data/README.md"]
    assert "They are not distributed with this release" in english
    assert "The documents are not part of this folder" in english
    assert "load_dataset" not in english


def test_limits_follow_from_the_manifests(small: Build) -> None:
    facts = facts_with(small.release)
    said = write_data_cards(facts)["data/README.md"].split("## Known limits")[1]
    assert "toy are composed by a program" in said
    assert "Only exact copies were removed" in said
    assert "No step of the recipe looked for personal data" in said
    near = [
        manifest.model_copy(update={"parameters": {"near": 0.8}}) if manifest.step == "corpus.dedup" else manifest
        for manifest in contents_of(small.release).manifests
    ]
    again = write_data_cards(facts_with(small.release, manifests=near))["data/README.md"]
    assert "Only exact copies were removed" not in again


def test_a_restricted_licence_is_the_first_thing_said(small: Build) -> None:
    restricted = [
        Attribution(
            source="letters", documents=20, origins=3, authors={}, without_author=20,
            licences={"CC-BY-NC-4.0": 20}, collection_licences={},
        )
    ]  # fmt: skip
    facts = facts_with(small.release, attributions=restricted)
    assert [item.status for item in data_licences(facts)] == ["restricted", "free"]
    english, french = (write_data_cards(facts)[name] for name in DATA_CARDS)
    assert english.index("CC-BY-NC-4.0, which is restricted") < english.index("# Training documents")
    assert french.index("CC-BY-NC-4.0, licence restrictive") < french.index("# Documents d’entraînement")
    assert "20 documents of the source letters name no author" in english


def test_a_draft_says_so_first_and_a_final_release_does_not(small: Build) -> None:
    for status, there in (("draft", True), ("final", False)):
        facts = facts_with(small.release, index={"status": status})
        texts = {**write_cards(facts), **write_data_cards(facts)}
        for name, text in texts.items():
            mark = "BROUILLON" if name.endswith(".fr.md") else "DRAFT"
            assert (mark in text.split("# ")[0]) == there, name


def test_every_entry_of_the_catalogue_speaks_both_languages() -> None:
    for section, entries in words.catalogue().items():
        for name, entry in entries.items():
            assert set(entry) == set(words.LANGUAGES), f"{section}.{name}"
            open_names = [sorted(re.findall(r"{(\w+)}", entry[language])) for language in words.LANGUAGES]
            assert open_names[0] == open_names[1], f"{section}.{name}"
            assert not re.search(r" [;:!?»](\s|$)|« |\w'\w", entry["fr"]), f"{section}.{name}: French typography"


def test_french_pages_are_set_as_french_is(small: Build) -> None:
    facts = facts_with(small.release)
    texts = {**write_cards(facts), **write_data_cards(facts), **write_notices(facts)}
    for name in (name for name in texts if name.endswith(".fr.md")):
        prose = re.sub(r"`[^`]*`|<[^>]*>|^>.*$|^\|.*---.*$|^\*\*Que.*$", "", texts[name], flags=re.M)
        assert not re.search(r" [;:!?»%](\s|$)|« |\w'\w", prose), name


def test_every_finding_and_step_has_its_words(small: Build) -> None:
    facts = facts_with(small.release)
    for finding in facts.findings:
        assert not words.rule_label(finding.rule, "fr").startswith("`"), finding.rule
    for text in (HELD_OUT, EXACT, NEAR, ERASED):
        assert text in words.catalogue()["reason"]
    for column in SCHEMA.names:
        assert words.word("column", column, "fr")
    for step in facts.energy.steps:
        assert step.method in words.catalogue()["method"]


def test_many_authors_are_cut_short_on_the_card_and_said_to_be(small: Build) -> None:
    many = Attribution(
        source="letters", documents=50, origins=3, authors={f"Author {number:02d}": 1 for number in range(50)},
        without_author=0, licences={"CC-BY-4.0": 50}, collection_licences={},
    )  # fmt: skip
    english, french = (write_cards(facts_with(small.release, attributions=[many]))[name] for name in CARDS)
    for text in (english, french):
        assert f"Author {AUTHORS_SHOWN - 1:02d}" in text
        assert f"Author {AUTHORS_SHOWN:02d}" not in text
        assert "attribution.json" in text


def test_what_strangers_write_is_no_markup(small: Build) -> None:
    index = {"name": "toy", "description": "plain"}
    hostile = Attribution(
        source="letters", documents=1, origins=1, authors={"<script>| [a](http://b)\n# c": 1}, without_author=0,
        licences={"CC-BY-4.0": 1}, collection_licences={},
    )  # fmt: skip
    facts = facts_with(small.release, index=index, attributions=[hostile])
    for name, text in {**write_cards(facts), **write_data_cards(facts)}.items():
        assert "<script>" not in text, name
        assert "\n# c" not in text, name


@given(st.integers(0, 10**13))
def test_size_classes_hold_their_number(examples: int) -> None:
    bounds = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
    low, _, high = size_class(examples).rpartition("n<")
    top = int(high[:-1]) * bounds[high[-1]]
    assert examples < top or top == 10**12
    if low:
        low = low.rstrip("<")
        assert examples >= int(low[:-1]) * bounds[low[-1]]


@given(st.floats(-1e15, 1e15), st.integers(-(10**15), 10**15))
def test_french_figures_are_english_figures_in_other_clothes(real: float, whole: int) -> None:
    for value in (real, whole):
        english, french = (words.number(value, language) for language in words.LANGUAGES)
        back = french.replace("\u202f", "").replace("\u00a0×\u00a010^", "e").replace(",", ".")
        assert float(back) == float(english.replace(",", ""))
        assert "." not in french


def test_hub_words() -> None:
    assert hub_licence("CC-BY-SA-4.0") == "cc-by-sa-4.0"
    assert hub_licence("LicenseRef-public-domain") == "other"
    assert slug("MIT AND (ODbL-1.0 OR x)") == "mit-and-odbl-1.0-or-x"


def test_the_cards_are_functions_of_the_folder_alone(small: Build) -> None:
    contents = contents_of(small.release)
    facts = facts_with(small.release)
    shuffled = facts_with(small.release, manifests=list(reversed(contents.manifests)))
    assert write_cards(facts) == write_cards(shuffled)
    assert write_data_cards(facts) == write_data_cards(shuffled)
    for name, text in {**write_cards(facts), **write_data_cards(facts)}.items():
        assert text == (small.release / name).read_text(encoding="utf-8"), name


def test_what_fails_stands_first_in_both_languages(small: Build) -> None:
    bound = {"licence": "CC-BY-NC-4.0"}
    english, french = (write_cards(facts_with(small.release, index=bound))[name] for name in CARDS)
    assert english.index("CC-BY-NC-4.0, which is restricted") < english.index("# toy 0.1.0")
    assert french.index("constat non satisfait, licence des poids") < french.index("# toy 0.1.0")
    policy = {"calls": contents_of(small.release).lock["calls"], "policy": {"also_allow": ["CC-BY-NC-4.0"]}}
    french = write_cards(facts_with(small.release, lock=policy))["README.fr.md"]
    assert french.index(
        "la politique de la recette accepte, outre les licences libres, CC-BY-NC-4.0"
    ) < french.index("# toy")
