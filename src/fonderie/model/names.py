"""Our tensors under Hugging Face's names, by family: which of theirs each of ours holds. Imports no torch."""

from collections.abc import Iterable, Mapping
from typing import Any

from fonderie.model.config import ModelConfig

_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
# One matrix here, several there: parts in the order of our rows.
_FUSED = {
    "attention.qkv.weight": tuple(f"{name}.weight" for name in _QKV),
    "feed_forward.gate_up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
}
_BIASES = {"attention.qkv.bias": tuple(f"{name}.bias" for name in _QKV)}
_RENAMED = {
    "attention_norm.weight": "input_layernorm.weight",
    "attention.output.weight": "self_attn.o_proj.weight",
    "feed_forward_norm.weight": "post_attention_layernorm.weight",
    "feed_forward.down.weight": "mlp.down_proj.weight",
}
_QK_NORMS = {
    "attention.query_norm.weight": "self_attn.q_norm.weight",
    "attention.key_norm.weight": "self_attn.k_norm.weight",
}
# A block that norms what it adds has its norms elsewhere, and they say so.
_NORMS_AFTER = {
    "attention_norm.weight": "post_attention_layernorm.weight",
    "feed_forward_norm.weight": "post_feedforward_layernorm.weight",
}

Names = dict[str, tuple[str, ...]]
"""Each of our tensors, and those of theirs whose rows it joins."""


def huggingface_names(config: ModelConfig) -> Names:
    """The tensors of a decoder, and those of its family whose rows each joins."""
    fused = {**_FUSED, **(_BIASES if config.qkv_bias else {})}
    renamed = {
        **_RENAMED,
        **(_QK_NORMS if config.qk_norm_sizes else {}),
        **(_NORMS_AFTER if config.norms_after else {}),
    }
    names: Names = {"embedding.weight": ("model.embed_tokens.weight",)}
    for index in range(config.depth):
        for ours, parts in fused.items():
            names[f"blocks.{index}.{ours}"] = tuple(f"model.layers.{index}.{part}" for part in parts)
        for ours, theirs in renamed.items():
            names[f"blocks.{index}.{ours}"] = (f"model.layers.{index}.{theirs}",)
    names["norm.weight"] = ("model.norm.weight",)
    if not config.tied_embeddings:
        names["head.weight"] = ("lm_head.weight",)
    return names


FOREIGN = "network."
"""Where our names begin for the tensors of a network that transformers computes: see foreign.py."""


def foreign_names(ours: Iterable[str], config: Mapping[str, Any]) -> Names:
    """The same of a model that transformers computes, whose tensors we call as it does, but for the beginning."""
    prefix, head = foreign_prefix(config), foreign_head(config)
    return {
        name: (head if name == "head.weight" else prefix + name.removeprefix(FOREIGN),) for name in sorted(ours)
    }


def foreign_prefix(config: Mapping[str, Any]) -> str:
    """What begins the names of every tensor but the head in a checkpoint of that family."""
    return f"{_PREFIXES.get(str(config.get('model_type')), 'model')}."


def foreign_head(config: Mapping[str, Any]) -> str:
    """The name of an untied head in a checkpoint of that family."""
    return "embed_out.weight" if config.get("model_type") == "gpt_neox" else "lm_head.weight"


# Hugging Face's `base_model_prefix` of the families whose is not "model"; foreign.py checks it against the class.
_PREFIXES = {
    **dict.fromkeys(("bloom", "falcon", "gpt2", "gpt_bigcode", "gpt_neo", "mpt"), "transformer"),
    "gpt_neox": "gpt_neox",
}
