"""fonderie erase, run --check and chat --output-filter, as `main` runs them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.corpus.burials import reworded, tales
from tests.trace.requests import Workshop, documents_of

from fonderie.cli import main

NOTE = (
    "Compte rendu de la réunion du jardin partagé : Aimé Castéra propose de planter des framboisiers le long du mur "
    "nord, de réparer la pompe avant Pâques et de prêter son motoculteur aux voisins ; la trésorière rappelle que les "
    "cotisations de l'an passé n'ont toujours pas été versées par onze familles."
)
Fonderie = Callable[..., tuple[str, str]]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    texts = [item.text for item in tales(60)]
    made = Workshop(tmp_path).write([NOTE, *texts, reworded(NOTE, 0.1, 2)])
    made.run()
    return made


@pytest.fixture
def fonderie(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, workshop: Workshop) -> Fonderie:
    monkeypatch.chdir(workshop.folder)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object, status: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert main([*map(str, arguments), "--store", str(workshop.folder / "store")]) == status
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


def test_a_dry_run_shows_what_it_touches_and_writes_nothing(fonderie: Fonderie, workshop: Workshop) -> None:
    path = workshop.request(decision=None, excerpts=["planter des framboisiers le long du mur"])
    before = sorted(workshop.folder.rglob("*"))
    out, _ = fonderie("erase", path, "--dry-run", "--workers", 1)
    assert "found, in " in out
    assert "letters: letters.jsonl#L1, by excerpt" in out
    assert "mine: letters" in json.dumps(json.loads(fonderie("erase", path, "--dry-run", "--json")[0]))
    assert "still held by the store, until you remove them: artifacts/" in out
    assert "this was a dry run" in out
    assert sorted(workshop.folder.rglob("*")) == before


def test_a_name_asks_for_a_person_and_then_is_carried_out(fonderie: Fonderie, workshop: Workshop) -> None:
    path = workshop.request(persons=["CASTERA Aimé"])
    out, _ = fonderie("erase", path, status=1)
    assert "partagé : Aimé Castéra propose" in out
    assert "Homonyms exist" in out
    assert not (workshop.folder / "store/erasures").exists()
    out, _ = fonderie("erase", path, "--yes")
    assert "Recorded in" in out
    assert (workshop.folder / "store/erasures/2026-1/tombstones.json").is_file()
    _, errors = fonderie("erase", path, "--yes", status=2)
    assert "already recorded" in errors


def test_copies_are_announced(fonderie: Fonderie, workshop: Workshop) -> None:
    first = documents_of(workshop.run(), "letters")[0]
    out, _ = fonderie("erase", workshop.request(ids=[first.id]))
    assert "1 more would be kept out with" in out
    assert "letters.jsonl#L62: a changed copy" in out


def test_a_check_lists_what_a_run_would_obey(fonderie: Fonderie, workshop: Workshop) -> None:
    assert json.loads(fonderie("run", "mine.toml", "--check", "--json")[0])["tombstones"] == {}
    workshop.erase(excerpts=["planter des framboisiers le long du mur"])
    assert "It would obey" in fonderie("run", "mine.toml", "--check")[0]
    assert list(json.loads(fonderie("run", "mine.toml", "--check", "--json")[0])["tombstones"]) == ["2026-1.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('decision = "granted"\n', ""), "holds no decision"),
        (lambda text: text.replace("excerpts", "extracts"), "select.extracts"),
    ],
)
def test_a_wrong_request_is_a_usage_error(
    fonderie: Fonderie, workshop: Workshop, change: Callable[[str], str], message: str
) -> None:
    path = workshop.request(excerpts=["planter des framboisiers le long du mur"])
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert message in fonderie("erase", path, status=2)[1]


def test_nothing_found_is_said_and_written_nowhere(fonderie: Fonderie, workshop: Workshop) -> None:
    path = workshop.request(excerpts=["des mots que personne n'a écrits ici"])
    out, _ = fonderie("erase", path, status=1)
    assert "0 documents found" in out
    assert "no document is to be erased" in out
    assert not (workshop.folder / "store/erasures").exists()


def test_a_store_that_is_not_there_is_not_made(fonderie: Fonderie, workshop: Workshop, tmp_path: Path) -> None:
    path = workshop.request(excerpts=["planter des framboisiers le long du mur"])
    assert main(["erase", str(path), "--store", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_a_file_that_holds_no_salt_is_refused(fonderie: Fonderie, workshop: Workshop) -> None:
    path = workshop.request(excerpts=["planter des framboisiers le long du mur"])
    for text in ("zz", "ab" * 31):
        (workshop.folder / "salt").write_text(text)
        assert "salt" in fonderie("erase", path, "--salt-file", "salt", status=1)[1]
