"""Adapters: what they compute, what they are merged to, and what peft itself makes of them."""

from pathlib import Path

import pytest
import torch
from tests.model import checkpoints
from transformers import AutoModelForCausalLM

from fonderie.model.convert import load_model, save_pretrained
from fonderie.model.generate import generate
from fonderie.model.language_model import LanguageModel
from fonderie.train.settings.lora import LoraParameters
from fonderie.train.steps.lora import Adapted, merged, save_adapter

pytestmark = pytest.mark.slow

IDS = torch.randint(97, (2, 40), generator=torch.Generator().manual_seed(0))
BASES = ["llama", "qwen2", "olmo2", "falcon", "falcon-new", "bloom", "gpt-neox"]


def adapted(folder: Path, **given: object) -> Adapted:
    """An adapter that has learnt something: its B drawn at random."""
    lora = LoraParameters(rank=4, alpha=6.0, **given)
    model = Adapted(load_model(folder), lora, seed=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.empty(weight.shape).normal_(0.0, 0.1, generator=generator))
    return model.eval()


def logits(model: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS)


@pytest.mark.parametrize("name", BASES)
def test_before_it_has_learnt_it_is_the_base(tmp_path: Path, name: str) -> None:
    theirs = checkpoints.write(name, tmp_path)
    model = Adapted(load_model(tmp_path), LoraParameters(rank=4), seed=0).eval()
    with torch.no_grad():
        torch.testing.assert_close(logits(model), theirs(IDS).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("targets", [("attention",), ("attention", "feed_forward", "head")])
def test_merged_it_computes_what_base_and_adapter_did(tmp_path: Path, name: str, targets: tuple[str, ...]) -> None:
    checkpoints.write(name, tmp_path / "base")
    model = adapted(tmp_path / "base", targets=targets)
    want = logits(model)
    assert not torch.allclose(want, logits(load_model(tmp_path / "base")), atol=1e-2)
    save_pretrained(merged(model), tmp_path / "merged", eos=2)
    torch.testing.assert_close(logits(load_model(tmp_path / "merged")), want, atol=1e-4, rtol=0)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        torch.testing.assert_close(again(IDS).logits, want, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["mistral", "qwen3", "falcon-new", "bloom", "gpt-neox"])
def test_peft_puts_the_saved_adapter_into_the_base(tmp_path: Path, name: str) -> None:
    from peft import PeftModel

    checkpoints.write(name, tmp_path / "base")
    model = adapted(tmp_path / "base", targets=("attention", "feed_forward"))
    save_adapter(model, tmp_path, base_name="acme/tiny")
    theirs = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
    )
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(IDS).logits, logits(model), atol=1e-4, rtol=0)


def test_peft_puts_a_saved_head_into_an_untied_base(tmp_path: Path) -> None:
    from peft import PeftModel

    checkpoints.write("llama", tmp_path / "base")
    model = adapted(tmp_path / "base")
    save_adapter(model, tmp_path, base_name="acme/tiny")
    theirs = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
    )
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(IDS).logits, logits(model), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["llama", "falcon"])
def test_only_the_adapter_is_trained_and_kept(tmp_path: Path, name: str) -> None:
    checkpoints.write(name, tmp_path)
    model = Adapted(load_model(tmp_path), LoraParameters(rank=4, dropout=0.0), seed=0)
    before = {key: value.clone() for key, value in model.base.state_dict().items()}
    names = {key for key, _ in model.named_parameters()}
    assert names == model.state_dict().keys()
    assert all("lora_" in key for key in names)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):  # in the first step every B is zero, so that no A has a gradient
        model.train()(IDS).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    for key, value in model.base.state_dict().items():
        assert torch.equal(value, before[key]) == (".lora_" not in key), key


@pytest.mark.parametrize("name", ["qwen2", "falcon"])
def test_its_state_put_into_another_gives_the_same_bits(tmp_path: Path, name: str) -> None:
    checkpoints.write(name, tmp_path)
    one = adapted(tmp_path)
    other = Adapted(load_model(tmp_path), one.lora, seed=9).eval()
    other.load_state_dict(one.state_dict())
    assert torch.equal(logits(one), logits(other))
    with pytest.raises(RuntimeError, match="another adapter"):
        other.load_state_dict({"x": IDS})


def test_it_drops_in_training_alone(tmp_path: Path) -> None:
    checkpoints.write("llama", tmp_path)
    model = adapted(tmp_path, dropout=0.5)
    assert torch.equal(logits(model), logits(model))
    model.train()
    assert not torch.equal(logits(model), logits(model))
    model.eval()
    assert torch.equal(logits(model), logits(model))


def test_generation_goes_through_the_adapter(tmp_path: Path) -> None:
    checkpoints.write("llama", tmp_path)
    model = adapted(tmp_path)
    prompt = IDS[0, :10].tolist()
    assert list(generate(model, prompt, max_tokens=8)) == list(generate(merged(model), prompt, max_tokens=8))


def test_a_base_in_bf16_stays_in_bf16(tmp_path: Path) -> None:
    checkpoints.make("llama").bfloat16().save_pretrained(tmp_path)
    model = adapted(tmp_path)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(IDS).float().square().mean().backward()
    assert merged(model).embedding.weight.dtype == torch.bfloat16
