import subprocess
import sys

import pytest
from pydantic import ValidationError

from fonderie.model.config import ModelConfig


def test_depth_sets_every_other_size():
    config = ModelConfig.from_depth(8, vocabulary=5_000, context=512)
    sizes = (config.width, config.heads, config.kv_heads, config.head_size, config.hidden)
    assert sizes == (512, 8, 2, 64, 1536)


def test_an_override_carries_to_the_sizes_that_follow_from_it():
    config = ModelConfig.from_depth(4, vocabulary=100, context=64, width=192, kv_heads=None)
    assert (config.heads, config.kv_heads, config.hidden) == (3, 1, 576)
    assert ModelConfig.from_depth(4, vocabulary=100, context=64, head_size=32).heads == 8


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"kv_heads": 3}, "heads 4 is not a multiple of kv_heads 3"),
        ({"width": 100}, "width 100 is not a multiple of head_size 64"),
        ({"heads": 3}, "width 256 is not a multiple of heads 3"),
        ({"heads": 4, "head_size": 33}, "head_size 33 is odd"),
        ({"layers": 3}, "Extra inputs"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_name(overrides, words):
    with pytest.raises(ValueError, match=words):
        ModelConfig.from_depth(4, vocabulary=100, context=64, **overrides)


def test_it_cannot_be_changed():
    config = ModelConfig.from_depth(1, vocabulary=10, context=8)
    with pytest.raises(ValidationError):
        config.depth = 2


def test_lucie_has_the_parameters_that_its_paper_counts():
    lucie = ModelConfig.from_depth(
        32, vocabulary=65_024, context=4096, width=4096, head_size=128, tied_embeddings=False, init_std=0.009
    )
    assert (lucie.heads, lucie.kv_heads, lucie.hidden) == (32, 8, 12_288)
    assert lucie.parameters == 6_706_958_336


def test_flops_are_those_of_palm_appendix_b():
    config = ModelConfig.from_depth(2, vocabulary=1000, context=128, tied_embeddings=False)
    multiplied = config.parameters - 1000 * config.width
    assert config.flops_per_token == 6 * multiplied + 12 * 2 * config.width * 128


def test_importing_the_config_does_not_import_torch():
    code = "import sys, fonderie.model.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
