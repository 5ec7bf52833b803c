import os
import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from fonderie.model.config import ModelConfig
from fonderie.model.loss import linear_cross_entropy
from fonderie.model.transformer import Decoder

CONFIG = ModelConfig.from_depth(2, vocabulary=50, context=80, width=32, head_size=16)

pytestmark = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="compiling needs a C++ compiler"
)


def gradients(model, ids_BT, documents_BT, *, compiled):
    hidden_NW = model.hidden(ids_BT, documents_BT=documents_BT).flatten(0, 1)
    loss = linear_cross_entropy(hidden_NW, model.output_weight, ids_BT.roll(-1).flatten(), compiled=compiled)
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


@pytest.mark.slow
def test_one_compilation_serves_all_blocks_and_whatever_documents_a_batch_holds():
    eager, compiled = Decoder(CONFIG, seed=0), Decoder(CONFIG, seed=0)
    for block in compiled.blocks:
        block.compile(dynamic=False, fullgraph=True)
    torch._dynamo.reset()
    counters.clear()
    random = torch.Generator().manual_seed(0)
    graphs = []
    for _ in range(3):
        ids_BT = torch.randint(50, (2, 80), generator=random)
        documents_BT = torch.randint(2, (2, 80), generator=random).cumsum(1).int()
        want = gradients(eager, ids_BT, documents_BT, compiled=False)
        got = gradients(compiled, ids_BT, documents_BT, compiled=True)
        for mine, theirs in zip(got, want, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
        graphs.append(counters["stats"]["unique_graphs"])
    # The block, and two pieces of the loss.
    assert graphs == [3, 3, 3]
