"""What lets visitors evaluate the models: duel, ranking, thumbs, reports, consent, their own data; put together."""

from collections.abc import Mapping, Sequence

from fonderie.chat.consent import RETENTION_DAYS, read_texts
from fonderie.chat.site.board import Board, add_board
from fonderie.chat.site.duel import Arena, add_duel
from fonderie.chat.site.duels import Duels, fighters
from fonderie.chat.site.judging import Judging, add_judging
from fonderie.chat.site.pages import Site
from fonderie.chat.site.people import People, add_people
from fonderie.chat.site.running import Runs
from fonderie.chat.site.sealing import Seals
from fonderie.chat.work import Work
from fonderie.serve.access import Door
from fonderie.serve.database.base import Database
from fonderie.serve.served import Served


def add_evaluating(
    site: Site,
    models: Mapping[str, Served],
    door: Door,
    database: Database,
    *,
    runs: Runs,
    seals: Seals,
    retention_days: int = RETENTION_DAYS,
    contenders: Sequence[str] = (),
    proof_of_work_bits: int = 0,
) -> None:
    """Add the pages and routes; UsageError where `contenders` (`--duel`) name what is not there."""
    texts, duels = read_texts(retention_days), Duels()
    board = Board(database, playing=lambda: duels.blind().conversations)
    people = People(door, database, texts, retention_days, duels.forget, duels.blind)
    arena = Arena(
        fighters(models, contenders),
        door,
        database,
        texts,
        runs,
        people=people,
        work=Work(proof_of_work_bits),
        board=board,
        duels=duels,
    )
    digests = {model.digest for model in models.values()}
    add_duel(site, arena)
    add_board(site, board, digests.__contains__)
    add_people(site, people)
    add_judging(site.app, Judging(models, door, database, texts, seals, retention_days))
