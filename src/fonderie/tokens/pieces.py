"""What the tokens of a tokenizer from elsewhere spell, read from tokenizer.json alone.

Two kinds are known: byte-level (GPT-2, Falcon, BLOOM, Llama 3, OLMo, Qwen), each of whose tokens is a string of
bytes; and those with "▁" for a space and <0x41> for a byte (Llama 2, Mistral, Gemma). What else a file may ask for
(lower case, other normal forms) is refused: what its tokens spell would then say nothing about the text.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fonderie.core.errors import InputError

SPACE = "▁"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class UnknownStyleError(InputError):
    """A tokenizer that changes texts, or stands for them, in a way that is not known here."""


def byte_alphabet() -> dict[str, int]:
    """The printable character that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


@dataclass(frozen=True)
class Style:
    """What becomes of a text before it is cut into tokens."""

    byte_level: bool
    nfc: bool = False
    prefix: bool = False
    """Whether a space is put before it."""
    prefix_unless_space: bool = False
    """The same, but not before a text that begins with a space."""

    def plain(self, text: str) -> bytes:
        """What the tokens of a text spell."""
        if self.nfc:
            text = unicodedata.normalize("NFC", text)
        if not self.byte_level:
            text = text.replace(SPACE, " ")  # one and the same to these tokenizers
        if text and (self.prefix or (self.prefix_unless_space and not text.startswith(" "))):
            text = f" {text}"
        return text.encode("utf-8")


@dataclass(frozen=True)
class Pieces:
    """The bytes of every token id."""

    of: list[bytes]
    """Nothing for ids that no token has, and for special tokens."""
    special: dict[str, int]
    """Special tokens by their name."""
    style: Style
    vocabulary: Mapping[str, int] = field(repr=False)
    """As the file has it: the strings that stand for tokens."""


def read_pieces(data: bytes, name: str = "tokenizer.json") -> Pieces:
    """From the bytes of tokenizer.json; InputError if it is of no kind that is known here."""
    try:
        file = json.loads(data)
        model, added = file["model"], file.get("added_tokens") or []
        vocabulary = _vocabulary(model)
        numbers = {token["content"]: (int(token["id"]), bool(token["special"])) for token in added}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name} is no tokenizer: {error}") from error
    style = _style(file, name)
    ids = [*vocabulary.values(), *(number for number, _ in numbers.values())]
    if not ids or min(ids) < 0 or max(ids) > 10 * len(ids):
        raise InputError(f"{name} is no tokenizer: its ids are not those of a vocabulary")
    pieces = [b""] * (max(ids) + 1)
    alphabet = byte_alphabet()
    for token, number in vocabulary.items():
        if style.byte_level:
            if all(char in alphabet for char in token):
                pieces[number] = bytes(alphabet[char] for char in token)
        else:
            byte = _BYTE.fullmatch(token)
            pieces[number] = bytes([int(byte[1], 16)]) if byte else token.replace(SPACE, " ").encode("utf-8")
    for token, (number, special) in numbers.items():
        pieces[number] = b"" if special else token.encode("utf-8")
    return Pieces(
        pieces, {token: number for token, (number, special) in numbers.items() if special}, style, vocabulary
    )


def _vocabulary(model: Mapping[str, Any]) -> dict[str, int]:
    listed = model["vocab"]
    if isinstance(listed, dict):
        return {str(token): int(number) for token, number in listed.items()}
    return {str(token): number for number, (token, _) in enumerate(listed)}  # Unigram: token and score


def _style(file: Mapping[str, Any], name: str) -> Style:
    decoder = {part.get("type") for part in _parts(file.get("decoder"))}
    cutting = list(_parts(file.get("pre_tokenizer")))
    normalizer = list(_parts(file.get("normalizer")))
    kinds = [part.get("type") for part in normalizer]
    if "ByteLevel" in decoder:
        if set(kinds) <= {"NFC"}:
            prefix = any(part.get("type") == "ByteLevel" and part.get("add_prefix_space") for part in cutting)
            return Style(byte_level=True, nfc="NFC" in kinds, prefix_unless_space=prefix)
    elif {"ByteFallback", "Metaspace"} & decoder:
        spaces = [part for part in normalizer if part.get("type") in ("Prepend", "Replace")]
        if len(spaces) == len(normalizer) and all(_is_space(part) for part in spaces):
            schemes = {part.get("prepend_scheme", "always") for part in cutting if part.get("type") == "Metaspace"}
            return Style(
                byte_level=False,
                prefix="Prepend" in kinds,
                prefix_unless_space="Prepend" not in kinds and bool(schemes & {"first", "always"}),
            )
    raise UnknownStyleError(
        f"{name} changes texts, or stands for them, in a way that is not known here: normalizer "
        f"{', '.join(map(str, kinds)) or 'none'}, decoder {', '.join(sorted(map(str, decoder))) or 'none'}"
    )


def _is_space(part: Mapping[str, Any]) -> bool:
    if part["type"] == "Prepend":
        return bool(part.get("prepend") == SPACE)
    return bool(part.get("content") == SPACE and part.get("pattern") == {"String": " "})


def _parts(found: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """A component, or the components of a sequence of them."""
    if not found:
        return
    if found.get("type") == "Sequence":
        for key in ("normalizers", "pretokenizers", "decoders"):
            for part in found.get(key) or ():
                yield from _parts(part)
    else:
        yield found
