"""Drawing tokens: every row of logits by its own settings and its own chance.

A row's token follows from its logits, settings, past and number alone: no state is shared, no generator is
advanced, so that an answer is the same alone or in a batch, and a cancelled neighbour changes nothing. Shapes:
R rows, V vocabulary.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fonderie.serve.engine.request import Sampling, TokenLogprob

FIRST_SHARE = 2.0**-10
"""Of the likeliest token's probability: tokens with less are looked at only where those with more are too few."""
LEAST_TEMPERATURE = 1e-30
"""A smaller one would be zero in fp32, and the likeliest token's share no number; so cold, no other is drawn."""

Numbers = npt.NDArray[Any]


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

    `allowed_V` is true where a grammar permits the token. FloatingPointError where the logits are no numbers.
    """
    settings = history.sampling
    # In numpy: a call takes a microsecond or two of its own, and torch ten.
    values_V = _adjusted(logits_V.numpy(), history)
    if allowed_V is not None:
        values_V = np.where(allowed_V.numpy(), values_V, np.float32(-np.inf))
    highest = values_V.max()  # of numbers among which one is none, this is none either
    if not np.isfinite(highest):
        raise FloatingPointError(f"the likeliest token's logit is {highest}")
    if settings.temperature == 0:
        return int(values_V.argmax())
    # Shares of the likeliest token's probability.
    share_V = np.exp((values_V - highest) / np.float32(max(settings.temperature, LEAST_TEMPERATURE)))
    chance = uniform(settings.seed, len(history.said))
    if settings.top_k == 0 and settings.top_p == 1 and settings.min_p == 0:
        return _at(share_V, chance)
    ids = _candidates(share_V, settings)
    return int(ids[_at(share_V[ids], chance)])


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


def _adjusted(values_V: Numbers, history: History) -> Numbers:
    """Logits with bias and penalties; the same array where there are none."""
    settings = history.sampling
    penalised = settings.presence_penalty or settings.frequency_penalty
    if not (penalised and history.said) and settings.repetition_penalty == 1 and not settings.logit_bias:
        return values_V
    values_V = values_V.copy()
    if settings.repetition_penalty != 1:
        seen = np.fromiter({*history.prompt, *history.said}, np.int64)
        values, penalty = values_V[seen], np.float32(settings.repetition_penalty)
        values_V[seen] = np.where(values > 0, values / penalty, values * penalty)
    if penalised and history.said:
        ids, counts = (np.fromiter(found, np.int64) for found in (history.counts, history.counts.values()))
        values_V[ids] -= (settings.presence_penalty + settings.frequency_penalty * counts).astype(np.float32)
    if settings.logit_bias:
        biased = np.fromiter(settings.logit_bias, np.int64)
        values_V[biased] += np.fromiter(settings.logit_bias.values(), np.float32)
    return values_V


def _candidates(share_V: Numbers, settings: Sampling) -> Numbers:
    """The ids that top_k, top_p and min_p leave, the likeliest first, ties by id."""
    if settings.top_k:
        ids = _at_least(share_V, np.partition(share_V, -min(settings.top_k, len(share_V)))[-settings.top_k :].min())
        ids = ids[: settings.top_k]
        total = share_V[ids].sum(dtype=np.float64)
    else:
        least, total = FIRST_SHARE, share_V.sum(dtype=np.float64)
        while True:
            ids = _at_least(share_V, max(least, settings.min_p))
            enough = least <= settings.min_p or share_V[ids].sum(dtype=np.float64) >= settings.top_p * total
            if enough or least == 0:
                break
            # A share of less than so little is none: then all tokens are looked at.
            least = least / 64 if least > 1e-30 else 0.0
    p = share_V[ids].astype(np.float64) / total
    # Keep a token while those before it do not hold top_p yet, so that the first always stays.
    kept = (p.cumsum() - p < settings.top_p) & (share_V[ids] >= settings.min_p)
    left: Numbers = ids[kept]
    return left


def _at_least(share_V: Numbers, least: float) -> Numbers:
    """Ids of the tokens with such a share, the likeliest first, ties by id."""
    ids = np.flatnonzero(share_V >= least)
    found: Numbers = ids[np.argsort(-share_V[ids], kind="stable")]
    return found


def _at(share: Numbers, chance: float) -> int:
    """The index at which the running sum of shares passes `chance` of their total."""
    running = share.cumsum(dtype=np.float64)
    index = int(running.searchsorted(chance * running[-1], side="right"))
    # Rounding can put the last sum at the chance itself; a token of no probability is never drawn.
    return min(index, int(running.searchsorted(running[-1])))
