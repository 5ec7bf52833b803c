"""Checkpoints of a cut model: written while the training goes on, read into any other layout."""

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fonderie.core.digest import digest_file
from fonderie.core.errors import FonderieError, StoreError
from fonderie.model.language_model import LanguageModel
from fonderie.model.transformer import Decoder
from fonderie.train.optim import state_tensors
from fonderie.train.parallel.shard import row_order
from fonderie.train.parallel.spread import Together
from fonderie.train.parallel.storage import Reader, RowOrder, Writer, flat
from fonderie.train.record import checkpoint


def save(
    aside: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], spread: Together, model: LanguageModel
) -> "Future[checkpoint.Draft | None]":
    """Copy the tensors, and write them into the folder `aside` in a thread; the first process gets the draft.

    As soon as this returns the tensors may change. What is half written is never found: it has no state.json, and
    lies where nobody looks for checkpoints. One save at a time.
    """
    from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
    from torch.distributed.checkpoint.state_dict_saver import async_save

    fresh = aside / checkpoint.folder_name(step)
    if spread.first:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    writer = Writer(lambda group: checkpoint.file_of(fresh, group), _order(model, spread))
    # The copy is made before this returns. Only the first process plans, so the folder is there before any file.
    written = async_save(
        flat(tensors), storage_writer=writer, planner=DefaultSavePlanner(), process_group=spread.saving
    )
    assert isinstance(written, Future)
    paths = [checkpoint.file_of(fresh, group) for group in tensors]

    def draft() -> checkpoint.Draft | None:
        with _own_failures():
            written.result()
        return _hashed(fresh, step, paths) if spread.first else None

    thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
    found = thread.submit(draft)
    thread.shutdown(wait=False)
    return found


def _hashed(fresh: Path, step: int, paths: list[Path]) -> checkpoint.Draft:
    with ThreadPoolExecutor(len(paths)) as threads:
        digests = list(threads.map(digest_file, paths))
    files = {path.name: (path.stat().st_size, digest) for path, digest in zip(paths, digests, strict=True)}
    return checkpoint.Draft(fresh, step, files)


def restore(model: LanguageModel, optimizer: Optimizer, path: Path, spread: Together) -> tuple[int, dict[str, Any]]:
    """Read each process's shards of a checkpoint, whichever layout wrote it.

    Every file is hashed, each by one process, before any is used. Raises StoreError in all processes for a file
    that is missing or altered, or tensors of another model. Returns its step and facts.
    """
    from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
    from torch.distributed.checkpoint.state_dict_loader import load

    state = spread.from_first(lambda: _attempt(path))
    if isinstance(state, FonderieError):
        raise state
    _verify(path, state, spread)
    files = {name.removesuffix(".safetensors"): path / name for name in state.files}
    reader = Reader(files, _order(model, spread))
    found = {group: set(places) for group, places in reader.places.items()}
    optimizer.state.clear()
    for name, weight in model.named_parameters():
        keys = {full.rpartition("/")[2] for full in found["optimizer"] if full.rpartition("/")[0] == name}
        if keys:
            places = {key: reader.places["optimizer"][f"{name}/{key}"] for key in keys}
            optimizer.state[weight] = {
                # What is shaped like the weight is cut like it; step counts stand in every process.
                key: torch.empty_like(weight, dtype=place.dtype)
                if place.shape == tuple(weight.shape)
                else torch.empty(place.shape, dtype=place.dtype, device=weight.device)
                for key, place in places.items()
            }
    random = {"cpu": torch.get_rng_state()}
    wanted = {"model": model.state_dict(), "optimizer": state_tensors(model, optimizer), "random": random}
    # A processor's training goes on on GPUs and back, but for the state of what only one of them has.
    found["random"] &= {"cpu"}
    for group, tensors in wanted.items():
        if tensors.keys() != found[group]:
            odd = sorted(tensors.keys() ^ found[group])[:4]
            raise StoreError(f"{path} is of another model: {group} differs in {odd}")
    with _own_failures():
        load(flat(wanted), storage_reader=reader, planner=DefaultLoadPlanner(), process_group=spread.control)
    torch.set_rng_state(random["cpu"])
    return state.step, state.facts


@contextmanager
def _own_failures() -> Iterator[None]:
    """Raise what the first process to fail met, such as a full disk, in place of torch's account of all of them.

    That account is no Exception: nobody who reports failures would see it.
    """
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        yield
    except CheckpointException as account:
        failure, _ = account.failures[min(account.failures)]
        raise failure from account


def _attempt(path: Path) -> Any:
    try:
        return checkpoint.read_state(path)
    except FonderieError as error:
        return error


def _verify(path: Path, state: checkpoint.State, spread: Together) -> None:
    """Hash every file, shared out over the processes; all of them learn of a bad one."""
    wrong = []
    for name in sorted(state.files)[spread.rank :: spread.size]:
        try:
            checkpoint.check_file(path, name, state)
        except StoreError as error:
            wrong.append(error)
    found: list[list[StoreError]] = [[] for _ in range(spread.size)]
    torch.distributed.all_gather_object(found, wrong, group=spread.waiting)
    first = next(chain.from_iterable(found), None)
    if first is not None:
        raise first
    checkpoint.check_root(path, state)


def _order(model: LanguageModel, spread: Together) -> RowOrder:
    assert isinstance(model, Decoder)  # several processes train no other: see shard.py

    @cache
    def order(name: str) -> Tensor | None:
        return row_order(name, model.config, spread.tensor_size)

    return order
