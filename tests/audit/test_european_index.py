"""Twelve parameters from facts, and the three criteria beside them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.audit import criteria_from_facts, european_index
from fonderie.audit.facts import COMPONENTS, Component, Extent, Fact, ModelFacts, Terms

FREE = Fact(published="all", licence="Apache-2.0", content_licence="CC0-1.0", level="verified")
EVERYTHING: dict[Component, Fact] = dict.fromkeys(COMPONENTS, FREE)  # type: ignore[arg-type]
EXTENTS: tuple[Extent, ...] = ("none", "unknown", "part", "all")


def facts(**components: Fact) -> ModelFacts:
    return ModelFacts(name="m", components={**EVERYTHING, **components})  # type: ignore[arg-type]


def value(model: ModelFacts, name: str) -> str:
    return next(found.value for found in european_index.grade(model).parameters if found.name == name)


def test_twelve_parameters_in_three_groups() -> None:
    result = european_index.grade(facts())
    assert len(result.parameters) == 12
    assert result.score == 12
    assert result.as_json()["of"] == 12
    assert [found.group for found in result.parameters].count("documentation") == 6
    assert all(found.reason for found in result.parameters)


def test_nothing_known_is_closed_and_says_that_nobody_looked() -> None:
    result = european_index.grade(ModelFacts(name="m"))
    assert result.score == 0
    assert not any(found.known for found in result.parameters)


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (Fact(published="all"), "open"),
        (Fact(published="part", described="all"), "open"),
        (Fact(published="none", described="all"), "partial"),
        (Fact(published="part"), "partial"),
        (Fact(published="none", described="part"), "partial"),
        (Fact(published="none", described="none"), "closed"),
    ],
)
def test_data_are_open_when_all_is_named_and_some_is_there(fact: Fact, expected: str) -> None:
    assert value(facts(datasets=fact), "datasources_basemodel") == expected


def test_gated_weights_are_partial_and_code_that_only_runs_is_sparse() -> None:
    assert value(facts(weights=Fact(published="all", gated=True)), "weights_basemodel") == "partial"
    none = Fact(published="none")
    assert value(facts(training_code=none, preprocessing_code=none), "trainingcode") == "partial"
    assert (
        value(facts(training_code=none, preprocessing_code=none, inference_code=none), "trainingcode") == "closed"
    )
    assert value(facts(preprocessing_code=none), "trainingcode") == "partial"


def test_one_model_is_its_own_end_model() -> None:
    alone = ModelFacts(name="m", components={"weights": FREE, "datasets": Fact(published="part")})
    assert value(alone, "weights_endmodel") == "open"
    assert value(alone, "datasources_endmodel") == "partial"


@pytest.mark.parametrize(
    ("weights", "code", "data", "expected"),
    [
        ("Apache-2.0", "MIT", "CC-BY-4.0", "open"),
        ("Apache-2.0", "MIT", "etalab-2.0", "open"),
        ("Apache-2.0", "MIT", "CC-BY-4.0 AND CC-BY-NC-4.0", "partial"),
        ("BigScience-BLOOM-RAIL-1.0", "MIT", "CC-BY-4.0", "partial"),
        ("LicenseRef-llama3", "LicenseRef-llama3", "CC-BY-4.0", "closed"),
        ("LicenseRef-llama3", "LicenseRef-llama3", "LicenseRef-unknown", "closed"),
    ],
)
def test_licences_of_weights_code_and_data(weights: str, code: str, data: str, expected: str) -> None:
    def under(licence: str) -> Fact:
        return Fact(published="all", licence=licence)

    model = facts(
        weights=under(weights),
        end_weights=under(weights),
        training_code=under(code),
        inference_code=under(code),
        datasets=under(data),
        end_datasets=under(data),
    )
    assert value(model, "licences") == expected


def test_what_is_not_published_does_not_count_against_the_licences() -> None:
    only = ModelFacts(name="m", licence="Apache-2.0", components={"weights": Fact(published="all")})
    assert value(only, "licences") == "open"


@given(st.sampled_from(COMPONENTS), st.sampled_from(EXTENTS), st.sampled_from(EXTENTS))
def test_more_published_never_lowers_the_score(component: Component, first: Extent, second: Extent) -> None:
    less, more = sorted((first, second), key=EXTENTS.index)
    scores = [
        european_index.grade(facts(**{component: Fact(published=extent, licence="Apache-2.0")})).score
        for extent in (less, more)
    ]
    assert scores[0] <= scores[1]


def test_all_there_free_and_verified_is_really_open() -> None:
    grade = criteria_from_facts.grade(facts())
    assert grade.really_open
    assert (grade.use.verdict, grade.data.verdict, grade.method.verdict) == ("pass", "pass", "pass")
    assert grade.osaid == grade.osaid_letter == "pass"
    assert grade.osaid_reasons == ()


def test_facts_that_are_only_declared_never_pass_data_nor_method() -> None:
    declared = Fact(published="all", licence="Apache-2.0", content_licence="CC0-1.0")
    model = ModelFacts(name="m", components=dict.fromkeys(COMPONENTS, declared))  # type: ignore[arg-type]
    grade = criteria_from_facts.grade(model)
    assert grade.really_open
    assert (grade.use.verdict, grade.data.verdict, grade.method.verdict) == ("pass", "partial", "partial")
    assert "hash" in grade.data.reasons[-1]


def test_a_policy_beside_a_free_licence_fails_use() -> None:
    bound = facts().model_copy(update={"terms": (Terms(name="policy", restricts=True),)})
    grade = criteria_from_facts.grade(bound)
    assert grade.use.verdict == "fail"
    assert grade.osaid == "relicense"
    told = facts().model_copy(update={"terms": (Terms(name="advice", restricts=False),)})
    assert criteria_from_facts.grade(told).use.verdict == "pass"


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (Fact(published="all", licence="ODC-By-1.0", content_licence="CC0-1.0"), "pass"),
        (Fact(published="all", licence="ODC-By-1.0"), "partial"),
        (Fact(published="all", licence="CC-BY-NC-SA-4.0", content_licence="CC0-1.0"), "partial"),
        (Fact(published="part", described="all", licence="ODC-By-1.0"), "partial"),
        (Fact(published="none", described="all"), "fail"),
        (Fact(), "unknown"),
    ],
)
def test_data_are_judged_as_provided_not_as_described(fact: Fact, expected: str) -> None:
    alone = ModelFacts(name="m", components={**EVERYTHING, "datasets": fact, "end_datasets": fact})
    assert criteria_from_facts.grade(alone).data.as_declared == expected


def test_the_osi_asks_for_a_description_and_we_for_the_data() -> None:
    described = Fact(published="none", described="all")
    grade = criteria_from_facts.grade(facts(datasets=described, end_datasets=described))
    assert grade.osaid == "pass"
    assert grade.data.as_declared == "fail"


def test_unknown_is_never_a_pass() -> None:
    grade = criteria_from_facts.grade(ModelFacts(name="m"))
    assert {grade.use.verdict, grade.data.verdict, grade.method.verdict} == {"unknown"}
    assert grade.osaid == "fail"
    unknown = Fact(published="all", licence="LicenseRef-home-made")
    assert criteria_from_facts.grade(facts(weights=unknown)).use.verdict == "unknown"
