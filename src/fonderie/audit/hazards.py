"""What in a release could harm whoever opens it carelessly: named, never opened."""

import re

from pydantic import BaseModel, ConfigDict

from fonderie.audit.parse import ParseError, read_json
from fonderie.audit.target import Target, UnreadableError, shorten
from fonderie.release.findings.openness import Evidence
from fonderie.release.folder import plain

SHOWN = 6
MAGIC_BYTES = 9
LOOKED_AT_LIMIT = 2_000

WEIGHTS = re.compile(
    r"\.(safetensors|gguf|ggml|onnx|msgpack|h5|pt|pth|ckpt|nemo|pkl|pickle)$|(^|/)(pytorch_|tf_|adapter_)?model[^/]*\.bin$"
    r"|(^|/)consolidated[^/]*\.bin$",
    re.IGNORECASE,
)
_PICKLE = re.compile(
    r"\.(pt|pth|ckpt|pkl|pickle|joblib|nemo)$|(^|/)(pytorch_|adapter_)?model[^/]*\.bin$|"
    r"(^|/)(training_args|optimizer|scheduler|consolidated[^/]*)\.bin$",
    re.IGNORECASE,
)
_PICKLE_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""PyTorch's own files are zip archives of pickles; a bare pickle begins with 0x80 and its protocol."""
_SAFE = re.compile(r"\.(safetensors|gguf)$", re.IGNORECASE)
_ARCHIVE = re.compile(r"\.(zip|tar|tgz|7z|rar|tar\.[a-z0-9]+|gz|xz|bz2|zst)$", re.IGNORECASE)
_SCRIPT = re.compile(r"\.(sh|bat|ps1|exe|dll|so|dylib|jar)$", re.IGNORECASE)


class Hazard(BaseModel):
    """One thing to be careful with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    summary: str
    evidence: tuple[Evidence, ...] = ()


def pickled(target: Target) -> list[str]:
    """Files that run code when loaded: by name, and by their first bytes where they call themselves safe."""
    names = [name for name in target.entries if _PICKLE.search(name)]
    return names + [name for name, head in disguised(target) if head.startswith(_PICKLE_MAGIC)]


def disguised(target: Target) -> list[tuple[str, bytes]]:
    """Files named as safetensors or GGUF that do not begin as these do, with their first bytes."""
    if target.root is None:
        return []
    found = []
    for name in [name for name in target.entries if _SAFE.search(name)][:LOOKED_AT_LIMIT]:
        try:
            head = target.fetch(name, MAGIC_BYTES - 1)
        except UnreadableError:
            continue
        # safetensors: the length of a JSON header in eight bytes, then the header.
        header = int.from_bytes(head[:8], "little")
        tensors = head[8:9] == b"{" and header <= (target.entries[name].size_bytes or 0) - 8
        if not (head.startswith(b"GGUF") if name.casefold().endswith(".gguf") else tensors):
            found.append((name, head))
    return found


def find_hazards(target: Target) -> list[Hazard]:
    """Everything to be careful with, each sort once."""
    found: list[Hazard] = []

    def add(rule: str, names: list[str], says: str) -> None:
        if names:
            shown = ", ".join(shorten(name, 80) for name in names[:SHOWN])
            more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
            evidence = tuple(target.evidence(name, "name of the file", name) for name in names[:SHOWN])
            found.append(Hazard(rule=f"hazard.{rule}", summary=f"{says}: {shown}{more}.", evidence=evidence))

    add("pickle", pickled(target), "These files are pickled: loading them runs whatever code they hold")
    add("disguised", [name for name, _ in disguised(target)], "Named as safetensors or GGUF, and not of that form")
    add("own_code", _own_code(target), "Loading the model runs code of its own (auto_map)")
    add("archive", [name for name in target.entries if _ARCHIVE.search(name)], "Archives, which were not opened")
    add(
        "program",
        [name for name in target.entries if _SCRIPT.search(name)],
        "Programs and scripts, which were not run",
    )
    odd = [name for name in target.entries if plain(name) != name]
    add("name", odd, "Names with characters that a terminal or a page would obey")
    reasons: dict[str, list[str]] = {}
    for name, why in target.refused:
        reasons.setdefault(why, []).append(name)
    for why, names in sorted(reasons.items()):
        add("refused", names, f"Refused, unread ({why})")
    reasons.clear()
    for name, why in sorted(target.unread.items()):
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        add("unread", names, f"Not read ({why})")
    return found


def _own_code(target: Target) -> list[str]:
    found = target.text("config.json")
    if found is None:
        return []
    try:
        value = read_json(found.text)
    except ParseError:
        return []
    return ["config.json"] if isinstance(value, dict) and value.get("auto_map") else []
