"""Text generation, one token id at a time."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from fonderie.model.language_model import LanguageModel


def generate(
    model: LanguageModel,
    prompt_ids: Sequence[int],
    *,
    max_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop_ids: Collection[int] = (),
) -> Iterator[int]:
    """Yield the ids that follow a prompt; a stop id ends the text and is not yielded.

    Temperature 0 takes the likeliest token; above, `seed` draws, among the `top_k` likeliest tokens and the
    smallest set of them that holds `top_p` of the probability. Ends when the context is full.
    Raises ValueError for a prompt that is empty or fills the context, and for settings out of range.
    """
    room = model.config.context - len(prompt_ids)
    if not prompt_ids or room < 1:
        raise ValueError(f"a prompt has 1 to {model.config.context - 1} tokens, not {len(prompt_ids)}")
    if temperature < 0 or (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise ValueError(f"temperature {temperature}, top_k {top_k}, top_p {top_p}: out of range")
    generator = torch.Generator().manual_seed(seed)
    choose = partial(_choose, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
    return _generate(model, prompt_ids, min(max_tokens, room), choose, stop_ids)


def _generate(
    model: LanguageModel,
    ids: Sequence[int],
    max_tokens: int,
    choose: Callable[[Tensor], int],
    stop_ids: Collection[int],
) -> Iterator[int]:
    device = model.embedding.weight.device
    cache = model.cache(tokens=len(ids) + max_tokens)
    for _ in range(max_tokens):
        # Not around the loop: inference mode would leak into the caller while this generator is suspended.
        with torch.inference_mode():
            hidden_BTW = model.hidden(torch.tensor([ids], device=device), cache)
            chosen = choose((hidden_BTW[0, -1] @ model.output_weight.T).float().cpu())
        if chosen in stop_ids:
            return
        yield chosen
        ids = [chosen]


def _choose(
    logits_V: Tensor, *, temperature: float, top_k: int | None, top_p: float | None, generator: torch.Generator
) -> int:
    """One id, from logits on the CPU, where the generator is."""
    if temperature == 0:
        return int(logits_V.argmax())
    p_V, ids_V = (logits_V / temperature).softmax(-1).sort(descending=True, stable=True)
    if top_k is not None:
        p_V = p_V[:top_k]
    if top_p is not None:
        # Keep a token while those before it do not hold top_p yet: the first always stays.
        p_V = p_V[p_V.cumsum(-1) - p_V < top_p * p_V.sum()]
    return int(ids_V[torch.multinomial(p_V, 1, generator=generator)])
