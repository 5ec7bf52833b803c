"""Turns, transcripts, plays, and the variants of spontaneous speech."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.corpus.builders import all_documents, document, documents, ledger, run_step, texts
from tests.corpus.reading import read_path

from fonderie.core.errors import InputError, RecipeError
from fonderie.core.recipe import load_recipe
from fonderie.core.steps import find_step
from fonderie.corpus.dialogue import DialogueParameters, dialogue, variants
from fonderie.corpus.turns import Turn, cut, parse_turns, render, tidy

TRANSCRIPT = """[speaker001:] Bonjour,   [PII].
[speaker002:]
[speaker001:] Ça va ? [LAUGHTER]
[speaker003:] [NOISE] Oui, et vous ?
suite

[Élodie Martin:] Madame Dupont, bonjour !
[M. Dupont:] Bonjour Élodie.
"""
PLAY = """<?xml version="1.0"?><TEI xmlns="http://www.tei-c.org/ns/1.0" xml:lang="fra"><teiHeader><fileDesc><titleStmt>
<title>La Pièce</title></titleStmt><publicationStmt><availability><licence target="https://creativecommons.org/publicdomain/zero/1.0/"/>
</availability></publicationStmt></fileDesc></teiHeader><text><body>
<div type="scene"><head>Scène 1</head><stage>Il entre.</stage>
<sp who="#roi"><speaker>LE ROI, debout.</speaker><l>Un vers,</l><l>un <stage>(bas)</stage> autre.</l></sp>
<sp who="#valet"><speaker>LE VALET.</speaker><stage>Il sort.</stage></sp>
<sp who="#roi"><speaker>LE ROI.</speaker><p>Seul&#160;!</p></sp>
<sp who="#autre"><speaker>LE VALET.</speaker><p>Sire<note>n</note>.</p></sp></div>
<div type="scene"><sp><speaker>TOUS.</speaker><p>Vivat !</p></sp></div></body></text></TEI>"""


def test_transcripts_become_numbered_turns_with_french_marks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TRANSCRIPT)
    artifact, _ = read_path(tmp_path, "a.txt", format="claire", speech="spontaneous")
    first, second = all_documents(artifact)
    assert first.text == (
        "[Intervenant 1:] Bonjour, [Nom]. Ça va ? [rire]\n[Intervenant 2:] [bruit] Oui, et vous ? suite"
    )
    assert second.text == "[Intervenant 1:] Madame Dupont, bonjour !\n[Intervenant 2:] Bonjour Élodie."
    assert first.metadata == {"form": "dialogue", "turns": "2", "speakers": "2", "speech": "spontaneous"}
    assert (first.origin, second.origin) == ("a.txt#conversation-1", "a.txt#conversation-2")


def test_names_stay_when_the_recipe_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TRANSCRIPT)
    artifact, _ = read_path(tmp_path, "a.txt", format="claire", speakers="named")
    assert texts(artifact)[0].startswith("[Intervenant 1:] Bonjour")
    assert texts(artifact)[1] == "[Élodie Martin:] Madame Dupont, bonjour !\n[M. Dupont:] Bonjour Élodie."


def test_a_transcript_without_a_speaker_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("[A:] Oui.\n\nNon.\n")
    with pytest.raises(InputError, match=r"a\.txt, line 3: no speaker"):
        read_path(tmp_path, "a.txt", format="claire")


def test_a_play_is_its_speeches_without_directions(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(PLAY)
    artifact, _ = read_path(tmp_path, "a.xml", format="drama")
    (found,) = all_documents(artifact)
    assert found.text == (
        "[Intervenant 1:] Un vers, un autre. Seul !\n[Intervenant 2:] Sire.\n[Intervenant 3:] Vivat !"
    )
    assert (found.language, found.licence, found.metadata["title"]) == ("fr", "CC0-1.0", "La Pièce")
    named, _ = read_path(tmp_path, "a.xml", into="o2", format="drama", unit="part", speakers="named")
    assert texts(named) == ["[LE ROI:] Un vers, un autre. Seul !\n[LE VALET (2):] Sire.", "[TOUS:] Vivat !"]
    assert [found.origin for found in all_documents(named)] == ["a.xml#div-1", "a.xml#div-2"]


def test_a_novel_is_no_play(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(PLAY.replace("<sp>", "<ab>").replace("<sp ", "<ab ").replace("</sp>", "</ab>"))
    with pytest.raises(InputError, match="holds no <sp>"):
        read_path(tmp_path, "a.xml", format="drama")


turns = st.lists(
    st.builds(Turn, st.sampled_from("ABC"), st.text(alphabet="ab .,é\n[]", max_size=80)), min_size=1, max_size=20
)


@given(turns)
def test_tidy_turns_alternate_and_lose_no_word(given: list[Turn]) -> None:
    tidied = list(tidy(given))
    assert all(before.speaker != after.speaker for before, after in itertools.pairwise(tidied))
    assert all(turn.text for turn in tidied)
    assert " ".join(turn.text for turn in tidied).split() == " ".join(turn.text for turn in given).split()


@given(turns, st.integers(20, 200))
def test_chunks_end_with_turns_and_lose_no_word(given: list[Turn], longest: int) -> None:
    tidied = list(tidy(given))
    chunks = list(cut(tidied, longest))
    assert all(sum(len(turn.text) for turn in chunk) <= longest for chunk in chunks)
    joined = "".join(turn.text for chunk in chunks for turn in chunk)
    assert joined.replace(" ", "") == "".join(turn.text for turn in tidied).replace(" ", "")
    for chunk, following in itertools.pairwise(chunks):
        # A cut inside a turn happens only to a turn that is longer than a document may be.
        if chunk[-1].speaker == following[0].speaker:
            assert any(len(turn.text) > longest for turn in tidied)


def test_parts_are_cut_at_turns(tmp_path: Path) -> None:
    lines = [f"[s{i % 2}:] {'mot ' * 20}fin." for i in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    artifact, _ = read_path(tmp_path, "a.txt", format="claire", unit="part", part_characters=400)
    found = all_documents(artifact)
    assert len(found) == 10
    assert found[0].origin == "a.txt#conversation-1.1"
    assert all(text.startswith("[Intervenant 1:]") and text.endswith("fin.") for text in texts(artifact))


NAMED = "[Élodie Martin:] Bonjour, Monsieur Dupont ! [rire]\n[Jean Dupont:] Ah, Élodie… Ça va ?"


def spoken(text: str, speech: str = "spontaneous", **fields: object):
    return document(text, metadata={"form": "dialogue", "speech": speech}, **fields)


def all_variants(text: str, **given: object) -> dict[str, str]:
    params = DialogueParameters.model_validate(given)
    found = [decision.document for decision in variants(spoken(text), params)]
    return {item.metadata.get("variant", ""): item.text for item in found if item is not None}


def test_each_change_does_what_it_says() -> None:
    def only(change: str) -> str:
        return all_variants(NAMED, changes=[change])[change]

    assert only("anonymise") == (
        "[Intervenant 1:] Bonjour, Monsieur [Nom] ! [rire]\n[Intervenant 2:] Ah, [Nom]… Ça va ?"
    )
    assert only("dashes") == "- Bonjour, Monsieur Dupont ! [rire]\n- Ah, Élodie… Ça va ?"
    assert (
        only("no_punctuation") == "[Élodie Martin:] Bonjour Monsieur Dupont [rire]\n[Jean Dupont:] Ah Élodie Ça va"
    )
    assert only("lower_case") == (
        "[Élodie Martin:] bonjour, monsieur dupont ! [rire]\n[Jean Dupont:] ah, élodie… ça va ?"
    )


def test_spontaneous_speech_has_eight_variants_at_most_its_own_text_first() -> None:
    found = all_variants(NAMED)
    assert len(found) == 8
    assert next(iter(found.items())) == ("", NAMED)
    assert len(set(found.values())) == 8
    assert all_variants(NAMED) == found
    assert list(all_variants(NAMED, seed=1)) != list(found)
    assert len(all_variants(NAMED, most_variants=3)) == 3


def test_what_a_conversation_does_not_allow_is_not_done() -> None:
    three = "[Intervenant 1:] Oui.\n[Intervenant 2:] Non.\n[Intervenant 3:] Si."
    assert set(all_variants(three)) == {"", "no_punctuation", "lower_case", "no_punctuation+lower_case"}
    assert list(all_variants("[Intervenant 1:] oui")) == [""]


def test_the_step_varies_spontaneous_speech_alone_whatever_the_workers(tmp_path: Path) -> None:
    written = spoken("[A:] Oui.\n[B:] Non.", "written")
    prose = document("Du texte.")
    made = documents(tmp_path / "in", [[spoken(NAMED), written], [prose]])
    digests = set()
    for workers in (1, 2):
        artifact, out = run_step(
            dialogue, DialogueParameters(), tmp_path / f"o{workers}", {"documents": (made,)}, workers=workers
        )
        digests.add(artifact.digest)
    assert len(digests) == 1
    assert texts(artifact)[8:] == [written.text, prose.text]
    assert out.statistics["documents_read"] == 3
    assert out.statistics["sources"]["test"]["edited"] == {"variant of a dialogue": 7}
    rows = ledger(artifact)[:8]
    assert {row.id for row in rows} == {spoken(NAMED).id}
    assert len({row.id_after for row in rows}) == 8


def test_a_ninth_variant_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[a]\nstep = "corpus.dialogue"\nmost_variants = 9\ninputs = {documents = "b"}')
    with pytest.raises(RecipeError, match=r"\[a\] most_variants: .*8"):
        load_recipe(tmp_path / "r.toml", [], find_step)


@given(turns)
def test_what_is_rendered_is_read_back(given: list[Turn]) -> None:
    tidied = list(tidy(given))
    text = render(tidied, named=True)
    assert [turn.text for turn in parse_turns(text)] == [turn.text for turn in tidied]


@pytest.mark.parametrize(
    "line",
    [
        *["[speaker002: Oui.", "[speaker002 Oui.", "speaker002:] Oui.", "[A:] Si. [speaker002:] Oui.", "[A: Oui."],
        *["A:] Oui.", "Bien.\r[speaker002:] Oui."],
    ],
)
def test_a_torn_mark_gives_nobody_the_words_of_another(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.txt").write_text(f"[A:] Non.\n{line}\n", newline="")
    with pytest.raises(InputError, match=r"a\.txt, line 2: a speaker's mark is torn") as refused:
        read_path(tmp_path, "a.txt", format="claire")
    assert "[speaker001:]" in refused.value.hint


def test_marks_that_are_no_speakers_are_words(tmp_path: Path) -> None:
    said = "Un [rire pas fermé, [note: il sort] et [PII2], dit Intervenant 2 : oui]"
    (tmp_path / "a.txt").write_text(f"[A:] {said}\nIntervenant 2 a parlé.\n")
    artifact, _ = read_path(tmp_path, "a.txt", format="claire")
    assert texts(artifact) == [f"[Intervenant 1:] {said} Intervenant 2 a parlé."]


def test_a_transcript_without_a_turn_is_in_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n")
    (tmp_path / "b.txt").write_text("")
    artifact, _ = read_path(tmp_path, "*.txt", format="claire")
    assert [(entry.origin, entry.reason) for entry in ledger(artifact)] == [
        ("a.txt", "empty text"),
        ("b.txt", "empty text"),
    ]


def test_each_word_of_a_speech_is_said_once_by_who_says_it(tmp_path: Path) -> None:
    speech = (
        "<sp><speaker>A</speaker><p>Il chante : <lg><l>un vers,</l><l>un <choice><sic>autr</sic><corr>autre</corr>"
        "</choice>.</l></lg> <seg>Voilà.</seg></p><sp><speaker>B</speaker><p>Bravo.</p></sp></sp>"
    )
    (tmp_path / "a.xml").write_text(PLAY.replace("</div></body>", f"{speech}</div></body>"))
    artifact, _ = read_path(tmp_path, "a.xml", format="drama", speakers="named")
    assert texts(artifact)[0].endswith("[A:] Il chante : un vers, un autre. Voilà.\n[B:] Bravo.")
