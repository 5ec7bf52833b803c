import subprocess
import sys
from typing import Any, get_args, get_origin

import pytest
from tests.core import toy_steps

from fonderie.core.environment import describe
from fonderie.core.errors import RecipeError
from fonderie.core.step import fields_with_role
from fonderie.core.steps import STEPS, find_step


def _kinds(kind: Any) -> list[Any]:
    return [get_origin(kind) or kind, *(inner for arg in get_args(kind) for inner in _kinds(arg))]


@pytest.mark.parametrize("name", STEPS)
def test_every_step_of_the_registry_is_there(name: str) -> None:
    found = find_step(name)
    # What reads or makes weights lies in `train`, whatever it is called.
    assert STEPS[name].split(".")[1] in (name.partition(".")[0], "train")
    assert not {"step", "inputs"} & found.parameters.model_fields.keys(), "a recipe could not set it"
    for field, info in found.parameters.model_fields.items():
        assert not {set, frozenset} & set(_kinds(info.annotation)), f"{field}: a set has no order, so no stable key"


def test_an_unknown_step_is_guessed_and_the_known_ones_named() -> None:
    with pytest.raises(RecipeError, match=r"no step 'tokens.bep'; did you mean 'tokens.bpe'\?") as caught:
        find_step("tokens.bep")
    assert "corpus.read" in caught.value.hint


def test_roles_are_found_in_optional_fields_too() -> None:
    parameters = toy_steps.ReadParameters
    assert fields_with_role(parameters, "source") == ["path", "extra"]
    assert fields_with_role(parameters, "call") == ["source"]
    assert fields_with_role(parameters, "policy") == ["policy"]


def test_the_environment_is_described_without_torch() -> None:
    code = (
        "import sys; from fonderie.core.environment import describe; describe(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    found = describe()
    assert found["libraries"]["pyarrow"]
    assert found["cores"] >= 1
