"""The rows of an export: of each vote, of each thumb, and of each answer that was preferred to another."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal

from fonderie.chat.judged import SIDES, Contender
from fonderie.chat.publishable import Judged
from fonderie.corpus.thumbs import Preferred, Thumb
from fonderie.corpus.votes import Answer, Message, Vote

Licence = Literal["CC-BY-4.0", "etalab-2.0"]
"""Those that the text of the consent names, and no other."""


def vote_rows(judged: Judged, name: str, licence: Licence) -> Iterator[Vote]:
    """A row for each vote on a duel, which is published under a name."""
    whole = judged.conversation
    for ballot in judged.ballots:
        seen = {side: whole.seen_by(side, ballot.position) for side in SIDES}
        before = {side: tuple(turn.text for turn in seen[side] if turn.role == "assistant") for side in SIDES}
        apart = before["a"] != before["b"]
        asked = [turn for turn in seen["a"] if turn.text.strip() and not (apart and turn.role == "assistant")]
        turn_number = sum(turn.role == "user" for turn in seen["a"]) - 1
        texts = {side: answer.text for side in SIDES if (answer := whole.answer(ballot.position, side))}
        answers = {
            side: Answer(
                content=texts[side],
                model=whole.contenders[side].name,
                digest=whole.contenders[side].model_digest,
                settings=settings_of(whole.contenders[side]),
                before=before[side] if apart else (),
                reasons=tuple(ballot.reasons.get(side, ())),
            )
            for side in SIDES
        }
        yield Vote(
            id=_id(f"{name} {turn_number}"),
            created=day_of(ballot.at),
            language=_language(*(turn.text for turn in asked), *texts.values()),
            licence=licence,
            consent=judged.consent,
            conversation=name,
            turn=turn_number,
            messages=tuple(Message(role=turn.role, content=turn.text) for turn in asked),
            a=answers["a"],
            b=answers["b"],
            vote=ballot.choice,
        )


def thumb_row(judged: Judged, name: str, licence: Licence) -> Thumb:
    """The row of a chat's thumb, which is published under a name."""
    assert judged.opinion is not None
    who, (*asked, answer) = judged.conversation.contenders["a"], judged.conversation.turns
    return Thumb(
        id=_id(f"{name} thumb"),
        created=day_of(judged.opinion.at),
        language=_language(*(turn.text for turn in (*asked, answer))),
        licence=licence,
        consent=judged.consent,
        conversation=name,
        prompt=tuple(Message(role=turn.role, content=turn.text) for turn in asked if turn.text.strip()),
        completion=(_answer(answer.text),),
        label=judged.opinion.is_good,
        model=who.name,
        digest=who.model_digest,
        settings=settings_of(who),
        reasons=tuple(judged.opinion.reasons),
    )


def preferred_by_vote(rows: Iterable[Vote]) -> Iterator[Preferred]:
    """What votes prefer, where both answers go on from the same."""
    for row in rows:
        if row.vote not in ("a", "b") or row.a.before or row.b.before or row.a.content == row.b.content:
            continue
        chosen, rejected = (row.a, row.b) if row.vote == "a" else (row.b, row.a)
        yield Preferred(
            created=row.created,
            language=row.language,
            licence=row.licence,
            consent=row.consent,
            by="vote",
            conversations=(row.conversation,),
            prompt=row.messages,
            chosen=(_answer(chosen.content),),
            rejected=(_answer(rejected.content),),
            chosen_model=chosen.digest,
            rejected_model=rejected.digest,
        )


def preferred_by_thumbs(rows: Mapping[str, Thumb], sessions: Mapping[str, int]) -> Iterator[Preferred]:
    """A person had a question answered again, and found one answer good and another bad; each answer at most once.

    `rows` and `sessions` by the name of the conversation, in the order of the opinions.
    """
    groups: dict[tuple[object, ...], tuple[list[Thumb], list[Thumb]]] = defaultdict(lambda: ([], []))
    for name, row in rows.items():
        groups[sessions[name], row.consent, row.prompt][row.label].append(row)
    for bad, good in groups.values():
        for chosen, rejected in zip(good, bad, strict=False):
            if chosen.completion == rejected.completion:
                continue
            yield Preferred(
                created=max(chosen.created, rejected.created),
                language=chosen.language,
                licence=chosen.licence,
                consent=chosen.consent,
                by="thumbs",
                conversations=(chosen.conversation, rejected.conversation),
                prompt=chosen.prompt,
                chosen=chosen.completion,
                rejected=rejected.completion,
                chosen_model=chosen.digest,
                rejected_model=rejected.digest,
            )


def settings_of(who: Contender) -> str:
    """How a contender's tokens were drawn, as JSON."""
    return json.dumps(dict(who.settings), sort_keys=True)


def day_of(at: float) -> str:
    """The day of a time, UTC."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _answer(text: str) -> Message:
    return Message(role="assistant", content=text)


def _id(of: str) -> str:
    return "sha256:" + hashlib.sha256(of.encode()).hexdigest()


def _language(*texts: str) -> str | None:
    """ISO 639 code, of what was said and not of the page it was said on; None where nobody could tell."""
    from fonderie.corpus.measures import UNDETERMINED, language

    found = language(" ".join(texts))
    return None if found == UNDETERMINED else found
