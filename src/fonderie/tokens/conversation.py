"""The one chat template: which special tokens frame the turns of a conversation for the model.

    <|bos|> <|system|> … <|end|> <|user|> … <|end|> <|assistant|> … <|end|> <|eos|>

How conversations are written as text, and read back, is in fonderie.core.conversation. Packing, training,
evaluation and chat turn them into this template; Hugging Face clients get the same as a Jinja template.
"""

from fonderie.core.conversation import PREFIXES, Preference, Turn, format_turns, parse_preference, parse_turns

__all__ = [
    "BOS",
    "CHAT_TEMPLATE",
    "END",
    "EOS",
    "PREFIXES",
    "ROLE_TOKENS",
    "SPECIAL_TOKENS",
    "Preference",
    "Turn",
    "format_turns",
    "parse_preference",
    "parse_turns",
]

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
