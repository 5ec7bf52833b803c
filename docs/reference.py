"""Writes docs/reference.md: every step with its inputs and parameters, from the code itself. Run by `make docs`."""

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

from fonderie.core.step import Parameters, Step, fields_with_role
from fonderie.core.steps import STEPS, find_step

PAGE = Path(__file__).with_name("reference.md")


def page() -> str:
    """The whole page."""
    head = (
        "# Steps and their parameters\n\n"
        "Written by `make docs` from the code; a test fails when it is not up to date. Every call also takes\n"
        "`step` and `inputs`.\n"
    )
    return head + "".join(_section(find_step(name)) for name in STEPS)


def _section(step: Step) -> str:
    lines = [f"\n## {step.name}\n", f"{step.function.__doc__ or ''}".strip().partition("\n")[0], ""]
    lines.append(f"Makes **{step.produces}**. " + (_inputs(step) or "Takes no inputs."))
    filled_in = fields_with_role(step.parameters, "policy")
    fields = {name: info for name, info in step.parameters.model_fields.items() if name not in filled_in}
    if fields:
        lines += ["", "| parameter | type | default | |", "|---|---|---|---|"]
        lines += [_row(step, name, info) for name, info in fields.items()]
        for name, info in fields.items():
            lines += _nested(step, name, info.annotation)
    return "\n".join(lines) + "\n"


def _nested(step: Step, name: str, annotation: Any) -> list[str]:
    """The table of a parameter that is itself a table, or a list of them, and of those within it."""
    lines: list[str] = []
    waiting = [annotation]
    for kind in waiting:
        if isinstance(kind, type) and issubclass(kind, Parameters):
            lines += ["", f"`{name}`: {kind.__name__}", "", "| parameter | type | default | |", "|---|---|---|---|"]
            lines += [_row(step, inner, info) for inner, info in kind.model_fields.items()]
            for inner, info in kind.model_fields.items():
                # What the step has under the same name is in a table of its own already.
                lines += [] if inner in step.parameters.model_fields else _nested(step, inner, info.annotation)
        waiting.extend(get_args(kind))
    return lines


def _inputs(step: Step) -> str:
    ports = []
    for name, port in step.inputs.items():
        words = [port.kind, *["one call or a list"] * port.many, *["optional"] * port.optional]
        ports.append(f"`{name}` ({', '.join(words)})")
    return f"Takes {', '.join(ports)}." if ports else ""


def _row(step: Step, name: str, info: Any) -> str:
    if name in fields_with_role(step.parameters, "call"):
        default = "the call's name"
    elif info.is_required():
        default = "required"
    else:
        default = _toml(info.default if info.default is not PydanticUndefined else info.default_factory())
    description = " ".join((info.description or "").split()).replace("|", "\\|")
    return f"| `{name}` | {_type(info.annotation)} | {default} | {description} |"


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type(argument) for argument in arguments if argument is not NoneType)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if hasattr(annotation, "__metadata__"):
        return _type(arguments[0])
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(
        annotation.__name__, annotation.__name__
    )


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{json.dumps(value, ensure_ascii=False)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
