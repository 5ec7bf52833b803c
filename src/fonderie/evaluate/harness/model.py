"""Our decoder as lm-eval sees one. Every request is computed alone: no batch, hence no batch size to depend on."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from fonderie.core.digest import digest_json
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.evaluate.likelihood import continuation
from fonderie.model.generate import generate
from fonderie.model.language_model import LanguageModel
from fonderie.tokens.conversation import BOS, END, ROLE_TOKENS, SPECIAL_TOKENS
from fonderie.tokens.tokenizer import Tokenizer

DEFAULT_ANSWER_TOKENS = 256
"""As lm-eval's own model of Hugging Face."""
_SPECIAL = re.compile(f"({'|'.join(map(re.escape, SPECIAL_TOKENS))})")
_KNOWN = {"until", "max_gen_toks", "do_sample", "temperature", "top_k", "top_p"}


class Model(TemplateLM):  # type: ignore[misc]  # the library has no types
    """Likelihoods and answers of a decoder.

    `bos` puts the token that begins every document of ours before each context; lm-eval's own model of Hugging Face
    leaves it to the tokenizer. With `chat`, contexts come from the chat template, special tokens and all.
    """

    def __init__(
        self, model: LanguageModel, tokenizer: Tokenizer, *, bos: bool, chat: bool, seed: int, machine: Machine
    ) -> None:
        super().__init__()
        self.model, self.tokens = model, tokenizer
        self.bos, self.chat, self.seed, self.machine = bos, chat, seed, machine
        self.truncated: Counter[str] = Counter()
        """By task: requests whose context lost its beginning, because the whole did not fit."""

    @property
    def eot_token_id(self) -> int:
        """Ends every document."""
        return self.tokens.eos

    @property
    def prefix_token_id(self) -> int:
        """What an empty context is: the beginning of a document."""
        return self.tokens.bos

    @property
    def max_length(self) -> int:
        """The model's context."""
        return self.model.config.context

    @property
    def tokenizer_name(self) -> str:
        """lm-eval tells request caches apart by it; we keep none."""
        return "fonderie"

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Ids of a text; where it comes from the chat template, special tokens as themselves."""
        if self.chat:
            pieces = (piece for piece in _SPECIAL.split(string) if piece)
            return [number for piece in pieces for number in self._piece(piece)]
        first = [self.tokens.bos] if self.bos and add_special_tokens is not False else []
        return first + self.tokens.encode(string)

    def _piece(self, piece: str) -> list[int]:
        return [self.tokens.special[piece]] if piece in SPECIAL_TOKENS else self.tokens.encode(piece)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Its name, which lm-eval records; the template is the tokenizer's."""
        return "fonderie" if chat_template else None

    def apply_chat_template(
        self, chat_history: Sequence[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The text of a conversation, special tokens written out; InputError where an item holds one itself."""
        text = BOS
        for turn in chat_history:
            if _SPECIAL.search(turn["content"]):
                raise InputError(f"an item holds the text of a special token: {turn['content'][:80]}")
            text += f"{ROLE_TOKENS[turn['role']]}{turn['content']}{END}"
        if add_generation_prompt:
            return text + ROLE_TOKENS["assistant"]
        return text.removesuffix(END)  # the assistant's turn is to be continued

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:  # noqa: ARG002
        """Nats of each continuation, and whether it is what the model would have said."""
        found = []
        with self.machine.bar("likelihoods", len(requests), "requests") as bar:
            for request in requests:
                context, following = request.args
                if context == "":
                    before, after = [self.prefix_token_id], self.tok_encode(following, add_special_tokens=False)
                else:
                    before, after = self._encode_pair(context, following)
                found.append(self._one(str(request.task_name), before, after))
                bar.advance()
        return found

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        return [self._one("", before, after) for _, before, after in requests]

    def _one(self, task: str, before: list[int], after: list[int]) -> tuple[float, bool]:
        if not 0 < len(after) <= self.max_length:
            raise InputError(f"{task}: a continuation of {len(after)} tokens in a context of {self.max_length}")
        result = continuation(self.model, before or [self.prefix_token_id], after)
        self.truncated[task] += bool(result.truncated)
        return result.log_likelihood, result.greedy

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002
        """Nats of each whole text, in windows that do not overlap in what they predict."""
        found = []
        with self.machine.bar("whole texts", len(requests), "texts") as bar:
            for request in requests:
                windows = get_rolling_token_windows(
                    token_list=self.tok_encode(request.args[0], add_special_tokens=False),
                    prefix_token=self.prefix_token_id,
                    max_seq_len=self.max_length,
                    context_len=1,
                )
                pairs = map(make_disjoint_window, windows)
                found.append(sum(continuation(self.model, before, after).log_likelihood for before, after in pairs))
                bar.advance()
        return found

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:  # noqa: ARG002
        """What the model answers to each context, up to the first of its stops."""
        found = []
        asked: Counter[str] = Counter()
        with self.machine.bar("answers", len(requests), "requests") as bar:
            for request in requests:
                context, settings = request.args
                # A repeat is the same request once more: it is drawn anew, whatever else is asked.
                name = digest_json([context, settings])
                found.append(self._answer(str(request.task_name), context, settings, f"{name}/{asked[name]}"))
                asked[name] += 1
                bar.advance()
        return found

    def _answer(self, task: str, context: str, settings: dict[str, Any], name: str) -> str:
        unknown = sorted(settings.keys() - _KNOWN)
        if unknown:
            raise InputError(
                f"{task}: generation_kwargs say {', '.join(unknown)}, which is not done here",
                hint=f"Known: {', '.join(sorted(_KNOWN))}.",
            )
        given = settings.get("until") or []
        until = [given] if isinstance(given, str) else list(given)
        longest = int(settings.get("max_gen_toks", DEFAULT_ANSWER_TOKENS))
        room = self.max_length - longest
        if room < 1:
            raise InputError(f"{task}: answers of {longest} tokens leave no room in a context of {self.max_length}")
        ids = self.tok_encode(context) or [self.prefix_token_id]
        self.truncated[task] += len(ids) > room
        drawn = settings.get("do_sample", bool(settings.get("temperature")))
        answer: list[int] = []
        for token in generate(
            self.model,
            ids[-room:],
            max_tokens=longest,
            temperature=float(settings.get("temperature", 1.0)) if drawn else 0.0,
            top_k=settings.get("top_k") if drawn else None,
            top_p=settings.get("top_p") if drawn else None,
            seed=int(digest_json([self.seed, name]).removeprefix("sha256:")[:12], 16),
            stop_ids=self.tokens.stops,
        ):
            answer.append(token)
            if until and any(stop in self.tokens.decode(answer) for stop in until if stop):
                break
        text = self.tokens.decode(answer)
        for stop in until:
            text = text.split(stop)[0] if stop else text
        return text
