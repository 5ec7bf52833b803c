"""What is summed, and what is not for want of a measurement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluate.small import Build

from fonderie.core.manifest import Manifest
from fonderie.release.energy import Electricity, EnergyAccount, account_energy, emissions_grams, hardware
from fonderie.release.report import gather


def making(step: str, joules: float | None, **statistics: object) -> Manifest:
    return Manifest.model_validate(
        {
            "key": step,
            "digest": step,
            "step": step,
            "version": 1,
            "parameters": {},
            "inputs": {},
            "sources": {},
            "files": [],
            "duration_seconds": 2.0,
            "statistics": statistics,
            "environment": {"processor": "a processor", "cores": 2},
            "energy": {"joules": joules, "method": "not measured" if joules is None else "a counter"},
        }
    )


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=6))
def test_a_sum_with_a_hole_is_no_sum(joules: list[float | None]) -> None:
    account = account_energy(making("train.pretrain", value) for value in joules)
    known = [value for value in joules if value is not None]
    complete = bool(joules) and len(known) == len(joules)
    assert account.training_joules == (sum(known) if complete else None)
    assert account.joules == account.training_joules
    assert account.measured == len(known)
    assert account.training_seconds == 2.0 * len(joules)


def test_only_training_steps_are_training() -> None:
    account = account_energy(
        [making("corpus.read", None), making("train.pretrain", 7.2e6, flops=10, flops_formula="6 N")]
    )
    assert (account.training_kwh, account.joules, account.flops) == (2.0, None, 10)
    assert account.flops_formulas == ("6 N",)
    assert account.methods == ("a counter",)


def test_emissions_need_a_measurement_and_a_known_electricity() -> None:
    electricity = Electricity(grams_co2e_per_kwh=20, source="the operator's report", location="Lyon, France")
    measured = account_energy([making("train.pretrain", 7.2e6)])
    assert emissions_grams(measured, electricity) == pytest.approx(40)
    assert emissions_grams(measured, None) is None
    assert emissions_grams(account_energy([making("train.pretrain", None)]), electricity) is None
    assert emissions_grams(account_energy([]), electricity) is None


def test_an_estimate_stands_apart_with_its_formula_and_the_country_as_it_was_stated() -> None:
    made = making("train.pretrain", None)
    energy = {**made.energy, "country": "FR", "estimate": {"joules": 3.6e6, "formula": "2 W x 1 s"}, "seconds": 9.0}
    account = account_energy([made.model_copy(update={"energy": energy}), making("corpus.read", None)])
    assert (account.training_joules, account.training_estimated_joules) == (None, 3.6e6)
    assert account.estimate_formulas == ("2 W x 1 s",)
    assert account.countries == ("FR",)
    assert account.training_seconds == 9.0  # of all the runs it took
    assert account_energy([made]).training_estimated_joules is None
    assert account_energy([made]).countries == ()


def test_a_checkpoint_taken_out_of_a_training_is_counted_once() -> None:
    account = account_energy([making("train.pretrain", 1.0, flops=10), making("train.checkpoint", None, flops=4)])
    assert (account.flops, account.training_joules) == (10, 1.0)


def test_hardware_names_what_computed() -> None:
    assert hardware({"gpus": ["H100", "H100"], "processor": "x"}) == "2 x H100"
    assert hardware({"processor": "x", "cores": 4}) == "x, 4 cores, no GPU"
    assert hardware({}) == "not recorded"


def test_a_real_build_is_accounted_step_by_step(small: Build) -> None:
    lineage = gather([small.result.artifacts["release"]])
    account = account_energy(artifact.manifest for artifact in lineage)
    assert EnergyAccount.model_validate_json(account.model_dump_json()) == account
    training = [step for step in account.steps if step.trains]
    assert [step.step for step in training] == ["train.pretrain"]
    assert account.flops == training[0].flops
    assert account.flops
