"""Blind duels over HTTP: who meets whom, nobody's name before the vote, and what is kept."""

import json
import random
import re
import time
from collections import Counter

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chat.arena import SHADOW, agree, begin, read, text_of, vote

from fonderie.chat.judged import Contender
from fonderie.chat.matches import matches
from fonderie.chat.site.blind import LONGEST_WORD, whole_words
from fonderie.chat.site.duels import Duel, DuelBounds, Duels, Fighter, draw, fighters
from fonderie.core.errors import UsageError
from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.tables import contenders, conversations, reports, sessions, turns, votes


def code_of(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])


@pytest.fixture
def client(arena):
    with httpx.Client(base_url=arena.url, timeout=60) as client:
        yield client


@pytest.fixture
def models(arena):
    return {one.name: one for one in arena.running.served}


# ── Who takes part, and who meets whom ──────────────────────────────────────────────────────────────────────────


def test_every_release_takes_part_and_a_single_one_at_two_temperatures(models):
    assert [one.contender.name for one in fighters(models)] == list(models)
    name, served = next(iter(models.items()))
    alone = fighters({name: served})
    assert [one.contender.settings["temperature"] for one in alone] == [0.3, 1.0]
    named = fighters(models, [f"{name},temperature=0.5,top_k=4", SHADOW])
    assert named[0].contender.settings == {"temperature": 0.5, "top_p": 0.95, "top_k": 4}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nobody-1", SHADOW], "there is no 'nobody-1' here"),
        ([SHADOW, f"{SHADOW},colour=3"], "'colour=3' is no setting"),
        ([SHADOW, f"{SHADOW},temperature=warm"], "'warm' is no number"),
        ([SHADOW, f"{SHADOW},temperature=9"], "temperature"),
        ([SHADOW], "two contenders that differ"),
        ([SHADOW, f"{SHADOW},temperature=0.7"], "two contenders that differ"),
    ],
)
def test_what_cannot_take_part_is_refused(models, given, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        fighters(models, given)


def test_pairs_with_few_votes_come_more_often_and_sides_are_fair(models):
    (served, *_) = models.values()
    a, b, c = (Fighter(served, Contender(name, f"sha256:{name}", "sha256:0")) for name in "abc")
    known = {frozenset((a.contender.key, b.contender.key)): 9}  # a weight of 1/10 beside 1 and 1
    chance = random.Random(5)
    drawn = [draw([a, b, c], known, chance) for _ in range(4200)]
    pairs = Counter("".join(sorted(fighter.contender.name for fighter in sides.values())) for sides in drawn)
    assert pairs["ab"] == pytest.approx(200, abs=60)  # four standard deviations of a binomial
    assert pairs["ac"] == pytest.approx(2000, abs=130)
    left = sum(sides["a"] is c for sides in drawn if c in sides.values())
    assert left == pytest.approx(2000, abs=130)


def test_duels_are_held_for_a_while_and_not_without_end():
    now = 0.0
    duels = Duels(DuelBounds(idle_seconds=10, held=2), clock=lambda: now)
    first, second, third = (Duel("me", {}, "fr") for _ in range(3))
    for duel in first, second, third:
        duels.add(duel)
    with pytest.raises(ApiError):
        duels.find(first.id, "me")  # the one that was not touched for longest had to go
    assert duels.find(second.id, "me") is second
    with pytest.raises(ApiError):
        duels.find(second.id, "you")
    now = 9.0
    assert duels.find(third.id, "me") is third
    now = 11.0
    with pytest.raises(ApiError):
        duels.find(second.id, "me")
    assert duels.find(third.id, "me") is third
    duels.forget("me")
    with pytest.raises(ApiError):
        duels.find(third.id, "me")


# ── Blind ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_that_is_sent_before_the_vote_names_anybody(arena, client):
    heard = []
    client.event_hooks["response"] = [lambda response: heard.append((response, response.read().decode()))]
    for language in "fr", "en":
        client.get(f"/{language}/duel")
    state = begin(client)
    client.post(f"/duels/{state['id']}/rounds", json={"text": "Et la chatte ?"})
    read(client, client.get(f"/duels/{state['id']}").json(), 1)
    refused = client.post(f"/duels/{state['id']}/rounds", json={"text": "mot " * 2_000})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    refused = vote(client, state, 1)
    assert (refused.status_code, refused.json()["error"]["code"]) == (428, "consent_required")
    assert len(heard) >= 9
    for response, text in heard:
        said = text + str(response.headers)
        assert [name for name in arena.names if name in said] == [], response.url
        assert not re.search(r"_tokens|system_fingerprint|\"model\"", said), response.url
    # And after it all of them: who, exactly what, under which licence, with which settings and seeds.
    sides = vote(client, state, 1, keep=False).json()["sides"]
    assert {sides[side]["model"] for side in "ab"} == {one.name for one in arena.running.served}
    for side in sides.values():
        (served,) = (one for one in arena.running.served if one.name == side["model"])
        assert (side["digest"], side["licence"]) == (served.digest, served.index.licence)
        assert client.get(side["cards"]["fr"]).status_code == 200
        assert len(side["seeds"]) == 2


def test_nothing_names_anybody_while_a_duel_goes_on_after_a_vote(arena, client):
    """One's own data, the ranking and a report are other ways to who answers: they wait for its end."""
    agree(client, "evaluation")
    state = begin(client)
    before = {path: client.get(path).text for path in ("/fr/my-data", "/my-data.json")}
    assert vote(client, state, reveal=False).json()["sides"] is None
    report = {"side": "b", "reason": "false", "comment": "Non.", "excerpt": "Réponse B : ceci."}
    assert client.post(f"/duels/{state['id']}/report", json=report).status_code == 201
    for path in before:
        said = client.get(path)
        assert "Réponse B : ceci." in said.text
        assert [name for name in arena.names if name in said.text + str(said.headers)] == [], path
    kept = client.get("/my-data.json").json()
    (mine,) = kept["conversations"]
    assert [turn["seed"] for turn in mine["turns"]] == [None] * 3
    assert "les noms viennent quand le duel finit" in client.get("/fr/my-data").text
    with arena.database.read() as connection:
        assert matches(connection) != matches(connection, {state["id"]})
    state = client.post(f"/duels/{state['id']}/rounds", json={"text": "Et la chatte ?"}).json()
    read(client, state, 1)
    sides = vote(client, state, 1).json()["sides"]
    kept = client.get("/my-data.json").json()
    assert {row["side"]: row["digest"] for row in kept["conversations"][0]["contenders"]} == {
        side: sides[side]["digest"] for side in "ab"
    }
    assert kept["reports"][0]["digest"] == sides["b"]["digest"]
    assert arena.rows(reports)[-1].model == sides["b"]["model"]


def test_a_report_of_a_duel_is_its_players_and_of_one_of_two_sides(arena, client):
    state = begin(client)
    report = {"side": "a", "reason": "hateful", "comment": "", "excerpt": "Ceci."}
    before = arena.count(reports)
    with httpx.Client(base_url=arena.url) as other:
        assert code_of(other.post(f"/duels/{state['id']}/report", json=report)) == "duel_not_found"
    for wrong in {"side": "c"}, {"reason": "dull"}, {"excerpt": "x" * 20_001}, {"model": SHADOW}:
        refused = client.post(f"/duels/{state['id']}/report", json={**report, **wrong})
        assert refused.status_code == 400, wrong
    assert (arena.count(reports), client.cookies.get("fonderie")) == (before, None)
    assert client.post(f"/duels/{state['id']}/report", json=report).status_code == 201
    assert client.cookies.get("fonderie")  # by which it can be seen, and deleted
    assert arena.count(reports) == before + 1


def test_a_stream_tells_whole_words_and_counts_characters(client):
    state = begin(client, "Raconte une histoire.")
    for side, stream in read(client, state).items():
        whole, said = text_of(stream), ""
        for block in stream.strip().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if fields.get("event") == "text":
                said += json.loads(fields["data"])["text"]
                assert int(fields["id"]) == len(said)
                assert said == whole or whole_words(said + whole[len(said)], 0) == len(said)
        assert said == whole
        # A reader who was away goes on where they were, whatever a token was there.
        for away in 1, len(whole) // 2, len(whole):
            again = client.get(f"/duels/{state['id']}/0/{side}", headers={"last-event-id": str(away)}).text
            assert text_of(again) == whole[away:]
            assert "event: end" in again
        assert client.get(f"/duels/{state['id']}/0/{side}", headers={"last-event-id": "-1"}).status_code == 400


@given(st.text("ab \n漢", max_size=200), st.lists(st.integers(1, 9), max_size=80))
def test_where_text_is_cut_says_nothing_of_its_tokens(text, lengths):
    """Whatever pieces it comes in, it is cut where it would be if every character came by itself."""
    alone, pieces, told, said = set(), set(), 0, ""
    for length in range(len(text) + 1):
        told = whole_words(text[:length], told)
        alone.add(told)
    told = 0
    for length in lengths:
        said = text[: len(said) + length]
        told = whole_words(said, told)
        pieces.add(told)
        assert len(said) - told <= LONGEST_WORD
    assert pieces <= alone


def test_what_was_answered_can_be_had_again_by_what_is_revealed(client):
    state = begin(client)
    answers = {side: text_of(stream) for side, stream in read(client, state).items()}
    sides = vote(client, state, keep=False).json()["sides"]
    for side, said in answers.items():
        again = client.post(
            "/v1/chat/completions",
            json={
                "model": sides[side]["model"],
                "messages": [{"role": "user", "content": state["rounds"][0]["question"]}],
                "seed": sides[side]["seeds"][0],
                **sides[side]["settings"],
            },
        ).json()
        assert again["choices"][0]["message"]["content"] == said


def test_another_visitor_finds_no_duel(arena, client):
    state = begin(client)
    with httpx.Client(base_url=arena.url) as other:
        other.cookies.set("fonderie-answers", "x" * 32)
        for method, path in (
            ("GET", ""),
            ("GET", "/0/a"),
            ("DELETE", "/0"),
            ("POST", "/rounds"),
            ("POST", "/0/vote"),
        ):
            body = {"text": "?"} if path == "/rounds" else {"choice": "a", "keep": False, "reveal": True}
            found = other.request(method, f"/duels/{state['id']}{path}", json=body if method == "POST" else None)
            assert (found.status_code, found.json()["error"]["code"]) == (404, "duel_not_found"), path


# ── Votes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_consent_the_names_are_shown_and_nothing_is_kept(arena, client):
    before = {table: arena.count(table) for table in (sessions, conversations, turns, votes)}
    state = begin(client)
    seen = vote(client, state, keep=False).json()
    assert seen["sides"]
    assert seen["rounds"] == [{"question": state["rounds"][0]["question"], "vote": "a", "kept": False}]
    assert {table: arena.count(table) for table in before} == before


def test_with_consent_every_turn_and_vote_is_kept(arena, client):
    agree(client, "evaluation")
    state = begin(client)
    seen = vote(client, state, choice="both_bad", reveal=False, reasons={"a": ["useful"]}, comment=" Bof. ").json()
    assert seen["sides"] is None
    state = client.post(f"/duels/{state['id']}/rounds", json={"text": "Et la chatte ?"}).json()
    streams = read(client, state, 1)
    seen = vote(client, state, 1, choice="b").json()
    assert [round_["kept"] for round_ in seen["rounds"]] == [True, True]
    kept = [row for row in arena.rows(votes) if row.conversation_id == state["id"]]
    assert [(row.position, row.choice, row.comment) for row in kept] == [(1, "both_bad", "Bof."), (3, "b", "")]
    assert kept[0].reasons == {"a": ["useful"], "b": []}
    said = {(row.position, row.side): row for row in arena.rows(turns) if row.conversation_id == state["id"]}
    assert set(said) == {(0, ""), (1, "a"), (1, "b"), (2, ""), (3, "a"), (3, "b")}
    assert said[3, "b"].text == text_of(streams["b"])
    assert said[3, "b"].seed == str(seen["sides"]["b"]["seeds"][1])
    assert said[3, "b"].answer_tokens is not None
    who = {row.side: row for row in arena.rows(contenders) if row.conversation_id == state["id"]}
    assert {side: row.digest for side, row in who.items()} == {side: seen["sides"][side]["digest"] for side in "ab"}


def test_a_vote_is_given_once_and_the_names_end_the_duel(calm_arena):
    with httpx.Client(base_url=calm_arena.url, timeout=60) as client:
        state = begin(client)
        assert vote(client, state, keep=False, reveal=False).status_code == 200
        codes = [code_of(vote(client, state, keep=False))]
        state = client.post(f"/duels/{state['id']}/rounds", json={"text": "Et la chatte ?"}).json()
        codes.append(code_of(vote(client, state, 1, keep=False)))
        codes.append(code_of(client.post(f"/duels/{state['id']}/rounds", json={"text": "Et puis ?"})))
        read(client, state, 1)
        assert vote(client, state, 1, keep=False).json()["sides"]
        codes.append(code_of(vote(client, state, 1, keep=False)))
        codes.append(code_of(client.post(f"/duels/{state['id']}/rounds", json={"text": "Encore ?"})))
    assert codes == ["already_voted", "still_answering", "still_answering", "duel_over", "duel_over"]


def test_both_are_stopped_at_once(calm_arena):
    with httpx.Client(base_url=calm_arena.url) as client:
        state = client.post("/duels", json={"text": "Raconte.", "locale": "fr"}).json()
        assert client.delete(f"/duels/{state['id']}/0").status_code == 204
        assert all('"reason":"stopped"' in stream for stream in read(client, state).values())
    patience = time.monotonic() + 10
    while any(one.engine.load().running for one in calm_arena.running.served):
        assert time.monotonic() < patience


def test_a_vote_from_another_site_is_refused(client):
    state = begin(client)
    refused = client.post(
        f"/duels/{state['id']}/0/vote",
        json={"choice": "a", "keep": False, "reveal": True},
        headers={"sec-fetch-site": "cross-site"},
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site")
