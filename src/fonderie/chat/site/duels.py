"""Blind duels as the service holds them while they are played: in memory, each under a name that nobody can guess.

Who stands on which side is drawn here and told to nobody before the vote: neither page nor stream holds a name, a
digest, a count of tokens (which a tokenizer betrays) or an error's own words.
"""

import asyncio
import itertools
import random
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from fonderie.chat.consent import Blind, Locale
from fonderie.chat.judged import SIDES, Contender, Conversation, Side, Turn, new_id
from fonderie.chat.site.asking import SEEDS
from fonderie.chat.site.running import Run
from fonderie.chat.votes import Ballot
from fonderie.core.errors import UsageError
from fonderie.serve.api.chat import ChatFields, chat_requests
from fonderie.serve.api.errors import ApiError
from fonderie.serve.engine.request import Request
from fonderie.serve.served import Served, conversation_prompt

USUAL: Mapping[str, Any] = MappingProxyType({"temperature": 0.7, "top_p": 0.95})
"""Settings of contenders that name no others; the chat page's."""
LONE_TEMPERATURES = (0.3, 1.0)
"""With a single release its careful side meets its free one, so that a duel can be played at all."""
MOST_TOKENS = 1_000
"""Of an answer, unless a contender says otherwise; never more than fits into the context."""
MOST_ROUNDS = 20
SETTINGS = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repetition_penalty",
        "presence_penalty",
        "frequency_penalty",
        "max_tokens",
    }
)
"""What one contender may have that another has not."""


@dataclass(frozen=True)
class Fighter:
    """A release that answers in duels, with its settings."""

    served: Served
    contender: Contender


Pair = tuple[Fighter, Fighter]
Counts = Mapping[frozenset[str], int]
"""Votes that count, by the keys of both contenders."""


def fighters(models: Mapping[str, Served], given: Sequence[str] = ()) -> list[Fighter]:
    """Who takes part: what `--duel` names, as "NAME" or "NAME,temperature=0.5,…"; else every release as it is.

    A single release meets itself at two temperatures. UsageError for a name or a setting that is none, and for the
    same contender twice.
    """
    if given:
        found = [_fighter(models, text) for text in given]
    elif len(models) == 1:
        (only,) = models.values()
        found = [_made(only, {"temperature": value}) for value in LONE_TEMPERATURES]
    else:
        found = [_made(served, {}) for served in models.values()]
    keys = [fighter.contender.key for fighter in found]
    if len(set(keys)) != len(keys) or len(keys) == 1:
        raise UsageError(
            "a duel needs two contenders that differ",
            hint="--duel NAME --duel NAME,temperature=0.5 names two of them",
        )
    return found


def _fighter(models: Mapping[str, Served], text: str) -> Fighter:
    name, *parts = text.split(",")
    served = models.get(name)
    if served is None:
        raise UsageError(f"--duel {text}: there is no {name!r} here; there is {', '.join(models)}")
    settings: dict[str, Any] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if key not in SETTINGS or not equals:
            raise UsageError(
                f"--duel {text}: {part!r} is no setting", hint=f"Settings are {', '.join(sorted(SETTINGS))}."
            )
        try:
            settings[key] = int(value) if key in ("top_k", "max_tokens") else float(value)
        except ValueError as error:
            raise UsageError(f"--duel {text}: {value!r} is no number") from error
    return _made(served, settings)


def _made(served: Served, settings: dict[str, Any]) -> Fighter:
    message, merged = {"role": "user", "content": "?"}, {**USUAL, **settings}
    try:
        ChatFields.model_validate({"model": served.name, "messages": [message], **merged})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"--duel {served.name}: {where}: {first['msg']}") from error
    return Fighter(served, Contender.of(served, merged))


def draw(found: Sequence[Fighter], votes: Counts, chance: random.Random) -> dict[Side, Fighter]:
    """Who meets whom, and on which side.

    A pair with n votes is drawn with a weight of 1 / (1 + n): little-known pairs come more often, and yet nobody
    can tell which one comes next. The sides are a fair coin's.
    """
    pairs: list[Pair] = list(itertools.combinations(found, 2))
    weights = [1 / (1 + votes.get(frozenset((one.contender.key, other.contender.key)), 0)) for one, other in pairs]
    (pair,) = chance.choices(pairs, weights)
    first, second = pair if chance.random() < 0.5 else pair[::-1]
    return {"a": first, "b": second}


@dataclass
class Round:
    """One question of a duel, and what both sides answer."""

    question: str
    asked_at: float
    runs: dict[Side, Run]
    seeds: dict[Side, int]
    ballot: Ballot | None = None
    kept: bool = False
    _characters: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether a side has not ended."""
        return any(run.last is None for run in self.runs.values())

    @property
    def characters(self) -> int:
        """How much memory it takes, about; an answer counts once it has ended."""
        if self._characters is None and not self.is_running:
            self._characters = len(self.question) + sum(len(run.text) for run in self.runs.values())
        return len(self.question) if self._characters is None else self._characters

    @property
    def failed(self) -> bool:
        """Whether a side could not be answered: then there is nothing to compare."""
        return any(run.last is not None and run.last.kind == "error" for run in self.runs.values())


@dataclass
class Duel:
    """A conversation with two models whose names are hidden until they are voted on."""

    owner: str
    """Whose it is: the visitor's, as `Runs.find` is asked with."""
    sides: dict[Side, Fighter]
    locale: Locale
    id: str = field(default_factory=new_id)
    started_at: float = field(default_factory=time.time)
    used_at: float = 0.0
    rounds: list[Round] = field(default_factory=list)
    revealed: bool = False
    reported_at: set[float] = field(default_factory=set)
    """When reports were sent of it."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while something is done to it that waits for an engine or the database."""

    def requests(self, question: str) -> tuple[dict[Side, list[Request]], dict[Side, int]]:
        """What both engines are asked, and the seeds; ApiError in words that fit any model."""
        seeds: dict[Side, int] = {side: secrets.randbelow(SEEDS) for side in SIDES}
        try:
            return {side: self._requests(side, question, seeds[side]) for side in SIDES}, seeds
        except ApiError as error:
            raise anonymous(error) from error

    def _requests(self, side: Side, question: str, seed: int) -> list[Request]:
        served, settings = self.sides[side].served, self.sides[side].contender.settings
        served.check_length(question, "text")
        turns = [
            turn
            for round_ in self.rounds
            for turn in (("user", round_.question), ("assistant", round_.runs[side].text))
        ]
        turns.append(("user", question))
        room = served.engine.context - len(conversation_prompt(served, turns))
        given = {
            **settings,
            "model": served.name,
            "messages": [{"role": role, "content": text} for role, text in turns],
            # Without room at all `chat_requests` refuses.
            "max_tokens": max(1, min(settings.get("max_tokens", MOST_TOKENS), room)),
            "seed": seed,
        }
        return chat_requests(served, ChatFields.model_validate(given))

    def conversation(self, last: int) -> Conversation:
        """As it is kept, up to a round: a question at an even position, its two answers at the next."""
        turns: list[Turn] = []
        for number, round_ in enumerate(self.rounds[: last + 1]):
            turns.append(Turn(2 * number, "user", round_.question, round_.asked_at))
            for side in SIDES:
                run = round_.runs[side]
                turns.append(
                    Turn(
                        2 * number + 1,
                        "assistant",
                        run.text,
                        run.ended_at or round_.asked_at,
                        side=side,
                        finish_reason=None if run.last is None else run.last.data.get("reason"),
                        answer_tokens=None if run.finished is None else run.finished.answer_tokens,
                        seed=round_.seeds[side],
                    )
                )
        who = {side: fighter.contender for side, fighter in self.sides.items()}
        return Conversation(self.id, "duel", self.locale, self.started_at, who, tuple(turns))

    @property
    def characters(self) -> int:
        """How much memory it takes, about."""
        return sum(round_.characters for round_ in self.rounds)


def anonymous(error: ApiError) -> ApiError:
    """An error that says nothing of the model that raised it: the page has words for its code."""
    hidden = ApiError(error.status, f"neither side can be asked this: {error.code}", code=error.code)
    hidden.headers.update(error.headers)
    if "messages" in error.more:  # a guard's words to people, which know of no model
        hidden.more["messages"] = error.more["messages"]
    return hidden


@dataclass(frozen=True)
class DuelBounds:
    """How long duels are held, and how many."""

    idle_seconds: float = 3_600.0
    """One that nobody has touched for so long is forgotten."""
    held: int = 2_000
    """Duels; those that were not touched for longest go first."""
    held_characters: int = 32 << 20


class Duels:
    """The duels that are being played; used in one event loop."""

    def __init__(self, bounds: DuelBounds | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.bounds, self._clock = bounds or DuelBounds(), clock
        self._held: OrderedDict[str, Duel] = OrderedDict()

    def add(self, duel: Duel) -> None:
        """Hold one more, in place of what has been idle or is too much."""
        now = self._clock()
        duel.used_at = now
        self._held[duel.id] = duel
        self._forget_idle(now)
        characters = sum(one.characters for one in self._held.values())
        while len(self._held) > self.bounds.held or (
            len(self._held) > 1 and characters > self.bounds.held_characters
        ):
            characters -= self._held.popitem(last=False)[1].characters

    def find(self, name: str, owner: str | None) -> Duel:
        """A visitor's duel; ApiError 404 if there is none, or it is another's: nobody learns which."""
        now = self._clock()
        self._forget_idle(now)
        duel = self._held.get(name)
        if duel is None or owner is None or not secrets.compare_digest(duel.owner.encode(), owner.encode()):
            raise ApiError(404, "there is no such duel, or it was forgotten meanwhile", code="duel_not_found")
        duel.used_at = now
        self._held.move_to_end(name)
        return duel

    def forget(self, owner: str) -> None:
        """Drop every duel of a visitor who wants to be forgotten."""
        for name in [name for name, duel in self._held.items() if duel.owner == owner]:
            for round_ in self._held.pop(name).rounds:
                for run in round_.runs.values():
                    run.stop()

    def blind(self) -> Blind:
        """What is kept of the duels whose names nobody may know yet."""
        self._forget_idle(self._clock())
        playing = [duel for duel in self._held.values() if not duel.revealed]
        times = frozenset(at for duel in playing for at in duel.reported_at)
        return Blind(frozenset(duel.id for duel in playing), times)

    def _forget_idle(self, now: float) -> None:
        """Those that were not touched for longest are the first."""
        while self._held and now - next(iter(self._held.values())).used_at > self.bounds.idle_seconds:
            self._held.popitem(last=False)
