"""PDF files and pages read by machine."""

import io
import random
import re
from contextlib import suppress
from pathlib import Path

import pypdf
import pytest
from tests.corpus.builders import all_documents, ledger, texts
from tests.corpus.pdfs import pdf
from tests.corpus.reading import read_path

from fonderie.core.errors import InputError
from fonderie.corpus.readers.pdf import read_pdf


def test_pdf_text_with_its_pages_counted(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Déjà vu,\ndit-il.", None, "Fin."))
    artifact, out = read_path(tmp_path, "a.pdf", format="pdf")
    (found,) = all_documents(artifact)
    assert found.text == "Déjà vu,\ndit-il.\n\nFin."
    assert (found.author, found.metadata) == (
        "Anne Dupont",
        {"title": "Le titre", "pages": "3", "pages_without_text": "1"},
    )
    assert out.statistics["counted"] == {"PDF pages": 3, "PDF pages without text": 1}


def test_pdf_pages_as_documents(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Un.", None, "Trois."))
    artifact, _ = read_path(tmp_path, "a.pdf", format="pdf", unit="part")
    assert [(found.origin, found.text) for found in all_documents(artifact)] == [
        ("a.pdf#page-1", "Un."),
        ("a.pdf#page-3", "Trois."),
    ]
    assert ledger(artifact)[1].reason == "PDF page has no text (scanned?)"


def test_scanned_and_encrypted_pdf_files_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(pdf(None, None))
    for name, password in (("closed.pdf", "secret"), ("open.pdf", "")):
        writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Lisible.")))
        writer.encrypt(password, owner_password="owner", algorithm="AES-128")
        writer.write(tmp_path / name)
    artifact, out = read_path(tmp_path, "*.pdf", format="pdf")
    assert texts(artifact) == ["Lisible."]
    assert out.statistics["sources"]["here"]["dropped"] == {"PDF has no text (scanned?)": 1, "PDF is encrypted": 1}
    assert out.statistics["counted"]["PDF files encrypted"] == 1


def test_a_cut_pdf_is_refused_though_its_first_pages_could_be_had(tmp_path: Path) -> None:
    whole = pdf("Un.", "Deux." * 500)
    (tmp_path / "a.pdf").write_bytes(whole[:-60])
    with pytest.raises(InputError, match=r"a\.pdf is truncated: no end mark before offset [\d,]+"):
        read_path(tmp_path, "a.pdf", format="pdf")
    (tmp_path / "b.pdf").write_bytes(b"<html>" * 10)
    with pytest.raises(InputError, match=r"b\.pdf is not a PDF file"):
        read_path(tmp_path, "b.pdf", into="o2", format="pdf")
    (tmp_path / "c.pdf").write_bytes(b"%PDF-1.4\ngarbage\n%%EOF\n")
    with pytest.raises(InputError, match=r"c\.pdf is truncated or corrupt"):
        read_path(tmp_path, "c.pdf", into="o3", format="pdf")


ALTO = """<?xml version="1.0"?><alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Layout>
<Page ID="P1" ACCURACY="50"><PrintSpace><TextBlock LANG="fr"><TextLine><String CONTENT="Il" WC="0.9"/><SP/>
<String CONTENT="é" SUBS_TYPE="HypPart1" SUBS_CONTENT="était" WC="0.5"/><HYP CONTENT="-"/></TextLine>
<TextLine><String CONTENT="tait" SUBS_TYPE="HypPart2" SUBS_CONTENT="était" WC="0.5"/><SP/><String CONTENT="là." WC="1.0"/>
</TextLine></TextBlock><TextBlock><TextLine><String CONTENT="Suite"/></TextLine></TextBlock></PrintSpace></Page>
<Page ID="P2" PC="0.75"><PrintSpace><TextBlock><TextLine><String CONTENT="Deux"/></TextLine></TextBlock></PrintSpace></Page>
</Layout></alto>"""


def test_alto_words_are_whole_and_weigh_in_the_confidence(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(ALTO)
    artifact, out = read_path(tmp_path, "a.xml", format="alto", unit="part")
    first, second = all_documents(artifact)
    assert (first.text, second.text) == ("Il était\nlà.\n\nSuite", "Deux")
    # Letters weigh: (2 x 90 + 5 x 50 + 3 x 100) / 10; words without a confidence do not.
    assert first.metadata == {"pages": "1", "ocr_confidence": "73.00"}
    assert second.metadata["ocr_confidence"] == "75.00"
    assert first.language == "fr"
    assert out.statistics["counted"] == {"OCR pages": 2, "OCR words": 5, "OCR words unsure": 1}
    whole, _ = read_path(tmp_path, "a.xml", into="o2", format="alto")
    assert texts(whole) == ["Il était\nlà.\n\nSuite\n\nDeux"]
    assert all_documents(whole)[0].metadata == {"pages": "2", "ocr_confidence": "73.00"}


def test_alto_that_is_cut_or_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(ALTO[:-20])
    with pytest.raises(InputError, match=r"a\.xml is truncated or not well-formed XML: .*line"):
        read_path(tmp_path, "a.xml", format="alto")
    (tmp_path / "b.xml").write_text("<alto/>")
    with pytest.raises(InputError, match=r"b\.xml has no <Page>"):
        read_path(tmp_path, "b.xml", into="o2", format="alto")


TABLE = [
    "level",
    "page_num",
    "block_num",
    "par_num",
    "line_num",
    "word_num",
    "left",
    "top",
    "width",
    "height",
    "conf",
    "text",
]
ROWS = [
    [1, 1, 0, 0, 0, 0, 0, 0, 9, 9, -1, ""],
    [5, 1, 1, 1, 1, 1, 0, 0, 9, 9, 96.5, "Bonjour"],
    [5, 1, 1, 1, 1, 2, 0, 0, 9, 9, 30.5, '"le'],
    [5, 1, 1, 1, 2, 1, 0, 0, 9, 9, 90, "monde"],
    [5, 1, 2, 1, 1, 1, 0, 0, 9, 9, 90, "Bloc"],
    [1, 2, 0, 0, 0, 0, 0, 0, 9, 9, -1, ""],
    [5, 2, 1, 1, 1, 1, 0, 0, 9, 9, 80, "Deux"],
]


def table(rows: list[list[object]]) -> str:
    return "\n".join("\t".join(map(str, row)) for row in [TABLE, *rows])


def test_tesseract_table(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(table(ROWS))
    artifact, out = read_path(tmp_path, "a.tsv", format="tesseract")
    (found,) = all_documents(artifact)
    assert found.text == 'Bonjour "le\nmonde\n\nBloc\n\nDeux'
    expected = (7 * 96.5 + 3 * 30.5 + 5 * 90 + 4 * 90 + 4 * 80) / 23
    assert found.metadata == {"pages": "2", "ocr_confidence": f"{expected:.2f}"}
    assert out.statistics["counted"]["OCR words unsure"] == 1


def test_tesseract_table_that_is_cut_or_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(table(ROWS)[:-8])
    with pytest.raises(InputError, match=r"a\.tsv, row 8: truncated"):
        read_path(tmp_path, "a.tsv", format="tesseract")
    (tmp_path / "b.tsv").write_text("a\tb\n")
    with pytest.raises(InputError, match=r"b\.tsv, row 1: not the header"):
        read_path(tmp_path, "b.tsv", into="o2", format="tesseract")


def test_plain_pages_carry_the_rate_that_their_head_states(tmp_path: Path) -> None:
    head = "Le taux de reconnaissance obtenu pour ce document est de 98,5 %.\n"
    (tmp_path / "a.txt").write_text(f"{head}Un\fDeux\f")
    artifact, _ = read_path(tmp_path, "a.txt", format="ocr", unit="part")
    assert texts(artifact) == [f"{head}Un", "Deux"]
    assert {found.metadata["ocr_confidence"] for found in all_documents(artifact)} == {"98.50"}
    assert [entry.reason for entry in ledger(artifact)] == [None, None, "empty text"]
    (tmp_path / "b.txt").write_text("Rien de dit, 80 % des gens.")
    plain, _ = read_path(tmp_path, "b.txt", into="o2", format="ocr")
    assert "ocr_confidence" not in all_documents(plain)[0].metadata


@pytest.mark.parametrize(
    ("attributes", "stated"),
    [
        ('WC="87"', "'87' is no confidence from 0 to 1"),
        ('WC="nan"', "'nan'"),
        ('WC="bon"', "'bon'"),
        ('WC="-0.1"', "-0.1"),
    ],
)
def test_a_confidence_that_is_none_is_named(tmp_path: Path, attributes: str, stated: str) -> None:
    (tmp_path / "a.xml").write_text(ALTO.replace('WC="0.9"', attributes))
    with pytest.raises(InputError, match=rf"a\.xml, line 2: .*{stated}"):
        read_path(tmp_path, "a.xml", format="alto")


def test_a_rate_of_a_page_or_of_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(ALTO.replace('PC="0.75"', 'PC="75"'))
    with pytest.raises(InputError, match=r"a\.xml, line \d+: '75' is no confidence from 0 to 1"):
        read_path(tmp_path, "a.xml", format="alto")
    (tmp_path / "a.tsv").write_text(table([[*ROWS[1][:10], 965, "Bonjour"]]))
    with pytest.raises(InputError, match=r"a\.tsv, row 2: '965' is no confidence from 0 to 100"):
        read_path(tmp_path, "a.tsv", into="o2", format="tesseract")
    (tmp_path / "a.txt").write_text("Taux de reconnaissance : 998 %")
    with pytest.raises(InputError, match=r"a\.txt, in its head: '998'"):
        read_path(tmp_path, "a.txt", into="o3", format="ocr")


def test_an_alto_without_confidences_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(re.sub(r' (WC|PC|ACCURACY)="[^"]*"', "", ALTO))
    artifact, out = read_path(tmp_path, "a.xml", format="alto")
    assert all_documents(artifact)[0].metadata == {"pages": "2"}
    assert "OCR words unsure" not in out.statistics["counted"]


def test_rows_of_a_table_end_with_lines_and_with_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(table([[*ROWS[1][:11], "Bon\x85jour"], [*ROWS[3][:11], "le\u2028soir"]]))
    artifact, _ = read_path(tmp_path, "a.tsv", format="tesseract")
    assert texts(artifact) == ["Bon\x85jour\nle\u2028soir"]
    (tmp_path / "b.tsv").write_text(table([]))
    with pytest.raises(InputError, match=r"b\.tsv holds no page"):
        read_path(tmp_path, "b.tsv", into="o2", format="tesseract")


def test_a_pdf_locked_in_an_unknown_way_is_left_out(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Lisible.")))
    writer.encrypt("", owner_password="owner", algorithm="AES-128")
    writer.write(tmp_path / "a.pdf")
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.count(b"/Standard") == 1
    (tmp_path / "a.pdf").write_bytes(data.replace(b"/Standard", b"/Elsewhre"))
    artifact, _ = read_path(tmp_path, "a.pdf", format="pdf")
    assert [(entry.reason, entry.detail) for entry in ledger(artifact)] == [
        ("PDF is encrypted", "only Standard PDF encryption handler is available")
    ]


def test_a_pdf_altered_anywhere_is_read_left_out_or_named(tmp_path: Path) -> None:
    rng = random.Random(7)
    whole = pdf("Un deux.", None, "Trois.")
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "a.pdf").write_bytes(data)
        with suppress(InputError):
            for raw in read_pdf(tmp_path / "a.pdf", parts=False):
                raw.text.encode("utf-8")
