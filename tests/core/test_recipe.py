import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.helpers import Bench
from tests.core.toy_steps import find_step

from fonderie.core.errors import InputError, RecipeError
from fonderie.core.recipe import _value, find_sources, load_recipe

CHAIN = """
[recipe]
title = "A toy"

[loud]
step = "toy.upper"
inputs = { texts = ["plain", "read"] }

[plain]
step = "toy.write"
times = 2

[read]
step = "toy.read"
path = "data/*.txt"

[total]
step = "toy.count"
inputs = { texts = "loud" }
"""


def _refused(bench: Bench, text: str, *overrides: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        bench.write(text).load(*overrides)
    return caught.value


def test_calls_come_in_an_order_in_which_they_can_run(bench: Bench) -> None:
    recipe = bench.write(CHAIN).load()
    assert list(recipe.calls) == ["plain", "read", "loud", "total"]
    assert recipe.upstream_of("loud") == ["plain", "read", "loud"]
    assert recipe.calls["read"].parameters.source == "read"
    assert (recipe.name, recipe.title) == ("toy", "A toy")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('[a]\nstep = "toy.wirte"', "[a] there is no step 'toy.wirte'", "toy.write"),
        ("[a]\ntext = 'x'", "[a] has no step", "step ="),
        (
            '[a]\nstep = "toy.write"\ntimse = 2',
            "no parameter 'timse'; did you mean 'times'?",
            "Known: text, times.",
        ),
        ('[a]\nstep = "toy.write"\ntimes = 0', "times: Input should be greater than 0 (given: 0)", "How often."),
        ('[a]\nstep = "toy.read"', "[a] needs 'path'", "Text files."),
        ('[a]\nstep = "toy.read"\npath = "x"\npolicy = {}', "[a] cannot set 'policy'", "[policy]"),
        ('[a]\nstep = "toy.read"\npaht = "x"', "[a] needs 'path'", "Text files."),
        ('[a]\nstep = "toy.count"', "[a] needs input 'texts' (texts)", "inputs = { texts ="),
        ('[a]\nstep = "toy.count"\ninputs = { text = "a" }', "'text'; did you mean 'texts'?", "Known: texts."),
        ('[a]\nstep = "toy.count"\ninputs = { texts = "b" }', "inputs.texts: call 'b'", "Known: a."),
        ('[a]\nstep = "toy.count"\ninputs = { texts = [] }', "takes exactly one call, not 0", ""),
        ('[a]\nstep = "toy.upper"\ninputs = { texts = [] }', "inputs.texts is empty", ""),
        ('[a]\nstep = "toy.count"\ninputs = { texts = 3 }', "must name one call", ""),
        ('[a]\nstep = "toy.count"\ninputs = "b"', "inputs must be a table", "inputs ="),
        ('[a]\nstep = "toy.count"\ninputs = { texts = "a" }', "takes texts, but [a] (toy.count) makes count", ""),
        ("[recipe]\ntitel = 'x'\n[a]\nstep='toy.write'", "[recipe] has no 'titel'", "title, description"),
        ("[policy]\nalow = []\n[a]\nstep='toy.write'", "[policy] has no parameter 'alow'", "also_allow"),
        ("x = 1", "'x' is not a table", ""),
        ("[[a]]\nstep='toy.write'", "'a' is not a table", ""),
        ("['a b']\nstep='toy.write'", "is no name for a call", "letters"),
        ("['[/red]']\nstep='toy.write'", "is no name for a call", "letters"),
        ("[recipe]\ntitle='x'", "calls no step", ""),
        ("[a", "is not TOML", ""),
    ],
)
def test_a_wrong_recipe_is_refused_naming_call_and_parameter(
    bench: Bench, text: str, message: str, hint: str
) -> None:
    error = _refused(bench, text)
    assert "toy.toml" in error.message
    assert message in error.message
    assert hint in error.hint


def test_a_misspelt_step_is_guessed() -> None:
    with pytest.raises(RecipeError, match=r"no step 'corpus.raed'; did you mean 'corpus.read'\?") as caught:
        find_step("corpus.raed")
    assert "toy.write" in caught.value.hint


def test_a_circle_is_drawn(bench: Bench) -> None:
    text = "".join(f'[{a}]\nstep = "toy.upper"\ninputs = {{ texts = "{b}" }}\n' for a, b in ("ab", "bc", "ca"))
    assert "in a circle: a → b → c → a" in _refused(bench, text).message
    assert "in a circle: a → a" in _refused(bench, '[a]\nstep="toy.upper"\ninputs={texts="a"}').message


AWKWARD = '[a]\nstep = "toy.awkward"\n'


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("needed='x'\nmodel = { depht = 2 }", "no parameter 'model.depht'; did you mean 'depth'?", "depth, width."),
        ("needed='x'\nmaybe = { depht = 2 }", "no parameter 'maybe.depht'; did you mean 'depth'?", "depth, width."),
        ("needed='x'\nlayers = [{}, {depht=2}]", "'layers.1.depht'; did you mean 'depth'?", "depth, width."),
        ("needed='x'\nmodel = { depth = 'x' }", "model.depth: Input should be a valid integer", ""),
        (
            "needed='x'\nsize = 'x'",
            "size: Input should be a valid integer, unable to parse string as an integer or Input should be a valid "
            "tuple (given: 'x')",
            "Bytes, or bytes of each.",
        ),
        ("needed='x'\nsize = [1, 'x']", "size", "Bytes"),
        ("needed='x'\nbetas = [0.9]", "[a] needs 'betas.1'", "Of both averages."),
        ("needed='x'\nrate = nan", "rate: Input should be a finite number (given: nan)", ""),
        ("needed='x'\nrate = inf", "rate: Input should be a finite number", ""),
        ("needed='x'\nnames = 'fr'", "names: Input should be a valid tuple", "Languages.\nA list is written"),
        ("needed='x'\nnames = 'fr'", "(given: 'fr')", 'names = ["fr"]'),
        ("", "[a] needs 'needed'", ""),
    ],
)
def test_pydantics_errors_are_put_in_the_recipes_words(bench: Bench, line: str, message: str, hint: str) -> None:
    error = _refused(bench, AWKWARD + line)
    assert message in error.message
    assert hint in error.hint
    assert "tuple[int" not in error.message


def test_overrides_are_recorded_and_win(bench: Bench) -> None:
    recipe = bench.write(CHAIN).load("plain.times=5", "plain.text = bonsoir à tous ", 'policy.also_allow=["X"]')
    assert recipe.calls["plain"].parameters.times == 5
    assert recipe.calls["plain"].parameters.text == "bonsoir à tous"
    assert recipe.policy.also_allow == ("X",)
    assert recipe.calls["read"].parameters.policy == recipe.policy
    assert recipe.overrides == ("plain.times=5", "plain.text = bonsoir à tous ", 'policy.also_allow=["X"]')


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("plain.timse=3", "[plain] has no parameter 'timse'; did you mean 'times'?"),
        ("plian.times=3", "no call 'plian'; did you mean 'plain'?"),
        ("plain.times", "not of the form call.parameter=value"),
        ("times=3", "not of the form"),
        ("plain.=3", "not of the form"),
        ("plain.times=many", "times: Input should be a valid integer"),
        ("policy.also_alow=[]", "[policy] has no parameter 'also_alow'"),
        ("loud.inputs={texts='nobody'}", "call 'nobody'"),
        ("plain.times=1\ntext=2", "times: Input should be a valid integer"),
    ],
)
def test_a_wrong_override_is_refused(bench: Bench, override: str, message: str) -> None:
    assert message in _refused(bench, CHAIN, override).message


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_a_value(text: str) -> None:
    value = _value(text)
    assert isinstance(value, str | int | float | bool | list | dict)
    if isinstance(value, str) and not text.strip().startswith(("'", '"')):
        assert value == text


@given(st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_and_booleans_are_read_as_toml_reads_them(value: float) -> None:
    assert _value(str(value).lower()) == value


@pytest.mark.parametrize("text", ["2024-01-01", "12:30:00", "data/x=y.txt", "a # b", "", "001", "~/romans/*.xml"])
def test_what_a_person_means_as_text_stays_text(text: str) -> None:
    assert _value(text) == text


def test_a_recipe_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no recipe at"):
        load_recipe(tmp_path / "absent.toml", (), find_step)
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path, (), find_step)
    (tmp_path / "latin.toml").write_bytes(b"[caf\xe9]")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "latin.toml", (), find_step)


# Sources


def _fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_a_path_is_relative_to_the_recipe_and_an_override_to_where_one_stands(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(bench.folder, "data/a.txt", "elsewhere/data/b.txt")
    monkeypatch.chdir(bench.folder / "elsewhere")
    recipe = bench.write(CHAIN).load()
    assert [source.name for source in recipe.calls["read"].sources()["path"]] == ["a.txt"]
    recipe = bench.load("read.path=data/*.txt")
    assert [source.name for source in recipe.calls["read"].sources()["path"]] == ["b.txt"]


def test_an_optional_source_that_is_not_given_is_no_source(bench: Bench) -> None:
    _fill(bench.folder, "data/a.txt", "extra.txt")
    recipe = bench.write(CHAIN).load()
    assert list(recipe.calls["read"].sources()) == ["path"]
    assert list(bench.load(f"read.extra={bench.folder}/extra.txt").calls["read"].sources()) == ["path", "extra"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.txt", ["a.txt"]),
        ("*.txt", ["a.txt"]),
        ("./*.txt", ["a.txt"]),
        ("sub/*.txt", ["b.txt", "c.txt"]),
        ("sub/../*.txt", ["a.txt"]),
        ("**/*.txt", ["a.txt", "odd/[1].txt", "odd/é\n.txt", "sub/b.txt", "sub/c.txt", "sub/deep/d.txt"]),
        ("s*/[bc].txt", ["sub/b.txt", "sub/c.txt"]),
        ("odd/[1].txt", ["[1].txt"]),
        ("in [brackets]/*.md", ["e.md"]),
        ("odd/*", ["[1].txt", "é\n.txt"]),
    ],
)
def test_globs(tmp_path: Path, pattern: str, names: list[str]) -> None:
    folder = tmp_path / "with [brackets] and *"
    _fill(
        folder,
        "a.txt",
        "sub/c.txt",
        "sub/b.txt",
        "sub/deep/d.txt",
        "odd/[1].txt",
        "odd/é\n.txt",
        "odd/.hidden",
        "in [brackets]/e.md",
    )
    assert [source.name for source in find_sources(pattern, folder, "a.path")] == names


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("absent.txt", "no file matches"),
        ("*.xml", "no file matches"),
        ("gone/**", "gone/\\*\\*: there is no folder .*/gone\\b"),
        ("gone/deeper/*.xml", "there is no folder .*/gone\\b"),
        ("sub", "is a folder"),
        ("", "is a folder"),
        ("~nobody-of-that-name/*.txt", "home"),
        ("a\0b", "no file matches"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, pattern: str, message: str) -> None:
    _fill(tmp_path, "sub/b.txt")
    with pytest.raises(RecipeError, match=message) as caught:
        find_sources(pattern, tmp_path, "read.path")
    assert "read.path" in caught.value.message


def test_a_link_to_nothing_is_not_left_out_in_silence(tmp_path: Path) -> None:
    _fill(tmp_path, "a.txt")
    (tmp_path / "b.txt").symlink_to("annexed-elsewhere")
    with pytest.raises(InputError, match=r"b\.txt is a link to nothing"):
        find_sources("*.txt", tmp_path, "read.path")


def test_a_name_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xe9t\xe9.txt")).touch()
    with pytest.raises(InputError, match=r"xe9t.*is not UTF-8"):
        find_sources("*.txt", tmp_path, "read.path")


def test_a_name_too_long_for_the_system_is_an_error_of_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"read\.path: .* cannot be read"):
        find_sources("x" * 5000, tmp_path, "read.path")
