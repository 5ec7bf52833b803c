"""Whether the files of a stranger's release have the hashes that its own manifests list.

Two kinds of manifest are read: lists as `sha256sum` writes them, and Croissant descriptions (`distribution`, each
with `contentUrl` and `sha256`). A Fonderie release has release.json, which `release.verify` checks instead.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fonderie.audit.parse import ParseError, read_json
from fonderie.audit.target import Target, hash_regular
from fonderie.release.folder import is_safe_name

# Some ten seconds of a processor: what an unknown folder may cost. Beyond it, files count as not checked.
HASH_BUDGET_BYTES = 16 << 30
LISTED_LIMIT = 100_000

_SUMS = re.compile(r"(^|/)(sha256sums?|checksums?)([-_.][^/]*)?$|\.sha256(sums?)?$", re.IGNORECASE)
_CROISSANT = re.compile(r"(^|/)croissant[^/]*\.json(ld)?$", re.IGNORECASE)
_LINE = re.compile(r"^\\?([0-9a-fA-F]{64}) [ *](.{1,1000})$")


@dataclass(frozen=True)
class Integrity:
    """What the manifests of a target list, and what holds of it."""

    manifests: tuple[str, ...]
    matched: frozenset[str]
    altered: tuple[str, ...]
    missing: tuple[str, ...]
    unchecked: tuple[str, ...]
    """Listed and there, but not hashed: too large, or a hub states no hash."""

    @property
    def broken(self) -> bool:
        """Whether anything listed is not as listed."""
        return bool(self.altered or self.missing)


def check_integrity(target: Target) -> Integrity:
    """Hash what the manifests list, each file once."""
    manifests: list[str] = []
    listed: dict[str, str] = {}
    for name in target.entries:
        found = dict(_listed(target, name))
        if found:
            manifests.append(name)
            listed.update(found)
    matched, altered, missing, unchecked = set(), [], [], []
    left = HASH_BUDGET_BYTES
    for name, sha256 in sorted(listed.items())[:LISTED_LIMIT]:
        entry = target.entries.get(name)
        if entry is None:
            missing.append(name)
            continue
        actual = entry.sha256
        if target.root is not None and not actual and (entry.size_bytes or 0) <= left:
            actual = hash_regular(target.root / name, left)
            left -= entry.size_bytes or 0
        if not actual:
            unchecked.append(name)
        elif actual == sha256:
            matched.add(name)
        else:
            altered.append(name)
    return Integrity(tuple(manifests), frozenset(matched), tuple(altered), tuple(missing), tuple(unchecked))


def _listed(target: Target, name: str) -> Iterable[tuple[str, str]]:
    """Names, from the target's root, with the hash that a manifest gives them."""
    if _SUMS.search(name):
        found = target.text(name)
        pairs = (
            [match.groups() for line in found.text.splitlines() if (match := _LINE.match(line))] if found else []
        )
        listed = [(path.removeprefix("./"), digest) for digest, path in pairs]
    elif _CROISSANT.search(name):
        listed = list(_distribution(target, name))
    else:
        return
    folder = name.rpartition("/")[0]
    for path, digest in listed:
        inside = f"{folder}/{path}" if folder else path
        if is_safe_name(inside) and inside != name:
            yield inside, f"sha256:{digest.lower()}"


def _distribution(target: Target, name: str) -> Iterable[tuple[str, str]]:
    value = croissant(target, name)
    files = value.get("distribution") if value else None
    for item in files if isinstance(files, list) else []:
        if not isinstance(item, dict):
            continue
        path, digest = item.get("contentUrl"), item.get("sha256")
        if isinstance(path, str) and isinstance(digest, str) and "://" not in path and len(digest) == 64:
            yield path.removeprefix("./"), digest


def croissant_names(target: Target) -> list[str]:
    """The Croissant descriptions of a target."""
    return [name for name in target.entries if _CROISSANT.search(name)][:8]


def croissant(target: Target, name: str) -> dict[str, object] | None:
    """A Croissant description as plain data; None, and an entry in `unread`, if it is none."""
    found = target.text(name)
    if found is None:
        return None
    try:
        value = read_json(found.text)
    except ParseError as error:
        target.unread[name] = str(error)
        return None
    return value if isinstance(value, dict) else None
