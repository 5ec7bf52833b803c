"""A tiny model and tokenizer, as a release holds them; untrained, so that it says anything, and at length."""

from pathlib import Path

import pytest
from tests.corpus.builders import document, documents, run_step

from fonderie.model.config import ModelConfig
from fonderie.model.transformer import Decoder
from fonderie.tokens.bpe import BpeParameters, train_bpe
from fonderie.tokens.tokenizer import Tokenizer

CONTEXT = 512
TEXT = (
    'Bonjour, où est le petit renard ? Il est là, répond l\'ours : {"nom": "Renard", "âge": 12, "ami": [true]} 👍'
)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    made = documents(folder / "in", [[document(TEXT)]])
    params = BpeParameters(vocabulary=320, minimum_frequency=1)
    artifact, _ = run_step(train_bpe, params, folder / "out", {"documents": (made,)})
    return artifact.path


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return Tokenizer(tokenizer_folder)


@pytest.fixture(scope="session")
def model(tokenizer: Tokenizer) -> Decoder:
    config = ModelConfig.from_depth(
        2, vocabulary=tokenizer.vocabulary, context=CONTEXT, width=64, head_size=16, init_std=0.2
    )
    return Decoder(config, seed=0).eval()
