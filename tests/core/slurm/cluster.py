"""A real Slurm of two nodes on one host, in a folder: its daemons on loopback, without systemd or cgroups."""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel")
CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 State=UNKNOWN
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Which of Slurm's programs are not installed."""
    return [program for program in PROGRAMS if _program(program) is None]


def _program(name: str) -> str | None:
    # Daemons lie where a user's PATH may not lead.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")


@dataclass(frozen=True)
class Cluster:
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """With these, Slurm's commands talk to this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.variables}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def begin(self, *command: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, env={**os.environ, **self.variables}, stderr=subprocess.DEVNULL)

    def states(self) -> dict[str, str]:
        """Of every job in the queue, by its own number: PENDING, RUNNING, …"""
        listed = self.run("squeue", "--noheader", "--array", "--format=%i %T").split("\n")
        return dict(line.split() for line in listed if line)


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Start it, and end it whatever happens; only processes of this folder."""
    folder.chmod(0o755)
    for name in ("munge", "state", "spool-n1", "spool-n2"):
        (folder / name).mkdir()
    (folder / "munge").chmod(0o700)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(host=host, folder=folder, user=getpass.getuser(), ports=_free_ports(3))
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    cluster = Cluster(folder)
    munge = [
        f"--{option}={folder}/munge/{file}"
        for option, file in (
            ("key-file", "key"),
            ("socket", "socket"),
            ("pid-file", "pid"),
            ("log-file", "log"),
            ("seed-file", "seed"),
        )
    ]
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        # --force: the test's folder need not be one that only root can write.
        _start(daemons, folder, "munged", "--foreground", "--force", *munge)
        _wait((folder / "munge/socket").exists, "munged")
        _start(daemons, folder, "slurmctld", "-D", "-f", str(folder / "slurm.conf"))
        for node in ("n1", "n2"):
            _start(daemons, folder, "slurmd", "-D", "-f", str(folder / "slurm.conf"), "-N", node)
        _wait(lambda: _try(cluster).split() == ["idle", "idle"], "slurmd")
        yield cluster
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in reversed(daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _start(daemons: list["subprocess.Popen[bytes]"], folder: Path, name: str, *arguments: str) -> None:
    program = _program(name)
    assert program is not None
    with (folder / f"{name}.log").open("ab") as log:
        # In a session of its own, so that its jobs do not share the terminal of the tests.
        daemons.append(subprocess.Popen([program, *arguments], stdout=log, stderr=log, start_new_session=True))


def _try(cluster: Cluster) -> str:
    try:
        return cluster.run("sinfo", "--noheader", "--Node", "--format=%T")
    except AssertionError:
        return ""


def _wait(ready: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} did not start"
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
