"""What is publicly known of one model, component by component: the one record from which every framework is graded.

How to fill it. Give each component you looked for a `Fact`; leave out those you did not look for: they count as
unknown, never as absent.

- `published`: how much of it anyone can download today, "all", "part" or "none". For a document (card, report,
  paper) it is how much of the whole story the document tells: data, training, tuning.
- `described`: how much of it a document describes precisely enough to be found or made again, published or not.
- `licence`: an SPDX identifier or expression, or a LicenseRef, as the component itself states it; empty where it
  states none. The licence of the whole repository goes to `ModelFacts.licence`.
- `gated`: somebody must ask, sign in or accept terms first. Whatever binds the user beside the licences
  (acceptable-use policy, gate that asks to accept terms, notice) goes to `ModelFacts.terms`.
- `level`: how deeply it was looked at, from "declared" (somebody says so) to "verified" (hashes match).

From a folder or hub repository: files of weights fill "weights"; a README with a card header "model_card"; the data
sets named in the card "datasets" ("all" only if every one resolves, "part" if some do, "none" if none is named);
arXiv tags "technical_report"; intermediate revisions "checkpoints"; the training configuration "metadata".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fonderie.core.errors import InputError
from fonderie.licences.verdict import Verdict, judge
from fonderie.release.findings.openness import Level

Extent = Literal["all", "part", "none", "unknown"]

Component = Literal[
    "architecture",
    "weights",
    "end_weights",
    "checkpoints",
    "training_code",
    "preprocessing_code",
    "inference_code",
    "evaluation_code",
    "supporting_libraries",
    "code_documentation",
    "datasets",
    "end_datasets",
    "evaluation_data",
    "metadata",
    "logs",
    "hardware",
    "evaluation_results",
    "sample_outputs",
    "model_card",
    "data_card",
    "technical_report",
    "research_paper",
]
"""The parts that frameworks ask about.

The `end_` ones are those of the model that people talk to, where it is another than the base model. `metadata` is
the training configuration and hyper-parameters; `hardware` the description of machines and training set-up;
`technical_report` any archived report, peer-reviewed or not; `research_paper` a peer-reviewed one.
"""

COMPONENTS: tuple[str, ...] = get_args(Component)
MAX_BYTES = 256 * 1024
"""A record of facts is some 4 KiB; anything a hundred times that is not one."""


class Fact(BaseModel):
    """What is known of one component."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    published: Extent = "unknown"
    """How much of it anyone can download; for a document, how much of the story it tells."""
    described: Extent = "unknown"
    """How much of it is described well enough to be found or made again; what is published counts as described."""
    licence: str = ""
    """As the component states it; empty where it states none."""
    content_licence: str = ""
    """Of data: the licence of the texts themselves, which the collection's does not give; empty if unknown."""
    gated: bool = False
    """Somebody must ask, sign in or accept terms first."""
    where: str = ""
    """A path, a repository or a URL."""
    source: str = ""
    """What says so: a paper, a card, a licence file."""
    level: Level = "declared"
    note: str = ""

    @model_validator(mode="after")
    def _published_is_described(self) -> "Fact":
        ranks = ("unknown", "none", "part", "all")
        if ranks.index(self.described) < ranks.index(self.published):
            object.__setattr__(self, "described", self.published)
        return self


class Terms(BaseModel):
    """Something that binds the user beside the licences."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    restricts: bool
    """Whether it limits use or lays a duty on the user that the licence does not."""
    source: str = ""
    excerpt: str = ""
    """In our words, or a few of theirs."""


class ModelFacts(BaseModel):
    """Everything known of one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    end_model: str = ""
    """Name of the model that people talk to, where it is another."""
    producer: str = ""
    version: str = ""
    released: str = ""
    """Year, or year and month."""
    licence: str = ""
    """Of the repository as a whole: covers what states nothing else."""
    terms: tuple[Terms, ...] = ()
    components: Mapping[Component, Fact] = Field(default_factory=dict)

    def fact(self, component: Component) -> Fact:
        """What is known of a component; a Fact that knows nothing where nobody looked."""
        return self.components.get(component, _NOTHING)

    def licence_of(self, component: Component) -> str:
        """The licence a component is under: its own, else the repository's where that can reach it; "" if none."""
        own = self.fact(component).licence
        return own if own or component in APART else self.licence

    def judge(self, component: Component) -> Verdict:
        """Our own verdict on the licence a component is under."""
        return judge(self.licence_of(component))


APART: frozenset[str] = frozenset(
    ("datasets", "end_datasets", "evaluation_data", "technical_report", "research_paper")
)
"""What a model's repository does not contain: its licence says nothing of them."""
_NOTHING = Fact()


def read_facts(path: Path) -> ModelFacts:
    """A record of facts kept as TOML; InputError names the file and the field that is wrong."""
    import tomllib

    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES} bytes", hint="a record of facts is a few kilobytes")
    try:
        return ModelFacts.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"{path} is not TOML: {error}", hint="write it like the files of audit/public_models"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {field}: {first['msg']}", hint="see audit/facts.py for the fields") from None
