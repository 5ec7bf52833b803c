import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.core.digest import canonical_json, digest_bytes, digest_file, digest_json, digest_text, short

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_canonical_json_reads_back_as_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON_VALUES, max_size=5), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, object], random: object) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


@given(JSON_VALUES)
def test_writing_what_was_read_gives_the_same_bytes(value: object) -> None:
    data = canonical_json(value)
    assert canonical_json(json.loads(data)) == data


@pytest.mark.parametrize("value", [math.nan, math.inf, [{"a": -math.inf}]])
def test_nan_and_infinity_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(value)


def test_golden_canonical_json() -> None:
    value = {"é": [1, 1.0, 1e-5, True, None, 'a\n"/'], "a": {"z": -0.5, "b": {}}}
    expected = '{"a":{"b":{},"z":-0.5},"é":[1,1.0,1e-05,true,null,"a\\n\\"/"]}'
    assert canonical_json(value) == expected.encode("utf-8")


def test_golden_digests() -> None:
    assert digest_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_text("Fonderie œuvre") == digest_bytes("Fonderie œuvre".encode())
    assert digest_json({"b": 1, "a": [2]}) == digest_bytes(b'{"a":[2],"b":1}')


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(data)
    assert digest_file(tmp_path / "file") == digest_bytes(data)


def test_short_is_for_people() -> None:
    assert short("sha256:" + "0123456789abcdef" * 4) == "0123456789ab"


def test_a_lone_surrogate_is_not_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        digest_text("\ud800")
