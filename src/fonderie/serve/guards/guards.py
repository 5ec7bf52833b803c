"""Guards at work: a question is checked before anything is generated, an answer while it comes.

Everything fails closed: a guard that cannot do its work blocks, and is counted. Only categories are counted and
logged, never a text. An answer is read token by token (what stands between white space); what may still become part
of something blocked is held back until it is known, so that however an answer is cut into pieces, the same is let
out, and nothing that is blocked.
"""

import logging
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

from fonderie.core.errors import UsageError
from fonderie.corpus.folding import folded_words
from fonderie.corpus.personal.kinds import Kind
from fonderie.serve.guards.rules import Category, GuardFile, Mode
from fonderie.serve.guards.terms import LONGEST, Scan, Terms
from fonderie.trace.output_filter import RUN, OutputFilter

log = logging.getLogger(__name__)

Side = Literal["before", "after"]
FAILED = "guard_failed"
"""The category of what a guard that broke has blocked."""
WINDOW = max(LONGEST, RUN)
"""Tokens with words in them that are looked at together."""
_TOKEN = re.compile(r"\S+")
_SPACE = re.compile(r"\s")
_ANNOUNCES = re.compile(r"\d|-----")
_SUSPECT = re.compile(r"[\d@]|:\w|::|-----|\S{16}")
"""All personal data has one of these somewhere: a digit; an e-mail's or an IPv6 address's sign; a key's length."""
_NOT_WORD = re.compile(rb"[^0-9A-Za-z]+")


@dataclass(frozen=True)
class Verdict:
    """What the guards say of a text."""

    blocked: str | None = None
    """The category that blocks it."""
    warnings: tuple[str, ...] = ()
    """Categories that warn."""


class Token(NamedTuple):
    """What stands between white space."""

    start: int
    """Index of its first character in the whole text."""
    text: str
    words: list[str]
    """Folded."""
    announces: bool
    """Whether personal data of several tokens may begin with it."""


class Guards:
    """The guards of a service; without a file, none."""

    def __init__(self, file: GuardFile | None = None, output_filter: OutputFilter | None = None) -> None:
        self.categories: Mapping[str, Category] = {} if file is None else file.category
        self.output_filter = output_filter
        self.counts: Counter[tuple[str, Side]] = Counter()
        """How often each category was found, in questions and in answers, since the start; `FAILED` among them."""
        looked_for = [category for category in self.categories.values() if category.looks_for == "erased_passages"]
        if output_filter is not None and not any(category.after == "block" for category in looked_for):
            raise UsageError(
                "there is an output filter, and no guard blocks erased passages in answers",
                hint='Give the guards a category with looks_for = "erased_passages" and after = "block".',
            )
        self._before = _Checks(self.categories, "before", output_filter)
        self._after = _Checks(self.categories, "after", output_filter)
        for _, kinds in (*self._before.personal, *self._after.personal):
            list(_data_in("1", kinds))  # loads the kernels now, which takes a second, and not for the first visitor

    @classmethod
    def none(cls) -> Self:
        """Nothing is looked for."""
        return cls()

    def mode(self, category: str, side: Side) -> Mode:
        """off, log, warn or block."""
        if category == FAILED:
            return "block"
        found: Mode = getattr(self.categories[category], side)
        return found

    def messages(self, category: str) -> Mapping[str, str]:
        """What people are told of a category, by language; empty if the file says nothing."""
        found = self.categories.get(category)
        return {} if found is None else found.message

    def before(self, question: str) -> Verdict:
        """What is to become of a question; counted."""
        checks = self._before
        try:
            found = checks.found_in(question)
        except Exception as error:
            found = {_failed(error)}
        names = [name for name in (*self.categories, FAILED) if name in found]
        self.counts.update((name, "before") for name in names)
        blocked = next((name for name in names if name in checks.blocking), None)
        return Verdict(blocked, tuple(name for name in names if name in checks.warning))

    def after(self, question: str) -> "Watch":
        """What lets an answer out, piece by piece; personal data that the question holds may be repeated."""
        return Watch(self, self._after, question)


class _Checks:
    """What is looked for on one side."""

    def __init__(self, categories: Mapping[str, Category], side: Side, output_filter: OutputFilter | None) -> None:
        active = {name: one for name, one in categories.items() if getattr(one, side) != "off"}
        # A guard that broke has not said that nothing is there.
        self.blocking = frozenset(
            (FAILED, *(name for name, one in active.items() if getattr(one, side) == "block"))
        )
        self.warning = frozenset(name for name, one in active.items() if getattr(one, side) == "warn")
        self.terms = Terms(
            [(name, term) for name, one in active.items() for rules in one.rules for term in rules.terms]
        )
        self.personal = [(name, one.kinds) for name, one in active.items() if one.looks_for == "personal_data"]
        self.erased = [name for name, one in active.items() if one.looks_for == "erased_passages"]
        self.output_filter = output_filter if self.erased else None
        self.any = bool(self.terms.terms or self.personal or self.output_filter)
        self.holds_back = self.any and self.blocking != {FAILED}

    def found_in(self, text: str) -> set[str]:
        """The categories of all that a whole text holds."""
        scan = Scan(self.terms)
        found = {name for at, word in enumerate(folded_words(text)) for name in scan.add(word, at)}
        found |= {name for name, kinds in self.personal if any(_data_in(text, kinds))}
        if self.output_filter is not None and self.output_filter.blocked(text) is not None:
            found |= set(self.erased)
        return found


class Watch:
    """One answer, looked at while it comes."""

    def __init__(self, guards: Guards, checks: _Checks, question: str) -> None:
        self._guards, self._checks = guards, checks
        self._question = question
        self._own: dict[tuple[Kind, ...], frozenset[bytes]] = {}
        self._scan = Scan(checks.terms)
        self._window: deque[Token] = deque()
        self._pending, self._pending_start = "", 0
        """What has come after the last token that was looked at, and where it begins in the whole."""
        self._held, self._let_out = "", 0
        """What has not been let out, and how much has."""
        self._found: list[str] = []
        self.blocked: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What was found so far."""
        return Verdict(self.blocked, tuple(name for name in self._found if name in self._checks.warning))

    def add(self, piece: str) -> str:
        """Take a piece of the text; what may be let out now, of it and of what was held back."""
        if self.blocked is not None:
            return ""
        if not self._checks.any:
            return piece
        self._held += piece
        self._pending += piece
        if _SPACE.search(piece) is None and self._checks.holds_back:
            return ""  # no token has become whole
        return self._read(last=False)

    def end(self) -> str:
        """No more comes; what is left to let out."""
        return "" if self.blocked is not None else self._read(last=True)

    def _read(self, *, last: bool) -> str:
        try:
            free = self._look(last=last)
        except Exception as error:
            self.blocked = _failed(error)
            self._note(self.blocked)
            return ""
        out, self._held = self._held[: free - self._let_out], self._held[free - self._let_out :]
        self._let_out += len(out)
        return out

    def _look(self, *, last: bool) -> int:
        """Look at every token that is whole; how much of the text may be let out."""
        used = 0
        free = self._let_out
        for match in _TOKEN.finditer(self._pending):
            if match.end() == len(self._pending) and not last:
                break  # it may go on
            text = match[0]
            start = self._pending_start + match.start()
            token = Token(start, text, folded_words(text), _ANNOUNCES.search(text) is not None)
            used = match.end()
            categories = self._categories_at(token)
            for category in categories:
                self._note(category)
            self.blocked = next((name for name in categories if name in self._checks.blocking), None)
            if self.blocked is not None:
                return free
            free = self._needed_from(default=self._pending_start + used)
        self._pending, self._pending_start = self._pending[used:], self._pending_start + used
        if last or not self._checks.holds_back:
            return self._let_out + len(self._held)
        return free

    def _categories_at(self, token: Token) -> list[str]:
        """Categories of what ends with a token, in the order of the file."""
        found: set[str] = set()
        for word in token.words:
            found |= self._scan.add(word, token.start)
        self._window.append(token)
        self._cut_window(WINDOW)
        text = " ".join(one.text for one in self._window)
        if self._checks.personal and _SUSPECT.search(text):  # most prose holds none, and is not looked through
            for name, kinds in self._checks.personal:
                if name not in self._found and self._holds_personal(text, kinds):
                    found.add(name)
        if self._checks.output_filter is not None and self._checks.output_filter.blocked(text) is not None:
            found |= set(self._checks.erased)
        return [name for name in self._guards.categories if name in found]

    def _holds_personal(self, text: str, kinds: tuple[Kind, ...]) -> bool:
        if kinds not in self._own:
            self._own[kinds] = frozenset(_data_in(self._question, kinds))
        return any(value not in self._own[kinds] for value in _data_in(text, kinds))

    def _needed_from(self, default: int) -> int:
        """From where on the text may still become part of something blocked."""
        starts = [default]
        since = self._scan.open_since(self._checks.blocking)
        if since is not None:
            starts.append(since)
        if self._checks.output_filter is not None:
            with_words = [token.start for token in self._window if token.words]
            starts += with_words[-(RUN - 1) :][:1]
        if any(name in self._checks.blocking for name, _ in self._checks.personal):
            # All personal data of more than one token has digits in its first, or is announced by -----BEGIN.
            self._cut_window(WINDOW - 1)
            starts += [one.start for one in self._window if one.announces][:1]
        return min(starts)

    def _cut_window(self, size: int) -> None:
        """Keep so many of the last tokens with words, and what stands between them."""
        while len(self._window) > size and sum(bool(one.words) for one in self._window) > size:
            self._window.popleft()

    def _note(self, category: str) -> None:
        """Count a category, once for each text."""
        if category not in self._found:
            self._found.append(category)
            self._guards.counts[category, "after"] += 1


def _failed(error: Exception) -> str:
    # Not its message, which might quote the text.
    log.error("a guard has failed, and blocks: %s", type(error).__name__)
    return FAILED


def _data_in(text: str, kinds: tuple[Kind, ...]) -> Iterator[bytes]:
    """Personal data in a text, without its punctuation."""
    # The kernels bring numba, which takes half a second to import.
    from fonderie.corpus.personal.find import find

    data = text.encode()
    for span in find(data, kinds):
        yield _NOT_WORD.sub(b"", data[span.start : span.stop]).lower()
