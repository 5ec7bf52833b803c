import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.core import merkle
from fonderie.core.digest import digest_file

PIECES = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def by_the_book(pieces: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if not pieces:
        return hashlib.sha256(b"").digest()
    if len(pieces) == 1:
        return hashlib.sha256(b"\x00" + pieces[0]).digest()
    k = 1 << ((len(pieces) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + by_the_book(pieces[:k]) + by_the_book(pieces[k:])).digest()


def leaves(pieces: list[bytes]) -> list[bytes]:
    return [merkle.leaf(piece) for piece in pieces]


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_roots_are_those_of_the_rfc(pieces: list[bytes]) -> None:
    assert merkle.root(leaves(pieces)) == by_the_book(pieces)


def test_the_roots_of_certificate_transparency() -> None:
    # The test tree of the Certificate Transparency project: eight inputs, and its roots for 1, 7 and 8 of them.
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    found = [merkle.root(leaves([bytes.fromhex(text) for text in inputs[:count]])).hex() for count in (1, 7, 8)]
    assert found[0] == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert found[1] == "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"
    assert found[2] == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@given(PIECES, st.data())
def test_a_proof_holds_for_its_leaf_at_its_place_and_nothing_else(pieces: list[bytes], data: st.DataObject) -> None:
    tree = leaves(pieces)
    index = data.draw(st.integers(0, len(tree) - 1))
    root, proof = merkle.root(tree), merkle.inclusion_proof(tree, index)
    assert merkle.is_included(root, tree[index], index, len(tree), proof)
    assert not merkle.is_included(root, merkle.leaf(b"a piece of nine"), index, len(tree), proof)
    assert not merkle.is_included(root, tree[index], index, len(tree), [*proof, tree[0]])
    assert not merkle.is_included(root, tree[index], len(tree), len(tree), proof)
    for other in range(len(tree)):
        if tree[other] != tree[index]:
            assert not merkle.is_included(root, tree[index], other, len(tree), proof)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        assert not merkle.is_included(root, tree[index], index, len(tree), proof[:place] + proof[place + 1 :])
        proof[place] = bytes(32)
        assert not merkle.is_included(root, tree[index], index, len(tree), proof)


def test_a_node_is_no_leaf() -> None:
    left, right = merkle.leaf(b"a"), merkle.leaf(b"b")
    assert merkle.leaf(left + right) != merkle.node(left, right)


def test_no_leaf_has_no_proof() -> None:
    with pytest.raises(IndexError):
        merkle.inclusion_proof(leaves([b"a"]), 1)


@given(PIECES, st.data())
def test_changing_moving_or_dropping_a_piece_changes_the_root(pieces: list[bytes], data: st.DataObject) -> None:
    root = merkle.root(leaves(pieces))
    index = data.draw(st.integers(0, len(pieces) - 1))
    assert merkle.root(leaves([*pieces[:index], pieces[index] + b"x", *pieces[index + 1 :]])) != root
    assert merkle.root(leaves([*pieces, b""])) != root
    if len(pieces) > 1:
        assert merkle.root(leaves(pieces[:index] + pieces[index + 1 :])) != root
        if pieces[0] != pieces[-1]:
            assert merkle.root(leaves(pieces[::-1])) != root or pieces == pieces[::-1]


ITEMS = st.lists(st.tuples(st.text(max_size=4), st.integers(0, 9), st.text(max_size=4)), max_size=8, unique=True)


@given(ITEMS, st.randoms(use_true_random=False))
def test_named_items_have_one_root_in_any_order(items: list[tuple[str, int, str]], random: object) -> None:
    root = merkle.named_root(items)
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merkle.named_root(shuffled) == root
    for index, (name, size, digest) in enumerate(items):
        for other in ((name + "x", size, digest), (name, size + 1, digest), (name, size, digest + "x")):
            assert merkle.named_root([*items[:index], other, *items[index + 1 :]]) != root


@pytest.mark.parametrize("size", [0, 1, merkle.CHUNK_BYTES, merkle.CHUNK_BYTES + 1, 3 * merkle.CHUNK_BYTES])
def test_a_file_is_read_once_for_both_its_hashes(tmp_path, size: int) -> None:
    data = bytes(i * 31 % 251 for i in range(size))
    path = tmp_path / "file"
    path.write_bytes(data)
    found = merkle.hash_chunks(path)
    chunks = [data[start : start + merkle.CHUNK_BYTES] for start in range(0, size, merkle.CHUNK_BYTES)]
    assert found.digest == digest_file(path)
    assert found.root == merkle.tagged(by_the_book(chunks))


def test_what_is_no_digest_is_refused() -> None:
    assert merkle.untagged(merkle.tagged(bytes(32))) == bytes(32)
    for text in ("", "sha256:", "sha256:00", "md5:" + "0" * 64, "0" * 64, "sha256:" + "g" * 64):
        with pytest.raises(ValueError, match=r"digest|hexadecimal"):
            merkle.untagged(text)
