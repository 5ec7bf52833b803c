"""Merkle trees: one root for many pieces, and short proofs that a piece is among them.

Hashing is that of RFC 6962, section 2.1, with SHA-256: a leaf is H(0x00 || data), a node H(0x01 || left || right),
and the tree of n > 1 leaves is cut after the largest power of two below n. The two prefixes keep a node from being
passed off as a leaf. No leaf at all has the root H("").

A file is a tree over its chunks, a set of files a tree over (name, size in bytes, root or digest of the file), so
that a root binds the names, the order of the chunks and where each file ends.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from fonderie.core.digest import canonical_json

CHUNK_BYTES = 1 << 20
"""Of a file cut into leaves: a proof then costs one chunk and 32 bytes per doubling of the file."""


def leaf(data: bytes | memoryview) -> bytes:
    """The hash of a leaf."""
    digest = hashlib.sha256(b"\x00")
    digest.update(data)
    return digest.digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over the hashes of leaves."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def _above(level: list[bytes]) -> list[bytes]:
    # Pairs from the left, a last odd one moved up as it is: the same tree as cutting at powers of two.
    pairs = [node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return pairs + level[-1:] if len(level) % 2 else pairs


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of RFC 6962, section 2.1.1: the subtrees beside the way from a leaf to the root."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of a tree of {len(leaves)}")
    path, level = [], list(leaves)
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        level, index = _above(level), index // 2
    return path


def is_included(root_hash: bytes, leaf_hash: bytes, index: int, count: int, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that leaf `index` of `count` has this hash, in the tree of this root."""
    if not 0 <= index < count:
        return False
    found, rest = leaf_hash, list(proof)
    while count > 1:
        if index ^ 1 < count:
            if not rest:
                return False
            beside = rest.pop(0)
            found = node(beside, found) if index % 2 else node(found, beside)
        index, count = index // 2, (count + 1) // 2
    return not rest and found == root_hash


def tagged(digest: bytes) -> str:
    """A hash as it is written down, its algorithm said."""
    return "sha256:" + digest.hex()


def untagged(digest: str) -> bytes:
    """The 32 bytes of a written hash; ValueError if it is none."""
    data = bytes.fromhex(digest.removeprefix("sha256:"))
    if len(data) != 32 or not digest.startswith("sha256:"):
        raise ValueError(f"{digest[:80]!r} is no sha256 digest")
    return data


def named_root(items: Iterable[tuple[str, int, str]]) -> str:
    """The root over named items, each a name, a size in bytes and a digest, whatever order they come in."""
    return tagged(root([leaf(canonical_json(list(item))) for item in sorted(items)]))


@dataclass
class ChunkedHash:
    """A file's digest and its tree's root, from one reading of its bytes."""

    whole: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    leaves: list[bytes] = field(default_factory=list)

    def update(self, chunk: bytes | memoryview) -> None:
        """The next CHUNK_BYTES; only the last chunk of a file may have fewer."""
        self.whole.update(chunk)
        self.leaves.append(leaf(chunk))

    @property
    def digest(self) -> str:
        """The digest of the whole, as `digest_file` gives it."""
        return "sha256:" + self.whole.hexdigest()

    @property
    def root(self) -> str:
        """The root over the chunks."""
        return tagged(root(self.leaves))


def hash_chunks(path: Path) -> ChunkedHash:
    """Read a file once, for its digest and for its tree."""
    found = ChunkedHash()
    with path.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        while size := _fill(file, buffer):
            found.update(buffer[:size])
    return found


def _fill(file: FileIO, buffer: memoryview) -> int:
    """Fill a buffer as far as the file goes: one read may return less than was asked for."""
    size = 0
    while size < len(buffer) and (count := file.readinto(buffer[size:])):
        size += count
    return size
