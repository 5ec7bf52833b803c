"""Tables for another tokenizer: rows kept, rows made of pieces, and the same model for the tokens that stay."""

from pathlib import Path

import pytest
import torch
from tests.corpus.builders import artifact_of, document, documents, run_step
from tests.model import checkpoints
from tests.tokens.test_extend import extended

from fonderie.core.errors import InputError
from fonderie.core.step import Output
from fonderie.model.convert import load_model
from fonderie.tokens.bpe import BpeParameters, train_bpe
from fonderie.tokens.tokenizer import Tokenizer
from fonderie.train.steps.transplant import TransplantParameters, pieces_of_tokens, transplant

TEXT = "Le chat regarde la fenêtre."


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One from elsewhere, the same extended, and one of ours."""
    root = tmp_path_factory.mktemp("transplant")
    checkpoints.write_tokenizer(root / "before")
    given = [
        document(f"Les oiseaux du jardin de la voisine {number}." * 3, origin=str(number)) for number in range(9)
    ]
    extend, _ = extended(root / "extended", root / "before", given, learn=10, conversation=True)
    inputs = {"documents": (documents(root / "in", [given]),)}
    ours, _ = run_step(train_bpe, BpeParameters(vocabulary=280), root / "ours", inputs)
    return {"before": root / "before", "extended": extend, "ours": ours.path}


def transplanted(folder: Path, model: Path, before: Path, after: Path, **params: object) -> tuple[Path, Output]:
    inputs = {
        "model": (artifact_of(model),),
        "before": (artifact_of(before),),
        "tokenizer": (artifact_of(after),),
    }
    artifact, out = run_step(transplant, TransplantParameters.model_validate(params), folder, inputs)
    return artifact.path, out


@pytest.mark.parametrize("name", ["llama", "llama3", "qwen3", "falcon", "bloom", "gpt-neox"])
def test_extended_a_model_computes_the_same_for_what_it_knew(
    tmp_path: Path, tokenizers: dict[str, Path], name: str
) -> None:
    checkpoints.write(name, tmp_path / "base", vocab_size=300)
    path, out = transplanted(tmp_path / "made", tmp_path / "base", tokenizers["before"], tokenizers["extended"])
    before, after = load_model(tmp_path / "base"), load_model(path)
    ids = torch.tensor([Tokenizer(tokenizers["before"]).encode(TEXT)])
    with torch.no_grad():
        torch.testing.assert_close(after(ids)[..., :300], before(ids))
    assert after.config.vocabulary == 314
    assert (out.statistics["rows_kept"], out.statistics["rows_made"]) == (300, 14)
    assert after.config.tied_embeddings == before.config.tied_embeddings
    assert out.statistics["parameters"] == sum(weight.numel() for weight in after.parameters())


@pytest.mark.parametrize("name", ["llama", "llama3", "bloom"])
def test_a_new_row_is_the_mean_of_its_pieces(tmp_path: Path, tokenizers: dict[str, Path], name: str) -> None:
    checkpoints.write(name, tmp_path / "base", vocab_size=300)
    path, _ = transplanted(tmp_path / "made", tmp_path / "base", tokenizers["before"], tokenizers["extended"])
    before, after = load_model(tmp_path / "base"), load_model(path)
    old, new = Tokenizer(tokenizers["before"]), Tokenizer(tokenizers["extended"])
    learnt = new.decode([300])
    pieces = old.encode(learnt)
    assert len(pieces) > 1
    for table in ("embedding.weight", "output"):
        rows, made = (
            (model.embedding.weight if table == "embedding.weight" else model.output_weight)
            for model in (before, after)
        )
        torch.testing.assert_close(made[300], rows[pieces].mean(0))


def test_another_tokenizer_shares_what_spells_the_same(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    checkpoints.write("llama", tmp_path / "base", vocab_size=320)
    path, out = transplanted(
        tmp_path / "made", tmp_path / "base", tokenizers["before"], tokenizers["ours"], multiple_of=64
    )
    before, after = load_model(tmp_path / "base"), load_model(path)
    old, new = Tokenizer(tokenizers["before"]), Tokenizer(tokenizers["ours"])
    assert after.config.vocabulary == 320
    assert out.statistics["rows_unused"] == 40
    assert out.statistics["rows_kept"] >= 258  # every byte, and both borders
    for word in ("e", " ", "q"):
        (here,), (there,) = new.encode(word), old.encode(word)
        assert torch.equal(after.embedding.weight[here], before.embedding.weight[there])
    assert torch.equal(after.embedding.weight[new.eos], before.embedding.weight[old.eos])
    assert torch.equal(after.embedding.weight[new.bos], before.embedding.weight[old.bos])
    shown = pieces_of_tokens(tokenizers["before"], tokenizers["ours"])
    assert all(shown)


def test_there_and_back_bytes_keep_their_rows(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    shown = pieces_of_tokens(tokenizers["before"], tokenizers["before"])
    assert shown == [[number] for number in range(300)]


def test_a_tokenizer_that_is_not_the_models_is_refused(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    checkpoints.write("llama", tmp_path / "base", vocab_size=299)
    with pytest.raises(InputError, match="has 300 tokens, and the model knows 299"):
        transplanted(tmp_path / "made", tmp_path / "base", tokenizers["before"], tokenizers["extended"])
