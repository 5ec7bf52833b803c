"""llama.cpp as a contestant of serving.py: the same weights in its format, behind its own server.

Needs llama-server in the path and the package gguf (MIT, of llama.cpp's makers); neither is a dependency.
"""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file

from fonderie.model.config import ModelConfig

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Of a block's weights: Hugging Face's names, and llama.cpp's."""
START_SECONDS = 60


def missing() -> str | None:
    """What is not installed; None if llama.cpp can be compared."""
    if shutil.which("llama-server") is None:
        return "llama-server is not in the path"
    return None if find_spec("gguf") else "the package gguf is not installed"


class LlamaServer:
    """llama-server with a model; use as a context manager."""

    def __init__(self, folder: Path, config: ModelConfig, *, precision: str, slots: int, threads: int) -> None:
        model = folder / "model.gguf"
        _write(folder / "model.safetensors", model, config, precision)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = (folder / "llama-server.txt").open("w+")
        command = ["llama-server", "-m", model, "--port", port, "-np", slots, "-c", slots * config.context]
        command += ["-t", threads, "-tb", threads]
        self._process = subprocess.Popen(list(map(str, command)), stdout=self._log, stderr=subprocess.STDOUT)

    def __enter__(self) -> Self:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(urllib.error.URLError), urllib.request.urlopen(f"{self.url}/health"):
                return self
            time.sleep(0.1)
        self.__exit__()
        raise SystemExit(f"llama-server does not answer:\n{Path(self._log.name).read_text()[-2_000:]}")

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()

    def answer(self, prompts: list[list[int]], tokens: int) -> list[list[int]]:
        """All at once, greedily; the tokens of each answer."""
        with ThreadPoolExecutor(len(prompts)) as pool:
            return list(pool.map(lambda prompt: self._one(prompt, tokens), prompts))

    def _one(self, prompt: list[int], tokens: int) -> list[int]:
        asked = {"prompt": prompt, "n_predict": tokens, "temperature": 0, "ignore_eos": True, "return_tokens": True}
        body = json.dumps({**asked, "cache_prompt": False}).encode()
        request = urllib.request.Request(f"{self.url}/completion", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as response:
            found: list[int] = json.load(response)["tokens"]
        assert len(found) == tokens
        return found


def _write(weights: Path, path: Path, config: ModelConfig, precision: str) -> None:
    """The weights in llama.cpp's format, with words that nobody reads."""
    import gguf

    kind = {"bf16": gguf.GGMLQuantizationType.BF16, "fp32": gguf.GGMLQuantizationType.F32}[precision]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.depth)
    writer.add_feed_forward_length(config.hidden)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_rope_dimension_count(config.head_size)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_vocab_size(config.vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"<{token}>" for token in range(config.vocabulary)])
    writer.add_token_types([gguf.TokenType.NORMAL] * config.vocabulary)
    writer.add_token_merges(["< 0"])
    for name, tensor in load_file(weights).items():
        values = _as_llama(name, tensor.float().numpy(), config)
        whole = values.ndim == 1  # norms stay in fp32
        found = gguf.GGMLQuantizationType.F32 if whole else kind
        writer.add_tensor(_renamed(name), gguf.quantize(values, found), raw_dtype=found)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _renamed(name: str) -> str:
    if not name.startswith("model.layers."):
        return {
            "model.embed_tokens.weight": "token_embd.weight",
            "model.norm.weight": "output_norm.weight",
            "lm_head.weight": "output.weight",
        }[name]
    _, _, block, rest = name.split(".", 3)
    return f"blk.{block}.{NAMES[rest.removesuffix('.weight')]}.weight"


def _as_llama(name: str, values: NDArray[np.float32], config: ModelConfig) -> Any:
    """Rows of queries and keys as llama.cpp turns them: neighbours in pairs, where ours are half a head apart."""
    heads = {"q_proj": config.heads, "k_proj": config.kv_heads}.get(name.split(".")[-2])
    if heads is None:
        return values
    halves = values.reshape(heads, 2, config.head_size // 2, values.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)
