import pytest
from pydantic import TypeAdapter, ValidationError

from fonderie.train.settings.duration import Duration, steps_in, steps_of
from fonderie.train.settings.ramp import BatchSizes


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        ("800 steps", 800),
        ("1 step", 1),
        ("2M tokens", 489),
        ("1.5k tokens", 1),
        ("1 epoch", 7),
        ("0.1 epochs", 1),
        ("2 epochs", 13),
        ("160 sequences", 10),
        ("161 sequences", 11),
    ],
)
def test_durations_are_rounded_up_to_steps(duration, steps):
    assert steps_in(duration, BatchSizes(16), context=256, sequences=100) == steps


def test_rounding_does_not_add_a_step():
    assert steps_in("0.3 epochs", BatchSizes(1), context=8, sequences=10) == 3


@pytest.mark.parametrize("duration", ["", "12", "2 hours", "2Mtokens", "-1 epochs", "0 steps", "1,5 epochs"])
def test_what_is_no_duration_is_refused(duration):
    with pytest.raises(ValidationError, match=r"is not a duration|no time to train"):
        TypeAdapter(Duration).validate_python(duration)


def test_a_part_is_a_share_or_a_duration():
    whole = {"context": 8, "sequences": 100}
    assert steps_of(0.25, 40, BatchSizes(4), **whole) == 10
    assert steps_of("64 tokens", 40, BatchSizes(4), **whole) == 2
    with pytest.raises(ValueError, match="more than the 40"):
        steps_of("41 steps", 40, BatchSizes(4), **whole)
