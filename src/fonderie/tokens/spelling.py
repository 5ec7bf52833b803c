"""What token ids spell, read from tokenizer.json alone: no pattern or code of a stranger's tokenizer is run.

A byte-level tokenizer's every token is a string of bytes; so a document's tokens spell its text or they do not,
whichever way it was cut. How `tokens.pack` frames documents and turns is known here, not read.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fonderie.core.conversation import CONVERSATION, PREFERENCE
from fonderie.core.errors import InputError
from fonderie.tokens.conversation import (
    BOS,
    END,
    EOS,
    ROLE_TOKENS,
    SPECIAL_TOKENS,
    Turn,
    parse_preference,
    parse_turns,
)


class _Added(BaseModel):
    id: int
    content: str
    special: bool


class _Model(BaseModel):
    vocab: dict[str, int]


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    added_tokens: list[_Added]
    model: _Model


def byte_alphabet() -> dict[str, int]:
    """The printable character that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


@dataclass(frozen=True)
class Spelling:
    """The bytes of every token id."""

    pieces: list[bytes]
    special: dict[str, int]

    @classmethod
    def read(cls, data: bytes, name: str = "tokenizer.json") -> "Spelling":
        """From the bytes of tokenizer.json; InputError if it is no byte-level tokenizer."""
        try:
            file = _File.model_validate_json(data)
        except ValidationError as error:
            raise InputError(f"{name} is no byte-level tokenizer: {error.errors()[0]['msg']}") from error
        special = {token.content: token.id for token in file.added_tokens if token.special}
        alphabet, ids = byte_alphabet(), set(special.values())
        size = max([*file.model.vocab.values(), *ids], default=-1) + 1
        if size != len({*file.model.vocab.values(), *ids}) or any(token not in special for token in SPECIAL_TOKENS):
            raise InputError(f"{name} is no byte-level tokenizer: its ids have gaps, or special tokens are missing")
        pieces = [b""] * size
        try:
            for token, number in file.model.vocab.items():
                if number not in ids:
                    pieces[number] = bytes(alphabet[char] for char in token)
        except KeyError as error:
            raise InputError(f"{name} is no byte-level tokenizer: {error} stands for no byte") from error
        for token, number in special.items():
            pieces[number] = _mark(token)
        return cls(pieces, special)

    def of(self, ids: Sequence[int]) -> bytes:
        """The bytes that ids spell; special tokens are marks that no text holds. IndexError for an unknown id."""
        return b"".join([self.pieces[number] for number in ids])


def document_spelling(text: str, metadata: dict[str, Any]) -> bytes:
    """What a document's tokens spell, from BOS to EOS, as packing frames it; ValueError for a bad conversation."""
    if metadata.get("form") == CONVERSATION:
        return _turns(parse_turns(text))
    if metadata.get("form") == PREFERENCE:
        preference = parse_preference(text)
        answers = (preference.chosen, preference.rejected)
        return b"".join(_turns([*preference.prompt, Turn("assistant", answer)]) for answer in answers)
    return _mark(BOS) + _plain(text) + _mark(EOS)


def _turns(turns: Iterable[Turn]) -> bytes:
    spelt = [_mark(ROLE_TOKENS[turn.role]) + _plain(turn.content) + _mark(END) for turn in turns]
    return _mark(BOS) + b"".join(spelt) + _mark(EOS)


def _plain(text: str) -> bytes:
    # The tokenizer normalises so before it encodes (see bpe.py).
    return unicodedata.normalize("NFC", text).encode("utf-8")


def _mark(token: str) -> bytes:
    # 0xFF is in no UTF-8 text.
    return b"\xff" + token.encode("utf-8") + b"\xff"
