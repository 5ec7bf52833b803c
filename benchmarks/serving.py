"""How fast the embedded engine answers, against transformers with the same weights, on the same machine, in turn.

python benchmarks/serving.py [--rounds N] [--threads N] [--precision bf16|fp32] [--only NAME]

    batch16_vs_generate               16 requests at once, against `generate`, one after the other
    batch16_vs_transformers_batching  the same, against transformers' own continuous batching
    single_vs_generate                one request, against `generate`
    batch16_vs_llamacpp, single_vs_llamacpp
                                      against llama-server, where it is installed (serving_llamacpp.py); no target

Tokens a second, greedy, prompts of 64 tokens and answers of 64; no token ends an answer. Prints one JSON line for
each; exit status 1 if one misses its target. `processor_ratio` is that of processor time, for machines that others
use at the same time.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fonderie.model.config import ModelConfig
from fonderie.model.convert import save_pretrained
from fonderie.model.transformer import Decoder
from fonderie.serve.engine.engine import Engine, Limits
from fonderie.serve.engine.request import Event, Finished, Request, Sampling
from serving_llamacpp import LlamaServer, missing

PROMPT, ANSWER, STREAMS = 64, 64, 16
TARGETS = {
    "batch16_vs_generate": 4.0,
    "batch16_vs_transformers_batching": 1.5,
    "single_vs_generate": 2.0,
}
LLAMACPP = "llamacpp"
CONFIG = ModelConfig.from_depth(8, vocabulary=16_384, context=512, width=448, heads=7, kv_heads=7)
"""27 M parameters, 7 M of them the table."""


class Words:
    """A tokenizer that no time goes into."""

    def decode(self, ids: list[int]) -> str:
        """One character for each token."""
        return "a" * len(ids)


class Ours:
    """The engine, and a way to wait for it."""

    def __init__(self, model: Decoder, threads: int) -> None:
        self._left, self._done = 0, threading.Event()
        self._engine = Engine(
            model, Words(), self._deliver, limits=Limits(batch=STREAMS, prefix_bytes=0), threads=threads
        )

    def _deliver(self, events: list[tuple[int, Event]]) -> None:
        self._left -= sum(isinstance(event, Finished) for _, event in events)
        if self._left == 0:
            self._done.set()

    def answer(self, prompts: list[list[int]]) -> None:
        """All at once."""
        self._done.clear()
        self._left = len(prompts)
        for prompt in prompts:
            self._engine.submit(Request(tuple(prompt), ANSWER, Sampling(temperature=0)))
        assert self._done.wait(600)


class Transformers:
    """The same weights in transformers."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        from transformers import AutoModelForCausalLM, GenerationConfig

        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        self._settings = GenerationConfig(
            max_new_tokens=ANSWER, min_new_tokens=ANSWER, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        # Pages for all prompts and answers, as many as ours has room for.
        self._batched = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()

    def answer(self, prompts: list[list[int]]) -> None:
        """One after the other."""
        for prompt in prompts:
            with torch.inference_mode():
                out = self._model.generate(torch.tensor([prompt]), generation_config=self._settings)
            assert out.shape[1] == PROMPT + ANSWER

    def batched(self, prompts: list[list[int]]) -> None:
        """By its continuous batching."""
        found = self._batched.generate_batch(
            inputs=prompts, generation_config=self._settings, progress_bar=False, persistent_manager=True
        )
        assert len(found) == len(prompts)
        assert all(len(one.generated_tokens) == ANSWER for one in found.values())


def seconds(function: Callable[[list[list[int]]], None], prompts: list[list[int]]) -> tuple[float, float]:
    """How long one call takes, by the clock and by the processor's time."""
    begun, worked = time.perf_counter(), time.process_time()
    function(prompts)
    return time.perf_counter() - begun, time.process_time() - worked


def compare(
    name: str,
    peer: str,
    ours: Callable[[list[list[int]]], None],
    theirs: Callable[[list[list[int]]], None],
    *,
    prompts: list[list[int]],
    rounds: int,
) -> dict[str, Any]:
    """Both in turn; the ratio of medians of tokens a second."""
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
    for function in (ours, theirs):
        function(prompts)  # once, so that both are warm
    for _ in range(rounds):
        times["ours"].append(seconds(ours, prompts))
        times["peer"].append(seconds(theirs, prompts))
    medians = {who: statistics.median(clock for clock, _ in values) for who, values in times.items()}
    worked = {who: statistics.median(processor for _, processor in values) for who, values in times.items()}
    tokens = len(prompts) * ANSWER
    return {
        "name": name,
        "peer": peer,
        "ratio": round(medians["peer"] / medians["ours"], 2),
        "n": rounds,
        "detail": {
            "tokens_per_second": round(tokens / medians["ours"], 1),
            "peer_tokens_per_second": round(tokens / medians["peer"], 1),
            "processor_ratio": round(worked["peer"] / worked["ours"], 2),
            "parameters": CONFIG.parameters,
            "threads": torch.get_num_threads(),
            "load_average": round(os.getloadavg()[0], 1),
        },
    }


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--precision", choices=("bf16", "fp32"), default="bf16", help="of both; default: %(default)s"
    )
    parser.add_argument("--only", choices=(*TARGETS, LLAMACPP))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    import transformers

    model = Decoder(CONFIG, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randint(0, CONFIG.vocabulary, (STREAMS, PROMPT), generator=generator).tolist()
    missed = False
    with tempfile.TemporaryDirectory() as name:
        save_pretrained(model, Path(name), bos=0, eos=(1, 2), pad=1)
        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[options.precision]
        ours, theirs = Ours(model.to(dtype), options.threads), Transformers(Path(name), dtype)
        version = f"transformers {transformers.__version__}"
        for title, peer, their, asked in (
            ("batch16_vs_generate", "generate", theirs.answer, prompts),
            ("batch16_vs_transformers_batching", "generate_batch", theirs.batched, prompts),
            ("single_vs_generate", "generate", theirs.answer, prompts[:1]),
        ):
            if options.only in (None, title):
                result = compare(
                    title, f"{version}, {peer}", ours.answer, their, prompts=asked, rounds=options.rounds
                )
                result["detail"]["precision"] = options.precision
                print(json.dumps(result), flush=True)
                missed |= result["ratio"] < TARGETS[title]
        if options.only in (None, LLAMACPP):
            _compare_llamacpp(ours, Path(name), prompts, options)
    return int(missed)


def _compare_llamacpp(ours: Ours, folder: Path, prompts: list[list[int]], options: argparse.Namespace) -> None:
    """Side by side with llama-server, if it is here; says so on standard error if it is not."""
    lacking = missing()
    if lacking is not None:
        print(f"llama.cpp is not compared: {lacking}", file=sys.stderr)
        return
    with LlamaServer(folder, CONFIG, precision=options.precision, slots=STREAMS, threads=options.threads) as server:

        def their(asked: list[list[int]]) -> None:
            server.answer(asked, ANSWER)

        for title, asked in (("batch16_vs_llamacpp", prompts), ("single_vs_llamacpp", prompts[:1])):
            result = compare(title, "llama-server", ours.answer, their, prompts=asked, rounds=options.rounds)
            del result["detail"]["processor_ratio"]  # theirs is another process
            result["detail"]["precision"] = options.precision
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    sys.exit(main())
