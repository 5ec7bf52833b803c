"""To and from Hugging Face Llama: names of weights, config.json, and a folder that both sides load.

What Llama can express and this decoder does not do is refused by name, never dropped.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fonderie.core.errors import InputError
from fonderie.model.config import ModelConfig
from fonderie.model.names import llama_names
from fonderie.model.transformer import Decoder

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"

# Parts of config.json that must have this value, said or by Llama's default, for our decoder to be the same model.
_REQUIRED = {"model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False}


def to_huggingface(state_dict: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our weights under Llama's names; each tensor its own memory, ready to save."""
    weights: dict[str, Tensor] = {}
    for ours, theirs in llama_names(config).items():
        for name, part in zip(theirs, torch.split(state_dict[ours], _rows(ours, config)), strict=True):
            weights[name] = part.detach().to("cpu", copy=True).contiguous()
    return weights


def from_huggingface(weights: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Llama's weights under our names. Raises InputError naming what is missing, misshapen or unknown."""
    names = llama_names(config)
    known = {name for parts in names.values() for name in parts}
    # A tied head is sometimes written out all the same.
    found = {name for name in weights if not (config.tied_embeddings and name == "lm_head.weight")}
    if found != known:
        missing, unknown = sorted(known - found), sorted(found - known)
        raise InputError(f"the weights lack {missing} and hold {unknown}, which a Llama of these sizes does not")
    return {ours: torch.cat([weights[name] for name in theirs]) for ours, theirs in names.items()}


def huggingface_config(
    config: ModelConfig,
    *,
    bos: int | None = None,
    eos: int | Sequence[int] | None = None,
    pad: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """The contents of config.json for transformers."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": bos,
        "dtype": str(dtype).removeprefix("torch."),
        "eos_token_id": list(eos) if isinstance(eos, Sequence) else eos,
        "head_dim": config.head_size,
        "hidden_act": "silu",
        "hidden_size": config.width,
        "initializer_range": config.init_std,
        "intermediate_size": config.hidden,
        "max_position_embeddings": config.context,
        "mlp_bias": False,
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.depth,
        "num_key_value_heads": config.kv_heads,
        "pad_token_id": pad,
        "rms_norm_eps": config.norm_epsilon,
        # transformers 5 reads rope_parameters; vLLM, llama.cpp and transformers 4 read rope_theta.
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tied_embeddings,
        "use_cache": True,
        "vocab_size": config.vocabulary,
    }


def config_from_huggingface(values: Mapping[str, Any]) -> ModelConfig:
    """The sizes in a Llama config.json. Raises InputError naming any part that this decoder does not do."""
    wrong = [f"{name} = {values[name]!r}" for name, want in _REQUIRED.items() if values.get(name, want) != want]
    rope = {**(values.get("rope_scaling") or {}), **(values.get("rope_parameters") or {})}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        wrong.append(f"rope_type = {kind!r}")
    if wrong or "model_type" not in values:
        raise InputError(f"not a model this decoder computes: {', '.join(wrong) or 'no model_type'}")
    try:
        heads, width = values["num_attention_heads"], values["hidden_size"]
        return ModelConfig(
            depth=values["num_hidden_layers"],
            width=width,
            heads=heads,
            kv_heads=values.get("num_key_value_heads") or heads,
            head_size=values.get("head_dim") or width // heads,
            hidden=values["intermediate_size"],
            vocabulary=values["vocab_size"],
            context=values["max_position_embeddings"],
            rope_theta=rope.get("rope_theta", values.get("rope_theta", 10_000.0)),
            norm_epsilon=values.get("rms_norm_eps", 1e-6),
            tied_embeddings=values.get("tie_word_embeddings", False),
            init_std=values.get("initializer_range", 0.02),
        )
    except KeyError as error:
        raise InputError(f"config.json does not say {error}") from error
    except ValidationError as error:
        raise InputError(f"config.json has sizes that do not fit: {error.errors()[0]['msg']}") from error


def save_pretrained(
    model: Decoder,
    folder: Path,
    *,
    bos: int | None = None,
    eos: int | Sequence[int] | None = None,
    pad: int | None = None,
) -> None:
    """Write weights, config.json and generation_config.json, loadable by `AutoModelForCausalLM.from_pretrained`."""
    weights = to_huggingface(model.state_dict(), model.config)
    dtype = model.embedding.weight.dtype
    values = huggingface_config(model.config, bos=bos, eos=eos, pad=pad, dtype=dtype)
    special = {name: values[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    _write_json(folder / CONFIG, values)
    _write_json(folder / GENERATION_CONFIG, special)


def load_pretrained(folder: Path, *, device: str = "cpu") -> Decoder:
    """Read what `save_pretrained`, or transformers for a Llama of one file, has written. Raises InputError."""
    try:
        values = json.loads((folder / CONFIG).read_bytes())
        weights = load_file(folder / WEIGHTS, device=device)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder} does not hold a model: {error}") from error
    try:
        config = config_from_huggingface(values)
        named = from_huggingface(weights, config)
        model = Decoder(config).to(device)
        model.load_state_dict(named, assign=True)
    except (InputError, RuntimeError) as error:
        raise InputError(f"{folder}: {error}") from error
    return model.eval()


def _rows(ours: str, config: ModelConfig) -> Any:
    """How the rows of one of our tensors divide into Llama's; an int larger than all rows leaves it whole."""
    if ours.endswith("attention.qkv.weight"):
        query, key_value = config.heads * config.head_size, config.kv_heads * config.head_size
        return [query, key_value, key_value]
    if ours.endswith("feed_forward.gate_up.weight"):
        return [config.hidden, config.hidden]
    return max(config.vocabulary, config.width, config.hidden)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
