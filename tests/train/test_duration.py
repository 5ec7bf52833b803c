import pytest
from pydantic import TypeAdapter, ValidationError

from fonderie.train.duration import Duration, steps_in


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
    ],
)
def test_durations_are_rounded_up_to_steps(duration, steps):
    assert steps_in(duration, batch=16, context=256, sequences=100) == steps


def test_rounding_does_not_add_a_step():
    assert steps_in("0.3 epochs", batch=1, context=8, sequences=10) == 3


@pytest.mark.parametrize("duration", ["", "12", "2 hours", "2Mtokens", "-1 epochs", "0 steps", "1,5 epochs"])
def test_what_is_no_duration_is_refused(duration):
    with pytest.raises(ValidationError, match=r"is not a duration|no time to train"):
        TypeAdapter(Duration).validate_python(duration)
