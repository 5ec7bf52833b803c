"""The options that say which engine answers: what contradicts itself is refused with the way out."""

import argparse
from pathlib import Path

import pytest

from fonderie.commands.engines import add_engine, opener
from fonderie.core.errors import UsageError
from fonderie.serve.engine.engine import Limits


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
            ["a", "--engine", "vllm", "--upstream", "u", "--admit-tokens", "9"],
            "--admit-tokens is for our own",
            "vllm",
        ),
        (
            ["a", "--engine", "vllm", "--upstream", "u", "--prefix-cache", "0"],
            "--prefix-cache is for our own",
            "vllm",
        ),
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


def test_how_much_at_once_reaches_our_own_engine():
    limits = opener(parsed("a", "--batch", "3", "--admit-tokens", "900", "--prefix-cache", "0")).keywords["limits"]
    assert (limits.batch, limits.tokens, limits.prefix_bytes) == (3, 900, 0)
    assert opener(parsed("a")).keywords["limits"] == Limits()
    assert opener(parsed("a", "--prefix-cache", "2")).keywords["limits"].prefix_bytes == 2 << 20
    with pytest.raises(SystemExit):
        parsed("a", "--prefix-cache", "-1")
