"""A trained tokenizer in use: text, documents and conversations to token ids and back.

Text never yields a special token: a document that contains the characters of "<|end|>" is encoded as those
characters. Special tokens come only from structure (document borders, turns).
"""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as _Tokenizer

from fonderie.core.document import Document
from fonderie.core.errors import InputError
from fonderie.tokens.conversation import BOS, END, EOS, ROLE_TOKENS, SPECIAL_TOKENS, Turn, parse_turns


class Tokenizer:
    """Reads `tokenizer.json` of a folder: a tokenizer artifact or a release."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        try:
            self._tokenizer = _Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise InputError(f"{path} is not a tokenizer: {error}") from error
        self._tokenizer.encode_special_tokens = True
        found = {token: self._tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        self._special = {token: number for token, number in found.items() if number is not None}
        missing = [token for token in SPECIAL_TOKENS if token not in self._special]
        if missing:
            raise InputError(f"{path} lacks the special tokens {', '.join(missing)}")

    @property
    def vocabulary(self) -> int:
        """Number of token ids, special tokens included."""
        return int(self._tokenizer.get_vocab_size())

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
        """Ends every turn."""
        return self._special[END]

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
        ids = [self.bos]
        for turn in turns:
            ids += [self._special[ROLE_TOKENS[turn.role]], *self.encode(turn.content), self.end]
        if answer:
            ids.append(self._special[ROLE_TOKENS["assistant"]])
        return ids

    def encode_document(self, document: Document) -> list[int]:
        """Ids of a whole document, from BOS to EOS, as packing writes them; InputError names a bad conversation."""
        if document.metadata.get("form") != "conversation":
            return [self.bos, *self.encode(document.text), self.eos]
        try:
            turns = parse_turns(document.text)
        except ValueError as error:
            raise InputError(f"{document.origin} ({document.source}): {error}") from error
        return [*self.encode_turns(turns), self.eos]


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
