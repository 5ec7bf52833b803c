"""Our tensors under Hugging Face Llama's names: which of theirs each of ours holds. Imports no torch."""

from fonderie.model.config import ModelConfig

# One matrix here, several there: parts in the order of our rows.
_FUSED = {
    "attention.qkv.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "feed_forward.gate_up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
}
_RENAMED = {
    "attention_norm.weight": "input_layernorm.weight",
    "attention.output.weight": "self_attn.o_proj.weight",
    "feed_forward_norm.weight": "post_attention_layernorm.weight",
    "feed_forward.down.weight": "mlp.down_proj.weight",
}


def llama_names(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """Each of our tensors, and the Llama tensors whose rows it joins."""
    names: dict[str, tuple[str, ...]] = {"embedding.weight": ("model.embed_tokens.weight",)}
    for index in range(config.depth):
        for ours, parts in _FUSED.items():
            names[f"blocks.{index}.{ours}"] = tuple(f"model.layers.{index}.{part}" for part in parts)
        for ours, theirs in _RENAMED.items():
            names[f"blocks.{index}.{ours}"] = (f"model.layers.{index}.{theirs}",)
    names["norm.weight"] = ("model.norm.weight",)
    if not config.tied_embeddings:
        names["head.weight"] = ("lm_head.weight",)
    return names
