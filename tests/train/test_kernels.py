"""Portable and deterministic: what is refused by name, that kernels are really capped, and that the bits hold."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.evaluate.small import RECIPE, find_step, write_letters

from fonderie.core.environment import PORTABLE_KERNELS, instruction_sets
from fonderie.core.errors import RecipeError, StepError
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.step import Artifact
from fonderie.core.store import Store
from fonderie.model.numerics import settle
from fonderie.train.settings.kernels import settle_for
from fonderie.train.settings.pretrain import PretrainParameters

pytestmark = pytest.mark.slow

portable_here = pytest.mark.skipif(
    "avx2" not in instruction_sets(), reason="portable = true needs a processor with AVX2"
)


def train(folder: Path, name: str, *overrides: str, threads: int = 1) -> Artifact:
    """The toy recipe until its training, in a store of its own."""
    path = folder / "toy.toml"
    if not path.exists():
        write_letters(folder / "letters")
        path.write_text(RECIPE, encoding="utf-8")
    recipe = load_recipe(path, overrides, find_step)
    return run_recipe(recipe, Store(folder / name), Machine(threads=threads), until="base").artifacts["base"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"precision": "bf16"}, "computes in fp32, and precision is bf16"),
        ({"compile": True}, "a compiler writes for its own processor"),
        ({"deterministic": False}, "bits that do not repeat"),
    ],
)
def test_what_cannot_be_portable_is_refused_when_the_recipe_is_checked(asked: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PretrainParameters.model_validate({"depth": 1, "portable": True, **asked})


def test_the_refusal_names_call_and_parameter(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(RECIPE, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"base.*precision is bf16"):
        load_recipe(tmp_path / "toy.toml", ["base.portable=true", "base.precision='bf16'"], find_step)


def test_a_process_that_did_not_begin_with_the_kernels_is_refused() -> None:
    with pytest.raises(StepError, match="a process that began with ATEN_CPU_CAPABILITY, MKL_CBWR") as caught:
        settle(1, portable=True)
    assert "ATEN_CPU_CAPABILITY=avx2" in caught.value.hint


def test_a_gpu_is_refused() -> None:
    params = PretrainParameters(depth=1, portable=True)
    with pytest.raises(StepError, match="the device is cuda"):
        settle_for(params, Machine(device="cuda"))


def test_kernels_that_are_not_deterministic_must_be_asked_for() -> None:
    import torch

    try:
        settle_for(PretrainParameters(depth=1, deterministic=False), Machine())
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        settle_for(PretrainParameters(depth=1), Machine())
    assert torch.are_deterministic_algorithms_enabled()


@portable_here
def test_a_portable_training_is_capped_and_gives_the_same_bits_at_any_number_of_threads(tmp_path: Path) -> None:
    one = train(tmp_path, "one", "base.portable=true")
    two = train(tmp_path, "two", "base.portable=true", threads=2)
    assert one.digest == two.digest
    for artifact, threads in ((one, 1), (two, 2)):
        environment = artifact.manifest.environment
        assert environment["cpu_capability"] == "AVX2"
        assert environment["kernels"]["threads"] == threads
        assert environment["kernels"]["deterministic"]
        assert PORTABLE_KERNELS.items() <= environment["kernels"]["variables"].items()
        assert any("Math Kernel Library" in line for line in environment["kernels"]["build"])
        assert environment["instruction_sets"] == instruction_sets()


@pytest.mark.skipif(
    "avx512f" not in instruction_sets(), reason="no instructions beyond AVX2 here, so nothing to cap"
)
def test_kernels_beyond_avx2_would_have_given_other_bits(tmp_path: Path) -> None:
    """What the cap is for. The kernels of a process that nobody capped are recorded too."""
    plain = train(tmp_path, "plain")
    assert plain.manifest.environment["cpu_capability"] == "AVX512"
    capped = train(tmp_path, "plain", "base.portable=true")
    weights = [(artifact.path / "model.safetensors").read_bytes() for artifact in (plain, capped)]
    assert weights[0] != weights[1]


@portable_here
def test_products_are_capped_too(tmp_path: Path) -> None:
    """MKL and oneDNN tell which instructions they use; ATen's own capability says nothing of theirs."""
    code = (
        "import torch\nfrom fonderie.model.numerics import settle\nsettle(1, portable=True)\n"
        "a = torch.ones(64, 64)\na @ a\n"
        "torch.relu(torch.ones(4, 16, 32, 32).to_mkldnn())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin", **PORTABLE_KERNELS, "MKL_VERBOSE": "1", "ONEDNN_VERBOSE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Intel(R) Advanced Vector Extensions 2" in done.stdout
    assert "CNR:AVX2" in done.stdout
    assert "cpu,isa:Intel AVX2" in done.stdout
