"""MediaWiki dumps."""

import bz2
from pathlib import Path

import pytest
from tests.corpus.builders import all_documents, ledger
from tests.corpus.reading import read_path

from fonderie.core.errors import InputError

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="fr">
<siteinfo><sitename>W</sitename><base>https://fr.wikipedia.org/wiki/Accueil</base><namespaces>
<namespace key="0" /><namespace key="6">Fichier</namespace><namespace key="14">Catégorie</namespace>
</namespaces></siteinfo>"""
PAGE = """<page><title>{title}</title><ns>{ns}</ns><id>{number}</id>{redirect}
<revision><id>1{number}</id><timestamp>2023-01-01T00:00:00Z</timestamp><text xml:space="preserve">ancien</text></revision>
<revision><id>2{number}</id><timestamp>2024-01-01T00:00:00Z</timestamp><text xml:space="preserve">{text}</text></revision>
</page>"""


def wiki_page(number: int, title: str, text: str, *, ns: int = 0, redirect: str = "") -> str:
    to = f'<redirect title="{redirect}" />' if redirect else ""
    return PAGE.format(number=number, title=title, text=text, ns=ns, redirect=to)


def dump(*pages: str) -> bytes:
    return (HEAD + "".join(pages) + "</mediawiki>").encode()


ARTICLES = [
    wiki_page(1, "Île de Ré", "L'''île'' est [[mer|au large]].[[Fichier:a.jpg|b]]{{Portail|x}}"),
    wiki_page(2, "Ré", "#REDIRECT [[Île de Ré]]", redirect="Île de Ré"),
    wiki_page(3, "Discussion:Ré", "bla", ns=1),
    wiki_page(4, "Vide", "{{x}}"),
]


@pytest.mark.parametrize("packed", [True, False])
def test_articles_are_read_and_the_rest_is_left_out_and_counted(tmp_path: Path, packed: bool) -> None:
    name = "d.xml.bz2" if packed else "d.xml"
    (tmp_path / name).write_bytes(bz2.compress(dump(*ARTICLES)) if packed else dump(*ARTICLES))
    artifact, out = read_path(tmp_path, name, format="mediawiki", licence="CC-BY-SA-4.0")
    (found,) = all_documents(artifact)
    assert found.text == "Île de Ré\n\nL'île est au large."
    assert (found.language, found.created, found.origin) == ("fr", "2024-01-01T00:00:00Z", f"{name}#page-1")
    assert found.metadata["url"] == "https://fr.wikipedia.org/wiki/%C3%8Ele_de_R%C3%A9"
    assert (found.metadata["page"], found.metadata["revision"]) == ("1", "21")
    assert out.statistics["sources"]["here"]["dropped"] == {"empty text": 1, "not an article": 1, "redirect": 1}
    assert [entry.detail for entry in ledger(artifact)] == [None, "Île de Ré", "namespace 1", None]


def test_other_namespaces_are_read_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "d.xml").write_bytes(dump(*ARTICLES))
    artifact, _ = read_path(tmp_path, "d.xml", format="mediawiki", namespaces=[1])
    assert [found.text for found in all_documents(artifact)] == ["Discussion:Ré\n\nbla"]


def test_a_cut_dump_names_file_and_place(tmp_path: Path) -> None:
    (tmp_path / "d.xml").write_bytes(dump(*ARTICLES)[:-200])
    with pytest.raises(InputError, match=r"d\.xml is truncated or not well-formed, after the page 'Vide'.*line"):
        read_path(tmp_path, "d.xml", format="mediawiki")
    many = dump(*(wiki_page(i, f"P{i}", f"mot{i} " * 200) for i in range(3000)))
    packed = bz2.compress(many)
    (tmp_path / "e.xml.bz2").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"e\.xml\.bz2 is truncated or corrupt after [\d,]+ decompressed bytes"):
        read_path(tmp_path, "e.xml.bz2", into="o2", format="mediawiki")


def test_what_is_no_dump_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.xml").write_text("<a><b/></a>")
    with pytest.raises(InputError, match=r"d\.xml holds no <page>"):
        read_path(tmp_path, "d.xml", format="mediawiki")


def test_entities_of_a_document_type_are_not_expanded(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    hostile = f'<!DOCTYPE mediawiki [<!ENTITY s SYSTEM "{tmp_path}/secret">]>'
    (tmp_path / "d.xml").write_bytes(hostile.encode() + dump(wiki_page(1, "A", "x &s; y")))
    artifact, _ = read_path(tmp_path, "d.xml", format="mediawiki")
    assert all("SECRET" not in found.text for found in all_documents(artifact))
