"""What a training would cost."""

import textwrap
from pathlib import Path

import pytest

from fonderie.core.recipe import load_recipe
from fonderie.core.steps import find_step
from fonderie.train.pricing import Assumptions, Price, price, price_recipe
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.steps.instruct import InstructParameters
from fonderie.train.steps.prefer import PreferParameters
from fonderie.train.training import plan_of

RECIPES = Path(__file__).parents[2] / "recipes"


def test_lucie_comes_to_its_own_size_and_cost() -> None:
    recipe = load_recipe(RECIPES / "lucie.toml", [], find_step)
    (found,) = price_recipe(recipe, recipe.names_until(None), Assumptions(mfu=0.08))
    assert found.parameters == 6_706_958_336
    assert found.tokens == pytest.approx(3.12e12 + 2 * 5e9, rel=1e-5)
    # Its makers logged 486,654 GPU-hours, at an MFU that their logs give as about 8 %.
    assert found.gpu_hours == pytest.approx(486_654, rel=0.05)


def test_lucies_phases_are_those_that_its_makers_published() -> None:
    recipe = load_recipe(RECIPES / "lucie.toml", [], find_step)
    plan = plan_of(recipe.calls["base"].parameters, [1, 1, 1])
    main, extension, annealing = plan.phases
    # 753,851, 1,220 and 1,220 steps (Lucie-Training's logs; what it counts at the border of two batch sizes differs).
    assert main.steps == pytest.approx(753_851, rel=1e-3)
    assert extension.steps == annealing.steps == 1221
    assert (main.sizes.of(1), main.sizes.of(main.steps)) == (256, 1024)
    assert main.schedule.rate(main.schedule.warmup) == 3e-4
    assert main.sizes.until(main.schedule.warmup) == pytest.approx(2e6, rel=1e-3)
    assert main.schedule.rate(main.steps) == pytest.approx(3e-5, rel=1e-3)
    assert plan.rate(main.steps + 1) == plan.rate(main.steps + 1221) == 2e-5
    assert plan.rate(main.steps + 1222) == 3e-5
    assert plan.rate(plan.steps) < 3e-8
    config = recipe.calls["base"].parameters.config_for(65024)
    assert (config.context, config.rope_theta) == (32_000, 2e7)


def test_the_ladder_keeps_its_rules_on_every_rung() -> None:
    recipe = load_recipe(RECIPES / "ladder/ladder.toml", [], find_step)
    prices = price_recipe(recipe, recipe.names_until(None), Assumptions())
    assert [found.call for found in prices] == [f"base_{depth}" for depth in (4, 8, 12, 16, 20, 26, 32)]
    for found in prices:
        params = recipe.calls[found.call].parameters
        assert found.tokens is not None
        assert found.tokens / found.parameters == pytest.approx(20, rel=0.02)
        width = params.config_for(32_768).width
        assert params.learning_rate == pytest.approx(3e-3 * (256 / width) ** 0.5, rel=0.01)
        assert 65_536 <= params.batch * params.context <= 1_048_576
        score = recipe.calls[found.call.replace("base", "score")]
        assert score.inputs["model"] == (found.call,)
    flops = [found.flops or 0 for found in prices]
    assert flops == sorted(flops)


def priced(tmp_path: Path, text: str) -> dict[str, Price]:
    """The estimates of a recipe, by call."""
    path = tmp_path / "recipe.toml"
    path.write_text(textwrap.dedent(text))
    recipe = load_recipe(path, [], find_step)
    return {found.call: found for found in price_recipe(recipe, recipe.names_until(None), Assumptions())}


TALES = """
    [tales]
    step = "corpus.generate"
    stories = 9
    [bpe]
    step = "tokens.bpe"
    inputs = { documents = "tales" }
    vocabulary = 300
    [shards]
    step = "tokens.pack"
    inputs = { documents = "tales", tokenizer = "bpe" }
    [base]
    step = "train.pretrain"
    inputs = { tokens = "shards", tokenizer = "bpe" }
    depth = 2
    duration = "10 steps"
    """


def test_every_training_has_a_price_or_says_what_it_lacks(tmp_path: Path) -> None:
    found = priced(
        tmp_path,
        TALES
        + """
        [further]
        step = "train.continue"
        inputs = { model = "base@main", tokens = "shards", tokenizer = "bpe" }
        duration = "10 steps"
        [adapted]
        step = "train.continue"
        inputs = { model = "further", tokens = "shards", tokenizer = "bpe" }
        duration = "10 steps"
        lora = {}
        [instructed]
        step = "train.instruct"
        inputs = { model = "further", tokens = "shards", tokenizer = "bpe" }
        duration = "2 epochs"
        [theirs]
        step = "model.import"
        path = "theirs/*"
        name = "theirs"
        licence = "Apache-2.0"
        [theirs_further]
        step = "train.continue"
        inputs = { model = "theirs", tokens = "shards", tokenizer = "bpe" }
        duration = "10 steps"
        """,
    )
    assert list(found) == ["base", "further", "adapted", "instructed", "theirs_further"]
    base, further, adapted = (found[name] for name in ("base", "further", "adapted"))
    assert base.flops == further.flops
    assert base.parameters == further.parameters == found["instructed"].parameters
    assert base.flops is not None
    assert adapted.flops is not None
    assert 4 / 6 <= adapted.flops / base.flops < 0.8
    assert base.tokens is not None
    each = f"{base.flops / base.tokens:.3g}"
    assert (
        f"its length is in epochs, so its cost depends on the documents: {each} FLOPs"
        in found["instructed"].unknown
    )
    assert found["theirs_further"].unknown == "[theirs] does not state the `size` of the model that it brings"
    assert all((price.flops is None) == bool(price.unknown) for price in found.values())


def test_a_tokenizer_that_nobody_has_read_is_named(tmp_path: Path) -> None:
    text = TALES.replace('step = "tokens.bpe"', 'step = "tokens.import"').replace("vocabulary = 300", "")
    text = text.replace(
        """
    inputs = { documents = "tales" }
""",
        """
    path = "theirs/tokenizer.json"
    licence = "Apache-2.0"
""",
    )
    assert priced(tmp_path, text)["base"].unknown == "its vocabulary is that of [bpe], which nobody has read yet"


def test_of_preferences_what_is_read_besides_is_said() -> None:
    model = PretrainParameters(depth=2).config_for(300)
    of = {
        kind: price("tuned", kind(duration="10 steps", context=128), model, Assumptions())
        for kind in (InstructParameters, PreferParameters)
    }
    instructed, preferred = of.values()
    assert (
        instructed.flops
        == preferred.flops
        == 10 * 16 * 128 * model.model_copy(update={"context": 128}).flops_per_token
    )
    assert instructed.besides == ""
    assert "read once by the base before" in preferred.besides


def test_a_duration_in_epochs_has_no_price_yet() -> None:
    params = PretrainParameters(depth=2, duration="2 epochs")
    found = price("base", params, params.config_for(300), Assumptions())
    assert (found.steps, found.gpu_hours) == (None, None)
    assert found.parameters == params.config_for(300).parameters


def test_twice_the_share_of_the_peak_is_half_the_hours() -> None:
    params = PretrainParameters(depth=2, duration="1M tokens")
    one, two = (price("base", params, params.config_for(300), Assumptions(mfu=mfu)) for mfu in (0.2, 0.4))
    assert one.gpu_hours is not None
    assert two.gpu_hours == pytest.approx(one.gpu_hours / 2)
