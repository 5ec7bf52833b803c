import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.model import checkpoints
from tests.model.checkpoints import CONTEXT, FOREIGN, NATIVE, VOCABULARY
from transformers import AutoModelForCausalLM

from fonderie.core.errors import InputError
from fonderie.model.convert import load_model, load_pretrained, save_pretrained
from fonderie.model.foreign import Foreign
from fonderie.model.generate import generate
from fonderie.model.transformer import Decoder

IDS = torch.randint(VOCABULARY, (2, 90), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", [*NATIVE, *FOREIGN])
def test_its_logits_are_transformers_own(tmp_path: Path, name: str) -> None:
    theirs = checkpoints.write(name, tmp_path)
    ours = load_model(tmp_path)
    assert isinstance(ours, Decoder if name in NATIVE else Foreign)
    assert ours.native == (name in NATIVE)
    with torch.no_grad():
        torch.testing.assert_close(ours(IDS), theirs(IDS).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", [*NATIVE, *FOREIGN])
def test_it_is_written_back_in_its_own_familys_names(tmp_path: Path, name: str) -> None:
    theirs = checkpoints.write(name, tmp_path / "theirs")
    save_pretrained(load_model(tmp_path / "theirs"), tmp_path / "ours", bos=1, eos=2)
    before, after = (load_file(tmp_path / side / "model.safetensors") for side in ("theirs", "ours"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[tensor], after[tensor]) for tensor in before)
    again, report = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    assert type(again) is type(theirs)
    with torch.no_grad():
        torch.testing.assert_close(again(IDS).logits, theirs(IDS).logits)


@pytest.mark.parametrize("name", [*NATIVE, *FOREIGN])
def test_the_number_of_parameters_is_that_of_its_tensors(tmp_path: Path, name: str) -> None:
    checkpoints.write(name, tmp_path)
    model = load_model(tmp_path)
    assert model.config.parameters == sum(weight.numel() for weight in model.parameters())
    assert (model.config.vocabulary, model.config.context, model.config.depth) == (VOCABULARY, CONTEXT, 2)


@pytest.mark.parametrize(
    "name", ["mistral", "olmo2", "qwen2", "qwen3", "llama3", "falcon", "falcon-alibi", "bloom"]
)
def test_generation_goes_on_as_transformers_does(tmp_path: Path, name: str) -> None:
    theirs = checkpoints.write(name, tmp_path)
    prompt = IDS[0, :20]
    want = theirs.generate(prompt[None], max_new_tokens=20, do_sample=False, eos_token_id=None, pad_token_id=0)
    got = list(generate(load_model(tmp_path), prompt.tolist(), max_tokens=20))
    assert got == want[0, 20:].tolist()


@pytest.mark.parametrize("name", ["mistral", "olmo2", "qwen2", "qwen3"])
def test_gradients_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    theirs = checkpoints.write(name, tmp_path).train()
    ours = load_pretrained(tmp_path).train()
    for model, logits in ((theirs, theirs(IDS).logits), (ours, ours(IDS))):
        model.zero_grad()
        logits.square().mean().backward()
    save_pretrained(_gradients(ours), tmp_path / "gradients")
    got = load_file(tmp_path / "gradients" / "model.safetensors")
    want = {key: value.grad for key, value in theirs.named_parameters()}
    for key, value in got.items():
        torch.testing.assert_close(value, want[key], atol=1e-4, rtol=1e-3)


def _gradients(model: Decoder) -> Decoder:
    made = Decoder(model.config)
    made.load_state_dict({key: value.grad for key, value in model.named_parameters()})
    return made


def test_a_window_reaches_as_far_as_transformers_says(tmp_path: Path) -> None:
    checkpoints.write("mistral", tmp_path, num_hidden_layers=1)
    model = load_model(tmp_path)
    changed = IDS.clone()
    changed[:, 10] = (changed[:, 10] + 1) % VOCABULARY
    with torch.no_grad():
        same = (model(IDS) == model(changed)).all(-1)
    assert not same[:, 10:17].any()
    assert same[:, :10].all()
    assert same[:, 17:].all()


def test_documents_are_kept_apart_within_a_window(tmp_path: Path) -> None:
    checkpoints.write("mistral", tmp_path)
    model = load_model(tmp_path)
    documents = torch.zeros_like(IDS)
    documents[:, 40:] = 1
    with torch.no_grad():
        packed = model.hidden(IDS, documents_BT=documents)
        alone = model.hidden(IDS[:, 40:])
    torch.testing.assert_close(packed[:, 40:], alone)


def test_what_transformers_computes_cannot_keep_documents_apart_and_says_so(tmp_path: Path) -> None:
    checkpoints.write("bloom", tmp_path)
    with pytest.raises(InputError, match="documents cannot be kept apart in a bloom"):
        load_model(tmp_path).hidden(IDS, documents_BT=torch.zeros_like(IDS))


def test_a_qwen_that_our_decoder_does_not_compute_goes_through_transformers(tmp_path: Path) -> None:
    theirs = checkpoints.write("qwen2", tmp_path, use_sliding_window=True, sliding_window=7, max_window_layers=1)
    model = load_model(tmp_path)
    assert not model.native
    with torch.no_grad():
        torch.testing.assert_close(model(IDS), theirs(IDS).logits, atol=1e-4, rtol=0)


def test_a_head_that_scales_its_logits_is_refused(tmp_path: Path) -> None:
    from transformers import CohereConfig, CohereForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    CohereForCausalLM(CohereConfig(vocab_size=97, logit_scale=0.5, pad_token_id=0, **sizes)).save_pretrained(
        tmp_path
    )
    with pytest.raises(InputError, match="it scales or caps them"):
        load_model(tmp_path)


def test_a_head_that_caps_its_logits_is_refused_also_where_they_are_small_yet(tmp_path: Path) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32, "head_dim": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "pad_token_id": 0}
    Gemma2ForCausalLM(Gemma2Config(vocab_size=97, **sizes, **heads)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"gemma2 are capped: final_logit_softcapping = 30\.0"):
        load_model(tmp_path)


def test_code_that_comes_with_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    checkpoints.write("bloom", tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"auto_map": {"AutoModel": "modeling.Model"}}))
    with pytest.raises(InputError, match="itself does not compute"):
        load_model(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    checkpoints.write("bloom", tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"n_layer": 3}))
    with pytest.raises(InputError, match="is no bloom: missing keys"):
        load_model(tmp_path)
