"""From a row to its conversation, or to the two answers it prefers one of: the one place that knows the layouts.

ShareGPT    {"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]}
messages    {"messages": [{"role": "user", "content": "…"}, …]}: OpenAI's, in which content may be a list of texts
Alpaca      {"instruction": "…", "input": "…", "output": "…"}, and what came before as "history": [["…", "…"], …]
pairs       {"prompt": …, "chosen": …, "rejected": …}: texts, or lists of messages, which may repeat the prompt
votes       see votes.py

Each function takes out of the row what it reads, and raises ValueError in words for a row that is none of these.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from fonderie.core.conversation import Preference, Turn
from fonderie.corpus.votes import Vote

_SHAREGPT = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "assistant": "assistant"}
_OPENAI = {"user": "user", "assistant": "assistant"}
# OpenAI's later models call the system's message the developer's (Model Spec, "Definitions").
_SYSTEM = {"system": "system", "developer": "system"}


def sharegpt_turns(row: dict[str, Any], field: str) -> list[Turn]:
    """The turns of a ShareGPT row, whose list stands in `field`."""
    return _checked(_messages(_taken(row, field), {**_SHAREGPT, **_SYSTEM}, "from", "value"))


def openai_turns(row: dict[str, Any], field: str) -> list[Turn]:
    """The turns of a row of OpenAI messages, whose list stands in `field`."""
    return _checked(_messages(_taken(row, field), {**_OPENAI, **_SYSTEM}, "role", "content"))


def alpaca_turns(row: dict[str, Any], field: str) -> list[Turn]:
    """The turns of an Alpaca row: `field` and "input" as the user's, "output" as the assistant's."""
    instruction, given, answer = (_text(row.pop(name, ""), name) for name in (field, "input", "output"))
    system = _text(row.pop("system", ""), "system")
    turns = [Turn("system", system)] if system else []
    history = row.pop("history", None) or []
    if not isinstance(history, list | tuple):
        raise ValueError("'history' is not a list")
    for number, exchange in enumerate(history, 1):
        if not isinstance(exchange, list | tuple) or len(exchange) != 2:
            raise ValueError(f"exchange {number} of 'history' is not a question with its answer")
        turns += [Turn(role, _text(said, "history")) for role, said in zip(_OPENAI, exchange, strict=True)]
    asked = "\n\n".join(part for part in (instruction, given) if part)
    return _checked([*turns, Turn("user", asked), Turn("assistant", answer)])


class Choice(NamedTuple):
    """A preference with what else is known of it, or why none can be learnt from the row."""

    preference: Preference | None
    metadata: Mapping[str, str] = {}
    left_out: str = ""
    detail: str | None = None


def pair_choice(row: dict[str, Any], field: str) -> Choice:
    """The preference of a pair; its prompt stands in `field`, or at the head of both answers."""
    prompt, chosen, rejected = row.pop(field, None), _taken(row, "chosen"), _taken(row, "rejected")
    if isinstance(chosen, str) and isinstance(rejected, str):
        turns = [Turn("user", prompt)] if isinstance(prompt, str) else _plain_messages(prompt, field)
        return _choice(turns, chosen, rejected)
    ends = [_plain_messages(answer, name) for name, answer in (("chosen", chosen), ("rejected", rejected))]
    if any(not end or end[-1].role != "assistant" for end in ends):
        raise ValueError("'chosen' or 'rejected' does not end with the assistant's message")
    heads = [end[:-1] for end in ends]
    if heads[0] != heads[1]:
        raise ValueError("'chosen' and 'rejected' differ before their last message: they answer two questions")
    said = [] if prompt is None or isinstance(prompt, str) else _plain_messages(prompt, field)
    if heads[0] and said and heads[0] != said:
        raise ValueError(f"'{field}' is another conversation than the one that 'chosen' and 'rejected' repeat")
    asked = heads[0] or said or ([Turn("user", prompt)] if isinstance(prompt, str) else [])
    return _choice(asked, ends[0][-1].content, ends[1][-1].content)


def vote_choice(row: dict[str, Any], consents: Iterable[str]) -> Choice:
    """The preference of a vote, if its person consented by one of these versions, and preferred one answer."""
    try:
        vote = Vote.model_validate(dict(row))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'the vote'}: {first['msg']}") from error
    # What stays of the row is what the gate reads: licence, language, date.
    for name in set(row) - {"licence", "language", "created"}:
        del row[name]
    if vote.consent not in consents:
        return Choice(None, left_out="a consent that the recipe does not name", detail=vote.consent)
    if vote.vote not in ("a", "b"):
        return Choice(None, left_out="neither answer was preferred", detail=vote.vote)
    if vote.a.before or vote.b.before:
        return Choice(None, left_out="the answers go on from different ones", detail=f"turn {vote.turn}")
    better, worse = (vote.a, vote.b) if vote.vote == "a" else (vote.b, vote.a)
    metadata = {
        "vote": vote.id,
        "consent": vote.consent,
        "chosen_model": better.digest,
        "rejected_model": worse.digest,
    }
    turns = [Turn(message.role, message.content) for message in vote.messages]
    return _choice(turns, better.content, worse.content)._replace(metadata=metadata)


def _choice(prompt: list[Turn], chosen: str, rejected: str) -> Choice:
    if not prompt or prompt[-1].role != "user":
        raise ValueError("the conversation does not end with the user's message, which both answer")
    _checked([*prompt, Turn("assistant", chosen)])
    _checked([*prompt, Turn("assistant", rejected)])
    if chosen == rejected:
        return Choice(None, left_out="both answers are the same")
    return Choice(Preference(tuple(prompt), chosen, rejected))


def _checked(turns: list[Turn]) -> list[Turn]:
    """The same turns; ValueError if there is nothing for the assistant to learn from them."""
    empty = next((number for number, turn in enumerate(turns, 1) if not turn.content.strip()), None)
    if empty is not None:
        raise ValueError(f"message {empty}, the {turns[empty - 1].role}'s, is empty")
    spoken = [turn.role for turn in turns if turn.role != "system"]
    if spoken[:1] != ["user"]:
        raise ValueError("the user does not speak first")
    if "assistant" not in spoken:
        raise ValueError("the assistant says nothing")
    return turns


def _taken(row: dict[str, Any], field: str) -> Any:
    if row.get(field) is None:
        raise ValueError(f"there is no '{field}': the row has {', '.join(map(repr, row)) or 'nothing'}")
    return row.pop(field)


def _plain_messages(value: Any, name: str) -> list[Turn]:
    if value is None:
        raise ValueError(f"there is no '{name}'")
    return _messages(value, {**_OPENAI, **_SYSTEM}, "role", "content")


def _messages(value: Any, roles: Mapping[str, str], role_field: str, text_field: str) -> list[Turn]:
    if not isinstance(value, list):
        raise ValueError("the messages are not a list")
    return [
        _message(message, number, roles, role_field, text_field) for number, message in enumerate(value, start=1)
    ]


def _message(value: Any, number: int, roles: Mapping[str, str], role_field: str, text_field: str) -> Turn:
    if not isinstance(value, dict):
        raise ValueError(f"message {number} is not an object")
    role = value.get(role_field)
    if not isinstance(role, str) or role not in roles:
        raise ValueError(f"message {number}: the template has no role {role!r}, only {', '.join(roles)}")
    calls = [name for name in ("tool_calls", "function_call") if value.get(name)]
    if calls:
        raise ValueError(f"message {number} calls a tool ({calls[0]}), which the template does not do")
    return Turn(roles[role], _content(value.get(text_field), number))


def _content(value: Any, number: int) -> str:
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts):
        raise ValueError(f"message {number} is not a text")
    return "".join(part["text"] for part in parts)


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"'{name}' is not a text")
    return value


Turns = Callable[[dict[str, Any], str], list[Turn]]
TURNS: Mapping[str, tuple[Turns, str]] = {
    "sharegpt": (sharegpt_turns, "conversations"),
    "messages": (openai_turns, "messages"),
    "alpaca": (alpaca_turns, "instruction"),
}
"""Each layout of conversations: what reads it, and the field it begins with where the recipe names none."""
