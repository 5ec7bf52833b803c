"""The routes of the blind duel: begin it, ask on, follow both answers, vote; the names come with the vote."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import AfterValidator, Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from fonderie.chat import votes
from fonderie.chat.consent import Locale, Texts
from fonderie.chat.judged import SIDES, Conversation, Side
from fonderie.chat.site.asking import owner_of, set_owner
from fonderie.chat.site.blind import blind_events
from fonderie.chat.site.board import Board
from fonderie.chat.site.duels import (
    MOST_ROUNDS,
    Duel,
    Duels,
    Fighter,
    Round,
    anonymous,
    draw,
)
from fonderie.chat.site.judging import Reporting, keep_report
from fonderie.chat.site.pages import Site, from_our_pages
from fonderie.chat.site.people import People
from fonderie.chat.site.running import Run, Runs
from fonderie.chat.site.words import Language
from fonderie.chat.votes import Ballot, Choice
from fonderie.chat.work import Work
from fonderie.core.digest import short
from fonderie.serve.access import Caller, Door
from fonderie.serve.api.errors import ApiError
from fonderie.serve.api.fields import Fields
from fonderie.serve.database.base import Database
from fonderie.serve.sessions import Session, set_cookie, visit

KEYS: Mapping[str, Choice] = {"1": "a", "2": "b", "3": "both_good", "4": "both_bad", "5": "idk"}
"""What votes when no text field has the focus; the page says so, and a box there turns it off (WCAG 2.1.4)."""
_CARDS: Mapping[Language, Sequence[str]] = {"fr": ("README.fr.md", "README.md"), "en": ("README.md",)}

Question = Annotated[str, StringConstraints(min_length=1)]


def _known(code: str) -> str:
    if code not in (*votes.POSITIVE, *votes.NEGATIVE):
        raise ValueError(f"a reason is one of {', '.join((*votes.POSITIVE, *votes.NEGATIVE))}")
    return code


Reason = Annotated[str, AfterValidator(_known)]


class Opening(Fields):
    """The first question of a duel."""

    text: Question
    locale: Locale


class Further(Fields):
    """Another question to the same two."""

    text: Question


class Voting(Fields):
    """What the person says of the two answers to one question."""

    choice: Choice
    reasons: dict[Side, Annotated[list[Reason], Field(max_length=16)]] = Field(default_factory=dict)
    comment: Annotated[str, StringConstraints(max_length=votes.COMMENT_LIMIT)] = ""
    keep: bool
    """Whether it is to be stored, which needs consent; else it is forgotten, and the names are shown as well."""
    challenge: str | None = None
    proof: str | None = None
    """What a proof of work was asked with, and its answer, where the service asks for one."""
    reveal: bool
    """Whether to end the duel and see the names; else it goes on blind."""


class Report(Reporting):
    """What somebody wants those who run the service to see of one of the two."""

    side: Side


@dataclass
class Arena:
    """What the duels of one service share."""

    fighters: Sequence[Fighter]
    door: Door
    database: Database
    texts: Texts
    runs: Runs
    people: People
    work: Work
    board: Board
    """Knows how often each pair was voted on."""
    duels: Duels = field(default_factory=Duels)
    chance: random.Random = field(default_factory=random.SystemRandom)
    clock: Callable[[], float] = time.time

    async def begin_round(self, duel: Duel, question: str, caller: Caller) -> None:
        """Ask both sides one question, or neither."""
        requests, seeds = duel.requests(question)
        begun: dict[Side, Run] = {}
        try:
            for side in SIDES:
                served = duel.sides[side].served
                begun[side] = await self.runs.start(served, requests[side], duel.owner, self.door.meter(caller))
        except ApiError as error:
            for run in begun.values():
                run.stop()
            raise anonymous(error) from error
        duel.rounds.append(Round(question, self.clock(), begun, seeds))


def add_duel(site: Site, arena: Arena) -> None:
    """Declare the page and the routes below `/duels`."""
    _add_page(site, arena)
    _add_rounds(site.app, arena)
    _add_votes(site.app, arena)
    _add_reports(site.app, arena)


def _add_page(site: Site, arena: Arena) -> None:
    lone = len({fighter.contender.digest for fighter in arena.fighters}) == 1

    @site.page("/duel", nav="duel.nav")
    async def duel_page(request: Request, language: Language) -> Response:
        values: dict[str, Any] = {
            "lone": lone,
            "standing": (await run_in_threadpool(arena.people.standing, request))[0],
            "work_bits": arena.work.bits,
            "keys": KEYS,
            "positive": votes.POSITIVE,
            "negative": votes.NEGATIVE,
            "comment_limit": votes.COMMENT_LIMIT,
        }
        return await run_in_threadpool(site.render, request, "duel.html.jinja", language, **values)


def _add_rounds(app: FastAPI, arena: Arena) -> None:
    ours = [Depends(from_our_pages)]

    @app.post("/duels", include_in_schema=False, dependencies=ours)
    async def begin(opening: Opening, request: Request) -> Response:
        caller = await arena.door.admit_visitor(request)
        owner, fresh = owner_of(request)
        sides = draw(arena.fighters, arena.board.pairs(), arena.chance)
        duel = Duel(owner, sides, opening.locale, started_at=arena.clock())
        await arena.begin_round(duel, opening.text, caller)
        arena.duels.add(duel)
        response = _json(state(duel), 201)
        if fresh:
            set_owner(response, request, owner)
        return response

    @app.get("/duels/{name}", include_in_schema=False)
    async def resume(name: str, request: Request) -> Response:
        return _json(state(_mine(arena, name, request)))

    @app.post("/duels/{name}/rounds", include_in_schema=False, dependencies=ours)
    async def ask_on(name: str, further: Further, request: Request) -> Response:
        caller = await arena.door.admit_visitor(request)
        duel = _mine(arena, name, request)
        async with duel.lock:
            _check_open(duel)
            if len(duel.rounds) >= MOST_ROUNDS:
                raise ApiError(409, f"a duel has {MOST_ROUNDS} questions at most", code="duel_too_long")
            if duel.rounds[-1].is_running:
                raise ApiError(409, "an answer is still being written", code="still_answering")
            if duel.rounds[-1].failed:
                raise ApiError(409, "a side could not answer, so the duel cannot go on", code="duel_failed")
            await arena.begin_round(duel, further.text, caller)
        return _json(state(duel), 201)

    @app.get("/duels/{name}/{number}/{side}", include_in_schema=False)
    async def follow(
        name: str,
        number: int,
        side: Side,
        request: Request,
        last_event_id: Annotated[str, Header(max_length=12)] = "0",
    ) -> StreamingResponse:
        run = _round(_mine(arena, name, request), number).runs[side]
        if not last_event_id.isdecimal():
            raise ApiError(400, "Last-Event-ID is a number here", code="invalid_value", param="last-event-id")
        return StreamingResponse(
            blind_events(arena.runs, run, int(last_event_id)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    @app.delete("/duels/{name}/{number}", include_in_schema=False, dependencies=ours)
    async def stop(name: str, number: int, request: Request) -> Response:
        for run in _round(_mine(arena, name, request), number).runs.values():
            run.stop()
        return Response(status_code=204)


def _add_votes(app: FastAPI, arena: Arena) -> None:
    @app.post("/duels/work", include_in_schema=False, dependencies=[Depends(from_our_pages)])
    async def challenge(request: Request) -> Response:
        await arena.door.admit_visitor(request)
        session = await _consenting(arena, request)
        return _json({"challenge": arena.work.challenge(session.id), "bits": arena.work.bits})

    @app.post("/duels/{name}/{number}/vote", include_in_schema=False, dependencies=[Depends(from_our_pages)])
    async def vote(name: str, number: int, voting: Voting, request: Request) -> Response:
        await arena.door.admit_visitor(request)
        duel = _mine(arena, name, request)
        async with duel.lock:
            round_ = _round(duel, number)
            _check_open(duel)
            if round_.ballot is not None:
                raise ApiError(409, "these two answers have your vote already", code="already_voted")
            if round_.is_running:
                raise ApiError(409, "an answer is still being written", code="still_answering")
            if round_.failed:
                raise ApiError(409, "a side could not answer: there is nothing to compare", code="duel_failed")
            ballot = Ballot(
                voting.choice, {str(side): codes for side, codes in voting.reasons.items()}, voting.comment
            )
            if voting.keep:
                session = await _consenting(arena, request)
                arena.work.check(session.id, voting.challenge, voting.proof)
                await run_in_threadpool(_keep, arena, session, duel.conversation(number), number, ballot)
            round_.ballot, round_.kept = ballot, voting.keep
            duel.revealed = voting.reveal
        return _json(state(duel))


def _add_reports(app: FastAPI, arena: Arena) -> None:
    @app.post("/duels/{name}/report", include_in_schema=False, dependencies=[Depends(from_our_pages)])
    async def report(name: str, given: Report, request: Request) -> Response:
        """Kept with the name of who answered, which its sender may see once the duel is over."""
        await arena.door.admit_visitor(request)
        duel = _mine(arena, name, request)
        who, at = duel.sides[given.side].contender, arena.clock()
        duel.reported_at.add(at)  # before it is kept: in between, the page of one's own data would name the model
        cookie = await run_in_threadpool(keep_report, arena.database, request, who, given, at)
        response = _json({}, 201)
        if cookie is not None:
            set_cookie(response, request, cookie, days=arena.people.retention_days)
        return response


async def _consenting(arena: Arena, request: Request) -> Session:
    """The session of a visitor who may have consented; ApiError 428 for who cannot have."""
    session = await run_in_threadpool(visit, arena.database, request, arena.clock())
    if session is None:
        raise ApiError(428, "nothing is kept without consent", code="consent_required")
    return session


def _keep(arena: Arena, session: Session, conversation: Conversation, number: int, ballot: Ballot) -> None:
    """On disk when this returns. ApiError 428 or 409 without consent."""
    position, at = 2 * number + 1, arena.clock()
    with arena.database.write() as connection:
        votes.vote(connection, session.id, arena.texts, conversation, position=position, ballot=ballot, at=at)


def _mine(arena: Arena, name: str, request: Request) -> Duel:
    return arena.duels.find(name, owner_of(request)[0])


def _round(duel: Duel, number: int) -> Round:
    if not 0 <= number < len(duel.rounds):
        raise ApiError(404, "there is no such question in this duel", code="not_found")
    return duel.rounds[number]


def _check_open(duel: Duel) -> None:
    if duel.revealed:
        raise ApiError(409, "the names have been shown: this duel is over", code="duel_over")


def state(duel: Duel) -> dict[str, Any]:
    """What the page may know of a duel. Before the reveal nothing in it depends on who is on which side."""
    rounds = [
        {"question": one.question, "vote": None if one.ballot is None else one.ballot.choice, "kept": one.kept}
        for one in duel.rounds
    ]
    sides = {side: _revealed(duel, side) for side in SIDES} if duel.revealed else None
    return {"id": duel.id, "rounds": rounds, "sides": sides}


def _revealed(duel: Duel, side: Side) -> dict[str, Any]:
    fighter = duel.sides[side]
    index = fighter.served.index
    listed = {entry.path for entry in index.files}
    cards = {
        language: next((f"/release/{fighter.served.name}/{path}" for path in paths if path in listed), None)
        for language, paths in _CARDS.items()
    }
    return {
        "name": index.name,
        "version": index.version,
        "model": fighter.served.name,
        "digest": fighter.served.digest,
        "short": short(fighter.served.digest),
        "licence": index.licence,
        "demonstration": index.demonstration,
        "settings": dict(fighter.contender.settings),
        "seeds": [one.seeds[side] for one in duel.rounds],
        "cards": cards,
    }


def _json(value: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(value, status, headers={"cache-control": "no-store"})
