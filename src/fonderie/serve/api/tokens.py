"""POST /tokenize and /detokenize, GET /tokenizer_info: how harnesses find a remote tokenizer."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from fonderie.serve.api.errors import bad
from fonderie.serve.api.fields import Fields, Message
from fonderie.serve.served import Served, conversation_prompt
from fonderie.tokens.conversation import CHAT_TEMPLATE

MAX_TOKENS = 1 << 17


class TokenizeFields(Fields):
    """A text, or a conversation by the chat template."""

    model: str
    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=1024)] | None = None
    add_special_tokens: bool = True
    """Whether a text begins with the token that begins every document."""
    add_generation_prompt: bool = True
    """Whether the assistant's turn is opened after a conversation; false is not supported."""
    return_token_strs: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give prompt or messages, one of them")
        if not self.add_generation_prompt:
            raise ValueError("add_generation_prompt = false is not supported")
        return self


class DetokenizeFields(Fields):
    """Token ids."""

    model: str
    tokens: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=MAX_TOKENS)]


def tokenized(served: Served, fields: TokenizeFields) -> dict[str, Any]:
    """The ids of a text."""
    if fields.messages is not None:
        turns = [message.turn for message in fields.messages]
        served.check_length("".join(text for _, text in turns), "messages")
        ids = list(conversation_prompt(served, turns))
    else:
        assert fields.prompt is not None
        served.check_length(fields.prompt, "prompt")
        ids = served.tokenizer.encode(fields.prompt)
        if fields.add_special_tokens:
            ids.insert(0, served.tokenizer.bos)
    strings = [served.token_text(token) for token in ids] if fields.return_token_strs else None
    return {"count": len(ids), "max_model_len": served.engine.context, "tokens": ids, "token_strs": strings}


def detokenized(served: Served, fields: DetokenizeFields) -> dict[str, str]:
    """The text of ids, special tokens spelt out."""
    if fields.tokens and max(fields.tokens) >= served.tokenizer.vocabulary:
        raise bad(f"tokens are 0 to {served.tokenizer.vocabulary - 1}", "tokens")
    return {"prompt": served.tokenizer.decode(fields.tokens, skip_special_tokens=False)}


def tokenizer_info(served: Served) -> dict[str, Any]:
    """What there is to know of the tokenizer."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "vocab_size": served.tokenizer.vocabulary,
        "model_max_length": served.engine.context,
        "bos_token": _name(served, served.tokenizer.bos),
        "eos_token": _name(served, served.tokenizer.eos),
        "chat_template": CHAT_TEMPLATE if served.tokenizer.has_turns else None,
    }


def _name(served: Served, token: int) -> str:
    return served.tokenizer.decode([token], skip_special_tokens=False)
