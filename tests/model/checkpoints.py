"""Tiny random checkpoints of many families, made by transformers as their own code makes large ones."""

import json
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedModel

VOCABULARY, CONTEXT = 97, 96
_SIZES = {"vocab_size": VOCABULARY, "initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 2}
_LLAMA = {
    **_SIZES,
    "hidden_size": 32,
    "intermediate_size": 88,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 24,
}
_FALCON = {**_SIZES, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}

NATIVE = {
    "llama": ("Llama", {**_LLAMA}),
    "llama3": ("Llama", {**_LLAMA, "rope_parameters": _LLAMA3, "tie_word_embeddings": True}),
    "llama-linear": (
        "Llama",
        {**_LLAMA, "rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}},
    ),
    "mistral": ("Mistral", {**_LLAMA, "sliding_window": 7}),
    "mistral-whole": ("Mistral", {**_LLAMA, "sliding_window": None, "head_dim": 12}),
    "olmo2": ("Olmo2", {**_LLAMA, "pad_token_id": None}),
    "qwen2": ("Qwen2", {**_LLAMA, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {**_LLAMA, "head_dim": 16}),
}
FOREIGN = {
    "falcon": ("Falcon", {**_FALCON, "max_position_embeddings": CONTEXT, "multi_query": True, "bias": False}),
    "falcon-new": (
        "Falcon",
        {**_FALCON, "max_position_embeddings": CONTEXT, "new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "falcon-alibi": (
        "Falcon",
        {**_FALCON, "max_position_embeddings": CONTEXT, "alibi": True, "multi_query": False},
    ),
    "bloom": ("Bloom", {**_SIZES, "hidden_size": 32, "n_layer": 2, "n_head": 4, "seq_length": CONTEXT}),
    "gpt-neox": (
        "GPTNeoX",
        {
            **_SIZES,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
        },
    ),
    "gpt-bigcode": ("GPTBigCode", {**_SIZES, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}),
    "mpt": (
        "Mpt",
        {**_SIZES, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": CONTEXT, "tie_word_embeddings": True},
    ),
}


def make(name: str, **changes: object) -> PreTrainedModel:
    """The checkpoint of that name, its norms and biases random too, so that a mistaken one shows."""
    family, sizes = {**NATIVE, **FOREIGN}[name]
    config = getattr(transformers, f"{family}Config")(**{**sizes, **changes})
    torch.manual_seed(0)
    model: PreTrainedModel = getattr(transformers, f"{family}ForCausalLM")(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(torch.empty(weight.shape).normal_(0.0, 0.1, generator=generator))
    return model.eval()


def write(name: str, folder: Path, **changes: object) -> PreTrainedModel:
    """The same, saved as its users save it."""
    model = make(name, **changes)
    model.save_pretrained(folder)
    return model


SENTENCES = ("Le chat regarde la fenêtre.", "L'élève oublie trois pommes.", "[Intervenant 1:] Bonjour ! Ça va ?")


def write_tokenizer(
    folder: Path, *, vocabulary: int = 300, bos: str | None = None, eos: str = "<|endoftext|>"
) -> None:
    """A byte-level tokenizer as Falcon, BLOOM or Llama 3 have one: its own names for borders, none for turns."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, normalized=False, special=True) for token in dict.fromkeys((bos, eos)) if token]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([line for line in SENTENCES for _ in range(5)], trainer)
    assert tokenizer.get_vocab_size() == vocabulary
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    values = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": eos}
    if bos:
        values["bos_token"] = {"__type": "AddedToken", "content": bos, "special": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
