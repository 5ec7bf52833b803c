import json

import numpy as np
import pytest

from fonderie.tokens.shards import Extent, ShardIndex, TokenStream, write_shard

VOCABULARY = 48


@pytest.fixture
def tokens_folder(tmp_path):
    """A tokens artifact of three uneven shards: documents that count upwards, which a model can learn."""
    generator, folder = np.random.default_rng(0), tmp_path / "tokens"
    folder.mkdir()
    entries = []
    for number, count in enumerate((30, 5, 17)):
        starts = generator.integers(VOCABULARY, size=count)
        documents = [
            (
                Extent(f"{number}-{i}", "s", "o", "CC0-1.0", 0, 0, 0),
                [int(start + j) % VOCABULARY for j in range(20 + i)],
            )
            for i, start in enumerate(starts)
        ]
        entries.append(write_shard(folder, number, "uint16", documents)[0])
    index = ShardIndex(dtype="uint16", vocabulary=VOCABULARY, bos=0, eos=1, end=2, shards=entries)
    (folder / "index.json").write_text(json.dumps(index.model_dump()))
    return folder


@pytest.fixture
def stream(tokens_folder):
    return TokenStream.open(tokens_folder)
