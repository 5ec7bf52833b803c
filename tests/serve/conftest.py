"""A tiny model and tokenizer, as a release holds them; untrained, so that it says anything, and at length."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from fastapi import FastAPI
from tests.corpus.builders import document, documents, run_step
from tests.evaluate.small import Build
from tests.serve.serving import Running, door, serving

from fonderie.model.config import ModelConfig
from fonderie.model.transformer import Decoder
from fonderie.serve.api.app import make_api
from fonderie.serve.served import Served
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


@pytest.fixture(scope="module")
def running(small: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The interface over the small release, for whatever client."""

    def make(served: list[Served]) -> FastAPI:
        return make_api({one.name: one for one in served}, door(tmp_path_factory.mktemp("database")))

    with serving([small.release], make, waiting=64) as found:
        yield found


@pytest.fixture
def client(running: Running) -> Iterator[openai.OpenAI]:
    """OpenAI's own, which asks once."""
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as found:
        yield found
