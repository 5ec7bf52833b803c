import json

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from fonderie.tokens.conversation import SPECIAL_TOKENS
from fonderie.tokens.shards import Extent, ShardIndex, TokenStream, write_shard

VOCABULARY = 256 + len(SPECIAL_TOKENS)


def make_tokenizer(folder):
    """A tokenizer artifact that knows bytes and special tokens, and no merges."""
    folder.mkdir()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def tokenizer_folder(tmp_path):
    return make_tokenizer(tmp_path / "tokenizer")


def make_tokens(folder):
    """A tokens artifact of three uneven shards: documents that count upwards, which a model can learn."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    entries = []
    for number, count in enumerate((30, 5, 17)):
        starts = generator.integers(48, size=count)
        documents = [
            (
                Extent(f"{number}-{i}", "s", "o", "CC0-1.0", 0, 0, 0),
                [int(start + j) % 48 for j in range(20 + i)],
            )
            for i, start in enumerate(starts)
        ]
        entries.append(write_shard(folder, number, "uint16", documents)[0])
    index = ShardIndex(dtype="uint16", vocabulary=VOCABULARY, bos=0, eos=1, end=2, shards=entries)
    (folder / "index.json").write_text(json.dumps(index.model_dump()))
    return folder


@pytest.fixture
def tokens_folder(tmp_path):
    return make_tokens(tmp_path / "tokens")


@pytest.fixture
def stream(tokens_folder):
    return TokenStream.open(tokens_folder)
