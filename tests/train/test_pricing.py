"""What a training would cost."""

from pathlib import Path

import pytest

from fonderie.core.recipe import load_recipe
from fonderie.core.steps import find_step
from fonderie.train.parameters import PretrainParameters
from fonderie.train.pricing import Assumptions, price, price_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def test_lucie_comes_to_its_own_size_and_cost() -> None:
    recipe = load_recipe(RECIPES / "lucie.toml", [], find_step)
    (found,) = price_recipe(recipe, recipe.names_until(None), Assumptions(mfu=0.08))
    assert found.parameters == 6_706_958_336
    assert found.tokens == pytest.approx(3.12e12, rel=1e-6)
    # Its makers logged 486,654 GPU-hours, at an MFU that their logs give as about 8 %.
    assert found.gpu_hours == pytest.approx(486_654, rel=0.05)


def test_a_duration_in_epochs_has_no_price_yet() -> None:
    found = price("base", PretrainParameters(depth=2, duration="2 epochs"), 300, Assumptions())
    assert (found.steps, found.gpu_hours) == (None, None)
    assert found.parameters > 0


def test_twice_the_share_of_the_peak_is_half_the_hours() -> None:
    params = PretrainParameters(depth=2, duration="1M tokens")
    one, two = (price("base", params, 300, Assumptions(mfu=mfu)) for mfu in (0.2, 0.4))
    assert one.gpu_hours is not None
    assert two.gpu_hours == pytest.approx(one.gpu_hours / 2)
