"""An erasure from the request to the next build."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.corpus.burials import reworded, tales
from tests.trace.requests import DATE, RECIPE, Workshop, documents_of, ledger_of

from fonderie.core.errors import StoreError, UsageError
from fonderie.corpus.folding import folded_words
from fonderie.trace import erasure_record
from fonderie.trace.erasure import carry_out, read_salt
from fonderie.trace.erasure_request import read_request
from fonderie.trace.output_filter import OutputFilter

pytestmark = pytest.mark.slow

TALES = [item.text for item in tales(200)]
LETTER = (
    "Chère Madame, je vous écris au sujet de la maison bleue que ma grand-mère Jeanne-Élise DURÜM habitait rue des "
    "Tanneurs avant la guerre. On m'a dit que vos archives gardent deux photographies du jardin, prises en mil neuf "
    "cent trente-huit par un voisin horloger. Pourriez-vous m'en envoyer une copie, avec le nom du photographe si "
    "vous le connaissez ? Je joins un timbre et mon adresse : perso@example.org. Avec ma gratitude, Anaïs Durüm."
)
OTHER = "Anais Durum, née à Brest, a gagné hier la course des phares devant Lucie Kermarrec et deux cents autres."


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    made = Workshop(tmp_path).write([LETTER, OTHER, *TALES])
    made.run()
    return made


def erased_rows(workshop: Workshop) -> dict[str, str]:
    return {row.origin: row.detail or "" for row in ledger_of(workshop.run(), "letters") if row.reason == "erased"}


# The next build


def test_the_next_build_lacks_it_and_says_why(workshop: Workshop) -> None:
    workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    result = workshop.run()
    assert LETTER not in [item.text for item in documents_of(result, "letters")]
    assert len(documents_of(result, "letters")) == len(TALES) + 1
    (row,) = [row for row in ledger_of(result, "letters") if row.fate == "dropped"]
    assert (row.origin, row.reason) == ("letters.jsonl#L1", "erased")
    assert row.detail == "2026-1: the same document, 1.00"
    assert result.artifacts["letters"].manifest.statistics["sources"]["letters"]["dropped"] == {"erased": 1}


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_its_tombstone_survives_changed_copies_and_longer_documents(workshop: Workshop, share: float) -> None:
    """The source comes back in another file: the letter reworded, and again inside a longer page."""
    workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    changed = [reworded(LETTER, share, seed) for seed in range(10)]
    longer = ["\n\n".join([*TALES[:9], LETTER, *TALES[9:18]]), "\n\n".join([TALES[0], changed[0], TALES[1]])]
    workshop.write([*changed, *longer, OTHER, *TALES])
    rows = erased_rows(workshop)
    assert list(rows) == [f"letters.jsonl#L{number}" for number in range(1, 13)]
    assert all(detail.startswith("2026-1: a ") for detail in rows.values())


def test_others_stay_those_of_the_same_kind_too(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path).write(TALES)
    before = {item.text for item in documents_of(workshop.run(), "letters")}
    excerpt = " ".join(TALES[7].split()[:14])
    examination = workshop.examine(workshop.request(excerpts=[excerpt]))
    workshop.erase(excerpts=[excerpt])
    after = {item.text for item in documents_of(workshop.run(), "letters")}
    # What is taken along is what was announced: a person has seen it before anything was written.
    announced = {item.id for item in examination.erased} | {place.id for place, _ in examination.copies}
    assert TALES[7] not in after
    assert len(before - after) == len(announced) <= 3


def test_a_generated_document_can_be_erased(tmp_path: Path) -> None:
    recipe = '[tales]\nstep = "corpus.generate"\nstories = 60\nseed = 3\n'
    workshop = Workshop(tmp_path)
    made = documents_of(workshop.run(recipe), "tales")
    workshop.erase(ids=[made[11].id])
    result = workshop.run(recipe)
    assert made[11].id not in [item.id for item in documents_of(result, "tales")]
    licences = result.artifacts["tales"].manifest.statistics["licences"]
    assert licences == {"tales": {"CC0-1.0": len(documents_of(result, "tales"))}}


def test_a_recipe_that_never_read_it_reuses_all_that_follows_its_reading(workshop: Workshop) -> None:
    other = RECIPE.replace("letters.jsonl", "tales.jsonl")
    workshop.write(TALES[100:], "tales")
    before = workshop.run(other, "other")
    workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    after = workshop.run(other, "other")
    assert (after.made, after.reused) == (["letters"], ["clean", "distinct"])
    assert {name: made.digest for name, made in after.artifacts.items()} == {
        name: made.digest for name, made in before.artifacts.items()
    }
    assert workshop.run(other, "other").made == []


def test_the_list_travels_to_another_store_with_a_recipe(workshop: Workshop, tmp_path: Path) -> None:
    folder = workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "erasures").mkdir(parents=True)
    (elsewhere / "erasures" / "2026-1.json").write_bytes((folder / "tombstones.json").read_bytes())
    there = Workshop(elsewhere).write([reworded(LETTER, 0.15, 3), *TALES])
    result = there.run('[policy]\ntombstones = "erasures/*.json"\n' + RECIPE)
    assert len(documents_of(result, "letters")) == len(TALES)


# What is found


def test_documents_are_found_by_id_at_any_step(workshop: Workshop) -> None:
    """The letter holds an address, so redaction gave it another id."""
    (edited,) = [row for row in ledger_of(workshop.run(), "clean") if row.fate == "edited"]
    assert edited.id_after is not None
    for given in (edited.id, edited.id_after, edited.id_after[7:27]):
        (found,) = workshop.examine(workshop.request(ids=[given])).found
        assert (found.id, found.by) == (edited.id, ("id",))


def test_documents_are_found_by_origin_and_by_address(tmp_path: Path) -> None:
    rows = [
        {"text": text, "url": f"https://example.org/{'blog' if number % 2 else 'shop'}/{number}"}
        for number, text in enumerate(TALES[:6])
    ]
    workshop = Workshop(tmp_path).write(rows)
    workshop.run()

    def origins(**select: object) -> list[str]:
        return [item.origin for item in workshop.examine(workshop.request(**select)).found]

    assert origins(origins=["letters.jsonl#L2"]) == ["letters.jsonl#L2"]
    assert origins(origins=["https://example.org/blog/3"]) == ["letters.jsonl#L4"]
    assert origins(origin_prefixes=["https://example.org/blog/"]) == [
        f"letters.jsonl#L{line}" for line in (2, 4, 6)
    ]
    assert origins(origin_prefixes=["https://example.com/"]) == []


def test_a_name_is_found_in_either_order_whatever_its_accents(workshop: Workshop) -> None:
    for name in ("Anaïs Durüm", "DURUM Anais", "durüm, anaïs"):
        found = workshop.examine(workshop.request(persons=[name])).found
        assert [item.origin for item in found] == ["letters.jsonl#L1", "letters.jsonl#L2"]
    assert "Avec ma gratitude, Anaïs Durüm." in found[0].surfaces[0]
    assert found[1].surfaces[0].startswith("Anais Durum, née à Brest")
    assert workshop.examine(workshop.request(persons=["Anaïs Dur"])).found == ()
    (grandmother,) = workshop.examine(workshop.request(persons=["Durum Jeanne Élise"])).found
    assert grandmother.surfaces[0].count("Jeanne-Élise DURÜM") == 1


def test_dates_narrow_a_request_and_a_document_without_one_stays_in(tmp_path: Path) -> None:
    dated = [{"text": f"{TALES[0]} {year}", "created": year} for year in ("1998", "2004-03", "2011-05-06")]
    workshop = Workshop(tmp_path).write([*dated, f"{TALES[0]} sans date"])
    workshop.run()

    def lines(**times: str) -> list[str]:
        excerpt = " ".join(TALES[0].split()[:8])
        found = workshop.examine(workshop.request(excerpts=[excerpt], **times)).found
        return [item.origin[-1] for item in found]

    assert lines() == ["1", "2", "3", "4"]
    assert lines(created_from="2004-03-15") == ["2", "3", "4"]
    assert lines(created_until="1998-06-01") == ["1", "4"]
    assert lines(created_from="1999-01-01", created_until="2010-01-01") == ["2", "4"]


# Whom it is about


def test_a_name_alone_needs_a_person_to_confirm(workshop: Workshop) -> None:
    path = workshop.request(persons=["Anaïs Durüm"])
    examination = workshop.examine(path)
    assert len(examination.unconfirmed) == 2
    with pytest.raises(UsageError, match="may be about somebody else"):
        carry_out(examination, workshop.store, date=DATE)
    assert not (workshop.store.root / "erasures").exists()


def test_only_what_was_confirmed_is_erased(workshop: Workshop) -> None:
    right, homonym = workshop.examine(workshop.request(persons=["Anaïs Durüm"])).found
    examination = workshop.examine(workshop.request(persons=["Anaïs Durüm"], confirm=[right.id[7:19]]))
    folder = carry_out(examination, workshop.store, date=DATE)
    assert erased_rows(workshop) == {"letters.jsonl#L1": "2026-1: the same document, 1.00"}
    left = json.loads((folder / "decision.json").read_bytes())["left"]
    assert left == [{"id": homonym.id, "why": "not confirmed to be about this person"}]


def test_what_is_spared_stays(workshop: Workshop) -> None:
    right, homonym = workshop.examine(workshop.request(persons=["Anaïs Durüm"])).found
    workshop.erase(decision="partly", persons=["Anaïs Durüm"], spare=[homonym.id])
    assert list(erased_rows(workshop)) == [right.origin]


def test_an_id_that_names_nothing_or_several_is_refused(workshop: Workshop) -> None:
    with pytest.raises(UsageError, match=r"select\.confirm: none of the documents found begins"):
        workshop.examine(workshop.request(persons=["Anaïs Durüm"], confirm=["0" * 12]))
    with pytest.raises(UsageError, match=r"select\.spare: none"):
        workshop.examine(workshop.request(persons=["Anaïs Durüm"], spare=["0" * 12]), confirm_all=True)


# What is written


def test_nothing_that_is_written_holds_a_name_or_five_words_of_the_text(workshop: Workshop) -> None:
    folder = workshop.erase(persons=["Anaïs Durüm"], excerpts=["Kermarrec et deux cents autres"])
    words = [*folded_words(LETTER), *folded_words(OTHER)]
    runs = [words[start : start + 5] for start in range(len(words) - 4)]
    for path in folder.iterdir():
        written = path.read_text(encoding="utf-8")
        line = " ".join(folded_words(written))
        assert not any(" ".join(run) in line for run in runs), path
        assert not any(name in line for name in ("durum", "kermarrec", "anais", "zoe quelqu")), path
        assert "example.org" not in written


def test_the_published_list_holds_no_id(workshop: Workshop) -> None:
    folder = workshop.erase(persons=["Anaïs Durüm"])
    ids = [item["id"] for item in json.loads((folder / "decision.json").read_bytes())["documents"]]
    assert len(ids) == 2
    written = (folder / "tombstones.json").read_text() + (folder / "output-filter.json").read_text()
    assert not any(name.removeprefix("sha256:") in written for name in ids)


def test_the_record_is_dated_and_says_what_was_asked_found_and_decided(workshop: Workshop) -> None:
    path = workshop.request(persons=["Anaïs Durüm"])
    folder = carry_out(workshop.examine(path, confirm_all=True), workshop.store, date=DATE)
    record = json.loads((folder / "decision.json").read_bytes())
    assert (record["received"], record["decided"], record["days"]) == ("2026-09-01", DATE, 19)
    assert (record["ground"], record["decision"]) == ("gdpr-17", "granted")
    assert record["request_sha256"] == read_request(path).sha256
    assert (record["asked"]["persons"], record["asked"]["ids"]) == (1, [])
    assert [item["by"] for item in record["documents"]] == [["name"], ["name"]]
    assert {row["made"] for row in record["touched"]["documents"]} == {
        "mine: letters",
        "mine: clean",
        "mine: distinct",
    }
    page = (folder / "decision.md").read_text()
    assert page.startswith("# Erasure 2026-1: granted\n\nReceived 2026-09-01, decided 2026-09-20")


def test_a_refusal_is_recorded_and_bars_nothing(workshop: Workshop) -> None:
    folder = workshop.erase(decision="refused", persons=["Anaïs Durüm"])
    assert sorted(path.name for path in folder.iterdir()) == ["decision.json", "decision.md"]
    assert workshop.run().made == []


def test_a_record_is_never_written_over(workshop: Workshop) -> None:
    workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    with pytest.raises(UsageError, match="already recorded"):
        workshop.erase(excerpts=["gagné hier la course des phares"])


def test_a_dry_run_shows_the_very_list_that_is_then_written(workshop: Workshop) -> None:
    examination = workshop.examine(workshop.request(excerpts=["la maison bleue que ma grand-mère"]))
    folder = workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    assert (folder / "tombstones.json").read_bytes() == erasure_record.as_bytes(examination.tombstones)


def test_each_erasure_has_a_salt_of_its_own_unless_it_is_given_one(workshop: Workshop, tmp_path: Path) -> None:
    paths = [workshop.request(f"2026-{n}", excerpts=["la maison bleue que ma grand-mère"]) for n in (1, 2)]
    lists = [workshop.examine(path) for path in paths]
    salts = {one.tombstones.salt for one in lists} | {one.passages.salt for one in lists}
    assert len(salts) == 4
    sketches = [set(one.tombstones.documents[0].sketch) for one in lists]
    assert len(sketches[0] & sketches[1]) <= 1
    (tmp_path / "salt").write_text("ab" * 32 + "\n")
    salt = read_salt(tmp_path / "salt")
    assert {workshop.examine(path, salt=salt).tombstones.salt for path in paths} == {"ab" * 32}


def test_a_write_that_fails_leaves_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(erasure_record, "sync_tree", full)
    with pytest.raises(StoreError, match="cannot be written: No space left"):
        workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    monkeypatch.undo()
    assert workshop.run().made == []
    workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    erasures = workshop.store.root / "erasures"
    assert sorted(path.name for path in erasures.iterdir()) == [".lock", "2026-1"]


KILLED = """
import signal, sys, time
from pathlib import Path
from tests.trace.requests import Workshop
from fonderie.trace import erasure_record

def stop(folder):
    print("aside", flush=True)
    time.sleep(60)

erasure_record.sync_tree = stop
Workshop(Path(sys.argv[1])).erase(excerpts=["la maison bleue que ma grand-mère"])
"""


def test_killed_while_it_writes_it_leaves_nothing_half(workshop: Workshop) -> None:
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(workshop.folder)],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "aside\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    erasures = workshop.store.root / "erasures"
    assert [path.name for path in erasures.iterdir() if not path.name.startswith(".")] == []
    assert workshop.run().made == []
    workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    assert sorted(path.name for path in erasures.iterdir()) == [".lock", "2026-1"]


def test_the_filter_it_writes_blocks_the_letter_and_lets_tales_pass(workshop: Workshop) -> None:
    folder = workshop.erase(excerpts=["la maison bleue que ma grand-mère"])
    output_filter = OutputFilter.load(folder / "output-filter.json")
    assert output_filter.blocked(f"Je me souviens : {LETTER[60:190]}") == "2026-1"
    assert [output_filter.blocked(text) for text in TALES] == [None] * len(TALES)
