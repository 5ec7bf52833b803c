"""A portable training is replayed by the kernels that its commitment asks for, wherever they can be had."""

from pathlib import Path

import pytest
from tests.audit.replay.makers import make

from fonderie.audit.replay import replay_release, rerun
from fonderie.audit.replay.basis import read_basis
from fonderie.audit.replay.rerun import asked_of, variations
from fonderie.core.environment import PORTABLE_KERNELS, instruction_sets
from fonderie.core.machine import Machine

pytestmark = pytest.mark.skipif(
    "avx2" not in instruction_sets(), reason="portable = true needs a processor with AVX2"
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("portable"), None, "base.portable=true", "base.duration='10 steps'")


def test_it_comes_to_the_same_bits_on_capped_kernels(release: Path) -> None:
    report = replay_release(release, segments=1, seed=1, machine=Machine(threads=2))
    assert report.verdict == "identical"
    assert report.made_on["cpu_capability"] == "AVX2"
    assert report.replayed_on["cpu_capability"] == "AVX2"
    assert report.replayed_on["variables"] == PORTABLE_KERNELS


def test_repeats_are_capped_but_for_what_they_vary(release: Path) -> None:
    basis, problems = read_basis(release, ())
    assert problems == []
    found = variations(basis.training, Machine())
    assert found["2 micro-batches"] == ({"accumulation": 2}, PORTABLE_KERNELS)
    matrix, vector = found["other matrix products (MKL)"], found["other element-wise operations (ATen)"]
    assert matrix == ({"other_kernels": True}, {**PORTABLE_KERNELS, "MKL_CBWR": "COMPATIBLE"})
    assert vector == ({"other_kernels": True}, {**PORTABLE_KERNELS, "ATEN_CPU_CAPABILITY": "default"})


def test_where_its_kernels_cannot_be_had_nothing_is_asked_for(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basis, _ = read_basis(release, ())
    assert asked_of(basis.training, Machine()) == PORTABLE_KERNELS
    assert asked_of(basis.training, Machine(device="cuda")) == {}
    monkeypatch.setattr(rerun, "instruction_sets", list)
    assert asked_of(basis.training, Machine()) == {}
