"""The Model Openness Framework's rules: on files of ours, on its own where they are, and as properties."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fonderie.audit.facts import Fact, ModelFacts
from fonderie.audit.mof import MofModel, from_facts, grade, parse, read
from fonderie.audit.mof_framework import COMPONENTS, LABELS, is_open, required_up_to
from fonderie.core.errors import InputError

CLASS_3 = [component.name for component in required_up_to(3)]
CLASS_2 = [component.name for component in required_up_to(2)]
CLASS_1 = [component.name for component in required_up_to(1)]
NAMES = [component.name for component in COMPONENTS]


def model(components: dict[str, str | None], **licences: str) -> MofModel:
    return MofModel(name="ours", licences=licences, components=components)


def write(folder: Path, release: Any) -> Path:
    path = folder / "model.yml"
    path.write_text(yaml.safe_dump({"framework": {"name": "Model Openness Framework"}, "release": release}))
    return path


def test_the_framework_has_its_components() -> None:
    assert len(COMPONENTS) == 17
    assert (len(CLASS_3), len(CLASS_2), len(CLASS_1)) == (6, 10, 14)


def test_results_of_the_frameworks_own_tool(real_mof: Path) -> None:
    expected = json.loads((real_mof / "expected.json").read_text())
    assert len(expected) >= 14
    found = {name: grade(read(real_mof / "fixtures" / name)).as_json() for name in expected}
    assert found == expected


def test_the_frameworks_models_are_read(real_mof: Path) -> None:
    models = {path.stem: grade(read(path)) for path in (real_mof / "models").glob("*.yml")}
    classes = {name: result.mof_class for name, result in models.items()}
    assert {
        "OLMo-7B": 1,
        "Pythia-6.9B": 1,
        "BLOOM": 0,
        "Llama-3-8B": 0,
        "Mistral-7B-v0.1": 0,
    }.items() <= classes.items()
    assert [round(models[name].progress[3]) for name in ("BLOOM", "Mistral-7B-v0.1", "Llama-3-8B")] == [17, 33, 0]


@pytest.mark.parametrize(
    ("components", "mof_class", "progress"),
    [
        ([], 0, [0, 0, 0]),
        (CLASS_3, 3, [100, 60, 0]),
        (CLASS_2, 2, [100, 100, 10 / 14 * 100]),
        (CLASS_1, 1, [100, 100, 100]),
        (CLASS_1[1:], 0, [5 / 6 * 100, 0, 0]),
    ],
)
def test_a_class_asks_for_those_below_it(components: list[str], mof_class: int, progress: list[float]) -> None:
    result = grade(model(dict.fromkeys(components), distribution="Apache-2.0"))
    assert result.mof_class == mof_class
    assert result.label == LABELS[mof_class]
    assert [result.progress[number] for number in (3, 2, 1)] == progress


def test_a_paper_stands_in_for_the_report_and_not_the_other_way() -> None:
    paper = [name for name in CLASS_1 if name != "Technical report"]
    assert grade(model(dict.fromkeys(paper), distribution="MIT")).mof_class == 1
    report = [name for name in CLASS_1 if name != "Research paper"]
    assert grade(model(dict.fromkeys(report), distribution="MIT")).mof_class == 2


def test_a_report_without_open_licence_gives_way_to_the_paper() -> None:
    everything: dict[str, str | None] = dict.fromkeys(CLASS_1)
    closed = model({**everything, "Technical report": "CC-BY-NC-4.0"}, distribution="MIT")
    assert grade(closed).progress == {1: 100, 2: 100, 3: 100}
    both = model({**everything, "Technical report": "CC-BY-NC-4.0", "Research paper": ""}, distribution="MIT")
    assert grade(both).progress[3] == pytest.approx(5 / 6 * 100)


def test_licence_of_the_component_then_of_its_type_then_of_the_distribution() -> None:
    licences = {"data": "CC-BY-4.0", "distribution": "MIT"}
    found = model(
        {"Datasets": "ODbL-1.0", "Evaluation data": None, "Model card": None, "Training code": ""}, **licences
    )
    by_name = {standing.name: (standing.licence, standing.status) for standing in grade(found).components}
    assert by_name["Datasets"] == ("ODbL-1.0", "open")
    assert by_name["Evaluation data"] == ("CC-BY-4.0", "open")
    assert by_name["Model card"] == ("MIT", "open")
    assert by_name["Training code"] == ("unlicensed", "unlicensed")
    assert by_name["Model architecture"] == ("", "missing")


def test_unlicensed_in_the_file_keeps_the_distributions_licence_away(tmp_path: Path) -> None:
    components = [
        {"name": "Model card"},
        {"name": "Data card", "license": "unlicensed"},
        {"name": "Datasets", "license": ""},
    ]
    found = read(
        write(tmp_path, {"name": "m", "license": {"distribution": {"name": "MIT"}}, "components": components})
    )
    assert found.components == {"Model card": None, "Data card": "", "Datasets": ""}


def test_what_the_framework_calls_open() -> None:
    yes = (
        "MIT",
        "GPL-3.0-only",
        "CC0-1.0",
        "CC-BY-3.0-NL",
        "CC-BY-SA-2.1-JP",
        "OpenMDW-1.0",
        "OGL-UK-3.0",
        "FSFAP",
    )
    no = ("CC-BY-NC-4.0", "CC-BY-ND-4.0", "OGL-UK-1.0", "etalab-2.0", "PDDL-1.0", "mit", "MIT OR X", "Llama 3", "")
    assert all(is_open(licence) for licence in yes)
    assert not any(is_open(licence) for licence in no)


def test_french_open_data_fails_there_and_passes_here() -> None:
    licences: dict[str, str | None] = {name: "etalab-2.0" if "ata" in name else "MIT" for name in CLASS_1}
    result = grade(model(licences))
    assert result.mof_class == 0
    assert result.ours == 1
    assert any("etalab-2.0" in difference and "free" in difference for difference in result.differences)


def test_a_component_named_twice_keeps_its_last_licence_and_an_unknown_one_counts_for_nothing() -> None:
    listed = [{"name": "Datasets", "license": "MIT"}, {"name": "Datasets"}, {"name": "Hyperparameters"}]
    found = parse({"components": listed})
    assert found.components == {"Datasets": "MIT"}
    assert found.unknown == ("Hyperparameters",)
    assert grade(found).unknown == ("Hyperparameters",)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[1, 2]", "holds no fields"),
        ("release: {name: x}", "list of components"),
        ("release: {components: 7}", "list of components"),
        ("release: {components: [{}]}", "without a name"),
        ("release: {license: MIT, components: []}", "not a table"),
        ("release: {a: &a [1], b: *a}", "aliases"),
        ("release: {components: [!!python/object/apply:os.system ['true']]}", "not YAML"),
        ("a: [" * 100, "nested"),
        ("x: " + "y" * 600_000, "characters"),
    ],
)
def test_what_is_no_model_is_refused_with_the_file_and_the_reason(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "model.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=what) as error:
        read(path)
    assert str(path) in error.value.message
    assert error.value.hint


def test_an_empty_list_in_the_manner_of_php_is_no_component() -> None:
    assert grade(parse({"release": {"name": "m", "license": [], "components": {}}})).mof_class == 0


def test_from_facts() -> None:
    facts = ModelFacts(
        name="m",
        licence="Apache-2.0",
        components={
            "weights": Fact(published="all"),
            "model_card": Fact(published="part"),
            "training_code": Fact(published="part"),
            "datasets": Fact(published="all"),
            "research_paper": Fact(published="all", licence="CC-BY-4.0"),
            "logs": Fact(published="all"),
        },
    )
    # A repository's licence reaches neither data nor papers elsewhere; half a program is not the component.
    assert from_facts(facts).components == {
        "Model parameters (Final)": "Apache-2.0",
        "Model card": "Apache-2.0",
        "Datasets": "",
        "Research paper": "CC-BY-4.0",
    }


licences = st.sampled_from([None, "", "MIT", "CC-BY-4.0", "CC-BY-NC-4.0", "etalab-2.0", "nonsense"])
inventories = st.dictionaries(st.sampled_from(NAMES), licences)


@given(inventories, st.sampled_from(NAMES), st.sampled_from(["", "MIT", "CC-BY-NC-4.0"]))
def test_an_open_component_more_never_lowers_anything(
    components: dict[str, str | None], added: str, distribution: str
) -> None:
    before = grade(model(components, distribution=distribution))
    after = grade(model({**components, added: "MIT"}, distribution=distribution))
    assert all(after.progress[number] >= before.progress[number] for number in (1, 2, 3))
    assert (after.mof_class or 4) <= (before.mof_class or 4)
    assert (after.ours or 4) <= (before.ours or 4)


@given(inventories, st.randoms(use_true_random=False))
def test_order_does_not_matter(components: dict[str, str | None], random: Any) -> None:
    shuffled = list(components.items())
    random.shuffle(shuffled)
    assert grade(model(dict(shuffled))) == grade(model(components))


@given(inventories)
def test_progress_counts_out_of_what_a_class_asks(components: dict[str, str | None]) -> None:
    result = grade(model(components, distribution="MIT"))
    assert all(0 <= percent <= 100 for percent in result.progress.values())
    assert result.progress[3] == 100 or result.progress[2] == result.progress[1] == 0
    assert (result.mof_class == 0) == (result.progress[3] < 100)
