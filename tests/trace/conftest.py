"""The small corpus, made once."""

import pytest
from tests.trace import corpora


@pytest.fixture(scope="package")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> corpora.SmallCorpus:
    return corpora.make(tmp_path_factory.mktemp("corpus"), corpora.texts())
