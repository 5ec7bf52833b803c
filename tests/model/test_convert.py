import json

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from fonderie.core.errors import InputError
from fonderie.model.config import ModelConfig
from fonderie.model.convert import (
    config_from_huggingface,
    from_huggingface,
    huggingface_config,
    load_pretrained,
    save_pretrained,
    to_huggingface,
)
from fonderie.model.transformer import Decoder

IDS = torch.randint(97, (2, 90), generator=torch.Generator().manual_seed(0))


def small(**overrides):
    sizes = {"width": 48, "head_size": 12, "rope_theta": 500.0, "init_std": 0.2, **overrides}
    return ModelConfig.from_depth(2, vocabulary=97, context=96, **sizes)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_transformers_computes_the_same_logits(tmp_path, tied, kv_heads):
    model = Decoder(small(tied_embeddings=tied, kv_heads=kv_heads), seed=1)
    save_pretrained(model, tmp_path, bos=0, eos=[1, 2])
    theirs, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert theirs.generation_config.eos_token_id == [1, 2]
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).logits, model(IDS), atol=1e-4, rtol=0)


@pytest.mark.parametrize("tied", [True, False])
def test_a_llama_made_by_transformers_computes_the_same_logits_here(tmp_path, tied):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 88, "num_hidden_layers": 2, "num_attention_heads": 4}
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=97,
            num_key_value_heads=2,
            max_position_embeddings=96,
            initializer_range=0.2,
            tie_word_embeddings=tied,
            **sizes,
        )
    )
    theirs.save_pretrained(tmp_path)
    ours = load_pretrained(tmp_path)
    assert ours.config.norm_epsilon == theirs.config.rms_norm_eps
    with torch.no_grad():
        torch.testing.assert_close(ours(IDS), theirs(IDS).logits, atol=1e-4, rtol=0)


def test_there_and_back_is_bit_exact(tmp_path):
    model = Decoder(small(tied_embeddings=False), seed=1).bfloat16()
    state = model.state_dict()
    back = from_huggingface(to_huggingface(state, model.config), model.config)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    save_pretrained(model, tmp_path)
    again = load_pretrained(tmp_path)
    assert again.config == model.config
    assert all(torch.equal(again.state_dict()[name], state[name]) for name in state)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in "ab":
        save_pretrained(Decoder(small(), seed=1), tmp_path / name)
    for file in ("model.safetensors", "config.json", "generation_config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "falcon"}, "model_type = 'falcon'"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window = True"),
        ({"layer_types": ["sliding_attention"]}, "layer_types"),
        ({"attention_bias": True}, "attention_bias = True"),
        ({"mlp_bias": True}, "mlp_bias = True"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 5e5}}, "rope_type = 'yarn'"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}, "rope_parameters": None}, "rope_type = 'dynamic'"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
    ],
)
def test_what_this_decoder_does_not_do_is_refused_by_name(change, words):
    with pytest.raises(InputError, match=words):
        config_from_huggingface({**huggingface_config(small()), **change})


def test_a_config_without_its_sizes_is_refused():
    with pytest.raises(InputError, match=r"config\.json does not say"):
        config_from_huggingface({"model_type": "llama"})


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="width 48 is not a multiple of heads 5"):
        config_from_huggingface(huggingface_config(small()) | {"num_attention_heads": 5, "num_key_value_heads": 5})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_size": "48", "head_dim": None}, "sizes that are no numbers"),
        ({"num_attention_heads": 0, "head_dim": None}, "sizes that are no numbers"),
        ({"rope_parameters": "default"}, "rope_parameters is no table: 'default'"),
        ({"vocab_size": -1}, "sizes that do not fit"),
    ],
)
def test_a_config_of_other_things_than_sizes_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        config_from_huggingface({**huggingface_config(small()), **change})


def test_a_folder_that_does_not_hold_what_it_says_is_refused(tmp_path):
    model = Decoder(small(), seed=1)
    save_pretrained(model, tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"num_hidden_layers": 3}))
    with pytest.raises(InputError, match="weights lack"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(values | {"num_hidden_layers": 10**12}))
    with pytest.raises(InputError, match=r"says 1,000,000,000,000 blocks, and there are 20 tensors"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(values | {"vocab_size": 98}))
    with pytest.raises(InputError, match="size mismatch"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "model.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match="does not hold a model"):
        load_pretrained(tmp_path)
