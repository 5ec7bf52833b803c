"""On real texts, where they are at hand: see the fixture `real_corpora`."""

import itertools
from pathlib import Path

import pytest
from tests.corpus.builders import all_documents, run_step

from fonderie.core.errors import LicenceError
from fonderie.core.step import Policy
from fonderie.corpus.measures import language
from fonderie.corpus.read import ReadParameters, read


def read_real(pattern: Path, out: Path, **given: object):
    params = ReadParameters.model_validate({"source": "real", "path": "given", **given})
    return run_step(read, params, out, sources={"path": str(pattern)})


def test_novels_come_whole_with_their_authors(real_corpora: Path, tmp_path: Path) -> None:
    artifact, out = read_real(
        real_corpora / "romans/FRA0010*.xml", tmp_path / "works", format="tei", licence="CC-BY-4.0"
    )
    works = all_documents(artifact)
    assert all("Adam" in (work.author or "") for work in works)
    assert all(len(work.text) > 100_000 and language(work.text) == "fr" for work in works)
    assert out.statistics["licences"] == {"real": {"CC-BY-4.0": 2}}
    chapters, _ = read_real(real_corpora / "romans/FRA0010*.xml", tmp_path / "parts", format="tei", unit="part")
    letters = [sum(map(str.isalpha, work.text)) for work in works]
    by_file = [
        sum(
            sum(map(str.isalpha, part.text))
            for part in all_documents(chapters)
            if part.origin.startswith(work.origin)
        )
        for work in works
    ]
    assert by_file == letters


def test_laws_are_cut_into_articles(real_corpora: Path, tmp_path: Path) -> None:
    artifact, _ = read_real(
        real_corpora / "lois/LEGITEXT000006071195.md",
        tmp_path / "out",
        format="markdown",
        unit="part",
        licence="etalab-2.0",
    )
    articles = all_documents(artifact)
    assert articles[0].text.startswith("Article 2\n\nNul ne peut être arrêté")
    assert articles[0].metadata["title"] == "Constitution du 4 novembre 1848"
    assert articles[0].created == "1848-11-04"


def test_plays_are_refused_by_name_and_admitted_by_name(real_corpora: Path, tmp_path: Path) -> None:
    with pytest.raises(LicenceError, match=r"theatre-nc/[\w-]+\.xml is under CC-BY-NC-SA-4\.0"):
        read_real(real_corpora / "theatre-nc/*.xml", tmp_path / "refused", format="tei")
    policy = Policy(also_allow=("CC-BY-NC-SA-4.0",))
    artifact, _ = read_real(real_corpora / "theatre-nc/*.xml", tmp_path / "out", format="tei", policy=policy)
    assert {play.licence for play in all_documents(artifact)} == {"CC-BY-NC-SA-4.0"}
    assert any(" : " in play.text for play in all_documents(artifact))


def test_plays_become_turns_of_speakers_cut_at_turns(real_corpora: Path, tmp_path: Path) -> None:
    policy = Policy(also_allow=("CC-BY-NC-SA-4.0",))
    given = {"format": "drama", "policy": policy, "speech": "written"}
    whole, _ = read_real(real_corpora / "theatre-nc/*.xml", tmp_path / "whole", **given)
    plays = all_documents(whole)
    assert len(plays) == 12
    for play in plays:
        lines = play.text.split("\n")
        assert all(line.startswith("[Intervenant ") for line in lines)
        speakers = [line.partition(":]")[0] for line in lines]
        assert all(before != after for before, after in itertools.pairwise(speakers))
        assert int(play.metadata["speakers"]) == len(set(speakers))
    # Courteline's cab driver: two speakers, who answer each other; directions are not said.
    cab = next(play.text for play in plays if "Cochon de cocher, qui me dit" in play.text)
    assert "\n[Intervenant 2:] Vous êtes libre ?\n[Intervenant 1:] Allez donc au bain ! Imbécile !\n" in cab
    assert "consultant le cadran" not in cab
    assert "Il s'éloigne" not in cab
    parts, _ = read_real(
        real_corpora / "theatre-nc/*.xml", tmp_path / "parts", unit="part", part_characters=2_000, **given
    )
    assert all(len(part.text) < 4_000 for part in all_documents(parts))
    words = [
        sum(text.count(mark) for text in group)
        for mark in "?!;"
        for group in ([play.text for play in plays], [part.text for part in all_documents(parts)])
    ]
    assert words[0::2] == words[1::2]
