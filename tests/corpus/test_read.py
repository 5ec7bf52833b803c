import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.corpus.builders import all_documents, ledger, run_step, texts

from fonderie.core.errors import InputError, LicenceError
from fonderie.core.step import Policy
from fonderie.corpus.read import ReadParameters, read
from fonderie.corpus.readers.prose import _title

HEADER = """<?xml version="1.0" encoding="UTF-8"?>
<TEI xmlns="http://www.tei-c.org/ns/1.0" xml:id="T1" xml:lang="fr"><teiHeader><fileDesc>
<titleStmt><title>Le Titre</title><author><persName><surname>Dupont</surname><forename>Anne</forename></persName></author>
</titleStmt><publicationStmt><availability><licence target="{licence}"/></availability></publicationStmt>
<sourceDesc><bibl type="firstEdition"><date>1876</date></bibl></sourceDesc></fileDesc></teiHeader>
<text>{text}</text></TEI>"""
BY = "https://creativecommons.org/licenses/by/4.0/"
BY_NC_SA = "https://creativecommons.org/licenses/by-nc-sa/4.0/"
NOVEL = """<front><div type="titlepage"><p>Chez l'éditeur</p></div></front><body>
<div type="part"><head>Première partie</head>
<div type="chapter"><head>I</head><p>Il  était
 une fois<note>note de l'éditeur</note> un<lb/>loup.</p><p>Fin.</p></div>
<div type="chapter"><head>II</head><p>Encore.</p></div></div></body>"""
PLAY = """<body><div type="scene"><head>Scène 1</head><stage>Il entre.</stage>
<sp><speaker>LE ROI.</speaker><l>Un vers,</l><l>un autre.</l></sp>
<lg><l>Ô temps</l><l>suspends</l></lg><l>Seul,</l><l>encore.</l><p>Fin.</p></div></body>"""


def params(**given: object) -> ReadParameters:
    return ReadParameters.model_validate({"source": "here", "path": "given", **given})


def read_path(tmp_path: Path, pattern: str, **given: object):
    return run_step(read, params(**given), tmp_path / "out", sources={"path": str(tmp_path / pattern)})


def tei(tmp_path: Path, name: str, text: str = NOVEL, licence: str = BY) -> Path:
    path = tmp_path / name
    path.write_text(HEADER.format(text=text, licence=licence), encoding="utf-8")
    return path


def test_tei_work_keeps_the_text_and_nothing_of_the_apparatus(tmp_path: Path) -> None:
    tei(tmp_path, "a.xml")
    artifact, out = read_path(tmp_path, "*.xml", format="tei")
    (found,) = all_documents(artifact)
    assert found.text == "Première partie\n\nI\n\nIl était une fois un loup.\n\nFin.\n\nII\n\nEncore."
    assert (found.licence, found.author, found.created, found.language) == (
        "CC-BY-4.0",
        "Anne Dupont",
        "1876",
        "fr",
    )
    assert (found.origin, found.metadata["title"]) == ("a.xml", "Le Titre")
    assert out.statistics["licences"] == {"here": {"CC-BY-4.0": 1}}


def test_tei_parts_hold_every_paragraph_exactly_once(tmp_path: Path) -> None:
    tei(tmp_path, "a.xml")
    artifact, _ = read_path(tmp_path, "*.xml", format="tei", unit="part")
    assert texts(artifact) == ["Première partie", "I\n\nIl était une fois un loup.\n\nFin.", "II\n\nEncore."]
    assert [found.origin for found in all_documents(artifact)] == ["a.xml#div-1", "a.xml#div-2", "a.xml#div-3"]
    assert all_documents(artifact)[1].metadata["section"] == "I"


def test_tei_drama_names_speakers_and_keeps_verse_lines(tmp_path: Path) -> None:
    tei(tmp_path, "a.xml", PLAY)
    artifact, _ = read_path(tmp_path, "*.xml", format="tei")
    assert texts(artifact) == [
        "Scène 1\n\nIl entre.\n\nLE ROI : Un vers,\nun autre.\n\nÔ temps\nsuspends\n\nSeul,\nencore.\n\nFin."
    ]


def test_tei_that_is_not_xml_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text("<TEI><teiHeader>\n<oops</TEI>")
    with pytest.raises(InputError, match=r"bad\.xml is not well-formed XML.*line 2"):
        read_path(tmp_path, "*.xml", format="tei")


def with_doctype(tmp_path: Path, declarations: str, text: str) -> None:
    whole = HEADER.format(licence=BY, text=f"<body><p>{text}</p></body>")
    (tmp_path / "a.xml").write_text(whole.replace("<TEI", f"<!DOCTYPE TEI [{declarations}]><TEI", 1))


def test_tei_external_entity_is_refused_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    with_doctype(tmp_path, f'<!ENTITY f SYSTEM "{tmp_path}/secret">', "avant &f; après")
    with pytest.raises(InputError, match=r"a\.xml is not well-formed"):
        read_path(tmp_path, "*.xml", format="tei")


def test_tei_internal_entity_is_text_like_any_other(tmp_path: Path) -> None:
    with_doctype(tmp_path, '<!ENTITY hellip "…">', "Puis&hellip; rien.")
    artifact, _ = read_path(tmp_path, "*.xml", format="tei")
    assert texts(artifact) == ["Puis… rien."]


def test_tei_entity_bomb_is_refused(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "boom"}">' for i in range(12))
    with_doctype(tmp_path, bomb, "&e11;")
    with pytest.raises(InputError, match="amplification"):
        read_path(tmp_path, "*.xml", format="tei")


def test_restricted_tei_is_refused_before_reading_naming_licence_and_file(tmp_path: Path) -> None:
    tei(tmp_path, "free.xml")
    tei(tmp_path, "play.xml", licence=BY_NC_SA)
    with pytest.raises(LicenceError, match=r"play\.xml is under CC-BY-NC-SA-4\.0, which is restricted") as refused:
        read_path(tmp_path, "*.xml", format="tei")
    assert "policy.also_allow" in refused.value.hint
    assert not (tmp_path / "out/files/documents").exists()


def test_policy_relaxed_by_name_lets_that_licence_through(tmp_path: Path) -> None:
    tei(tmp_path, "play.xml", licence=BY_NC_SA)
    policy = Policy(also_allow=("CC-BY-NC-SA-4.0",))
    artifact, _ = read_path(tmp_path, "*.xml", format="tei", policy=policy)
    assert all_documents(artifact)[0].licence == "CC-BY-NC-SA-4.0"


def test_nothing_is_relabelled(tmp_path: Path) -> None:
    tei(tmp_path, "play.xml", licence=BY_NC_SA)
    with pytest.raises(
        LicenceError, match=r"play\.xml states the licence CC-BY-NC-SA-4\.0, but the recipe declares CC-BY"
    ):
        read_path(tmp_path, "*.xml", format="tei", licence="CC-BY-4.0")


def test_unknown_licence_is_not_a_pass(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Bonjour.")
    with pytest.raises(LicenceError, match=r"a\.txt is under unknown"):
        read_path(tmp_path, "*.txt", format="text")


def test_markdown_parts_carry_front_matter_and_their_headings(tmp_path: Path) -> None:
    (tmp_path / "code.md").write_text(
        '---\ntitle: "Code"\npublication_date: "1992-07-03"\nlicence: etalab-2.0\n---\n'
        "# Code\n\n## Livre I\n\n### Article 1\n\nNul n'est censé.\n\n```\n# pas un titre\n```\n\n## Livre II\n\nTexte.\n"
    )
    artifact, _ = read_path(tmp_path, "*.md", format="markdown", unit="part", language="fr")
    first, second = all_documents(artifact)
    assert first.text == "Article 1\n\nNul n'est censé.\n\n```\n# pas un titre\n```"
    assert (first.metadata["section"], first.metadata["title"]) == ("Code > Livre I", "Code")
    assert (first.licence, first.created, first.language) == ("etalab-2.0", "1992-07-03", "fr")
    assert second.text == "Livre II\n\nTexte."


@given(st.text("# \tab", min_size=1, max_size=12))
def test_markdown_titles_are_those_of_the_expression(heading: str) -> None:
    expected = re.fullmatch(r"(.+?)[ \t]*#*", heading)
    assert expected is not None
    assert _title(heading) == expected[1]


def test_markdown_headings_of_very_many_signs_are_read_in_time(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"# {'#' * 300_000}x\n\nUn.\n\n# a{' ' * 300_000}b\n\nDeux.\n")
    artifact, _ = read_path(tmp_path, "a.md", format="markdown", unit="part", licence="CC0-1.0")
    assert [text[-5:].strip() for text in texts(artifact)] == ["Un.", "Deux."]


def test_markdown_front_matter_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\ntitle: [\n---\nx")
    with pytest.raises(InputError, match=r"a\.md: the front matter is not YAML"):
        read_path(tmp_path, "*.md", format="markdown", licence="CC0-1.0")


ROWS = [
    {"text": "Un.", "licence": "CC-BY-4.0", "author": "A", "n": 3},
    {"text": "Deux.", "license": "https://creativecommons.org/licenses/by/4.0/", "metadata": {"a": "b"}},
    {"text": "  ", "licence": "CC0-1.0"},
]


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_json_lines_plain_and_compressed(tmp_path: Path, ending: str) -> None:
    data = "\n".join(json.dumps(row) for row in ROWS).encode()
    packed = {"jsonl": data, "jsonl.gz": gzip.compress(data), "jsonl.zst": zstandard.compress(data)}[ending]
    (tmp_path / f"a.{ending}").write_bytes(packed)
    artifact, out = read_path(tmp_path, "a.*", format="jsonl")
    assert texts(artifact) == ["Un.", "Deux."]
    first, second = all_documents(artifact)
    assert (first.origin, first.author, first.metadata) == (f"a.{ending}#L1", "A", {"n": "3"})
    assert (second.licence, second.metadata) == ("CC-BY-4.0", {"a": "b"})
    assert [(entry.fate, entry.reason) for entry in ledger(artifact)][2] == ("dropped", "empty text")
    assert out.statistics["sources"]["here"]["dropped"] == {"empty text": 1}


def test_zst_of_several_frames_is_read_to_its_end(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"n° {i}"}).encode() + b"\n" for i in range(3)]
    (tmp_path / "a.jsonl.zst").write_bytes(b"".join(zstandard.compress(line) for line in lines))
    artifact, _ = read_path(tmp_path, "a.*", format="jsonl", licence="CC0-1.0")
    assert len(texts(artifact)) == 3


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_truncated_compression_names_the_file_and_the_offset(tmp_path: Path, ending: str) -> None:
    data = b"".join(json.dumps({"text": f"{i:09d}" * 30}).encode() + b"\n" for i in range(30_000))
    packed = gzip.compress(data) if ending == "gz" else zstandard.compress(data)
    (tmp_path / f"cut.jsonl.{ending}").write_bytes(packed[: len(packed) * 2 // 3])
    with pytest.raises(
        InputError, match=rf"cut\.jsonl\.{ending} is truncated or corrupt after [\d,]+ decompressed bytes"
    ):
        read_path(tmp_path, "cut.*", format="jsonl", licence="CC0-1.0")


def test_corrupt_compression_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(b"not zstandard at all")
    with pytest.raises(InputError, match=r"a\.jsonl\.zst is truncated or corrupt after 0"):
        read_path(tmp_path, "a.*", format="jsonl", licence="CC0-1.0")


def test_invalid_utf8_names_the_file_and_the_offset(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc\xe9def")
    with pytest.raises(InputError, match=r"a\.txt is not UTF-8: byte 0xe9 at offset 3"):
        read_path(tmp_path, "a.txt", format="text", licence="CC0-1.0")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "ok"}\n{"text": "\xff"}\n')
    with pytest.raises(InputError, match=r"b\.jsonl is not UTF-8: byte 0xff at offset 25"):
        run_step(
            read,
            params(format="jsonl", licence="CC0-1.0"),
            tmp_path / "o2",
            sources={"path": str(tmp_path / "b.jsonl")},
        )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"line 2: not JSON \(the line begins at offset 15\)"),
        ('{"text": "a"} {"text": "b"}', r"line 2: not JSON .*: Extra data: line 1 column 14"),
        ("[" * 100_000, r"line 2: not JSON .*recursion"),
        ("[1]", "line 2: not a JSON object"),
        ('{"txt": 1}', "line 2: the field 'text' is not there"),
    ],
)
def test_bad_json_line_names_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "ok"}\n' + line)
    with pytest.raises(InputError, match=message):
        read_path(tmp_path, "a.jsonl", format="jsonl", licence="CC0-1.0")


def test_parquet_rows_and_a_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["Un.", "Deux."], "license": ["CC0-1.0", "CC-BY-4.0"]}), path)
    artifact, _ = read_path(tmp_path, "a.parquet", format="parquet", text_field="body")
    assert [(found.text, found.licence) for found in all_documents(artifact)] == [
        ("Un.", "CC0-1.0"),
        ("Deux.", "CC-BY-4.0"),
    ]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"a\.parquet is not a whole Parquet file"):
        run_step(read, params(format="parquet", text_field="body"), tmp_path / "o2", sources={"path": str(path)})


def test_restricted_row_stops_or_is_dropped_as_the_recipe_says(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "libre", "licence": "CC0-1.0"}\n{"text": "non", "licence": "CC-BY-NC-4.0"}\n'
    )
    with pytest.raises(LicenceError, match=r"a\.jsonl#L2.*CC-BY-NC-4\.0"):
        read_path(tmp_path, "a.jsonl", format="jsonl")
    artifact, _ = run_step(
        read,
        params(format="jsonl", restricted_rows="drop"),
        tmp_path / "o2",
        sources={"path": str(tmp_path / "a.jsonl")},
    )
    assert texts(artifact) == ["libre"]
    assert ledger(artifact)[1].reason == "licence refused by the policy"


def test_bytes_do_not_depend_on_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fonderie.corpus.read.GROUP_BYTES", 1)
    for number in range(7):
        tei(tmp_path, f"{number}.xml", NOVEL.replace("Encore", f"Encore {number}"))
    digests = {
        run_step(
            read,
            params(format="tei"),
            tmp_path / f"o{workers}",
            sources={"path": f"{tmp_path}/*.xml"},
            workers=workers,
        )[0].digest
        for workers in (1, 2, 4)
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<div>Devant <hi>et</hi> autour<p>un.</p>derrière</div>", "Devant et autour\n\nun.\n\nderrière"),
        ("<div><quote>Cité.</quote><epigraph>En tête.</epigraph><p>Un.</p></div>", "Cité.\n\nEn tête.\n\nUn."),
        (
            "<table><row><cell>a</cell><cell>b</cell></row></table><list><label>L</label><item>i</item></list>",
            "a\tb\n\nL\n\ni",
        ),
        (
            "<p>Il dit <quote><lg><l>un vers</l><l>l'autre</l></lg></quote> et sort.</p>",
            "Il dit\nun vers\nl'autre\net sort.",
        ),
        ("<lg><head>Titre</head><lg><l>un</l></lg><lg><l>deux</l></lg></lg>", "Titre\nun\ndeux"),
        ("<l>un</l><pb/><l>deux</l><note>n</note><p>Fin.</p>", "un\ndeux\n\nFin."),
        ("<p>Un <choice><abbr>M.</abbr><expan>Monsieur</expan></choice> <sic>tel</sic>.</p>", "Un Monsieur tel."),
        ("<p>Le <app><lem>mot</lem><rdg>mort</rdg></app> <del>rayé</del> juste.</p>", "Le mot juste."),
        (
            "<sp><speaker>A.</speaker><p>Un <lg><l>vers</l></lg></p><sp><speaker>B</speaker>oui</sp></sp>",
            "A : Un\nvers\nB : oui",
        ),
    ],
)
def test_tei_keeps_every_word_once_wherever_it_stands(tmp_path: Path, body: str, text: str) -> None:
    tei(tmp_path, "a.xml", f"<front><docTitle><titlePart>X</titlePart></docTitle></front><body>{body}</body>")
    assert texts(read_path(tmp_path, "a.xml", format="tei")[0]) == [text]
    parts, _ = run_step(
        read, params(format="tei", unit="part"), tmp_path / "o2", sources={"path": str(tmp_path / "a.xml")}
    )
    assert "\n\n".join(texts(parts)) == text


def parquet(tmp_path: Path, columns: dict[str, object]):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    return read_path(tmp_path, "a.parquet", format="parquet", licence="CC0-1.0")


def not_text() -> pa.Array:
    places, data = (pa.py_buffer(held) for held in (b"\0\0\0\0\2\0\0\0", b"\xff\xfe"))
    return pa.Array.from_buffers(pa.string(), 1, [None, places, data])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": not_text()}, r"a\.parquet, after row 0: .*UnicodeDecodeError"),
        ({"text": ["a"], "d": pa.array([10**9], pa.date32())}, r"a\.parquet, after row 0: .*OverflowError"),
        (
            {"text": ["a"], "m": pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64()))},
            r"a\.parquet, after row 0: .*duplicate key",
        ),
        ({"text": pa.array([b"abc"], pa.binary())}, r"a\.parquet, row 1: the field 'text' holds bytes, not text"),
        ({"body": ["a"]}, r"a\.parquet, row 1: the field 'text' is not there"),
    ],
)
def test_what_parquet_holds_and_python_cannot_is_named(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parquet(tmp_path, columns)


def test_nanoseconds_are_read_the_same_with_and_without_pandas(tmp_path: Path) -> None:
    columns = {"text": ["a"], "t": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC"))}
    columns["d"] = pa.array([5], pa.duration("ns"))
    artifact, _ = parquet(tmp_path, columns)
    assert all_documents(artifact)[0].metadata == {"d": "5", "t": "2023-11-14 22:13:20.123456789Z"}


def test_a_null_text_is_in_the_ledger_and_stops_nothing(tmp_path: Path) -> None:
    artifact, _ = parquet(tmp_path, {"text": [None, "a"]})
    assert [(entry.fate, entry.reason) for entry in ledger(artifact)] == [
        ("dropped", "text is null"),
        ("kept", None),
    ]
    (tmp_path / "b.jsonl").write_text('{"text": null, "id": 1}\n{"text": "b"}\n')
    lines, _ = run_step(
        read,
        params(format="jsonl", licence="CC0-1.0"),
        tmp_path / "o2",
        sources={"path": str(tmp_path / "b.jsonl")},
    )
    assert texts(lines) == ["b"]


def test_languages_of_rows_and_front_matter_are_in_two_letters(tmp_path: Path) -> None:
    rows = [{"text": f"n° {code}", "language": code} for code in ("fr-FR", "fra", "DEU", "br", "sco")]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    artifact, _ = read_path(tmp_path, "a.jsonl", format="jsonl", licence="CC0-1.0")
    assert [found.language for found in all_documents(artifact)] == ["fr", "fr", "de", "br", "sco"]
    (tmp_path / "a.md").write_text("---\nlanguage: ITA\n---\nCiao.")
    prose, _ = run_step(
        read,
        params(format="markdown", licence="CC0-1.0"),
        tmp_path / "o2",
        sources={"path": str(tmp_path / "a.md")},
    )
    assert all_documents(prose)[0].language == "it"
