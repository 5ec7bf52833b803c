"""What whoever runs the service sees of it: use and votes by day, reports that wait to be read. No conversation."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from fonderie.serve.database.tables import reports, usage, votes
from fonderie.serve.usage import DAY_SECONDS, PUBLIC, day_of


@dataclass(frozen=True)
class Day:
    """One day, UTC."""

    day: str
    requests: int
    """For answers, of everybody."""
    public_requests: int
    """Of those without a key."""
    prompt_tokens: int
    answer_tokens: int
    votes: int
    doubted: int
    """Votes that something speaks against, so that they do not count."""


@dataclass(frozen=True)
class Report:
    """What somebody has reported, as they chose to send it."""

    id: int
    model: str
    digest: str
    reason: str
    comment: str
    excerpt: str
    at: float


def days(connection: Connection, now: float, count: int = 14) -> list[Day]:
    """The last days, today first; days on which nothing happened among them."""
    names = [day_of(now - DAY_SECONDS * before) for before in range(count)]
    used = {
        row.day: row
        for row in connection.execute(
            select(
                usage.c.day,
                func.sum(usage.c.requests).label("requests"),
                func.sum(usage.c.prompt_tokens).label("prompt_tokens"),
                func.sum(usage.c.answer_tokens).label("answer_tokens"),
            )
            .where(usage.c.day >= names[-1])
            .group_by(usage.c.day)
        )
    }
    public = {
        row.day: row.requests
        for row in connection.execute(
            select(usage.c.day, usage.c.requests).where(usage.c.day >= names[-1], usage.c.caller == PUBLIC)
        )
    }
    voted: dict[str, list[int]] = {name: [0, 0] for name in names}
    # The list is JSON, whose length SQLite and PostgreSQL count by other functions.
    for row in connection.execute(
        select(votes.c.at, votes.c.doubts).where(votes.c.at >= now - DAY_SECONDS * count)
    ):
        if day_of(row.at) in voted:
            voted[day_of(row.at)][0] += 1
            voted[day_of(row.at)][1] += bool(row.doubts)
    return [
        Day(
            name,
            int(used[name].requests) if name in used else 0,
            public.get(name, 0),
            int(used[name].prompt_tokens) if name in used else 0,
            int(used[name].answer_tokens) if name in used else 0,
            *voted[name],
        )
        for name in names
    ]


def open_reports(connection: Connection, most: int = 100) -> list[Report]:
    """Reports that nobody has dealt with, the oldest first, so many at most."""
    columns = (reports.c[name] for name in Report.__dataclass_fields__)
    query = select(*columns).where(reports.c.closed_at.is_(None)).order_by(reports.c.at, reports.c.id).limit(most)
    return [Report(*row) for row in connection.execute(query)]


def count_open(connection: Connection) -> int:
    """How many reports wait to be read, however many are shown."""
    query = select(func.count()).select_from(reports).where(reports.c.closed_at.is_(None))
    return connection.execute(query).scalar_one()


def close_report(connection: Connection, report_id: int, at: float) -> bool:
    """Note that a report was dealt with; false if there is none, or it was closed before."""
    closed = connection.execute(
        update(reports).where(reports.c.id == report_id, reports.c.closed_at.is_(None)).values(closed_at=at)
    )
    return closed.rowcount == 1
