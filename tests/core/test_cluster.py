"""Maps on a real Ray cluster of this machine: a head and a second node, reached as a distant one is."""

import importlib.util
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.core.helpers import ROOT, Said, wait_for

from fonderie.core import cluster
from fonderie.core.cluster import check_address, disconnect, software
from fonderie.core.errors import InputError, StepError, UsageError
from fonderie.core.machine import Machine

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'fonderie[cluster]'"
)


@dataclass
class Nodes:
    """A cluster whose second node can be killed."""

    address: str
    cluster: Any
    second: Any


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # tasks of these tests are functions of this file
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # the nodes read it too
        from ray.cluster_utils import Cluster

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        small = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
        started = Cluster(initialize_head=True, head_node_args={**small, "ray_client_server_port": port})
        second = started.add_node(**small)
        started.wait_for_nodes()
        yield Nodes(f"ray://127.0.0.1:{port}", started, second)
        disconnect()
        started.shutdown()


def _square(value: int) -> int:
    return value * value


def _fail_at_two(value: int) -> int:
    if value == 2:
        raise InputError("shard 2 is truncated", hint="Fetch it again.")
    return value


def _missing(path: Path) -> bytes:
    return path.read_bytes()


def _die_the_first_time(folder: Path, value: int) -> int:
    tries = folder / f"{value}.tries"
    with tries.open("a") as file:
        file.write("x")
    (folder / f"{value}.out").write_text("half")
    if value == 1 and tries.stat().st_size == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"{value}.out").write_text("whole")
    return value


def _die(value: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return value


def _hold(folder: Path, value: int) -> int:
    import ray

    (folder / f"on-{ray.get_runtime_context().get_node_id()}").touch()
    (folder / f"{value}.out").write_text("half")
    wait_for(folder / "released")
    (folder / f"{value}.out").write_text("whole")
    return value


@needs_ray
@pytest.mark.slow
def test_results_come_in_order_and_progress_is_counted(nodes: Nodes) -> None:
    said = Said()
    machine = Machine(on=nodes.address, reporter=said)
    assert list(machine.map(_square, range(7), label="squares")) == [0, 1, 4, 9, 16, 25, 36]
    assert said.lines == ["+1"] * 7
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert list(machine.map(_square, [], label="nothing")) == []


@needs_ray
@pytest.mark.slow
def test_our_errors_arrive_whole(nodes: Nodes) -> None:
    with pytest.raises(InputError) as caught:
        list(Machine(on=nodes.address).map(_fail_at_two, range(5), label="reading"))
    assert (caught.value.message, caught.value.hint) == ("shard 2 is truncated", "Fetch it again.")


@needs_ray
@pytest.mark.slow
def test_a_file_that_a_node_does_not_see(nodes: Nodes, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=f"node {socket.gethostname()} misses a file: .*gone.parquet") as caught:
        list(Machine(on=nodes.address).map(_missing, [tmp_path / "gone.parquet"], label="reading"))
    assert "shared file system" in caught.value.hint


@needs_ray
@pytest.mark.slow
def test_other_software_on_a_node_is_refused(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, refusal in (
        ("zstandard", r"has zstandard \S+, not other"),
        ("code of digest", "has code of digest .*"),
    ):
        ours = tuple({**dict(software()), name: "other"}.items())
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "software", lambda ours=ours: ours)
            with pytest.raises(StepError, match=refusal):
                list(Machine(on=nodes.address).map(_square, range(2), label="squares"))


@needs_ray
@pytest.mark.slow
def test_what_a_killed_worker_had_is_done_again(nodes: Nodes, tmp_path: Path) -> None:
    said = Said()
    results = Machine(on=nodes.address, reporter=said).map(
        partial(_die_the_first_time, tmp_path), range(4), label="cleaning"
    )
    assert list(results) == [0, 1, 2, 3]
    assert [(tmp_path / f"{i}.tries").read_text() for i in range(4)] == ["x", "xx", "x", "x"]
    assert [(tmp_path / f"{i}.out").read_text() for i in range(4)] == ["whole"] * 4
    assert len([line for line in said.lines if "a worker died on item 2 of 4" in line]) == 1


@needs_ray
@pytest.mark.slow
def test_an_item_that_kills_three_workers_is_an_error_that_names_it(nodes: Nodes, tmp_path: Path) -> None:
    shard = tmp_path / "00003.parquet"
    with pytest.raises(StepError, match=r"a worker died during 'cleaning', 3 times on .*00003\.parquet"):
        list(Machine(on=nodes.address).map(_die, [shard], label="cleaning"))


@needs_ray
@pytest.mark.slow
def test_what_a_killed_node_had_is_done_again(nodes: Nodes, tmp_path: Path) -> None:
    """The last test of these nodes: the second does not come back."""

    def kill() -> None:
        wait_for(tmp_path / f"on-{nodes.second.node_id}")
        nodes.cluster.remove_node(nodes.second, allow_graceful=False)
        (tmp_path / "released").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    said = Said()
    results = list(
        Machine(on=nodes.address, reporter=said).map(partial(_hold, tmp_path), range(3), label="holding")
    )
    killer.join()
    assert results == [0, 1, 2]
    assert [(tmp_path / f"{i}.out").read_text() for i in range(3)] == ["whole"] * 3
    assert [line for line in said.lines if "a worker died on" in line]


@needs_ray
def test_no_cluster_at_that_address(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(*arguments: Any, **options: Any) -> None:
        raise ConnectionError("ray client connection timeout")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)  # the library itself waits half a minute
    with pytest.raises(StepError, match=r"no Ray cluster answers at ray://127\.0\.0\.1:9") as caught:
        list(Machine(on="ray://127.0.0.1:9").map(_square, range(2), label="squares"))
    assert "ray start --head" in caught.value.hint


@pytest.mark.parametrize("wrong", ["", "rays", "ray://", "ray://host", "http://host:1", "ray://a b:1"])
def test_an_address_that_is_none(wrong: str) -> None:
    with pytest.raises(UsageError, match="nothing to run on at"):
        Machine(on=wrong)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        check_address("ray")
    assert "pip install 'fonderie[cluster]'" in caught.value.hint
