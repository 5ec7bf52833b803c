"""What the running service does when connections are held open and when its database fails.

python docs/log/0023-attacks.py RELEASE

Each meets a `fonderie serve` of its own, as `benchmarks/service_load.py` starts them, and prints one JSON line.
"""

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from service_load import Service, ballot, client_of, judge, service, streamed


async def held(service: Service, number: int = 200) -> dict[str, Any]:
    """Connections that say nothing, or a byte now and then: the next question, and when they are ended."""

    async def hold(silent: bool) -> float:
        reader, writer = await asyncio.open_connection(*service.place)
        begun = time.perf_counter()
        with suppress(ConnectionError):
            writer.write(b"" if silent else b"GET /health HTTP/1.1\r\nx-a: ")
            while not reader.at_eof():
                writer.write(b"" if silent else b"a")
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1024), 0.5)
        writer.close()
        return time.perf_counter() - begun

    all_held = [asyncio.create_task(hold(one % 2 == 0)) for one in range(number)]
    await asyncio.sleep(1)
    async with client_of(service) as client:
        begun = time.perf_counter()
        await streamed(client, service, 16)
        seconds = time.perf_counter() - begun
    last = max(await asyncio.wait_for(asyncio.gather(*all_held), 120))
    return {
        "connections": number,
        "answered_after_seconds": round(seconds, 2),
        "ended_after_seconds": round(last, 1),
    }


async def without_end(service: Service) -> dict[str, Any]:
    """One header of a gigabyte: how much of it is taken, and the memory of the process before and after."""

    def memory() -> int:
        status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0]) >> 10

    before, sent = memory(), 0
    _, writer = await asyncio.open_connection(*service.place)
    with suppress(ConnectionError):
        writer.write(b"GET /health HTTP/1.1\r\nx-a: ")
        for _ in range(1 << 14):
            writer.write(b"a" * (1 << 16))
            await writer.drain()
            sent += 1 << 16
    writer.close()
    return {"sent_mib": round(sent / (1 << 20), 1), "memory_mib": [before, memory()]}


async def locked(service: Service) -> dict[str, Any]:
    """Another process holds SQLite's lock while a vote comes."""
    async with judge(service) as client:
        vote = await ballot(client, service, 1)
        with closing(sqlite3.connect(service.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begun = time.perf_counter()
            refused = await client.post("/chat/thumbs", json=vote)
            seconds = time.perf_counter() - begun
            page = await client.get("/fr/my-data")
        after = await client.post("/chat/thumbs", json=vote)
    return {"vote": refused.status_code, "after_seconds": round(seconds, 1), "page": page.status_code} | {
        "released": after.status_code
    }


async def moved(service: Service) -> dict[str, Any]:
    """SQLite's file is moved away while votes come, and put back."""

    async def until(client: httpx2.AsyncClient, status: int) -> float:
        begun = time.perf_counter()
        while (await client.get("/ready")).status_code != status:
            await asyncio.sleep(0.1)
        return round(time.perf_counter() - begun, 1)

    async with judge(service) as client:
        vote = await ballot(client, service, 1)
        elsewhere = service.database.with_name("elsewhere.db")
        service.database.rename(elsewhere)
        refused = await client.post("/chat/thumbs", json=vote)
        closed = await until(client, 503)
        elsewhere.rename(service.database)
        opened = await until(client, 200)
        after = await client.post("/chat/thumbs", json=vote)
    return {"vote": refused.status_code, "closed_after_seconds": closed, "open_after_seconds": opened} | {
        "back": after.status_code
    }


def main() -> None:
    """Every attack once."""
    release = Path(sys.argv[1]).resolve()
    for attack in (held, without_end, locked, moved):
        with tempfile.TemporaryDirectory() as folder, service(release, Path(folder), "--threads", "1") as found:
            detail = asyncio.run(attack(found))
        print(json.dumps({"name": attack.__name__, "detail": detail}), flush=True)


if __name__ == "__main__":
    main()
