"""What strangers' tools make of a release."""

from pathlib import Path

import pytest
import torch
import yaml
from tests.evaluate.small import Build

from fonderie.model.convert import load_pretrained
from fonderie.tokens.conversation import Turn
from fonderie.tokens.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers", reason="pip install transformers (the test extra)")

FRENCH = "L'été dernier, l'élève n'a pas oublié d'acheter 42 œufs ; « Où vas-tu ? » dit-elle.\n\nÀ l’école…"


def test_transformers_computes_the_same_logits(small: Build) -> None:
    theirs = transformers.AutoModelForCausalLM.from_pretrained(small.release, dtype=torch.float32)
    ours = load_pretrained(small.release)
    ids = torch.tensor([Tokenizer(small.release).encode("Le vieux facteur dessine l'école.")[:60]])
    with torch.no_grad():
        assert torch.allclose(theirs(ids).logits, ours(ids), atol=1e-4)


def test_transformers_cuts_the_same_tokens(small: Build) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(small.release)
    ours = Tokenizer(small.release)
    assert theirs(FRENCH, add_special_tokens=False)["input_ids"] == ours.encode(FRENCH)
    assert theirs.decode(ours.encode(FRENCH)) == FRENCH
    turns = [
        Turn("system", "Sois bref."),
        Turn("user", FRENCH),
        Turn("assistant", "Oui."),
        Turn("user", "Et toi ?"),
    ]
    messages = [turn._asdict() for turn in turns]
    for answer in (False, True):
        rendered = theirs.apply_chat_template(messages, add_generation_prompt=answer, return_dict=False)
        assert rendered == ours.encode_turns(turns, answer=answer)


def test_the_card_s_own_lines_run(small: Build, capsys: pytest.CaptureFixture[str]) -> None:
    card = (small.release / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace('folder = "."', f"folder = {str(small.release)!r}")
    exec(code.replace("max_new_tokens=80", "max_new_tokens=5"), {})
    assert capsys.readouterr().out.strip()


def test_the_hub_reads_the_card(small: Build) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="comes with transformers")
    data = hub.ModelCard.load(small.release / "README.md", ignore_metadata_errors=False).data
    head = data.to_dict()
    assert (head["license"], head["language"], head["library_name"]) == ("apache-2.0", ["fr"], "transformers")
    assert [result.metric_type for result in data.eval_results] == ["bits_per_byte"] * 5
    assert data.eval_results[0].dataset_name == "held-out documents of all sources"


def test_the_front_matter_is_yaml_whatever_is_described(small: Build) -> None:
    card = (small.release / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["pipeline_tag"] == "text-generation"
    assert head["model-index"][0]["name"] == "toy"
    assert Path(small.release / "loss.svg").exists()
