"""What leaves the service of a duel while nobody may know who answers: whole words, and no count of tokens."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from fonderie.chat.site.asking import as_event
from fonderie.chat.site.running import Run, Runs, Update
from fonderie.serve.api.streaming import KEEP_ALIVE

_BLIND: Mapping[str, Sequence[str]] = {
    "waiting": ("position", "seconds"),
    "end": ("reason", "notices"),
    "error": ("code",),
}
"""What of each update says nothing of who answers: counts of tokens, for one, are a tokenizer's."""
_WORD = re.compile(r"\s(?=\S)")
LONGEST_WORD = 64
"""Characters: what has no spaces, such as Chinese, comes in lots of so many."""


def blind(update: Update, number: int | None) -> Update:
    """An update that is no text, without all that might tell one model from another."""
    told = {name: update.data[name] for name in _BLIND[update.kind] if name in update.data}
    return Update(update.kind, told, number)


async def blind_events(runs: Runs, run: Run, after: int) -> AsyncIterator[bytes]:
    """An answer after so many characters, to its end.

    Where a token ends is a tokenizer's own: so text comes by whole words, numbered by its characters.
    """
    said, told = "", after
    async with aclosing(runs.follow(run, 0)) as updates:
        async for update in updates:
            if update is None:
                yield KEEP_ALIVE
                continue
            is_text, is_last = update.kind == "text", update.kind in ("end", "error")
            said += update.data["text"] if is_text else ""
            upto = len(said) if is_last else whole_words(said, told)
            if upto > told:
                yield as_event(Update("text", {"text": said[told:upto]}, upto))
                told = upto
            if not is_text:
                yield as_event(blind(update, len(said) + 1 if is_last else None))


def whole_words(said: str, told: int) -> int:
    """How many characters of a text can be told, if so many have been: no word whose end is not known."""
    upto = max((match.end() for match in _WORD.finditer(said, told)), default=told)
    waiting = len(said) - upto
    return upto + waiting - waiting % LONGEST_WORD if waiting > LONGEST_WORD else upto
