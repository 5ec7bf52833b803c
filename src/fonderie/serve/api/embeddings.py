"""POST /v1/embeddings: the mean of a text's last hidden states, of length one.

A causal model that was not trained for it makes weak embeddings; they are here because clients ask for them, and
/v1/models does not hide what the model is.
"""

import asyncio
import base64
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from fonderie.serve.answers import Spent
from fonderie.serve.api.errors import bad
from fonderie.serve.api.fields import Fields, TokenIds
from fonderie.serve.api.generating import Choice, ids_of, whole
from fonderie.serve.engine.request import Request
from fonderie.serve.served import Served

MAX_TEXTS = 256


class EmbeddingFields(Fields):
    """Texts, or token ids."""

    model: str
    input: (
        str
        | TokenIds
        | Annotated[list[str], Field(min_length=1, max_length=MAX_TEXTS)]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_TEXTS)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None
    """Accepted as OpenAI's clients send it; not stored."""


async def embedded(served: Served, fields: EmbeddingFields, spent: Spent) -> dict[str, Any]:
    """A vector for each text. ApiError for one that is longer than the model reads: nothing is cut off."""
    given = fields.input
    several: list[Any] = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    prompts = await asyncio.to_thread(lambda: [_ids(served, one) for one in several])
    choices = await whole(served, [Request(ids, 0, embed=True) for ids in prompts], spent)
    total = sum(choice.end.prompt_tokens for choice in choices if choice.end is not None)
    return {
        "object": "list",
        "model": served.name,
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(choice, fields.encoding_format)}
            for index, choice in enumerate(choices)
        ],
        "usage": {"prompt_tokens": total, "total_tokens": total},
    }


def _ids(served: Served, one: str | list[int]) -> tuple[int, ...]:
    ids = ids_of(served, one, "input")
    if len(ids) > served.engine.context:
        raise bad(
            f"input has {len(ids)} tokens; {served.name} reads {served.engine.context}",
            "input",
            code="context_length_exceeded",
        )
    return ids


def _vector(choice: Choice, encoding: str) -> list[float] | str:
    assert choice.prompt is not None
    vector = np.array(choice.prompt.embedding, dtype="<f4")
    vector /= max(float(np.linalg.norm(vector)), 1e-12)
    return vector.tolist() if encoding == "float" else base64.b64encode(vector.tobytes()).decode("ascii")
