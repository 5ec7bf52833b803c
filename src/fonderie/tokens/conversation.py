"""Conversations: how turns are written as text, and which special tokens frame them for the model.

A document whose metadata says form = "conversation" holds turns, each beginning a line with "Utilisateur : " or
"Assistant : ", so that filters, deduplication and redaction see readable text. Packing, evaluation and chat turn
them into the one chat template below; Hugging Face clients get the same as a Jinja template.
"""

from typing import NamedTuple

PREFIXES = {"Utilisateur : ": "user", "Assistant : ": "assistant", "Consigne : ": "system"}
_BY_ROLE = {role: prefix for prefix, role in PREFIXES.items()}

BOS, EOS, END = "<|bos|>", "<|eos|>", "<|end|>"
ROLE_TOKENS = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
SPECIAL_TOKENS = (BOS, EOS, END, *ROLE_TOKENS.values())
"""In the order of their ids, which are the first of the vocabulary."""

CHAT_TEMPLATE = (
    "{{ '<|bos|>' }}"
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('unknown role: ' + message['role']) }}"
    "{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


class Turn(NamedTuple):
    """One message."""

    role: str
    """ "user", "assistant" or "system"."""
    content: str


def parse_turns(text: str) -> list[Turn]:
    """Turns of a conversation's text; lines without a prefix continue the turn before.

    ValueError if the text does not begin with a turn.
    """
    turns: list[Turn] = []
    for line in text.split("\n"):
        prefix = next((prefix for prefix in PREFIXES if line.startswith(prefix)), None)
        if prefix is not None:
            turns.append(Turn(PREFIXES[prefix], line.removeprefix(prefix)))
        elif turns:
            turns[-1] = turns[-1]._replace(content=f"{turns[-1].content}\n{line}")
        else:
            raise ValueError(f"a conversation begins with a speaker, not with {line[:40]!r}")
    return turns


def format_turns(turns: list[Turn]) -> str:
    """The text of a conversation; the inverse of `parse_turns`."""
    return "\n".join(_BY_ROLE[turn.role] + turn.content for turn in turns)
