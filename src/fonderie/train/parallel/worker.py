"""One process of a training: what torchrun starts. See launch.py."""

import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Client, Connection
from typing import Any

from fonderie.core.errors import FonderieError
from fonderie.core.machine import Machine
from fonderie.core.pause import Paused
from fonderie.core.progress import Silent
from fonderie.core.remote import Remote, Request, able_to_travel, heed
from fonderie.train.parallel.launch import KEY, LEADER


def main() -> None:
    """Do the leader's request together with the other processes."""
    # Ctrl-C and a batch system's signals reach whole groups of processes: the leader alone answers them.
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    rank = int(os.environ["RANK"])
    host, _, port = os.environ[LEADER].rpartition(":")
    there = Client((host, int(port)), authkey=bytes.fromhex(os.environ[KEY]))
    assert isinstance(there, Connection)
    there.send((rank, socket.gethostname(), os.getpid()))
    request: Request = there.recv()
    heed(there)
    try:
        _work(request, there, rank)
    except BaseException as error:  # whatever it is, this is the last chance to say it
        with suppress(OSError):  # a full disk has no room for the trace either
            traceback.print_exc()
        if isinstance(error, Paused) and rank:
            there.send(("done",))
        else:
            there.send(("failed", able_to_travel(error), _of_others(error)))
        # The leader ends everybody as soon as it knows whose error it is; to go before would look like another.
        signal.pause()


def _work(request: Request, there: Connection, rank: int) -> None:
    from fonderie.train.parallel.spread import join, leave

    remote = Remote(there)
    told: dict[str, Any] = {"reporter": Silent()} if rank else {"reporter": remote, "note": remote.note}
    machine = Machine(**request.machine, **told)
    join(machine)
    request.run(machine)
    leave()
    there.send(("done",) if rank else ("done", request.out.statistics, request.out.measured))


def _of_others(error: BaseException) -> bool:
    """Whether it may come of another process's end or silence: gloo and NCCL raise these where somebody is gone."""
    from torch.distributed import DistError

    if isinstance(error, FonderieError | Paused):
        return False
    return isinstance(error, DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower())


if __name__ == "__main__":
    main()
    sys.exit(0)
