"""What a site's Slurm wants to be told, as a TOML file: a table for each kind of job."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from fonderie.core.errors import InputError, UsageError

_TIME = r"(\d+-)?\d{1,2}(:\d{2}){1,2}|\d+"
_WORD = r"[^\s'\"$`\\;&|<>]+"
Word = Annotated[str, Field(pattern=f"^{_WORD}$")]
"""What stands behind an option of sbatch: no blanks, nothing that a shell would take for its own."""


class Job(BaseModel):
    """One kind of job. What is left out is left to the site."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    account: Word | None = None
    """Whose hours are spent."""
    partition: Word | None = None
    """Which nodes."""
    qos: Word | None = None
    """Which quality of service."""
    constraint: Word | None = None
    """Which features the nodes have."""
    reservation: Word | None = None
    """Which reservation."""
    hint: Word | None = None
    """How cores are bound, such as "nomultithread"."""
    exclusive: bool = False
    """Whether nobody else is on the nodes."""
    nodes: PositiveInt = 1
    """Machines of one job."""
    gpus_per_node: Annotated[int, Field(ge=0)] = 0
    """GPUs of each."""
    cpus_per_node: PositiveInt = 1
    """Cores of each."""
    memory_per_node: Word | None = None
    """Memory of each, such as "64G"."""
    time: Annotated[str, Field(pattern=f"^({_TIME})$")]
    """Limit of one job: minutes, "20:00:00" or "4-04:00:00"."""
    links: PositiveInt = 8
    """Jobs of the chain: one after the other, each goes on where the one before it ended."""
    warn_seconds: Annotated[int, Field(ge=1)] = 900
    """How long before its limit a job is asked to write a checkpoint and make room for the next."""
    attempts: PositiveInt = 2
    """Failures in a row after which the chain ends; a lost node is one, a wrong request ends it at once."""
    modules: tuple[Word, ...] = ()
    """Modules to load, in this order."""
    setup: tuple[str, ...] = ()
    """Lines of bash after the modules, such as the activation of an environment."""
    environment: dict[str, str] = {}
    """Variables to set."""

    @model_validator(mode="after")
    def _warned_in_time(self) -> Self:
        if self.warn_seconds >= seconds_of(self.time):
            raise ValueError(
                f"warn_seconds {self.warn_seconds} is not below the limit of a job, time = {self.time}"
            )
        return self

    @field_validator("setup")
    @classmethod
    def _one_line_each(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            if "\n" in line:
                raise ValueError("each line of setup is one string")
        return lines

    @field_validator("environment")
    @classmethod
    def _names(cls, variables: dict[str, str]) -> dict[str, str]:
        for name in variables:
            if not name.isidentifier():
                raise ValueError(f"'{name}' is no name of a variable")
        return variables


def seconds_of(time: str) -> int:
    """The seconds of a time limit as sbatch reads one: "minutes", "minutes:seconds", "hours:minutes:seconds",
    "days-hours:minutes" or "days-hours:minutes:seconds".
    """
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, (*parts, 0)[:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


class Training(Job):
    """The jobs that train, and make what follows from the training."""

    processes_per_node: PositiveInt | None = None
    """Processes of a training on each node; left out, one for each GPU, or one."""
    threads: PositiveInt | None = None
    """Threads of each; left out, the cores of a node shared out among its processes."""
    tensor_parallel: PositiveInt = 1
    """Processes that share the matrices of each block."""
    recompute: bool = False
    """Compute activations again in the backward pass, to save memory."""

    @property
    def processes(self) -> int:
        """Of a training, on all nodes."""
        return self.nodes * self.each

    @property
    def each(self) -> int:
        """Processes on one node."""
        return self.processes_per_node or self.gpus_per_node or 1

    @model_validator(mode="after")
    def _shared_out(self) -> Self:
        if self.gpus_per_node and self.each > self.gpus_per_node:
            raise ValueError(f"{self.each} processes on a node are more than its {self.gpus_per_node} GPUs")
        if self.each > self.cpus_per_node:
            raise ValueError(f"{self.each} processes on a node are more than its {self.cpus_per_node} cores")
        return self


class Profile(BaseModel):
    """A site."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    training: Training
    """Jobs for trainings and what follows from them."""
    preparation: Job | None = None
    """Jobs for what comes before any training, on nodes without GPUs; left out, the training's jobs make it."""


def read_profile(path: Path) -> Profile:
    """Read a profile. Raises InputError if it cannot be read, UsageError naming what is wrong in it."""
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] != "extra_forbidden":
            raise UsageError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from error
        table = first["loc"][0] if len(first["loc"]) > 1 else None
        known = {"training": Training, "preparation": Job}.get(str(table), Profile)
        names = ", ".join(known.model_fields)
        raise UsageError(f"{path}: {where} is unknown", hint=f"Known are: {names}.") from error
