"""Drawing tokens: every row of logits by its own settings and its own chance.

A row's token follows from its logits, settings, past and number alone: no state is shared, no generator is
advanced, so that an answer is the same alone or in a batch, and a cancelled neighbour changes nothing. Shapes:
R rows, V vocabulary.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fonderie.serve.engine.request import Sampling, TokenLogprob

FIRST_CANDIDATES = 128
"""Likeliest tokens that are looked at before all of them are sorted: nearly always they hold top_p."""


@dataclass
class History:
    """What one request has read and said."""

    sampling: Sampling
    prompt: tuple[int, ...]
    said: list[int] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)

    def add(self, token: int) -> None:
        """The answer goes on."""
        self.said.append(token)
        self.counts[token] += 1


def draw(logits_V: Tensor, history: History, allowed_V: Tensor | None = None) -> int:
    """The next token of one request, from its fp32 logits on the CPU, which are left as they are.

    `allowed_V` is true where a grammar permits the token.
    """
    settings = history.sampling
    logits_V = _adjusted(logits_V, history)
    if allowed_V is not None:
        logits_V = logits_V.masked_fill(~allowed_V, float("-inf"))
    if settings.temperature == 0:
        return int(logits_V.argmax())
    scaled_V = logits_V / settings.temperature
    chance = uniform(settings.seed, len(history.said))
    if settings.top_k == 0 and settings.top_p == 1 and settings.min_p == 0:
        return _at(scaled_V.softmax(-1), chance)
    p, ids = _candidates(scaled_V, settings)
    return int(ids[_at(p, chance)])


def uniform(seed: int, number: int) -> float:
    """A number in [0, 1) for the token of that number: a hash, so that none needs those before it."""
    digest = hashlib.blake2b(f"fonderie draw {seed} {number}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def logprobs_of(logits_RV: Tensor, tokens: list[int], top: int) -> list[TokenLogprob]:
    """What the model's own distributions give to a token each, and to the `top` likeliest."""
    logp_RV = logits_RV.log_softmax(-1)
    chosen = logp_RV.gather(1, torch.tensor(tokens)[:, None])[:, 0].tolist()
    if top == 0:
        return [TokenLogprob(token, value) for token, value in zip(tokens, chosen, strict=True)]
    values, ids = (found.tolist() for found in logp_RV.topk(min(top, logp_RV.shape[1]), dim=-1))
    return [
        TokenLogprob(token, value, tuple(zip(row_ids, row_values, strict=True)))
        for token, value, row_ids, row_values in zip(tokens, chosen, ids, values, strict=True)
    ]


def _adjusted(logits_V: Tensor, history: History) -> Tensor:
    """Logits with bias and penalties; the same tensor where there are none."""
    settings = history.sampling
    penalised = settings.presence_penalty or settings.frequency_penalty
    if not (penalised and history.said) and settings.repetition_penalty == 1 and not settings.logit_bias:
        return logits_V
    logits_V = logits_V.clone()
    if settings.repetition_penalty != 1:
        seen = torch.tensor(sorted({*history.prompt, *history.said}))
        values = logits_V[seen]
        penalty = settings.repetition_penalty
        logits_V[seen] = torch.where(values > 0, values / penalty, values * penalty)
    if penalised and history.said:
        ids, counts = torch.tensor(list(history.counts)), torch.tensor(list(history.counts.values()))
        logits_V[ids] -= settings.presence_penalty + settings.frequency_penalty * counts
    if settings.logit_bias:
        biased = torch.tensor(list(settings.logit_bias))
        logits_V[biased] += torch.tensor(list(settings.logit_bias.values()))
    return logits_V


def _candidates(scaled_V: Tensor, settings: Sampling) -> tuple[Tensor, Tensor]:
    """Probabilities and ids that top_k, top_p and min_p leave, the likeliest first, ties by id."""
    total = scaled_V.logsumexp(-1)
    size = len(scaled_V)
    look = min(size, max(FIRST_CANDIDATES, settings.top_k))
    while True:
        p, ids = _likeliest(scaled_V, look, total)
        held = p.sum() if settings.top_k == 0 else p[: settings.top_k].sum()
        enough = settings.top_k > 0 or held >= settings.top_p or p[-1] < settings.min_p * p[0]
        if look == size or enough:
            break
        look = min(size, look * 8)
    if settings.top_k:
        p, ids = p[: settings.top_k], ids[: settings.top_k]
        p = p / p.sum()
    # Keep a token while those before it do not hold top_p yet, so that the first always stays.
    kept = (p.cumsum(-1) - p < settings.top_p) & (p >= settings.min_p * p[0])
    return p[kept], ids[kept]


def _likeliest(scaled_V: Tensor, count: int, total: Tensor) -> tuple[Tensor, Tensor]:
    """The `count` likeliest tokens in a settled order: torch.topk leaves that of ties open."""
    least = scaled_V.topk(count).values[-1]
    ids = torch.nonzero(scaled_V >= least)[:, 0]
    values, order = scaled_V[ids].sort(descending=True, stable=True)
    return (values[:count] - total).exp(), ids[order][:count]


def _at(p: Tensor, chance: float) -> int:
    """The index at which the running sum of probabilities passes `chance` of their total."""
    running = p.double().cumsum(-1)
    index = int(torch.searchsorted(running, chance * running[-1], right=True))
    # Rounding can put the last sum at the chance itself; a token of no probability is never drawn.
    return min(index, int(torch.searchsorted(running, running[-1])))
