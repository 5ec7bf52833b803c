"""A trained tokenizer in use: text, documents and conversations to token ids and back.

Text never yields a special token: a document that contains the characters of "<|end|>" is encoded as those
characters. Special tokens come only from structure (document borders, turns).

A tokenizer from elsewhere has no tokens for turns, and its own names for the borders of documents, which its
`tokenizer_config.json` states; one without a beginning token begins documents with its end token.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as _Tokenizer

from fonderie.core.conversation import CONVERSATION, PREFERENCE
from fonderie.core.document import Document
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

SETTINGS = "tokenizer_config.json"


class Tokenizer:
    """Reads `tokenizer.json` of a folder: a tokenizer artifact or a release."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        try:
            self._tokenizer = _Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise InputError(f"{path} is not a tokenizer: {error}") from error
        self._tokenizer.encode_special_tokens = True
        self._folder = folder
        found = {token: self._tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        self._special = {token: number for token, number in found.items() if number is not None}
        self.vocabulary = int(self._tokenizer.get_vocab_size())
        """Number of token ids, special tokens included."""
        if BOS not in self._special or EOS not in self._special:
            self._special[BOS], self._special[EOS] = self._borders()
            # Ids of a stranger's vocabulary may have gaps; the highest counts.
            self.vocabulary = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def _borders(self) -> tuple[int, int]:
        """The ids that begin and end documents in a tokenizer from elsewhere; InputError if it states none."""
        names = border_tokens(self._folder)
        found = [self._tokenizer.token_to_id(name) if name else None for name in names]
        bos, eos = found
        if eos is None:
            raise InputError(
                f"{self._folder} has no token that ends a document: {SETTINGS} states eos_token = {names[1]!r}",
                hint="Import it with tokens.import and give `eos`.",
            )
        return eos if bos is None else bos, eos

    @property
    def has_turns(self) -> bool:
        """Whether it has the chat template's tokens."""
        return all(token in self._special for token in (END, *ROLE_TOKENS.values()))

    @property
    def bos(self) -> int:
        """Begins every document and conversation."""
        return self._special[BOS]

    @property
    def eos(self) -> int:
        """Ends every document."""
        return self._special[EOS]

    @property
    def end(self) -> int:
        """Ends every turn; where there are no turns, what ends documents."""
        return self._special.get(END, self.eos)

    @property
    def special(self) -> dict[str, int]:
        """The ids of the template's special tokens."""
        return dict(self._special)

    @property
    def stops(self) -> tuple[int, ...]:
        """Ids at which an answer is over."""
        return (self.eos, self.end)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, no special token added."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of ids; special tokens are left out unless asked for."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))

    def encode_turns(self, turns: Sequence[Turn], *, answer: bool = False) -> list[int]:
        """Ids of a conversation by the chat template; `answer` opens the assistant's turn for generation."""
        if not self.has_turns:
            raise InputError(
                f"the tokenizer in {self._folder} has no tokens for the turns of a conversation",
                hint="tokens.extend with conversation = true adds them, and the model learns them in training.",
            )
        ids = [self.bos]
        for turn in turns:
            ids += [self._special[ROLE_TOKENS[turn.role]], *self.encode(turn.content), self.end]
        if answer:
            ids.append(self._special[ROLE_TOKENS["assistant"]])
        return ids

    def encode_document(self, document: Document) -> list[int]:
        """Ids of a whole document, from BOS to EOS, as packing writes them; InputError names a bad conversation."""
        form = document.metadata.get("form")
        if form == PREFERENCE:
            raise InputError(
                f"{document.origin} ({document.source}) is a preference: its second answer is one to avoid",
                hint="Pack preferences with tokens.pairs, for train.prefer.",
            )
        if form != CONVERSATION:
            return [self.bos, *self.encode(document.text), self.eos]
        try:
            turns = parse_turns(document.text)
        except ValueError as error:
            raise InputError(f"{document.origin} ({document.source}): {error}") from error
        return [*self.encode_turns(turns), self.eos]

    def encode_preference(self, document: Document) -> list[int]:
        """Ids of a preference: the conversation with the better answer, BOS to EOS, then with the worse one.

        InputError names a document that is none.
        """
        if document.metadata.get("form") != PREFERENCE:
            raise InputError(
                f"{document.origin} ({document.source}) is no preference",
                hint="corpus.preferences reads preferences; everything else is packed by tokens.pack.",
            )
        try:
            preference = parse_preference(document.text)
        except ValueError as error:
            raise InputError(f"{document.origin} ({document.source}): {error}") from error
        return [
            number
            for answer in (preference.chosen, preference.rejected)
            for number in (*self.encode_turns([*preference.prompt, Turn("assistant", answer)]), self.eos)
        ]


def border_tokens(folder: Path) -> tuple[str | None, str | None]:
    """The tokens that begin and end documents, as tokenizer_config.json names them; None where it names none."""
    try:
        return borders_in((folder / SETTINGS).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / SETTINGS} does not say which tokens begin and end a document: {error}"
        ) from error


def borders_in(data: bytes) -> tuple[str | None, str | None]:
    """The same, from the bytes of tokenizer_config.json; ValueError if it is none."""
    stated = json.loads(data)
    if not isinstance(stated, dict):
        raise ValueError("it is no table")
    found = [stated.get(name) for name in ("bos_token", "eos_token")]
    # Written as a string, or as an object that says how it is matched.
    bos, eos = (token.get("content") if isinstance(token, dict) else token for token in found)
    return bos, eos


def settings(context: int) -> str:
    """The text of `tokenizer_config.json`, which lets Hugging Face clients load the folder."""
    return (
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": BOS,
                "eos_token": EOS,
                "additional_special_tokens": [END, *ROLE_TOKENS.values()],
                "clean_up_tokenization_spaces": False,
                "model_max_length": context,
            },
            indent=1,
        )
        + "\n"
    )
