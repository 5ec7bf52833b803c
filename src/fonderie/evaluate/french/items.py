"""The item: one thing that is asked of a model, and what is right. It travels as a document.

As a document, so that `corpus.decontaminate` can take out of a corpus what will be asked: its text is the question,
or the sentence of a pair; its metadata is the rest. Items from elsewhere that say the same of themselves will do.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from fonderie.core.digest import digest_json
from fonderie.core.document import Document, read_documents, shard_paths
from fonderie.core.errors import InputError
from fonderie.core.step import Artifact
from fonderie.evaluate.french.rules import RULES

FORM = "item"
"""What metadata.form says of a document that is one."""
LICENCE = "CC0-1.0"

Kind = Literal["pair", "choice", "answer"]


@dataclass(frozen=True)
class Item:
    """One thing asked."""

    suite: str
    part: str
    """A finer division: the construction, the operation."""
    kind: Kind
    """pair: which of two sentences is likelier. choice: which of two answers to a question is likelier, per byte.
    answer: what is said, judged by a rule."""
    question: str
    """Empty in a pair."""
    right: str
    """The right sentence or answer; of an answer, what its rule compares with, and may be empty."""
    wrong: str = ""
    """The wrong sentence or answer; empty where a rule judges."""
    rule: str = ""
    """Of `fonderie.evaluate.french.rules.RULES`."""

    @property
    def id(self) -> str:
        """A digest of all that is asked and of what counts as right."""
        return digest_json([self.suite, self.kind, self.question, self.right, self.wrong, self.rule])

    @property
    def text(self) -> str:
        """What a corpus should not hold."""
        return self.question or self.right

    def document(self, source: str, number: int) -> Document:
        """The item as it travels."""
        said = {"suite": self.suite, "part": self.part, "kind": self.kind, "rule": self.rule}
        metadata = {"form": FORM, **said, "item": json.dumps([self.right, self.wrong], ensure_ascii=False)}
        if self.kind == "choice" or self.rule == "last_number":
            metadata["answer"] = self.right  # short questions are looked for together with their answer
        return Document(
            text=self.text,
            source=source,
            origin=f"{self.suite}/{number}",
            licence=LICENCE,
            language="fr",
            author="Fonderie's grammar",
            metadata=metadata,
        )


def item_of(document: Document) -> Item:
    """The item that a document is; InputError if it is none, or one that cannot be judged."""
    told = document.metadata
    where = f"{document.origin} ({document.source})"
    if told.get("form") != FORM:
        raise InputError(
            f"{where} is no item of a suite: its metadata does not say form = '{FORM}'",
            hint='Make items by step = "evaluate.french_items", and wire that call to `items`.',
        )
    try:
        right, wrong = json.loads(told["item"])
        kind, rule = cast(Kind, told["kind"]), told.get("rule", "")
        if kind not in get_args(Kind) or (kind == "answer") != (rule in RULES) or not (right or rule):
            raise ValueError(f"kind '{kind}' with rule '{rule}'")
        question = "" if kind == "pair" else document.text
        return Item(told["suite"], told.get("part", ""), kind, question, right, wrong, rule)
    except (KeyError, ValueError) as error:
        raise InputError(f"{where}: not an item that can be judged: {error}") from error


def read_items(artifacts: Sequence[Artifact]) -> list[tuple[Document, Item]]:
    """Every item of these artifacts, with the document it came in; InputError if there is none."""
    found = [(document, item_of(document)) for document in _documents(artifacts)]
    if not found:
        raise InputError("there is no item, so there is nothing to ask")
    return found


def _documents(artifacts: Sequence[Artifact]) -> Iterator[Document]:
    for artifact in artifacts:
        for path in shard_paths(artifact.path):
            yield from read_documents(path)
