"""What an evaluation asks is not trained on."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.core.document import Document, read_documents, shard_path, shard_paths, write_documents
from fonderie.core.ledger import read_ledger
from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.corpus.decontaminate import DecontaminateParameters, decide, decontaminate, gather_needles
from fonderie.corpus.sketch import SALT_BYTES, Hasher

LONG = (
    "Un train quitte Lyon à huit heures et roule vers Paris à cent vingt kilomètres par heure, quand arrive-t-il ?"
)
FILLER = (
    "La rivière descendait lentement vers la mer pendant que les pêcheurs réparaient leurs filets sur la berge."
)


def item(text: str, **metadata: str) -> Document:
    return Document(text, source="gsm", origin=f"gsm.jsonl#{len(text)}", licence="MIT", metadata=metadata)


def found(text: str, *items: Document, **params: object) -> tuple[str, str | None, str | None]:
    wanted = DecontaminateParameters.model_validate(params)
    needles, _ = gather_needles(items, wanted)
    document = Document(text, source="web", origin="a", licence="CC0-1.0")
    decision, _ = decide(document, needles, wanted, _hasher())
    return decision.fate, decision.reason, decision.document.text if decision.document else None


def _hasher() -> Hasher:
    return Hasher(b"fonderie decontaminate".ljust(SALT_BYTES, b"\0"))


def test_thirteen_shared_words_are_enough_whatever_their_dress() -> None:
    leaked = f"{FILLER} UN TRAIN QUITTE LYON A HUIT HEURES; ET ROULE: VERS PARIS (A CENT VINGT) {FILLER}"
    assert found(leaked, item(LONG))[:2] == ("dropped", "in evaluation set gsm")


def test_twelve_are_not() -> None:
    words = LONG.split()
    assert found(" ".join([*words[:12], "hier", FILLER]), item(LONG))[0] == "kept"


def test_a_short_item_is_found_whole() -> None:
    short = item("Quelle est la capitale de la Mongolie ?")
    assert found(f"{FILLER} Quelle est la capitale de la Mongolie ? {FILLER}", short)[0] == "dropped"
    assert found(f"{FILLER} Quelle est la capitale de la Moldavie ? {FILLER}", short)[0] == "kept"


def test_a_short_item_with_an_answer_needs_the_answer() -> None:
    short = item("Quelle est la capitale de la Mongolie ?", answer="Oulan-Bator")
    asked = "Quelle est la capitale de la Mongolie ?"
    assert found(f"{asked} Je ne sais pas. {FILLER}", short)[0] == "kept"
    assert found(f"{asked} C'est Oulan Bator.", short)[0] == "dropped"
    assert found(f"{asked} {FILLER * 3} Oulan-Bator", short)[0] == "kept"


def test_very_short_items_are_passed_over_and_counted() -> None:
    needles, passed = gather_needles([item("Que faire ?")], DecontaminateParameters())
    assert not needles.short
    assert passed == {"gsm": 1}


def test_cutting_takes_the_lines_and_no_more() -> None:
    text = f"{FILLER}\n{LONG}\n{FILLER}"
    fate, _, left = found(text, item(LONG), action="cut")
    assert (fate, left) == ("edited", f"{FILLER}\n{FILLER}")
    assert found(f"{LONG}\n{FILLER}", item(LONG), action="cut", longest_cut=0.1)[0] == "dropped"
    assert found(LONG, item(LONG), action="cut", longest_cut=1)[0] == "dropped"


@given(st.lists(st.sampled_from(LONG.split()), min_size=0, max_size=60))
def test_what_is_left_after_cutting_holds_no_match(words: list[str]) -> None:
    params = DecontaminateParameters(action="cut", longest_cut=1)
    needles, _ = gather_needles([item(LONG)], params)
    text = "\n".join([FILLER, " ".join(words), LONG, FILLER])
    document = Document(text, source="web", origin="a", licence="CC0-1.0")
    decision, _ = decide(document, needles, params, _hasher())
    if decision.document is not None:
        assert FILLER in decision.document.text
        assert LONG not in decision.document.text


def artifact(folder: Path, *documents: Document) -> Artifact:
    folder.mkdir(parents=True)
    write_documents(shard_path(folder, 0), documents)
    manifest = Manifest(key="", digest="", step="", version=1, parameters={}, inputs={}, sources={}, files=[])
    return Artifact(folder, manifest)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_step_says_what_was_removed_and_from_where(tmp_path: Path, workers: int) -> None:
    clean = Document(FILLER, source="web", origin="a", licence="CC0-1.0")
    leaked = Document(f"{FILLER} {LONG}", source="web", origin="b", licence="CC0-1.0")
    inputs = Inputs(
        {
            "documents": (artifact(tmp_path / "d", clean), artifact(tmp_path / "e", leaked)),
            "evaluation": (artifact(tmp_path / "q", item(LONG), item("Que faire ?")),),
        }
    )
    out = Output(tmp_path / "out", tmp_path / "state")
    out.path.mkdir()
    decontaminate(inputs, DecontaminateParameters(), out, Machine(workers=workers))
    left = [document.origin for path in shard_paths(out.path) for document in read_documents(path)]
    assert left == ["a"]
    dropped = [entry for entry in read_ledger(out.path) if entry.fate == "dropped"]
    assert [(entry.origin, entry.reason) for entry in dropped] == [("b", "in evaluation set gsm")]
    assert dropped[0].detail is not None
    assert dropped[0].detail.startswith(f"gsm.jsonl#{len(LONG)}: words 18 to 30")
    assert out.statistics["evaluation"] == {"gsm": {"items": 2, "too_short": 1, "found": 1}}
