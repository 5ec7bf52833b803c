# ruff: noqa: D103, E402
"""The measurements of 0001-training-speed.md: one process, variants in turn, medians.

python docs/log/0001-training-speed.py THREADS {fp32,bf16,sizes,compile}
"""

import statistics
import sys
import time
from collections.abc import Callable
from unittest.mock import patch

from fonderie.model.numerics import settle

settle(int(sys.argv[1]))

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from fonderie.model import attention, loss, transformer
from fonderie.model.config import ModelConfig
from fonderie.model.convert import huggingface_config, to_huggingface
from fonderie.model.transformer import Decoder
from fonderie.train.loop import _update
from fonderie.train.optim import adamw
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.schedule import Schedule

ROUNDS = 9
BATCH = 16
CONFIG = ModelConfig.from_depth(4, vocabulary=4096, context=256)
IDS = torch.randint(4096, (BATCH, 257), generator=torch.Generator().manual_seed(0))


def ours(precision="fp32", accumulation=1, compiled=False, fused=True):
    model = Decoder(CONFIG, seed=0)
    optimizer = adamw(model, betas=(0.9, 0.95), epsilon=1e-8, weight_decay=0.1)
    if not fused:
        optimizer = torch.optim.AdamW(model.parameters(), fused=False)
    if compiled:
        for block in model.blocks:
            block.compile(dynamic=False)
    schedule = Schedule("constant", 100, 1e-3)
    plan = Plan(schedule, accumulation, 1.0, 0, precision, compiled, 100, 1)
    return lambda: _update(model, optimizer, IDS, plan, 1e-3)


def llama(precision="fp32"):
    """The same weights in transformers: SDPA, eager, AdamW as its Trainer sets it (fused)."""
    inputs, targets = IDS[:, :-1].contiguous(), IDS[:, 1:].contiguous()
    model = LlamaForCausalLM(LlamaConfig(**huggingface_config(CONFIG)))
    model.load_state_dict(to_huggingface(Decoder(CONFIG, seed=0).state_dict(), CONFIG), strict=False)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            out = model(input_ids=inputs, labels=inputs, shift_labels=targets)
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def sdpa(q, k, v):
    y = functional.scaled_dot_product_attention(q.transpose(1, 2), k, v, is_causal=True, enable_gqa=True)
    return y.transpose(1, 2).flatten(2)


def whole_logits(x, weight, targets):
    return functional.cross_entropy((x @ weight.T).float(), targets, reduction="sum")


def library_norm(self, x):
    return functional.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


def under(step: Callable, *patches) -> Callable:
    def patched():
        for p in patches:
            p.start()
        step()
        for p in patches:
            p.stop()

    return patched


def variants(kind: str) -> dict[str, Callable]:
    with_sdpa = patch.object(transformer, "causal_attention", sdpa)
    with_logits = patch("fonderie.train.loop.linear_cross_entropy", whole_logits)
    with_norm = patch.object(transformer.RMSNorm, "forward", library_norm)
    if kind == "sizes":
        blocks = {f"block {n}": under(ours(), patch.object(attention, "BLOCK", n)) for n in (32, 128, 256)}
        rows = {f"rows {n}": under(ours(), patch.object(loss, "ROWS", n)) for n in (128, 256, 1024, 4096)}
        pieces = {f"accumulation {n}": ours(accumulation=n) for n in (2, 4)}
        return {"ours": ours(), **blocks, **rows, **pieces}
    if kind == "compile":
        return {
            f"{precision} {'compiled' if compiled else 'eager'}": ours(precision, compiled=compiled)
            for precision in ("fp32", "bf16")
            for compiled in (False, True)
        }
    return {
        "ours": ours(kind),
        "SDPA": under(ours(kind), with_sdpa),
        "whole logits": under(ours(kind), with_logits),
        "functional.rms_norm": under(ours(kind), with_norm),
        "AdamW not fused": ours(kind, fused=False),
        "transformers Llama": llama(kind),
    }


def main() -> None:
    steps, times = variants(sys.argv[2]), {}
    for name, step in steps.items():
        begun = time.perf_counter()
        step()
        times[name] = [time.perf_counter() - begun]
    for _ in range(ROUNDS):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - begun)
    first = statistics.median(next(iter(times.values()))[1:])
    for name, (start, *rest) in times.items():
        median = statistics.median(rest)
        print(
            f"{name:22} {BATCH * 256 / median:8,.0f} tokens/s   {first / median:5.2f}   first step {start:5.1f} s"
        )


main()
