"""What a step is: a name, a version, a parameter type, and a pure function that writes files.

    (inputs, params, out, machine) -> None

The bytes it writes follow from `inputs` and `params` alone. `machine` says how to execute (workers, threads,
device) and never changes them. A step's version is raised whenever the same request would give other bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from fonderie.core.machine import Machine
from fonderie.core.manifest import FileEntry, Manifest


class Parameters(BaseModel):
    """Base of every step's parameters: frozen; unknown keys, NaN and infinity are refused.

    The text beneath a field is its help. No field may be a set: its order, hence the key, would change at random.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    def variables(self) -> Mapping[str, str]:
        """Variables of the environment that the step's process must begin with: see core/apart.py."""
        return {}


class Policy(BaseModel):
    """The recipe's [policy] table: what this build accepts beyond free licences."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    also_allow: tuple[str, ...] = ()
    """SPDX identifiers of restricted licences accepted all the same, or "unknown"; the release says so first."""
    tombstones: str | tuple[str, ...] = Field(default=(), exclude=True)
    """Tombstone lists to obey beside the store's own: a path or glob, or several. Their bytes enter the keys of the
    steps that let documents in; where they lie does not, so that this is no part of the policy in a manifest."""


@dataclass(frozen=True)
class _Marker:
    role: str


SourceFiles = Annotated[str, _Marker("source")]
"""A path or glob outside the store. The files' names and bytes enter the key; where they lie does not."""

CallName = Annotated[str, _Marker("call")]
"""A name that is the call's own unless the recipe gives one."""

RecipePolicy = Annotated[Policy, _Marker("policy")]
"""The recipe's policy, filled in by the run so that it is part of the request."""


def fields_with_role(parameters: type[Parameters], role: str) -> list[str]:
    """Names of the fields declared with SourceFiles ("source"), CallName ("call") or RecipePolicy ("policy")."""
    return [
        name
        for name, info in parameters.model_fields.items()
        if any(isinstance(extra, _Marker) and extra.role == role for extra in _metadata(info))
    ]


def _metadata(info: Any) -> list[Any]:
    nested = [extra for arg in get_args(info.annotation) for extra in getattr(arg, "__metadata__", ())]
    return [*info.metadata, *nested]


@dataclass(frozen=True)
class Port:
    """One named input of a step."""

    kind: str
    """What must be plugged in: the `produces` of the upstream step."""
    many: bool = False
    """Accepts a list of calls, read one after the other."""
    optional: bool = False


@dataclass(frozen=True)
class Source:
    """One file from outside the store, already hashed."""

    name: str
    """Relative to the fixed part of the glob; recorded as the origin of documents."""
    path: Path
    entry: FileEntry
    modified_ns: int | None = None
    """Time of its last change when it was hashed, to notice one made while the step reads."""


@dataclass(frozen=True)
class Artifact:
    """A committed folder of the store, with its manifest and what it was made from."""

    path: Path
    """The folder of its files."""
    manifest: Manifest
    upstream: Mapping[str, tuple["Artifact", ...]] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """The hash of its bytes."""
        return self.manifest.digest

    @property
    def key(self) -> str:
        """The hash of the request that made it."""
        return self.manifest.key

    def lineage(self) -> list["Artifact"]:
        """This artifact and everything upstream, each once, inputs before what they feed."""
        seen: dict[str, Artifact] = {}

        def visit(artifact: Artifact) -> None:
            if artifact.key in seen:
                return
            for group in artifact.upstream.values():
                for parent in group:
                    visit(parent)
            seen[artifact.key] = artifact

        visit(self)
        return list(seen.values())


@dataclass(frozen=True)
class Inputs:
    """What a step reads: upstream artifacts by port, source files by parameter."""

    artifacts: Mapping[str, tuple[Artifact, ...]]
    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    tombstones: tuple[Source, ...] = ()
    """The tombstone lists in force, for a step that obeys them."""

    def one(self, port: str) -> Artifact:
        """The single artifact of a port."""
        (artifact,) = self.artifacts[port]
        return artifact

    def all(self, port: str) -> tuple[Artifact, ...]:
        """Every artifact of a port; empty if an optional port is not connected."""
        return self.artifacts.get(port, ())


@dataclass(frozen=True)
class Output:
    """Where a step writes."""

    path: Path
    """The artifact's folder: every file below it becomes part of the digest."""
    state: Path
    """Scratch that survives a crash of a resumable step, and vanishes at commit."""
    view: Path | None = None
    """A folder for what people watch and nothing depends on, such as times: it stays beside the artifact's files
    and is no part of its digest. The step makes it; None where nobody will look."""
    statistics: dict[str, Any] = field(default_factory=dict)
    """Facts that follow from the inputs."""
    measured: dict[str, Any] = field(default_factory=dict)
    """Facts of this making: durations, speeds."""


TOMBSTONES = "tombstones"
"""Where a preflight finds the lists among the sources, and a manifest their digests among the parameters."""

StepFunction = Callable[[Inputs, Any, Output, Machine], None]
Preflight = Callable[[Any, Mapping[str, tuple[Source, ...]]], None]
Upstream = Callable[[Any, Mapping[str, tuple[Parameters, ...]]], None]
Wiring = Callable[[Any, Mapping[str, tuple[str, ...]]], None]


@dataclass(frozen=True)
class Step:
    """A step as the registry holds it."""

    name: str
    version: int
    parameters: type[Parameters]
    produces: str
    inputs: Mapping[str, Port]
    function: StepFunction
    resumable: bool = False
    """A retry finds `out.path` and `out.state` as the crash left them."""
    needs_lock: bool = False
    """The step reads the lock of everything upstream, in port "lock"; only releases do."""
    preflight: Preflight | None = None
    """Checks that can refuse the recipe before any call starts; reads as little of the sources as it can."""
    obeys_tombstones: bool = False
    """The step is given the tombstone lists in force, and they enter its key: steps that let documents in, which
    must drop those on the lists, and releases, which carry the lists on."""
    wiring: Wiring | None = None
    """Whether these parameters go with these inputs, given as names of calls by port; a ValueError says why not."""
    upstream: Upstream | None = None
    """Whether they go with the parameters of the calls that feed them, by port; a ValueError says why not."""

    def __call__(self, inputs: Inputs, params: Any, out: Output, machine: Machine) -> None:
        """Run the function itself, outside any store: for tests and other steps."""
        self.function(inputs, params, out, machine)


def step(
    name: str,
    *,
    version: int,
    parameters: type[Parameters],
    produces: str,
    inputs: Mapping[str, Port] | None = None,
    resumable: bool = False,
    needs_lock: bool = False,
    preflight: Preflight | None = None,
    obeys_tombstones: bool = False,
    wiring: Wiring | None = None,
    upstream: Upstream | None = None,
) -> Callable[[StepFunction], Step]:
    """Declare a function as a step; `fonderie.steps` lists it by name."""

    def declare(function: StepFunction) -> Step:
        return Step(
            name,
            version,
            parameters,
            produces,
            inputs or {},
            function,
            resumable,
            needs_lock,
            preflight,
            obeys_tombstones,
            wiring=wiring,
            upstream=upstream,
        )

    return declare
