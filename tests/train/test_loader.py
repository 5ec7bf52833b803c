import numpy as np
import pytest

from fonderie.core.errors import InputError
from fonderie.train.data.loader import Batches
from fonderie.train.settings.ramp import BatchSizes


def test_a_batch_is_a_function_of_its_step(stream):
    one, two = (Batches(stream, context=16, sizes=BatchSizes(5), seed=1) for _ in range(2))
    for step in (9, 3, 4):
        one(step)
    assert np.array_equal(one(7).ids, two(7).ids)
    assert not np.array_equal(one(7).ids, Batches(stream, context=16, sizes=BatchSizes(5), seed=2)(7).ids)


def test_an_epoch_holds_every_sequence_once_and_targets_follow_inputs(stream):
    batches = Batches(stream, context=16, sizes=BatchSizes(4), seed=1)
    everything = stream.read(0, len(stream))
    n = batches.sequences
    assert n == (len(stream) - 1) // 16
    steps = -(-2 * n // 4)
    indices = np.concatenate([batches.indices(step) for step in range(1, steps + 1)])
    assert sorted(indices[:n]) == sorted(indices[n : 2 * n]) == list(range(n))
    assert indices[:n].tolist() != indices[n : 2 * n].tolist()
    for index, row in zip(batches.indices(3), batches(3).ids, strict=True):
        assert np.array_equal(row, everything[index * 16 : index * 16 + 17])


def test_a_stream_shorter_than_a_sequence_is_refused(stream):
    with pytest.raises(InputError, match="too few for one sequence of 5000"):
        Batches(stream, context=5000, sizes=BatchSizes(1), seed=0)
