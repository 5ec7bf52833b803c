"""How the calls of a recipe feed each other: what fits, what does not, and in which order they can run.

An input "base@main" is no call that the recipe writes down but one that it implies: the model as it was after the
phase `main` of the call `base` (or after a step: "base@step-400"), taken out by the step model.checkpoint.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fonderie.core.errors import RecipeError

if TYPE_CHECKING:
    from fonderie.core.recipe import Call

CHECKPOINT_STEP = "model.checkpoint"
_AT = "@"


def implied(tables: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The calls that inputs imply: their names and tables, each once."""
    seen: set[str] = set()
    for table in tables:
        inputs = table.get("inputs", {})
        for value in inputs.values() if isinstance(inputs, dict) else ():
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str) and _AT in name and name not in seen:
                    seen.add(name)
                    model, _, at = name.partition(_AT)
                    yield name, {"step": CHECKPOINT_STEP, "inputs": {"model": model}, "at": at}


def check_wiring(call: "Call", calls: Mapping[str, "Call"], path: Path) -> None:
    """RecipeError where a call's inputs are not what its step takes, or do not go with its parameters."""
    ports = call.step.inputs
    for port, parents in call.inputs.items():
        if port not in ports:
            raise unknown(f"[{call.name}] input", port, ports, path)
        if len(parents) != 1 and not ports[port].many:
            raise RecipeError(f"{path}: [{call.name}] inputs.{port} takes exactly one call, not {len(parents)}")
        if not parents and not ports[port].optional:
            raise RecipeError(f"{path}: [{call.name}] inputs.{port} is empty")
        for parent in parents:
            if parent not in calls:
                raise unknown(f"[{call.name}] inputs.{port}: call", parent, calls, path)
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
    feeding = {port: tuple(calls[name].parameters for name in names) for port, names in call.inputs.items()}
    try:
        if call.step.wiring is not None:
            call.step.wiring(call.parameters, dict(call.inputs))
        if call.step.upstream is not None:
            call.step.upstream(call.parameters, feeding)
    except ValueError as error:
        raise RecipeError(f"{path}: [{call.name}] {error}") from error


def in_running_order(calls: Mapping[str, "Call"], path: Path) -> dict[str, "Call"]:
    """The calls, each after those that feed it; RecipeError names a circle."""
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


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A guess at what was meant, as the end of a sentence; nothing if nothing is close."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def unknown(what: str, name: str, known: Mapping[str, Any], path: Path) -> RecipeError:
    """That there is no such thing in a recipe, and what there is."""
    return RecipeError(
        f"{path}: no {what} '{name}'{did_you_mean(name, list(known))}", hint=f"Known: {', '.join(known)}."
    )
