"""What cannot be laid over so many processes is refused before any of them starts."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.steps import find_step
from fonderie.train.parallel.layout import check_layout, check_layouts
from fonderie.train.settings.continued import ContinueParameters
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.settings.shared import Settings

RECIPES = Path(__file__).parents[3] / "recipes"
OURS = {"depth": 2, "width": 64, "head_size": 16, "batch": 8}
TOGETHER = {"processes": 2, "tensor_parallel": 2}


@pytest.mark.parametrize(
    ("kind", "given", "machine", "words"),
    [
        (PretrainParameters, {"duration": "9 steps"}, {"processes": 9}, "steps of 8 sequences, too few for 9"),
        (PretrainParameters, {"kv_heads": 1}, TOGETHER, "kv_heads 1 is not a multiple of --tensor-parallel 2"),
        (PretrainParameters, {"optimizer": "muon"}, TOGETHER, "Muon needs a matrix's rows"),
        (PretrainParameters, {"precision": "bf16", "fp8": True}, TOGETHER, "fp8 = true and --tensor-parallel"),
        (PretrainParameters, {"compile": True}, {"recompute": True}, "--recompute and compile = true"),
        (ContinueParameters, {"lora": {}}, {"processes": 2}, "a low-rank adapter is trained by one process"),
        (ContinueParameters, {"early_stopping": {}}, {"processes": 2}, "judged by the one process that trains"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_by_name(
    kind: type[BaseModel], given: dict[str, Any], machine: dict[str, Any], words: str
) -> None:
    params = kind.model_validate((OURS if kind is PretrainParameters else {}) | given)
    assert isinstance(params, Settings)
    with pytest.raises(UsageError, match=words) as caught:
        check_layout(params, Machine(**machine))
    assert caught.value.hint


def test_what_can_be_is_not_refused() -> None:
    params = PretrainParameters.model_validate({**OURS, "kv_heads": 2, "duration": "9 steps"})
    check_layout(params, Machine(processes=16, tensor_parallel=2, recompute=True))
    # Of a length in epochs, the documents tell the steps.
    check_layout(PretrainParameters.model_validate(OURS), Machine(processes=64))


def test_of_a_recipe_the_call_is_named() -> None:
    calls = load_recipe(RECIPES / "lucie.toml", [], find_step).calls.values()
    check_layouts(calls, Machine(processes=512, tensor_parallel=4))
    with pytest.raises(UsageError, match=r"\[base\] phase 'main' has steps of 256 sequences"):
        check_layouts(calls, Machine(processes=512))
