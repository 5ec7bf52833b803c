"""What requests may hold. An unknown field is refused by name, and so is one that cannot be honoured."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fonderie.serve.engine.request import REPETITION_PENALTIES

MAX_CHOICES = 16
LONGEST_TEXT = 4 << 20
"""Characters: as many as the largest body has bytes."""
MAX_TOP_LOGPROBS = 20
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
TokenIds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
StopText = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Fields(BaseModel):
    """Strict about names and types; null is as if it were not there, as OpenAI's clients mean it."""

    # What stands beneath a field is its description in the OpenAPI document.
    # Without a length pydantic takes a string as it is, also one that is no text: half of a surrogate pair.
    model_config = ConfigDict(
        extra="forbid", strict=True, use_attribute_docstrings=True, str_max_length=LONGEST_TEXT
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data


class StreamOptions(Fields):
    """What a stream ends with."""

    include_usage: bool = False
    """One more chunk, without choices, that counts tokens."""
    include_obfuscation: Literal[False] = False


class Generating(Fields):
    """What chat and plain completions share."""

    model: str
    """As `/v1/models` lists it."""
    stream: bool = False
    """Whether the answer comes in chunks, as server-sent events."""
    stream_options: StreamOptions | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=4)] | None = None
    """Up to four texts at which the answer is over; they are not part of it."""
    seed: Seed | None = None
    """The same seed and request give the same answer, as long as system_fingerprint is the same."""
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    """Not OpenAI's: draw from so many of the likeliest tokens; 0 for all."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Not OpenAI's: draw from tokens with at least this share of the likeliest one's probability."""
    repetition_penalty: float = Field(1.0, ge=REPETITION_PENALTIES[0], le=REPETITION_PENALTIES[1])
    """Not OpenAI's: divides the logits of tokens that were there already."""
    n: int = Field(1, ge=1, le=MAX_CHOICES)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] = Field(default_factory=dict, max_length=1024)
    user: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Accepted as OpenAI's clients send it; not stored."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop texts."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def counts_tokens(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @model_validator(mode="after")
    def _options_of_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only for stream = true")
        return self


class TextPart(Fields):
    """A part of a message; text is the only kind."""

    type: Literal["text", "input_text", "output_text"]
    text: str


class Message(Fields):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)

    @property
    def turn(self) -> tuple[str, str]:
        """Role and text for the template, in which a developer is the system."""
        return "system" if self.role == "developer" else self.role, self.text


class JsonSchema(Fields):
    """A schema that the answer must match."""

    name: Annotated[str, StringConstraints(max_length=64)] = "answer"
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool = True
    """The answer matches the schema either way."""


class ResponseFormat(Fields):
    """Text as it comes, any JSON object, or one that matches a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _schema_is_there(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError('json_schema is needed for, and only for, type "json_schema"')
        return self
