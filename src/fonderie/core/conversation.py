"""Conversations, and choices between two answers, as text that people and filters can read.

    Utilisateur : Bonjour !                 Utilisateur : Combien font 2 et 2 ?
    Assistant : Bonjour, que puis-je         Préférée : Quatre.
    faire pour vous ?                        Rejetée : Cinq.

A document whose metadata says `form` = "conversation" or "preference" is written so. What is written is read back
exactly, whatever a turn says: a line within a turn that looks like the beginning of another is written with a space
before it, and one that begins with spaces and then looks so, with one more.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

CONVERSATION, PREFERENCE = "conversation", "preference"
"""What `form` says in the metadata of these documents."""

PREFIXES = {"Utilisateur : ": "user", "Assistant : ": "assistant", "Consigne : ": "system"}
ANSWERS = {"Préférée : ": "chosen", "Rejetée : ": "rejected"}
_ALL = {**PREFIXES, **ANSWERS}


class Turn(NamedTuple):
    """One message."""

    role: str
    """ "user", "assistant" or "system"."""
    content: str


class Preference(NamedTuple):
    """Two answers to the same conversation, of which people preferred one."""

    prompt: tuple[Turn, ...]
    """Up to the user's turn that both answer."""
    chosen: str
    rejected: str


def parse_turns(text: str) -> list[Turn]:
    """Turns of a conversation's text; lines without a prefix continue the turn before.

    ValueError if the text does not begin with a turn.
    """
    return _parse(text, PREFIXES)


def format_turns(turns: Iterable[Turn]) -> str:
    """The text of a conversation; `parse_turns` gives the same turns back."""
    return _format(turns, PREFIXES)


def parse_preference(text: str) -> Preference:
    """The prompt and answers of a preference's text; ValueError if it is none."""
    turns = _parse(text, _ALL)
    roles = [turn.role for turn in turns]
    if roles[-2:] != ["chosen", "rejected"] or set(roles[:-2]) & set(ANSWERS.values()):
        raise ValueError("a preference ends with the answer preferred, then the answer rejected, one of each")
    if roles[-3:-2] != ["user"]:
        raise ValueError("a preference is between two answers to the user's turn")
    return Preference(tuple(turns[:-2]), turns[-2].content, turns[-1].content)


def format_preference(preference: Preference) -> str:
    """The text of a preference; `parse_preference` gives the same one back."""
    answers = (Turn("chosen", preference.chosen), Turn("rejected", preference.rejected))
    return _format((*preference.prompt, *answers), _ALL)


def _parse(text: str, prefixes: Mapping[str, str]) -> list[Turn]:
    roles: list[str] = []
    contents: list[list[str]] = []
    for line in text.split("\n"):
        prefix = next((prefix for prefix in prefixes if line.startswith(prefix)), None)
        if prefix is not None:
            roles.append(prefixes[prefix])
            contents.append([line.removeprefix(prefix)])
        elif contents:
            contents[-1].append(line[1:] if _looks_like_a_turn(line, prefixes) else line)
        else:
            raise ValueError(f"a conversation begins with a speaker, not with {line[:40]!r}")
    return [Turn(role, "\n".join(lines)) for role, lines in zip(roles, contents, strict=True)]


def _format(turns: Iterable[Turn], prefixes: Mapping[str, str]) -> str:
    by_role = {role: prefix for prefix, role in prefixes.items()}
    return "\n".join(by_role[turn.role] + _shielded(turn.content.split("\n"), prefixes) for turn in turns)


def _shielded(lines: Sequence[str], prefixes: Mapping[str, str]) -> str:
    first, *others = lines
    return "\n".join([first, *(f" {line}" if _looks_like_a_turn(line, prefixes) else line for line in others)])


def _looks_like_a_turn(line: str, prefixes: Mapping[str, str]) -> bool:
    return line.lstrip(" ").startswith(tuple(prefixes))
