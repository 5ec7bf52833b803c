"""Ray: the same items as tasks on a cluster, or on one that is started here.

Tasks get items, never the bytes of documents: they read and write files, so every node must see the store and
the sources at the same paths (a shared file system), and run the same software. Both are checked where a task
runs. What a dead worker or node had is given again by our own loop, never by Ray: each time is counted and said.
"""

import hashlib
import os
import platform
import re
import socket
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fonderie.core.crew import Done, Failed, Lost, Portable, Report
from fonderie.core.environment import LIBRARIES, installed_version
from fonderie.core.errors import StepError, UsageError

LOCAL = "ray"
_ADDRESS = re.compile(r"ray://[^/\s:]+:\d+")
_SAME = tuple(dict.fromkeys([*LIBRARIES, "numba", "lxml", "fasttext-predict", "zstandard"]))
"""Distributions whose version must be the driver's on every node: they decide, or they write bytes."""
_STORE_BYTES = 256 << 20
"""Of shared memory for a cluster started here: results are counts, not documents; larger ones spill to disk."""
_RECOUNT_SECONDS = 10.0
_STOP_SECONDS = 30.0


def check_address(address: str) -> None:
    """UsageError if there can be no cluster of that name, or no library to reach it with."""
    if address != LOCAL and not _ADDRESS.fullmatch(address):
        raise UsageError(
            f"there is nothing to run on at {address!r}",
            hint="Say ray for a cluster of this machine alone, or ray://host:port for one that is there.",
        )
    if find_spec("ray") is None:
        raise UsageError(
            "running on Ray needs the library ray",
            hint="pip install 'fonderie[cluster]', here and on every node, in the same versions.",
        )


def connect(address: str, workers: int) -> Any:
    """The module ray, connected; a local cluster has `workers` cores. StepError if none answers.

    A process has one connection, which lasts until it ends or `disconnect` is called.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before it is imported: it reports to its makers otherwise
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # tasks without GPUs keep the variables
    import ray

    if ray.is_initialized():
        return ray
    try:
        _init(ray, address, workers)
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        raise StepError(
            f"no Ray cluster answers at {address}: {error}",
            hint="On its first node: ray start --head --ray-client-server-port=10001. It must run Python "
            f"{platform.python_version()} and Ray {ray.__version__}, as here.",
        ) from error
    return ray


def _init(ray: Any, address: str, workers: int) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        ray.init(num_cpus=workers, include_dashboard=False, object_store_memory=_STORE_BYTES, **quiet)
        return
    try:
        ray.init(address, **quiet)
    except ConnectionAbortedError:
        # The cluster answered, but its server for this connection took more than Ray's 30 s to start, as the first
        # one after an installation does on a busy node: it compiles what it imports. The second finds that done.
        ray.init(address, **quiet)


def disconnect() -> None:
    """Let go of the cluster, and end it if it was started here."""
    import ray

    ray.shutdown()


class Tasks:
    """A crew of Ray tasks; see `fonderie.core.crew.Crew`."""

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any], address: str, workers: int) -> None:
        self._ray = connect(address, workers)
        self._items = items
        # Once for all tasks: a function may carry an index of many megabytes.
        self._function = self._ray.put(Portable(function))
        self._task = self._ray.remote(num_cpus=1, max_retries=0)(_run_there)
        self._running: dict[Any, int] = {}
        self._counted = float("-inf")
        self._most = 0

    def room(self) -> bool:
        """Whether fewer tasks are given than keep every core busy, and one more each waiting."""
        if time.monotonic() - self._counted > _RECOUNT_SECONDS:  # clusters grow and shrink
            self._most = max(2 * int(self._ray.cluster_resources().get("CPU", 0)), 2)
            self._counted = time.monotonic()
        return len(self._running) < self._most

    def give(self, index: int) -> None:
        """Submit an item."""
        self._running[self._task.remote(self._function, self._items[index], software())] = index

    def wait(self) -> list[Report]:
        """Wait for at least one task."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1)
        return [self._report(reference, self._running.pop(reference)) for reference in ready]

    def _report(self, reference: Any, index: int) -> Report:
        errors = self._ray.exceptions
        try:
            value, raised, node = self._ray.get(reference)
        except errors.RayTaskError as error:  # outside the function: what it is made of is not there, or its result
            return Failed(index, StepError(f"a task could not run on the cluster: {error}"))
        except (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,
        ) as error:
            return Lost(index, str(error).strip().splitlines()[0])
        if isinstance(raised, FileNotFoundError):
            hint = "Every node must see the store and the sources at the same paths: a shared file system."
            return Failed(index, StepError(f"node {node} misses a file: {raised}", hint=hint))
        return Failed(index, raised) if raised is not None else Done(index, value)

    def stop(self, *, kill: bool) -> None:  # noqa: ARG002
        """Kill what runs: a task's half-written files are nobody's."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=_STOP_SECONDS)
        self._running.clear()


@cache
def software() -> tuple[tuple[str, str | None], ...]:
    """What must be the same on every node for the bytes to be."""
    python = ".".join(platform.python_version_tuple()[:2])
    return (
        ("python", python),
        *((name, installed_version(name)) for name in _SAME),
        ("code of digest", _code()[:12]),
    )


def _code() -> str:
    """Digest of fonderie's own modules: a checkout on a node may be another one, of the same version."""
    package = Path(__file__).resolve().parents[1]
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _run_there(
    function: Callable[[Any], Any], item: Any, wanted: tuple[tuple[str, str | None], ...]
) -> tuple[Any, Exception | None, str]:
    """On a node: the result or the error, and the node's name. An error returned keeps its type and its hint."""
    node = socket.gethostname()
    here = dict(software())
    for name, expected in wanted:
        if expected != (found := here.get(name)):
            hint = "Install the same versions on every node: others may write other bytes."
            return None, StepError(f"node {node} has {name} {found}, not {expected}", hint=hint), node
    try:
        return function(item), None, node
    except Exception as error:
        return None, error, node
