"""To and from Hugging Face: names of weights, config.json, and a folder that both sides load.

Llama, Mistral, OLMo 2, Qwen2 and Qwen3 are one decoder here (config.py says what sets them apart), and are written
back under their own names. What their files can express and this decoder does not do is refused by name, never
dropped.
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
from fonderie.model.config import Architecture, ForeignConfig, ModelConfig, RopeScaling
from fonderie.model.language_model import LanguageModel
from fonderie.model.names import huggingface_names
from fonderie.model.transformer import Decoder

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"

# Parts of config.json that must have this value, said or by their family's default, for our decoder to be the same
# model. A wrong value is refused by name: another could compute it (see foreign.py), this decoder does not.
_REQUIRED: dict[str, Any] = {"hidden_act": "silu", "attention_bias": False}
_REQUIRED_BY: dict[str, dict[str, Any]] = {
    "llama": {"mlp_bias": False},
    "qwen2": {"use_sliding_window": False},
    "qwen3": {"use_sliding_window": False},
}
# What a config.json leaves unsaid where it is its family's default: values of transformers 5.24's configuration
# classes. Those that all share stand in `config_from_huggingface`.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {"rms_norm_eps": 1e-6},
    "mistral": {"rms_norm_eps": 1e-6, "num_key_value_heads": 8, "sliding_window": 4096},
    "olmo2": {"rms_norm_eps": 1e-5},
    "qwen2": {"rms_norm_eps": 1e-6, "num_key_value_heads": 32},
    "qwen3": {"rms_norm_eps": 1e-6, "num_key_value_heads": 32, "head_dim": 128},
}
_CLASSES: dict[Architecture, str] = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}


def to_huggingface(state_dict: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our weights under their family's names; each tensor its own memory, ready to save."""
    weights: dict[str, Tensor] = {}
    for ours, theirs in huggingface_names(config).items():
        for name, part in zip(theirs, torch.split(state_dict[ours], rows_of_parts(ours, config)), strict=True):
            weights[name] = part.detach().to("cpu", copy=True).contiguous()
    return weights


def from_huggingface(weights: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Their weights under our names. Raises InputError naming what is missing or unknown."""
    if config.depth > len(weights):  # a stranger's number: names for so many blocks might fill the memory
        raise InputError(f"config.json says {config.depth:,} blocks, and there are {len(weights):,} tensors in all")
    names = huggingface_names(config)
    known = {name for parts in names.values() for name in parts}
    # A tied head is sometimes written out all the same; so are, by old versions, the frequencies.
    found = {
        name
        for name in weights
        if not (config.tied_embeddings and name == "lm_head.weight") and not name.endswith("rotary_emb.inv_freq")
    }
    if found != known:
        missing, unknown = sorted(known - found), sorted(found - known)
        raise InputError(
            f"the weights lack {missing} and hold {unknown}, which a {config.architecture} of these sizes does not"
        )
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
    family: dict[str, Any] = {"attention_bias": False, "head_dim": config.head_size}
    match config.architecture:
        case "llama":
            family["mlp_bias"] = False
        case "mistral":
            family = {"head_dim": config.head_size, "sliding_window": config.window}
        case "olmo2":
            del family["head_dim"]
        case "qwen2":
            family = {"use_sliding_window": False}
        case "qwen3":
            family["use_sliding_window"] = False
    return {
        "architectures": [_CLASSES[config.architecture]],
        "model_type": config.architecture,
        **family,
        "attention_dropout": 0.0,
        "bos_token_id": bos,
        "dtype": str(dtype).removeprefix("torch."),
        "eos_token_id": list(eos) if isinstance(eos, Sequence) else eos,
        "hidden_act": "silu",
        "hidden_size": config.width,
        "initializer_range": config.init_std,
        "intermediate_size": config.hidden,
        "max_position_embeddings": config.context,
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.depth,
        "num_key_value_heads": config.kv_heads,
        "pad_token_id": pad,
        "rms_norm_eps": config.norm_epsilon,
        # transformers 5 reads rope_parameters; vLLM, llama.cpp and transformers 4 read rope_theta and rope_scaling.
        "rope_parameters": {**_rope(config.rope_scaling), "rope_theta": config.rope_theta},
        "rope_theta": config.rope_theta,
        **({"rope_scaling": _rope(config.rope_scaling)} if config.rope_scaling else {}),
        "tie_word_embeddings": config.tied_embeddings,
        "use_cache": True,
        "vocab_size": config.vocabulary,
    }


def _rope(scaling: RopeScaling | None) -> dict[str, Any]:
    if scaling is None:
        return {"rope_type": "default"}
    if scaling.kind == "linear":
        return {"rope_type": "linear", "factor": scaling.factor}
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_context,
    }


def config_from_huggingface(values: Mapping[str, Any]) -> ModelConfig:
    """The sizes in a config.json. Raises InputError naming every part that this decoder does not do."""
    wrong = not_computed(values)
    if wrong:
        raise InputError(f"not a model this decoder computes: {', '.join(wrong)}")
    family = values["model_type"]
    said = {**_DEFAULTS[family], **{name: value for name, value in values.items() if value is not None}}
    rope = _rope_said(values)
    try:
        heads, width = said["num_attention_heads"], said["hidden_size"]
        head_size = said.get("head_dim") or width // heads
        if family in ("olmo2", "qwen2") and head_size * heads != width:
            raise InputError(
                f"a {family} has heads of hidden_size / num_attention_heads, not head_dim = {head_size}"
            )
        return ModelConfig(
            architecture=family,
            depth=said["num_hidden_layers"],
            width=width,
            heads=heads,
            kv_heads=said.get("num_key_value_heads", heads),
            head_size=head_size,
            hidden=said["intermediate_size"],
            vocabulary=said["vocab_size"],
            context=said["max_position_embeddings"],
            rope_theta=rope.get("rope_theta", said.get("rope_theta", 10_000.0)),
            rope_scaling=_rope_scaling(rope),
            # None is said here, not left unsaid: no window.
            window=values.get("sliding_window", said["sliding_window"]) if family == "mistral" else None,
            norm_epsilon=said["rms_norm_eps"],
            tied_embeddings=said.get("tie_word_embeddings", False),
            init_std=said.get("initializer_range", 0.02),
        )
    except KeyError as error:
        raise InputError(f"config.json does not say {error}") from error
    except ValidationError as error:
        raise InputError(f"config.json has sizes that do not fit: {error.errors()[0]['msg']}") from error
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"config.json has sizes that are no numbers: {error}") from error


def not_computed(values: Mapping[str, Any]) -> list[str]:
    """What of a config.json this decoder does not compute; empty where it computes the model."""
    family = values.get("model_type")
    if family not in _CLASSES:
        return [f"model_type = {family!r}" if family else "no model_type"]
    required = {**_REQUIRED, **_REQUIRED_BY.get(family, {})}
    wrong = [f"{name} = {values[name]!r}" for name, want in required.items() if values.get(name, want) != want]
    if any(kind != "full_attention" for kind in values.get("layer_types") or ()) and family != "mistral":
        wrong.append(f"layer_types = {values['layer_types']!r}")
    rope = _rope_said(values)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "linear", "llama3"):
        wrong.append(f"rope_type = {kind!r}")
    if rope.get("partial_rotary_factor", values.get("partial_rotary_factor") or 1.0) != 1.0:
        wrong.append("partial_rotary_factor")
    return wrong


def _rope_said(values: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name in ("rope_scaling", "rope_parameters"):
        table = values.get(name) or {}
        if not isinstance(table, Mapping):
            raise InputError(f"config.json: {name} is no table: {table!r}")
        said.update(table)
    return said


def _rope_scaling(rope: Mapping[str, Any]) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind == "linear":
        return RopeScaling(kind="linear", factor=rope["factor"])
    return RopeScaling(
        kind="llama3",
        factor=rope["factor"],
        low_freq_factor=rope["low_freq_factor"],
        high_freq_factor=rope["high_freq_factor"],
        original_context=rope["original_max_position_embeddings"],
    )


def save_pretrained(
    model: LanguageModel,
    folder: Path,
    *,
    bos: int | None = None,
    eos: int | Sequence[int] | None = None,
    pad: int | None = None,
) -> None:
    """Write weights, config.json and generation_config.json, loadable by `AutoModelForCausalLM.from_pretrained`."""
    if isinstance(model, Decoder):
        weights = to_huggingface(model.state_dict(), model.config)
        dtype = model.embedding.weight.dtype
        values = huggingface_config(model.config, bos=bos, eos=eos, pad=pad, dtype=dtype)
    else:
        from fonderie.model.foreign import Foreign, to_checkpoint

        assert isinstance(model, Foreign)
        weights = to_checkpoint(model)
        special = {"bos_token_id": bos, "eos_token_id": list(eos) if isinstance(eos, Sequence) else eos}
        dtype_name = str(model.embedding.weight.dtype).removeprefix("torch.")
        values = {**model.config.values, **special, "pad_token_id": pad, "dtype": dtype_name}
    special = {name: values[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    _write_json(folder / CONFIG, values)
    _write_json(folder / GENERATION_CONFIG, special)


def load_pretrained(folder: Path, *, device: str = "cpu") -> Decoder:
    """Read a model that our decoder computes: what `save_pretrained`, or transformers for one file, has written.

    Raises InputError; `load_model` also reads other families.
    """
    values = read_config(folder)
    try:
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


def load_model(folder: Path, *, device: str = "cpu") -> LanguageModel:
    """Read any model: by our decoder if it computes all that config.json asks for, else by transformers.

    Which of the two follows from config.json alone; `native` of the model says which it was. Raises InputError.
    """
    values = read_config(folder)
    if not not_computed(values):
        return load_pretrained(folder, device=device)
    from fonderie.model.foreign import load_foreign

    return load_foreign(folder, values).to(device)


def any_config(folder: Path) -> ModelConfig | ForeignConfig:
    """The sizes that config.json of a folder states, whoever computes the model. Raises InputError."""
    values = read_config(folder)
    if not not_computed(values):
        return config_from_huggingface(values)
    from fonderie.model.foreign import foreign_config

    return foreign_config(values)


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json of a folder says; InputError if it says nothing."""
    try:
        values = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} does not hold a model: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{folder} does not hold a model: {CONFIG} is no table")
    return values


def rows_of_parts(ours: str, config: ModelConfig) -> Any:
    """How the rows of one of our tensors divide into theirs; an int larger than all rows leaves it whole."""
    if ours.endswith(("attention.qkv.weight", "attention.qkv.bias")):
        query, key_value = config.heads * config.head_size, config.kv_heads * config.head_size
        return [query, key_value, key_value]
    if ours.endswith("feed_forward.gate_up.weight"):
        return [config.hidden, config.hidden]
    return max(config.vocabulary, config.width, config.hidden, config.heads * config.head_size)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
