"""The options that say which engine answers: what contradicts itself is refused with the way out."""

import argparse
from pathlib import Path

import pytest

from fonderie.commands.engines import add_engine, opener
from fonderie.core.errors import UsageError


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("releases", type=Path, nargs="+")
    add_engine(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["a", "--upstream", "http://x"], "--upstream is for an engine of others", "--engine vllm"),
        (["a", "--engine", "vllm"], "--engine vllm needs --upstream URL", "http://"),
        (["a", "--engine", "vllm", "--upstream", "u", "--precision", "bf16"], "--precision is for our own", "vllm"),
        (
            ["a", "--engine", "llamacpp", "--upstream", "u", "--threads", "2"],
            "--threads is for our own",
            "llamacpp",
        ),
        (["a", "--engine", "vllm", "--upstream", "u", "--device", "cuda"], "--device is for our own", "vllm"),
        (
            ["a", "b", "c", "--engine", "vllm", "--upstream", "u", "--upstream", "v"],
            "2 times for 3 releases",
            "Once",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments, said, hint):
    with pytest.raises(UsageError, match=said) as error:
        opener(parsed(*arguments))
    assert hint in error.value.hint
    assert error.value.exit_status == 2
