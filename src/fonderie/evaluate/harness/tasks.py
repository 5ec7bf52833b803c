"""A local folder of lm-eval tasks: read before anything runs, so that nothing is fetched and nothing hidden runs.

A task is a YAML file whose data lie beside it: `dataset_path: json` (or csv, parquet, text, arrow) and
`dataset_kwargs: {data_files: {test: questions.jsonl}}`, relative to the YAML. Whatever would reach outside the
folder or run Python is refused by name.
"""

import importlib.util
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from fonderie.core.errors import InputError, RecipeError
from fonderie.core.step import Source

READERS = ("json", "csv", "parquet", "text", "arrow")
"""The readers of `datasets` for files at hand; any other dataset_path names a data set of the hub."""
YAML_ENDINGS = (".yaml", ".yml")
CODE = "!function"


@dataclass(frozen=True)
class TaskFile:
    """One YAML file of the folder, its includes resolved."""

    name: str
    """Of the file, inside the folder."""
    values: Mapping[str, Any]
    """Code stands as a string that begins with `CODE`."""

    @property
    def task(self) -> str | None:
        """The task's name; None for a group, or for what is only included."""
        found = self.values.get("task")
        return found if isinstance(found, str) and "group" not in self.values else None

    @property
    def known_as(self) -> Iterable[str]:
        """What can be asked for by it: its task, its group, its tags."""
        tags = self.values.get("tag") or ()
        yield from (self.task,) if self.task else ()
        yield from (str(self.values["group"]),) if "group" in self.values else ()
        yield from (tags,) if isinstance(tags, str) else map(str, tags)


def refuse_missing_library() -> None:
    """RecipeError if lm-eval is not installed."""
    if importlib.util.find_spec("lm_eval") is None:
        raise RecipeError("evaluate.harness needs lm-eval", hint="pip install 'fonderie[eval]'")


def read_tasks(sources: Sequence[Source]) -> list[TaskFile]:
    """Every YAML file of the folder; InputError for one that cannot be read, or whose includes lead outside."""
    by_name = {source.name: source for source in sources}
    found = [_read(name, by_name, ()) for name in sorted(by_name) if name.endswith(YAML_ENDINGS)]
    known: dict[str, str] = {}
    for file in found:
        if file.task is not None and known.setdefault(file.task, file.name) != file.name:
            raise InputError(f"{file.name} and {known[file.task]} both define the task '{file.task}'")
    return found


def check_tasks(files: Sequence[TaskFile], wanted: Sequence[str], sources: Sequence[Source], *, code: bool) -> None:
    """Whether all that is asked for is here, reads what is here, and runs no Python unless `code` allows it."""
    known = {name for file in files for name in file.known_as}
    for name in wanted:
        if name not in known:
            here = ", ".join(sorted(known)) or "none"
            raise InputError(f"no task '{name}' in this folder", hint=f"Here: {here}.")
    names = {source.name for source in sources}
    for file in files:
        runs = [CODE] if _has_code(file.values) else []
        runs += ["class"] if "class" in file.values else []
        runs += ["unsafe_code"] if file.values.get("unsafe_code") else []
        if runs and not code:
            raise InputError(
                f"{file.name} runs Python ({', '.join(runs)})",
                hint="Read it, then set code = true on the call if it may run.",
            )
        if file.task is not None:
            _check_data(file, names)


def data_files(file: TaskFile) -> dict[str, list[str]]:
    """The data files of a task by split, as names inside the folder."""
    given = (file.values.get("dataset_kwargs") or {}).get("data_files") or {}
    splits = given if isinstance(given, dict) else {"train": given}
    folder = PurePosixPath(file.name).parent
    return {
        split: [str(folder / name) for name in ([names] if isinstance(names, str) else names)]
        for split, names in splits.items()
    }


def _check_data(file: TaskFile, names: set[str]) -> None:
    path = file.values.get("dataset_path")
    if path not in READERS:
        raise InputError(
            f"{file.name} reads the data set '{path}', which is not in this folder",
            hint=f"Put its files here, and write dataset_path: {READERS[0]} with dataset_kwargs: data_files: "
            f"(readers: {', '.join(READERS)}).",
        )
    files = data_files(file)
    if not files:
        shown = "dataset_kwargs: {data_files: {test: items.jsonl}}"
        raise InputError(f"{file.name} names no data file", hint=f"Write {shown}.")
    for split in files.values():
        for name in split:
            if name not in names:
                raise InputError(f"{file.name} reads {name}, which is not among the files of `tasks`")


def _read(name: str, by_name: Mapping[str, Source], seen: tuple[str, ...]) -> TaskFile:
    if name in seen:
        raise InputError(f"{name} includes itself, by way of {' and '.join(seen[1:]) or 'itself'}")
    try:
        values = yaml.load(by_name[name].path.read_bytes(), Loader=_Loader)
    except (yaml.YAMLError, OSError) as error:
        raise InputError(f"{name} is not YAML: {str(error)[:300]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{name} is no task: its YAML is no mapping")
    included = values.pop("include", ())
    merged: dict[str, Any] = {}
    for other in [included] if isinstance(included, str) else included:
        there = str(PurePosixPath(name).parent / other)
        if there not in by_name:
            raise InputError(f"{name} includes {other}, which is not among the files of `tasks`")
        merged.update(_read(there, by_name, (*seen, name)).values)
    return TaskFile(name, {**merged, **values})


class _Loader(yaml.SafeLoader):
    """YAML without code: what would be a function stays a string."""


def _code(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    return f"{CODE} {loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else node.tag}"


_Loader.add_constructor(CODE, _code)


def _has_code(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_code, value.values()))
    if isinstance(value, list):
        return any(map(_has_code, value))
    return isinstance(value, str) and value.startswith(f"{CODE} ")


def load_tasks(
    files: Sequence[TaskFile],
    wanted: Sequence[str],
    sources: Sequence[Source],
    scratch: Path,
    *,
    shots: int | None,
    seed: int,
) -> dict[str, Any]:
    """lm-eval's own objects of the tasks asked for, from a copy of the folder; nothing is fetched.

    `shots` replaces what the tasks say themselves, also where they say 0. Call it within `no_network`.
    """
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._index import Kind
    from lm_eval.tasks._yaml_loader import load_yaml

    folder = scratch / "tasks"
    for source in sources:
        target = folder / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path, target)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    by_task = {file.task: file for file in files if file.task}
    for name, entry in manager.task_index.items():
        if entry.kind not in (Kind.TASK, Kind.PY_TASK):
            continue
        file = by_task[name]
        config = load_yaml(folder / file.name, resolve_func=True)
        config["dataset_kwargs"] = {
            **(config.get("dataset_kwargs") or {}),
            "data_files": {
                split: [str(folder / name) for name in names] for split, names in data_files(file).items()
            },
            "cache_dir": str(scratch / "datasets"),
        }
        if shots is not None:
            config["num_fewshot"] = shots
        entry.cfg, entry.yaml_path = config, None
    loaded: dict[str, Any] = dict(manager.load(list(wanted)))
    for task in loaded["tasks"].values():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=seed)
    return loaded


@contextmanager
def no_network() -> Iterator[None]:
    """Forbid the libraries to go to the network, and to print bars, for as long as the block lasts."""
    import datasets
    import huggingface_hub.constants

    switches = (
        (datasets.config, "HF_DATASETS_OFFLINE"),
        (datasets.config, "HF_HUB_OFFLINE"),
        (huggingface_hub.constants, "HF_HUB_OFFLINE"),
    )
    before = [getattr(module, name) for module, name in switches]
    bars = datasets.is_progress_bar_enabled()
    for module, name in switches:
        setattr(module, name, True)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        for (module, name), value in zip(switches, before, strict=True):
            setattr(module, name, value)
        if bars:
            datasets.enable_progress_bars()
