"""Votes of people who do not exist, on models that do not exist, for a picture of the ranking page."""

import random
import time
from pathlib import Path

from sqlalchemy import Connection, insert

from fonderie.chat import consent
from fonderie.chat.judged import Contender, Conversation, Turn, new_id
from fonderie.chat.votes import Ballot, Choice, vote
from fonderie.serve.database.base import open_database
from fonderie.serve.database.tables import sessions

STRENGTHS = {
    "simulated-a-2.0": 80,
    "simulated-a-1.0": 45,
    "simulated-b-3.1": 35,
    "simulated-c-0.9": -50,
    "simulated-d-1.2": -110,
}
"""In points; names that nobody can take for a model's."""
VISITORS, SEED = 60, 4


def simulate(path: Path) -> None:
    """Fill a new database."""
    chance, texts = random.Random(SEED), consent.read_texts()
    contenders = {
        name: Contender(name, f"sha256:{chance.randbytes(32).hex()}", f"sha256:{chance.randbytes(32).hex()}")
        for name in STRENGTHS
    }
    now = time.time()
    with open_database(f"sqlite:///{path}") as database:
        for visitor in range(VISITORS):
            with database.write() as connection:
                session = _visitor(connection, visitor, texts, now)
                for number in range(chance.randint(2, 12)):
                    names = chance.sample(list(STRENGTHS), 2)
                    choice = _choice(STRENGTHS[names[0]] - STRENGTHS[names[1]], chance)
                    words = [f"Une réponse, {'mot ' * chance.randint(5, 60)}" for _ in "ab"]
                    duel = _duel(f"Question {visitor} {number} ?", words, [contenders[name] for name in names], now)
                    vote(connection, session, texts, duel, position=1, ballot=Ballot(choice), at=now)


def _choice(points: float, chance: random.Random) -> Choice:
    if chance.random() < 0.2:
        return chance.choice(["both_good", "both_bad", "idk"])
    return "a" if chance.random() < 1 / (1 + 10 ** (-points / 200)) else "b"


def _visitor(connection: Connection, number: int, texts: consent.Texts, now: float) -> int:
    row = {"hash": f"{number:064x}", "created_at": now - 900, "seen_at": now}
    key = connection.execute(insert(sessions).values(row)).inserted_primary_key
    assert key is not None
    consent.give(connection, key[0], texts["fr"], evaluation=True, publication=False, at=now - 800)
    return int(key[0])


def _duel(question: str, answers: list[str], who: list[Contender], now: float) -> Conversation:
    turns = [Turn(0, "user", question, now - 600)]
    turns += [
        Turn(1, "assistant", text, now - 590, side=side, finish_reason="stop", seed=1)  # type: ignore[arg-type]
        for side, text in zip("ab", answers, strict=True)
    ]
    return Conversation(new_id(), "duel", "fr", now - 600, dict(zip("ab", who, strict=True)), tuple(turns))  # type: ignore[arg-type]
