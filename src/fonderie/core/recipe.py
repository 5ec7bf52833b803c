"""Recipes: TOML read into calls that are known to be right before any of them starts.

Each table of the file is one call of a step; `[recipe]` holds words for people and `[policy]` what the build
accepts beyond free licences. Everything else about a call is `step`, `inputs` and the step's own parameters.
"""

import difflib
import glob
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fonderie.core.digest import digest_file
from fonderie.core.errors import InputError, RecipeError
from fonderie.core.manifest import FileEntry
from fonderie.core.step import Parameters, Policy, Source, Step, fields_with_role

RESERVED_TABLES = ("recipe", "policy")
_GLOB_CHARACTERS = re.compile(r"[*?\[]")


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
            if getattr(self.parameters, name)
        }


@dataclass(frozen=True)
class Recipe:
    """A recipe file with its overrides applied, its calls in an order in which they can run."""

    name: str
    path: Path
    text: str
    title: str
    description: str
    policy: Policy
    calls: Mapping[str, Call]
    overrides: tuple[str, ...] = ()
    """`call.param=value` as given on the command line."""

    def names_until(self, name: str | None) -> list[str]:
        """All calls in running order, or those that one call needs and itself."""
        return self.upstream_of(name) if name else list(self.calls)

    def upstream_of(self, name: str) -> list[str]:
        """A call and all it needs, in running order; RecipeError if there is no such call."""
        if name not in self.calls:
            raise _unknown("call", name, self.calls, self.path)
        needed = {name}
        for other in reversed(list(self.calls)):
            if other in needed:
                needed.update(parent for group in self.calls[other].inputs.values() for parent in group)
        return [other for other in self.calls if other in needed]


@dataclass
class _Tables:
    """The raw tables of a file, and which values came from the command line."""

    path: Path
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
    calls = {name: _call(name, table, tables, policy, find_step) for name, table in tables.calls.items()}
    for call in calls.values():
        _check_wiring(call, calls, path)
    return Recipe(
        name=path.stem,
        path=path,
        text=path.read_text(encoding="utf-8"),
        title=str(tables.head.get("title", path.stem)),
        description=str(tables.head.get("description", "")),
        policy=policy,
        calls=_in_running_order(calls, path),
        overrides=tuple(overrides),
    )


def _read(path: Path) -> _Tables:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
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
            raise RecipeError(
                f"{path}: '{name}' stands outside any table", hint="Each [table] is one call of a step."
            )
    head = data.pop("recipe", {})
    unknown = sorted(set(head) - {"title", "description"})
    if unknown:
        raise RecipeError(f"{path}: [recipe] has no '{unknown[0]}'", hint="Known: title, description.")
    policy = data.pop("policy", {})
    if not data:
        raise RecipeError(f"{path} calls no step", hint="Each [table] with a `step` is one call.")
    return _Tables(path, data, head, policy)


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
        raise _unknown("call", call, tables.calls, tables.path)
    table[parameter] = _value(text.strip())
    tables.overridden.add((call, parameter))


def _value(text: str) -> Any:
    # What is TOML is read as TOML; a bare word or path is the string a person meant.
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


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


def _validate(model: type[Parameters] | type[Policy], given: Mapping[str, Any], name: str, path: Path) -> Any:
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        parameter = ".".join(str(part) for part in first["loc"]) or "parameters"
        known = [field for field in model.model_fields if field not in fields_with_policy(model)]
        if first["type"] == "extra_forbidden":
            raise RecipeError(
                f"{path}: [{name}] has no parameter '{parameter}'{_did_you_mean(parameter, known)}",
                hint=f"Known: {', '.join(known)}.",
            ) from None
        if first["type"] == "missing":
            raise RecipeError(f"{path}: [{name}] needs '{parameter}'", hint=_field_help(model, parameter)) from None
        value = first.get("input")
        shown = "" if isinstance(value, dict) else f" (given: {value!r})"
        raise RecipeError(
            f"{path}: [{name}] {parameter}: {first['msg'].removeprefix('Value error, ')}{shown}",
            hint=_field_help(model, parameter),
        ) from error


def fields_with_policy(model: type[Parameters] | type[Policy]) -> list[str]:
    """The fields that the run fills in and a recipe cannot set."""
    return fields_with_role(model, "policy") if issubclass(model, Parameters) else []


def _field_help(model: type[Parameters] | type[Policy], parameter: str) -> str:
    info = model.model_fields.get(parameter.partition(".")[0])
    return info.description or "" if info else ""


def _check_wiring(call: Call, calls: Mapping[str, Call], path: Path) -> None:
    ports = call.step.inputs
    for port, parents in call.inputs.items():
        if port not in ports:
            raise _unknown(f"[{call.name}] input", port, ports, path)
        if len(parents) != 1 and not ports[port].many:
            raise RecipeError(f"{path}: [{call.name}] inputs.{port} takes exactly one call, not {len(parents)}")
        if not parents and not ports[port].optional:
            raise RecipeError(f"{path}: [{call.name}] inputs.{port} is empty")
        for parent in parents:
            if parent not in calls:
                raise _unknown(f"[{call.name}] inputs.{port}: call", parent, calls, path)
            if calls[parent].step.produces != ports[port].kind:
                raise RecipeError(
                    f"{path}: [{call.name}] inputs.{port} takes {ports[port].kind}, "
                    f"but [{parent}] ({calls[parent].step.name}) makes {calls[parent].step.produces}"
                )
    for port, wanted in ports.items():
        if port not in call.inputs and not wanted.optional:
            raise RecipeError(
                f"{path}: [{call.name}] needs input '{port}' ({wanted.kind})",
                hint=f'inputs = {{ {port} = "name of a call" }}',
            )


def _in_running_order(calls: Mapping[str, Call], path: Path) -> dict[str, Call]:
    ordered: dict[str, Call] = {}
    entered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        if name in entered:
            circle = " → ".join([*entered[entered.index(name) :], name])
            raise RecipeError(f"{path}: calls feed each other in a circle: {circle}")
        entered.append(name)
        for group in calls[name].inputs.values():
            for parent in group:
                visit(parent)
        entered.pop()
        ordered[name] = calls[name]

    for name in calls:
        visit(name)
    return ordered


def find_sources(pattern: str, folder: Path, where: str) -> tuple[Source, ...]:
    """The files that a path or glob names, hashed, in the order of their names below its fixed part.

    RecipeError if nothing matches; InputError if a file cannot be read. `where` is call.parameter.
    """
    full = folder / Path(pattern).expanduser()
    if full.is_dir():
        raise RecipeError(
            f"{where}: {full} is a folder", hint=f"Name its files, such as {pattern.rstrip('/')}/*.jsonl"
        )
    parts = full.parts
    magic = next((i for i, part in enumerate(parts) if _GLOB_CHARACTERS.search(part)), len(parts) - 1)
    base = Path(*parts[:magic])
    if full.is_file():  # a real file whose name holds a bracket is that file
        base, found = full.parent, [full]
    else:
        found = sorted(Path(match) for match in glob.glob(str(full), recursive=True))  # noqa: PTH207
        found = [path for path in found if path.is_file()]
    if not found:
        raise RecipeError(
            f"{where}: no file matches {full}",
            hint=f"Give the right path in the recipe, or with --set {where}='…'",
        )
    sources = []
    for path in found:
        name = path.relative_to(base).as_posix()
        try:
            entry = FileEntry(path=name, size_bytes=path.stat().st_size, sha256=digest_file(path))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        sources.append(Source(name, path, entry))
    return tuple(sources)


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _unknown(what: str, name: str, known: Mapping[str, Any], path: Path) -> RecipeError:
    return RecipeError(
        f"{path}: no {what} '{name}'{_did_you_mean(name, list(known))}", hint=f"Known: {', '.join(known)}."
    )
