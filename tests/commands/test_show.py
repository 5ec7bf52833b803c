"""fonderie show and why on a corpus, as a person and as a program call them."""

import json
from pathlib import Path

import pytest
from tests.trace.corpora import SmallCorpus, make, texts

from fonderie.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> SmallCorpus:
    return make(tmp_path_factory.mktemp("show"), texts())


@pytest.fixture
def say(corpus: SmallCorpus, capsys: pytest.CaptureFixture[str]):
    def said(*arguments: object, status: int = 0) -> str:
        capsys.readouterr()
        command, what, *rest = map(str, arguments)
        assert main([command, what, "--store", str(corpus.store.root), *rest]) == status
        captured = capsys.readouterr()
        return " ".join((captured.err if status else captured.out).split())

    return said


def test_what_a_step_dropped(say) -> None:
    said = say("show", "small", "--step", "clean", "--dropped", 4)
    assert "clean dropped 36 documents" in said
    assert "30 words >= 5" in said
    assert "words >= 5: words = 3" in said
    assert said.count("letters: 0.jsonl#") == 4


def test_without_a_step_every_call_that_dropped_any_is_shown(say) -> None:
    told = json.loads(say("show", "small", "--dropped", 2, "--json"))
    assert [example["call"] for example in told["dropped"]] == ["clean", "clean", "unique", "unique"]


def test_edits_are_marked_without_colours_too(say) -> None:
    said = say("show", "small", "--edited", 1)
    assert "@exemple.fr-]{+[EMAIL]+}" in said
    told = json.loads(say("show", "small", "--edited", 8, "--json"))
    assert {piece["text"] for one in told["edited"] for piece in one["changes"] if piece["kind"] == "added"} == {
        "[EMAIL]",
        "[PHONE]",
    }


def test_clusters_and_why_name_the_document_that_stays(say) -> None:
    said = say("show", "small", "--clusters", 3)
    assert "one stays, 3 went in its favour" in said
    (cluster,) = json.loads(say("show", "small", "--clusters", 3, "--json"))["clusters"]
    near = next(member for member in cluster["members"] if member["reason"] == "near duplicate")
    assert f"kept instead: {cluster['keeper']['id']}" in say("why", near["id"])


def test_a_document_commands_no_terminal(say) -> None:
    for said in (say("why", "<script>"), say("show", "small", "--dropped", 100)):
        assert "\x1b" not in said
    assert "\N{REPLACEMENT CHARACTER}[31mrouge" in say("why", "<script>")


def test_the_report_is_one_file(say, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert f"Wrote {path}" in say("show", "small", "--html", path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "m.martin3@" not in path.read_text(encoding="utf-8")
    say("show", "small", "--html", path, "--with-personal-data")
    assert "m.martin3@" in path.read_text(encoding="utf-8")
    told = json.loads(say("show", "small", "--html", path, "--dropped", 1, "--json"))
    assert (told["report"], len(told["dropped"])) == (str(path), 2)
    assert json.loads(say("show", "small", "--html", path, "--json")) == {"report": str(path)}
    assert "cannot be written" in say("show", "small", "--html", tmp_path / "no" / "x.html", status=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--step", "nowhere", "--dropped", 1), "'nowhere' is not a call of this run"),
        (("--step", "clean", "--clusters", 1), "only corpus.dedup makes clusters"),
        (("--step", "clean"), "give --dropped N, --edited N or --clusters N"),
        (("--reason", "words >= 5"), "give --dropped N or --edited N"),
        (("--dropped", 1, "--reason", "words >= 6"), "Reasons: repeated_lines <= 0.5; words >= 5;"),
        (("--dropped", 1, "--source", "web"), "Sources: letters."),
        (("--with-personal-data",), "is for the report"),
    ],
)
def test_what_is_no_request_says_what_would_be(say, arguments: tuple[object, ...], said: str) -> None:
    assert said in say("show", "small", *arguments, status=2)


def test_a_call_that_dropped_nothing(say) -> None:
    assert "No document was dropped." in say("show", "small", "--step", "private", "--dropped", 3)


def test_why_looks_for_numbers_in_texts_where_no_id_begins_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make(tmp_path, ["La société 55210055 existe depuis longtemps.", "Une autre n'a pas de numéro."]).store
    assert main(["why", "55210055", "--store", str(store.root), "--json"]) == 0
    (trail,) = json.loads(capsys.readouterr().out)
    assert "55210055" in trail["excerpt"]
    assert main(["why", "sha256:55210055", "--store", str(store.root)]) == 1
    assert "No document matches" in capsys.readouterr().out


def test_why_finds_by_its_origin_what_has_no_text_and_says_that_there_are_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make(tmp_path, ["", "Une phrase de cinq mots."]).store
    assert main(["why", "0.jsonl#l1", "--store", str(store.root)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "letters: 0.jsonl#L1 its text is in no artifact" in said
    assert "dropped empty text" in said


def test_why_says_that_more_documents_match_and_asks_for_words(
    corpus: SmallCorpus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", "trop court", "--store", str(corpus.store.root), "--json"]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == 5
    assert "first 5 documents; more match" in captured.err
    assert main(["why", " ", "--store", str(corpus.store.root)]) == 2
    assert "Give an id" in capsys.readouterr().err
