"""vLLM, 0.10.2 or newer: asked on /v1/completions with token ids, and answering with token ids.

Text, stop texts and the end of an answer are made of the ids here, as our own engine makes them, so that both say
the same; the parameters are those of vLLM's documentation ("OpenAI-compatible server", extra parameters). A service
of ours understands them too.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from fonderie.core.errors import UsageError
from fonderie.serve.backend import NotSupportedError
from fonderie.serve.engine.request import Capability, Event, Finished, Piece, PromptRead, Request, TokenLogprob
from fonderie.serve.engine.text import Decodes, Writer
from fonderie.serve.upstream.dialect import Facts, GarbledError, Question

TOKEN_ID = "token_id:"
"""How a token is written with return_tokens_as_token_ids."""


class Vllm:
    """How vLLM is spoken with."""

    kind = "vllm"
    capabilities: frozenset[Capability] = frozenset(
        {"json_schema", "logprobs", "echo_logprobs", "presence_and_frequency_penalty"}
    )

    def facts(self, client: httpx2.Client, name: str, *, alone: bool) -> Facts:
        """Its model of the release's name; where one release is served, its only model may have any name."""
        listed = client.get("/v1/models").raise_for_status().json()
        try:
            contexts = {str(entry["id"]): int(entry["max_model_len"]) for entry in listed["data"]}
        except (KeyError, TypeError, ValueError) as error:
            raise GarbledError("its /v1/models is not that of vLLM") from error
        model = next(iter(contexts)) if alone and len(contexts) == 1 else name
        if model not in contexts:
            raise UsageError(
                f"the upstream serves {', '.join(contexts) or 'nothing'}, and not {name}",
                hint=f"vllm serve RELEASE --served-model-name {name}",
            )
        return Facts(model, contexts[model])

    def spelt(self, client: httpx2.Client, model: str, ids: list[int]) -> str:
        """The text of ids."""
        return str(_posted(client, "/detokenize", {"model": model, "tokens": ids}, "prompt"))

    def check(self, request: Request) -> None:
        """A model that generates makes no embeddings there."""
        if request.embed:
            raise NotSupportedError("model", "embeddings are not to be had where vLLM answers: it generates only")

    def question(self, request: Request, facts: Facts) -> Question:
        """A completion of token ids; with the prompt's log-probabilities in one piece, as they are not streamed."""
        sampling, top = request.sampling, request.top_logprobs
        body: dict[str, Any] = {
            "model": facts.model,
            "prompt": list(request.prompt),
            "max_tokens": request.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "repetition_penalty": sampling.repetition_penalty,
            "seed": sampling.seed,
            # The ends of an answer are the request's, and not those of the release's generation_config.json.
            "ignore_eos": True,
            "stop_token_ids": sorted(request.stop_ids),
            "return_token_ids": True,
        }
        if sampling.logit_bias:
            body["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
        if top is not None:
            body |= {"logprobs": top, "return_tokens_as_token_ids": True}
        if request.schema is not None:
            schema = {"name": "answer", "schema": json.loads(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if request.prompt_logprobs:
            return Question("/v1/completions", body | {"echo": True}, streamed=False)
        return Question("/v1/completions", body | {"stream": True, "stream_options": {"include_usage": True}})

    def reader(self, request: Request, tokenizer: Decodes) -> "Answer":
        """What understands the answer."""
        return Answer(request, tokenizer)


class Answer:
    """Token ids as they come, and what is made of them."""

    def __init__(self, request: Request, tokenizer: Decodes) -> None:
        self._request = request
        self._writer = Writer(tokenizer, request.stop)
        self._logprobs: list[TokenLogprob] = []
        """Of tokens whose text is not out yet."""
        self._reason: str | None = None
        self._begun = False
        self._cached = 0
        self.answer_tokens = 0
        self.end: Finished | None = None

    def read(self, said: dict[str, Any]) -> Iterator[Event]:
        """A chunk of a stream, or the whole."""
        try:
            self._count(said.get("usage"))
            for choice in said["choices"]:
                ids, logprobs = choice.get("token_ids"), choice.get("logprobs")
                if ids is None:
                    raise GarbledError("it gives no token ids: vLLM does from 0.10.2 on")
                entries = [] if logprobs is None else _entries(logprobs, self._request.top_logprobs or 0)
                yield from self._begin(entries)
                yield from self._say([int(token) for token in ids], entries)
                if self.end is not None:
                    return
                self._reason = choice.get("finish_reason") or self._reason
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GarbledError(f"its answer is not that of a completion ({type(error).__name__})") from error

    def closed(self) -> Iterator[Event]:
        """The end that the upstream gave as its reason."""
        if self.end is not None:
            return
        if self._reason not in ("stop", "length"):
            raise GarbledError("it ended without a reason")
        if self._request.max_tokens == 0:  # one token is said there, and not wanted
            self.answer_tokens = 0
        yield from self._finish()

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        if usage is not None:
            # A stop token counts as said, whether or not it is among the ids.
            self.answer_tokens = int(usage["completion_tokens"])
            self._cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)

    def _begin(self, entries: list[TokenLogprob]) -> Iterator[Event]:
        """The prompt has been read; its own log-probabilities come before those of the answer."""
        if self._begun:
            return
        self._begun = True
        of_prompt = entries[: len(self._request.prompt)] if self._request.prompt_logprobs else []
        del entries[: len(of_prompt)]
        yield PromptRead(self._cached, tuple(of_prompt))

    def _say(self, ids: list[int], entries: list[TokenLogprob]) -> Iterator[Event]:
        if self._request.max_tokens == 0:
            return
        for index, token in enumerate(ids):
            if token in self._request.stop_ids:  # the upstream knows it too, and ends
                return
            if not self._request.prompt_logprobs:
                self.answer_tokens += 1
            self._logprobs += entries[index : index + 1]
            text = self._writer.add(token)
            if text:
                yield self._let_out(text)
            if self._writer.stopped:
                self._reason = "stop"
                yield from self._finish()
                return

    def _finish(self) -> Iterator[Event]:
        rest = "" if self._writer.stopped else self._writer.end()
        if rest or self._logprobs:
            yield self._let_out(rest)
        # A stop text may complete itself only in what was held back.
        stopped = self._reason == "stop" or self._writer.stopped
        usage = len(self._request.prompt), self.answer_tokens, self._cached
        self.end = Finished("stop" if stopped else "length", *usage)

    def _let_out(self, text: str) -> Piece:
        piece = Piece(text, tuple(self._logprobs))
        self._logprobs.clear()
        return piece


def _entries(logprobs: Mapping[str, Any], top: int) -> list[TokenLogprob]:
    """OpenAI's lists side by side, with tokens by their ids; each dictionary holds the token itself too."""
    return [
        TokenLogprob(_id(token), value, tuple(_likeliest(likely or {})[:top]))
        for token, value, likely in zip(
            logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
        )
    ]


def _likeliest(found: Mapping[str, float]) -> list[tuple[int, float]]:
    return sorted(((_id(token), float(value)) for token, value in found.items()), key=lambda item: -item[1])


def _id(token: str) -> int:
    if not token.startswith(TOKEN_ID):
        raise ValueError("a token without its id")
    return int(token.removeprefix(TOKEN_ID))


def _posted(client: httpx2.Client, path: str, body: dict[str, Any], key: str) -> Any:
    found = client.post(path, json=body).raise_for_status().json()
    if not isinstance(found, dict) or key not in found:
        raise GarbledError(f"its {path} gives no {key}")
    return found[key]
