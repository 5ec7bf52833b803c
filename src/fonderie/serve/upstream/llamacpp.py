"""llama.cpp's llama-server: asked on its own /completion with token ids, answering with text.

Its streams leave out the ids, and the log-probabilities, of tokens that end within a character, so that text is
what is taken from it, and log-probabilities are refused. Its penalties for presence and frequency count the prompt
too, which OpenAI's do not: refused. Its parameters: tools/server/README.md of llama.cpp.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx2

from fonderie.serve.backend import NotSupportedError
from fonderie.serve.engine.request import Capability, Event, Finished, Piece, PromptRead, Request
from fonderie.serve.engine.text import Decodes
from fonderie.serve.upstream.dialect import Facts, GarbledError, Question
from fonderie.serve.upstream.llamacpp_schema import passed_over_in

SEEDS = 2**32 - 1
"""Seeds are 32 bits there, and the last of them means a random one."""
SAMPLERS = ("penalties", "temperature", "top_k", "top_p", "min_p")
"""In the order in which our engine applies them; no others."""


class LlamaCpp:
    """How llama-server is spoken with."""

    kind = "llamacpp"
    capabilities: frozenset[Capability] = frozenset({"json_schema"})

    def facts(self, client: httpx2.Client, name: str, *, alone: bool) -> Facts:  # noqa: ARG002
        """It holds one model, and does not say which: its tokens are compared."""
        found = client.get("/props").raise_for_status().json()
        try:
            return Facts(name, int(found["default_generation_settings"]["n_ctx"]))
        except (KeyError, TypeError, ValueError) as error:
            raise GarbledError("its /props are not those of llama-server") from error

    def spelt(self, client: httpx2.Client, model: str, ids: list[int]) -> str:  # noqa: ARG002
        """The text of ids."""
        found = client.post("/detokenize", json={"tokens": ids}).raise_for_status().json()
        if not isinstance(found, dict) or "content" not in found:
            raise GarbledError("its /detokenize is not that of llama-server")
        return str(found["content"])

    def check(self, request: Request) -> None:
        """What its streams and its samplers do not give as the interface says."""
        sampling = request.sampling
        if request.embed:
            raise NotSupportedError("model", "embeddings are not to be had where llama.cpp answers")
        if request.prompt_logprobs:
            raise NotSupportedError("echo", "llama.cpp gives no log-probabilities of a prompt")
        if request.top_logprobs is not None:
            raise NotSupportedError("logprobs", "llama.cpp leaves out log-probabilities of parts of characters")
        for param in ("presence_penalty", "frequency_penalty"):
            if getattr(sampling, param):
                raise NotSupportedError(param, f"{param} counts the prompt too where llama.cpp answers")
        if request.schema is not None:
            passed_over = passed_over_in(json.loads(request.schema))
            if passed_over is not None:
                raise NotSupportedError(
                    "response_format", f"llama.cpp does not hold answers to {passed_over} of JSON Schema"
                )

    def question(self, request: Request, facts: Facts) -> Question:
        """Every setting of its own is given, so that none of its defaults counts."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "prompt": list(request.prompt),
            "n_predict": request.max_tokens,
            "stream": True,
            "samplers": list(SAMPLERS),
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": facts.context,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "seed": sampling.seed % SEEDS,
            "logit_bias": [[token, bias] for token, bias in sampling.logit_bias.items()],
            "stop": list(request.stop),
        }
        if request.schema is not None:
            body["json_schema"] = json.loads(request.schema)
        return Question("/completion", body)

    def reader(self, request: Request, tokenizer: Decodes) -> "Answer":  # noqa: ARG002
        """What understands the answer."""
        return Answer(request)


class Answer:
    """Text as it comes."""

    def __init__(self, request: Request) -> None:
        self._prompt_tokens = len(request.prompt)
        self._begun = False
        self.answer_tokens = 0
        self.end: Finished | None = None

    def read(self, said: dict[str, Any]) -> Iterator[Event]:
        """One chunk; the last says how it ended."""
        try:
            text, ended = str(said["content"]), bool(said["stop"])
            self.answer_tokens = int(said.get("tokens_predicted", self.answer_tokens))
            cached = int((said.get("timings") or {}).get("cache_n", 0))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GarbledError(f"its answer is not that of llama-server ({type(error).__name__})") from error
        if not self._begun:
            self._begun = True
            yield PromptRead(cached)
        if text:
            yield Piece(text)
        if ended:
            reasons = {"eos": "stop", "word": "stop", "limit": "length"}
            reason = reasons.get(str(said.get("stop_type")))
            if reason is None:
                raise GarbledError("it ended without a reason")
            self.end = Finished(
                "stop" if reason == "stop" else "length", self._prompt_tokens, self.answer_tokens, cached
            )

    def closed(self) -> Iterator[Event]:
        """Its last chunk says how it ended."""
        if self.end is None:
            raise GarbledError("it broke off")
        return iter(())
