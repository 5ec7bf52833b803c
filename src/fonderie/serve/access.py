"""The door of the service: who asks, whether they may, and what they have used.

Without a key a caller is one of the public, told apart by the network address and only for as long as its bucket is
in memory: no address is stored or logged. With a key a caller is that key, whatever the address.
"""

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from fonderie.core.errors import UsageError
from fonderie.serve.answers import Spent, Told
from fonderie.serve.api.errors import ApiError, closed
from fonderie.serve.database.base import Database
from fonderie.serve.keys import Key, find_key
from fonderie.serve.limits import Buckets, Taken, duration, network_of
from fonderie.serve.sessions import visit
from fonderie.serve.stage import Stage
from fonderie.serve.usage import PUBLIC, Counter, day_of, seconds_left_today, used_on

NO_KEY = frozenset({"", "none", "EMPTY", "sk-no-key-required"})
"""What stands for no key: OpenAI's clients insist on sending one, and these are the customary words for it."""
HELD_RETRY_SECONDS = 5
"""When to ask again while a key's own answers hold its tokens."""


@dataclass(frozen=True)
class Rules:
    """How wide the door is open."""

    require_key: bool = False
    """Whether the interface is for holders of keys only; the pages are not."""
    per_minute_per_address: int = 600
    """Requests without a key. Generous: a hospital or a ministry comes from one address."""
    per_minute_per_key: int = 600
    """Of keys that have no number of their own."""


@dataclass(frozen=True)
class Caller:
    """Who was let in."""

    name: str
    """As use is counted: "key:<name>", or "public" for everybody without one."""
    role: Literal["public", "user", "admin"]
    tokens_left: int | None = None
    """Of today, when it was let in; None: no end."""


class Door:
    """Asked before every answer; lives in the server's loop."""

    def __init__(
        self,
        database: Database,
        rules: Rules | None = None,
        *,
        stage: Stage | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rules = rules or Rules()
        self.database, self.stage, self._clock = database, stage, clock
        self._buckets = Buckets()
        self._counter = Counter(database, clock)
        self._held: defaultdict[str, int] = defaultdict(int)
        """By caller, the tokens that its running answers may still take."""

    async def admit(self, request: Request) -> Caller:
        """Who asks the interface. The answer gets headers that say what is left.

        ApiError 401 without a good key, where one is wanted or given; 429 for too much; 503 while it is closed.
        """
        return await self._admitted(request, by_invitation=self._refuse_closed())

    async def _admitted(self, request: Request, *, by_invitation: bool) -> Caller:
        secret = _secret_of(request)
        if secret is None:
            public = self._take_public(request)
            if self.rules.require_key or by_invitation:
                raise _unknown("this service wants a key: Authorization: Bearer fonderie-…", "missing_api_key")
            return public
        try:
            found = await run_in_threadpool(self._find, secret)
        except SQLAlchemyError as error:
            raise closed("keys cannot be looked up at the moment", retry_after_seconds=5) from error
        if found is None:
            self._take_public(request)  # trying keys is not free
            raise _unknown("this is not a key of this service")
        key, used = found
        if key.revoked_at is not None:
            raise _unknown("this key was revoked")
        self._take(request, key.caller, key.per_minute or self.rules.per_minute_per_key, "this key")
        left = None
        if key.per_day_tokens is not None:
            used += self._counter.unwritten(key.caller)
            left = self._left_of(request, key.per_day_tokens, used)
        return Caller(key.caller, key.role, left)

    async def admit_visitor(self, request: Request) -> Caller:
        """Who asks from one of our own pages: the public, limited by address; a key is not asked for.

        ApiError 403 for who has no invitation while one is needed, 429 for too much, 503 while it is closed.
        """
        by_invitation = self._refuse_closed()
        public = self._take_public(request)
        if by_invitation:
            session = await run_in_threadpool(visit, self.database, request, self._clock())
            if session is None or session.invite_id is None:
                raise ApiError(403, "the service is open to the invited only", code="invite_required")
        return public

    def limit(self, request: Request) -> None:
        """Take one request from what the network's address may; ApiError 429 where nothing is left.

        For forms that let somebody in, which the closed service answers too.
        """
        self._take_public(request)

    async def admit_admin(self, request: Request) -> Caller:
        """The holder of an admin's key, also while the service is closed. ApiError 403 for any other."""
        caller = await self._admitted(request, by_invitation=False)
        if caller.role == "public":
            raise _unknown("this is for an admin's key", "missing_api_key")
        if caller.role != "admin":
            raise ApiError(403, "this is for an admin's key", code="admin_only")
        return caller

    def meter(self, caller: Caller) -> Spent:
        """What the tokens of one request for an answer are counted by; ask for it once for each.

        A caller whose tokens of the day have an end is refused (ApiError 429) while its running answers could take
        all that is left: however many ask at once, what is used beyond the end is one request's at most.
        """
        begun = False

        def spent(most: int) -> Told:
            nonlocal begun
            if not begun:  # further choices of the same request come with the first
                self._refuse_overheld(caller)
                self._counter.add(caller.name, requests=1)
                begun = True
            self._held[caller.name] += most

            def told(prompt_tokens: int, answer_tokens: int) -> None:
                self._held[caller.name] -= most
                if not self._held[caller.name]:
                    del self._held[caller.name]
                self._counter.add(caller.name, prompt_tokens=prompt_tokens, answer_tokens=answer_tokens)

            return told

        return spent

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the counts on disk for as long as the block lasts."""
        async with self._counter.running():
            yield

    def _refuse_overheld(self, caller: Caller) -> None:
        if caller.tokens_left is not None and self._held[caller.name] >= caller.tokens_left:
            raise ApiError(
                429,
                "this key's answers that are running may take all the tokens that it has left today; try again "
                "when one has ended, or ask for shorter ones with max_tokens",
                code="rate_limit_exceeded",
                retry_after_seconds=HELD_RETRY_SECONDS,
            )

    def _refuse_closed(self) -> bool:
        """ApiError while the service is closed; else whether it is open to the invited only."""
        if self.stage is None:
            return False
        self.stage.refuse_closed()
        return self.stage.current().stage == "invite"

    def _find(self, secret: str) -> tuple[Key, int] | None:
        """A key, and the tokens that it has used today as far as the database knows."""
        with self.database.read() as connection:
            key = find_key(connection, secret)
            if key is None:
                return None
            if key.per_day_tokens is None:
                return key, 0
            return key, used_on(connection, day_of(self._clock()), key.caller).tokens

    def _take_public(self, request: Request) -> Caller:
        host = request.client.host if request.client else ""
        self._take(request, f"at:{network_of(host)}", self.rules.per_minute_per_address, "your network's address")
        return Caller(PUBLIC, "public")

    def _take(self, request: Request, bucket: str, per_minute: int, whose: str) -> Taken:
        taken = self._buckets.take(bucket, per_minute, self._clock())
        _answer_with(request, taken.headers)
        if taken.retry_seconds is not None:
            raise ApiError(
                429,
                f"more than {per_minute} requests a minute from {whose}; try again in {taken.retry_seconds} s",
                code="rate_limit_exceeded",
                retry_after_seconds=taken.retry_seconds,
            )
        return taken

    def _left_of(self, request: Request, per_day: int, used: int) -> int:
        """What is left of a day's tokens; refuses when nothing is."""
        wait = seconds_left_today(self._clock())
        _answer_with(
            request,
            {
                "x-ratelimit-limit-tokens": str(per_day),
                "x-ratelimit-remaining-tokens": str(max(0, per_day - used)),
                "x-ratelimit-reset-tokens": duration(wait),
            },
        )
        if used >= per_day:
            # Without this word OpenAI's clients would ask twice more within seconds.
            _answer_with(request, {"x-should-retry": "false"})
            raise ApiError(
                429,
                f"this key has used the {per_day:,} tokens that it has for a day; the next begins at midnight UTC",
                code="insufficient_quota",
                retry_after_seconds=wait,
            )
        return per_day - used


def trusted_proxies(given: Sequence[str]) -> list[str]:
    """The networks whose X-Forwarded-For and -Proto are believed. UsageError for what is no network."""
    try:
        return [str(ip_network(text)) for text in given]
    except ValueError as error:
        raise UsageError(
            f"a trusted proxy is an address or a network: {error}", hint="--trusted-proxy 10.0.0.0/8"
        ) from error


def _secret_of(request: Request) -> str | None:
    """The bearer token (RFC 6750, section 2.1); None where there is none. ApiError for another scheme."""
    given = request.headers.get("authorization")
    if given is None:
        return None
    scheme, _, secret = given.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise _unknown("a key is sent as Authorization: Bearer fonderie-…")
    secret = secret.strip()
    return None if secret in NO_KEY else secret


def _unknown(message: str, code: str = "invalid_api_key") -> ApiError:
    # RFC 6750, section 3.1: a request without a key is not told of an error in it.
    reason = "" if code == "missing_api_key" else ', error="invalid_token"'
    error = ApiError(401, message, code=code)
    error.headers["www-authenticate"] = f'Bearer realm="fonderie"{reason}'
    return error


def _answer_with(request: Request, headers: dict[str, str]) -> None:
    """Headers of the answer to come, whatever it is; `Frame` puts them in."""
    request.scope.setdefault("state", {}).setdefault("answer_headers", {}).update(headers)
