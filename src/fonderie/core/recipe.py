"""Recipes: TOML read into calls that are known to be right before any of them starts.

Each table of the file is one call of a step; `[recipe]` holds words for people and `[policy]` what the build
accepts beyond free licences. Everything else about a call is `step`, `inputs` and the step's own parameters.
"""

import datetime
import glob
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fonderie.core.errors import InputError, NoSourceError, RecipeError
from fonderie.core.hub_files import SCHEME, hub_sources
from fonderie.core.machine import OnDamaged
from fonderie.core.manifest import describe_file
from fonderie.core.step import Parameters, Policy, Source, Step, fields_with_role
from fonderie.core.wiring import check_wiring, did_you_mean, implied, in_running_order, unknown

RESERVED_TABLES = ("recipe", "policy")
HEAD = ("title", "description", "data_elsewhere", "on_damaged_checkpoint")
"""What [recipe] may hold. None of it enters a key."""
_CALL_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Call:
    """One use of a step: its parameters are validated and complete."""

    name: str
    step: Step
    parameters: Parameters
    inputs: Mapping[str, tuple[str, ...]]
    """Names of upstream calls, by port."""
    source_folders: Mapping[str, Path]
    """The folder that each source parameter's relative path starts from."""

    def identity(self) -> dict[str, Any]:
        """The parameters that enter the key: all but the places where sources lie."""
        return self.parameters.model_dump(mode="json", exclude=set(self.source_folders))

    def sources(self) -> dict[str, tuple[Source, ...]]:
        """Find and hash the source files of every source parameter; RecipeError if a path matches nothing."""
        return {
            name: find_sources(getattr(self.parameters, name), folder, f"{self.name}.{name}")
            for name, folder in self.source_folders.items()
            if getattr(self.parameters, name) is not None
        }


@dataclass(frozen=True)
class Recipe:
    """A recipe file with its overrides applied, its calls in an order in which they can run."""

    name: str
    path: Path
    text: str
    title: str
    description: str
    data_elsewhere: bool
    """The documents are not expected where the recipe is checked; a run needs them all the same."""
    policy: Policy
    calls: Mapping[str, Call]
    overrides: tuple[str, ...] = ()
    """`call.param=value` as given on the command line."""
    on_damaged_checkpoint: OnDamaged = "stop"
    """What a training does that finds its last checkpoint damaged: see `Machine`."""
    tombstones_folder: Path = Path()
    """The folder that relative paths of policy.tombstones start from."""

    def names_until(self, name: str | None) -> list[str]:
        """All calls in running order, or those that one call needs and itself."""
        return self.upstream_of(name) if name else list(self.calls)

    def upstream_of(self, name: str) -> list[str]:
        """A call and all it needs, in running order; RecipeError if there is no such call."""
        if name not in self.calls:
            raise unknown("call", name, self.calls, self.path)
        needed = {name}
        for other in reversed(list(self.calls)):
            if other in needed:
                needed.update(parent for group in self.calls[other].inputs.values() for parent in group)
        return [other for other in self.calls if other in needed]


@dataclass
class _Tables:
    """The raw tables of a file, and which values came from the command line."""

    path: Path
    text: str
    calls: dict[str, dict[str, Any]]
    head: dict[str, Any]
    policy: dict[str, Any]
    overridden: set[tuple[str, str]] = field(default_factory=set)


def load_recipe(path: Path, overrides: Sequence[str], find_step: Callable[[str], Step]) -> Recipe:
    """Read, override and validate a recipe; raises RecipeError naming call and parameter."""
    tables = _read(path)
    for override in overrides:
        _apply(tables, override)
    policy = _validate(Policy, tables.policy, "policy", path)
    assert isinstance(policy, Policy)
    all_tables = {**tables.calls, **dict(implied(tables.calls.values()))}
    calls = {name: _call(name, table, tables, policy, find_step) for name, table in all_tables.items()}
    for call in calls.values():
        check_wiring(call, calls, path)
    return Recipe(
        name=path.stem,
        path=path,
        text=tables.text,
        title=str(tables.head.get("title", path.stem)),
        description=str(tables.head.get("description", "")),
        data_elsewhere=tables.head.get("data_elsewhere", False) is True,
        on_damaged_checkpoint=tables.head.get("on_damaged_checkpoint", "stop"),
        policy=policy,
        calls=in_running_order(calls, path),
        overrides=tuple(overrides),
        tombstones_folder=Path.cwd() if ("policy", "tombstones") in tables.overridden else path.parent,
    )


def _read(path: Path) -> _Tables:
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise RecipeError(
            f"no recipe at {path}", hint="The recipes that come with Fonderie are in recipes/."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    for name, table in data.items():
        if not isinstance(table, dict):
            raise RecipeError(f"{path}: '{name}' is not a table", hint="Each [table] is one call of a step.")
        if not _CALL_NAME.fullmatch(name):
            raise RecipeError(f"{path}: [{name!r}] is no name for a call", hint="Use letters, digits, _ and -.")
    head = data.pop("recipe", {})
    strange = sorted(set(head) - set(HEAD))
    if strange:
        raise RecipeError(f"{path}: [recipe] has no '{strange[0]}'", hint=f"Known: {', '.join(HEAD)}.")
    if head.get("on_damaged_checkpoint", "stop") not in get_args(OnDamaged):
        raise RecipeError(f'{path}: [recipe] on_damaged_checkpoint is "stop" or "previous"')
    policy = data.pop("policy", {})
    if not data:
        raise RecipeError(f"{path} calls no step", hint="Each [table] with a `step` is one call.")
    return _Tables(path, text, data, head, policy)


def _apply(tables: _Tables, override: str) -> None:
    target, equals, text = override.partition("=")
    call, dot, parameter = target.strip().partition(".")
    if not equals or not dot or not parameter:
        raise RecipeError(f"--set {override}: not of the form call.parameter=value")
    if call == "policy":
        table = tables.policy
    elif call in tables.calls:
        table = tables.calls[call]
    else:
        raise unknown("call", call, tables.calls, tables.path)
    table[parameter] = _value(text.strip())
    tables.overridden.add((call, parameter))


def _value(text: str) -> Any:
    # What is one TOML value is read as TOML; a bare word, path or date is the string a person meant.
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = read.pop("value")
    return text if read or isinstance(value, datetime.date | datetime.time) else value


def _call(
    name: str, table: Mapping[str, Any], tables: _Tables, policy: Policy, find_step: Callable[[str], Step]
) -> Call:
    path = tables.path
    given = dict(table)
    step_name = given.pop("step", None)
    if not isinstance(step_name, str):
        raise RecipeError(f"{path}: [{name}] has no step", hint=f'Write step = "…" below [{name}].')
    try:
        step = find_step(step_name)
    except RecipeError as error:
        raise RecipeError(f"{path}: [{name}] {error.message}", hint=error.hint) from None
    inputs = _inputs(name, given.pop("inputs", {}), path)
    for role in fields_with_role(step.parameters, "call"):
        given.setdefault(role, name)
    for role in fields_with_role(step.parameters, "policy"):
        if role in given:
            raise RecipeError(f"{path}: [{name}] cannot set '{role}'", hint="The policy is the recipe's: [policy].")
        given[role] = policy
    here, there = Path.cwd(), path.parent
    return Call(
        name=name,
        step=step,
        parameters=_validate(step.parameters, given, name, path),
        inputs=inputs,
        source_folders={
            role: here if (name, role) in tables.overridden else there
            for role in fields_with_role(step.parameters, "source")
        },
    )


def _inputs(name: str, given: Any, path: Path) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict):
        raise RecipeError(f"{path}: [{name}] inputs must be a table", hint='inputs = { documents = "novels" }')
    inputs = {}
    for port, value in given.items():
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
            raise RecipeError(f"{path}: [{name}] inputs.{port} must name one call, or a list of calls")
        inputs[port] = tuple(names)
    return inputs


def _validate(model: type[BaseModel], given: Mapping[str, Any], name: str, path: Path) -> Any:
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise _explain(error, model, given, f"{path}: [{name}]") from error


def _explain(error: ValidationError, model: type[BaseModel], given: Mapping[str, Any], where: str) -> RecipeError:
    """The first thing wrong, in the words of the recipe."""
    errors = error.errors()
    first = errors[0]
    steps, owner = _locate(first, model, given)
    parameter = ".".join(str(part) for part in steps) or "parameters"
    help_text = _field_help(model, parameter)
    if first["type"] == "extra_forbidden":
        known = _settable(owner)
        return RecipeError(
            f"{where} has no parameter '{parameter}'{did_you_mean(str(steps[-1]), known)}",
            hint=f"Known: {', '.join(known)}.",
        )
    if first["type"] == "missing":
        return RecipeError(f"{where} needs '{parameter}'", hint=help_text)
    # A value that fits no member of a union gives one error for each, at the same place.
    messages = [other["msg"] for other in errors if _locate(other, model, given)[0] == steps]
    message = " or ".join(text.removeprefix("Value error, ") for text in messages)
    shown = "" if isinstance(first["input"], dict) else f" (given: {first['input']!r})"
    if first["type"] in ("list_type", "tuple_type") and isinstance(first["input"], str):
        listed = json.dumps([first["input"]], ensure_ascii=False)
        help_text = f"{help_text}\nA list is written in brackets: {parameter} = {listed}".lstrip()
    return RecipeError(f"{where} {parameter}: {message}{shown}", hint=help_text)


def _locate(
    error: ErrorDetails, model: type[BaseModel], given: Mapping[str, Any]
) -> tuple[list[int | str], type[BaseModel]]:
    """Where in what was given, without pydantic's names for members of unions, and which model refused."""
    place: list[int | str] = []
    value: Any = given
    owner = model
    for part in error["loc"]:
        inside = isinstance(value, Mapping) and part in value
        if inside or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = value[part]
            place.append(part)
    if error["type"] == "missing":
        place.append(error["loc"][-1])
    for part in place[:-1]:
        owner = _model_of(owner, part) if isinstance(part, str) else owner
    return place, owner


def _model_of(owner: type[BaseModel], field_name: str) -> type[BaseModel]:
    """The model that a field holds, alone, in a list or in a union; the owner itself if there is none."""
    info = owner.model_fields.get(field_name)
    waiting = [info.annotation] if info else []
    for kind in waiting:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        waiting.extend(get_args(kind))
    return owner


def _settable(model: type[BaseModel]) -> list[str]:
    """The fields that a recipe can set: not those that the run fills in."""
    filled_in = fields_with_role(model, "policy") if issubclass(model, Parameters) else []
    return [name for name in model.model_fields if name not in filled_in]


def _field_help(model: type[BaseModel], parameter: str) -> str:
    info = model.model_fields.get(parameter.partition(".")[0])
    return info.description or "" if info else ""


def find_sources(pattern: str, folder: Path, where: str) -> tuple[Source, ...]:
    """The files that a path or glob names, hashed, in the order of their names below its fixed part.

    RecipeError if nothing matches; InputError if a file cannot be read. `where` is call.parameter.
    """
    if pattern.startswith(SCHEME):
        return hub_sources(pattern, where)
    try:
        base, found = _match(pattern, folder, where)
        return tuple(_source(path, path.relative_to(base).as_posix()) for path in found)
    except OSError as error:
        raise InputError(f"{where}: {error.filename} cannot be read: {error.strerror}") from error


def _match(pattern: str, folder: Path, where: str) -> tuple[Path, list[Path]]:
    """The fixed part of a pattern, and the files it matches."""
    try:
        relative = Path(pattern).expanduser()
    except RuntimeError as error:
        raise RecipeError(f"{where}: {pattern}: {error}") from error
    full = folder / relative
    if not pattern or full.is_dir():
        raise RecipeError(
            f"{where}: {full} is a folder", hint=f"Name its files, such as {pattern.rstrip('/') or '.'}/*.jsonl"
        )
    if full.is_file():  # a real file whose name holds a bracket is that file
        return full.parent, [full]
    # What is there is meant as it is written: a real folder whose name holds brackets is that folder.
    base, rest = folder, list(relative.parts)
    while len(rest) > 1 and (base / rest[0]).is_dir():
        base /= rest.pop(0)
    names = glob.glob(str(Path(*rest)), root_dir=base, recursive=True)  # noqa: PTH207
    found = sorted(base / name for name in names)
    found = [path for path in found if not path.is_dir()]
    found = [path for path in found if path.exists() or path.is_symlink()]  # "gone/**" finds "gone/"
    if not found:
        named = len(rest) > 1 and not glob.has_magic(rest[0])
        missing = f": there is no folder {base / rest[0]}" if named else ""
        raise NoSourceError(
            f"{where}: no file matches {full}{missing}",
            hint=f"Give the right path in the recipe, or with --set {where}='…'",
        )
    return base, found


def _source(path: Path, name: str) -> Source:
    if not path.is_file():
        what = "a link to nothing" if path.is_symlink() else "not a regular file"
        raise InputError(f"{path} is {what}")
    modified_ns = path.stat().st_mtime_ns
    try:
        return Source(name, path, describe_file(path, name), modified_ns)
    except ValueError as error:
        raise InputError(f"{path.parent}: {error}", hint="Rename it.") from error
