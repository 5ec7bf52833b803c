"""Requests for erasure, and builds to erase from."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fonderie.core.document import Document, read_documents, shard_paths
from fonderie.core.ledger import Entry, read_ledger
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import RunResult, run_recipe
from fonderie.core.steps import find_step
from fonderie.core.store import Store
from fonderie.trace.erasure import Examination, carry_out, examine
from fonderie.trace.erasure_request import read_request

DATE = "2026-09-20T10:00:00+00:00"

RECIPE = """
[letters]
step = "corpus.read"
path = "letters.jsonl"
format = "jsonl"
licence = "CC0-1.0"

[clean]
step = "corpus.redact"
inputs = { documents = "letters" }

[distinct]
step = "corpus.dedup"
inputs = { documents = "clean" }
"""


@dataclass(frozen=True)
class Workshop:
    """A folder with letters, recipes and one store."""

    folder: Path

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    def write(self, texts: Sequence[str | Mapping[str, str]], name: str = "letters") -> "Workshop":
        rows = [{"text": item} if isinstance(item, str) else dict(item) for item in texts]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (self.folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        return self

    def run(self, recipe: str = RECIPE, name: str = "mine") -> RunResult:
        path = self.folder / f"{name}.toml"
        path.write_text(recipe, encoding="utf-8")
        return run_recipe(load_recipe(path, (), find_step), self.store, Machine())

    def request(self, reference: str = "2026-1", decision: str | None = "granted", **select: Any) -> Path:
        path = self.folder / f"{reference}.toml"
        lines = [f'reference = "{reference}"', "received = 2026-09-01", 'ground = "gdpr-17"']
        lines += [f'decision = "{decision}"'] if decision else []
        lines += ['reasons = "As decided."', 'requester = "Zoé Quelqu\'une, zoe@example.org"', "[select]"]
        lines += [f"{name} = {_toml(value)}" for name, value in select.items()]
        text = "\n".join(lines) + "\n"
        tomllib.loads(text)
        path.write_text(text, encoding="utf-8")
        return path

    def examine(self, path: Path, **options: Any) -> Examination:
        return examine(read_request(path), self.store, Machine(), date=DATE, **options)

    def erase(self, reference: str = "2026-1", decision: str = "granted", **select: Any) -> Path:
        """A request, carried out; every match of a name is taken."""
        path = self.request(reference, decision, **select)
        return carry_out(self.examine(path, confirm_all=True), self.store, date=DATE)


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return value if value[:1].isdigit() and value[4:5] == "-" else json.dumps(value, ensure_ascii=False)
    return json.dumps(list(value), ensure_ascii=False)


def documents_of(result: RunResult, call: str) -> list[Document]:
    return [item for path in shard_paths(result.artifacts[call].path) for item in read_documents(path)]


def ledger_of(result: RunResult, call: str) -> list[Entry]:
    return list(read_ledger(result.artifacts[call].path))
