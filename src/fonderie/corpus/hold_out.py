"""corpus.hold_out: set documents aside for evaluation by their content ids, never by their position.

Called twice, once per side, with the same share and salt: what one keeps the other drops. A document's side follows
from its text alone, so it stays the same when other documents come and go, or when two builds read other sources.
"""

from functools import partial
from typing import Literal

from pydantic import Field

from fonderie.core.digest import digest_text
from fonderie.core.document import Document
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.corpus.transform import Decision, drop, keep, transform

HELD_OUT = "held out for evaluation"
NOT_HELD_OUT = "not held out"


class HoldOutParameters(Parameters):
    """How much, and which side this call keeps."""

    share: float = Field(gt=0, lt=1)
    """Share of the documents that are for evaluation, on average."""
    keep: Literal["training", "evaluation"]
    """The side that goes on from here."""
    salt: str = ""
    """Another salt draws another sample."""


@step(
    "corpus.hold_out",
    version=1,
    parameters=HoldOutParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
)
def hold_out(inputs: Inputs, params: HoldOutParameters, out: Output, machine: Machine) -> None:
    """Keep one side; the ledger says of the others that they are on the other."""
    transform(inputs.all("documents"), out, machine, partial(_decide, params=params), label="holding out")


def is_held_out(document_id: str, share: float, salt: str) -> bool:
    """Whether a document is for evaluation: its salted hash, as a number from 0 to 1, is below the share."""
    digits = digest_text(f"{salt}{document_id}").removeprefix("sha256:")[:16]
    return int(digits, 16) / 16**16 < share


def _decide(document: Document, *, params: HoldOutParameters) -> Decision:
    held_out = is_held_out(document.id, params.share, params.salt)
    if held_out == (params.keep == "evaluation"):
        return keep(document)
    return drop(HELD_OUT if held_out else NOT_HELD_OUT)
