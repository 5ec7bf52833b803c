"""What token ids spell, read from tokenizer.json alone: no pattern or code of a stranger's tokenizer is run.

Every token is a string of bytes (pieces.py); so a document's tokens spell its text or they do not, whichever way it
was cut. How `tokens.pack` frames documents and turns is known here, not read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

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
from fonderie.tokens.pieces import Style, read_pieces

OURS = Style(byte_level=True, nfc=True)
"""What tokens.bpe does to a text before it encodes it."""


@dataclass(frozen=True)
class Spelling:
    """The bytes of every token id."""

    pieces: list[bytes]
    special: dict[str, int]
    style: Style = OURS
    begins: str = BOS
    """What begins a document: EOS where one token both ends and begins them."""

    @classmethod
    def read(
        cls, data: bytes, name: str = "tokenizer.json", *, borders: tuple[str | None, str] | None = None
    ) -> "Spelling":
        """From the bytes of tokenizer.json; InputError if it is of no kind that is known here.

        `borders` are the tokens that begin and end documents in a tokenizer from elsewhere; without them it must
        have ours, be byte-level and normalise to NFC.
        """
        found = read_pieces(data, name)
        pieces, special = list(found.of), dict(found.special)
        begins = BOS
        if borders is None:
            given = {*found.vocabulary.values(), *special.values()}
            if found.style != OURS or len(given) != len(pieces) or any(t not in special for t in SPECIAL_TOKENS):
                raise InputError(
                    f"{name} is no byte-level tokenizer of ours: its ids have gaps, or special tokens are missing"
                )
            unreadable = [token for token, number in found.vocabulary.items() if not pieces[number]]
            strange = [token for token in unreadable if token not in special]
            if strange:
                raise InputError(f"{name} is no byte-level tokenizer: {strange[0]!r} stands for no bytes")
        else:
            bos, eos = borders
            known = {token: special[token] for token in (END, *ROLE_TOKENS.values()) if token in special}
            if eos not in special or (bos is not None and bos not in special):
                raise InputError(f"{name} has no special tokens {bos!r} and {eos!r}")
            begins = EOS if bos is None or bos == eos else BOS
            special = {**known, EOS: special[eos], **({} if begins == EOS else {BOS: special[str(bos)]})}
        for token, number in special.items():
            pieces[number] = _mark(token)
        return cls(pieces, special, found.style, begins)

    def of(self, ids: Sequence[int]) -> bytes:
        """The bytes that ids spell; special tokens are marks that no text holds. IndexError for an unknown id."""
        return b"".join([self.pieces[number] for number in ids])

    def document(self, text: str, metadata: dict[str, Any]) -> bytes:
        """What a document's tokens spell, from its beginning to its end, as packing frames it.

        ValueError for a bad conversation.
        """
        if metadata.get("form") == CONVERSATION:
            return self._turns(parse_turns(text))
        if metadata.get("form") == PREFERENCE:
            preference = parse_preference(text)
            answers = (preference.chosen, preference.rejected)
            return b"".join(self._turns([*preference.prompt, Turn("assistant", answer)]) for answer in answers)
        return _mark(self.begins) + self.style.plain(text) + _mark(EOS)

    def _turns(self, turns: Iterable[Turn]) -> bytes:
        spelt = [_mark(ROLE_TOKENS[turn.role]) + self.style.plain(turn.content) + _mark(END) for turn in turns]
        return _mark(self.begins) + b"".join(spelt) + _mark(EOS)


def has_our_borders(data: bytes) -> bool:
    """Whether a tokenizer.json has our tokens for the borders of documents; InputError if it is no tokenizer."""
    return {BOS, EOS} <= read_pieces(data).special.keys()


def _mark(token: str) -> bytes:
    # 0xFF is in no UTF-8 text.
    return b"\xff" + token.encode("utf-8") + b"\xff"
