"""Wikitext: what shows of it, and that a hostile page takes no longer than a page."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.corpus.readers.wikitext import plain_text

HIDDEN = {"file", "fichier", "category", "catégorie"}


@pytest.mark.parametrize(
    ("wikitext", "shown"),
    [
        (
            "'''Paris''' est la [[capitale (ville)|capitale]] de la [[France]].",
            "Paris est la capitale de la France.",
        ),
        ("Voir{{Infobox|nom={{lien|a|}}|}} ici.", "Voir ici."),
        ("Un<ref>source [[x]]</ref> deux<ref name=a /> trois<!-- {{ --> quatre", "Un deux trois quatre"),
        ("a\n{| class=x\n! t\n|-\n| {{b|}} || c\n{|\n| d\n|}\n|}\nz", "a\n\nz"),
        ("[[Fichier:a.jpg|vignette|La [[tour]]]]Texte[[Catégorie:Ville]] [[en:Paris]]", "Texte"),
        ("[[:Catégorie:Ville]] et [[:en:Paris|Paris]]", "Catégorie:Ville et Paris"),
        ("Lire [https://a.fr le site] ou [https://b.fr].", "Lire le site ou ."),
        ("== Histoire ==\nTexte\n=== Âge ===\n", "Histoire\n\nTexte\n\nÂge"),
        ("* un\n* ''deux''\n# trois\n:retrait\n----\nfin", "- un\n- deux\n- trois\nretrait\n\nfin"),
        ("&eacute;t&eacute;&nbsp;! <b>gras</b><br/>suite", "été\xa0! gras\nsuite"),
        ("<nowiki>[[brut]] ''x'' {{y}} =z=</nowiki>", "[[brut]] ''x'' {{y}} =z="),
        ("Né (, {{date|1}} ;) à<math>a_{b}</math> Lyon__NOTOC__", "Né à Lyon"),
        ("Dans l'''Iliade'' et l'''Odyssée''', '''''fin'''''.", "Dans l'Iliade et lOdyssée, fin."),
        ("L'''Iliade'' d'Homère ; ''''dit'''", "L'Iliade d'Homère ; 'dit"),
        ("Sans fin {{ici [[là", "Sans fin {{ici [[là"),
        ("{{a [[b}} c]] d }} e", "c]] d }} e"),
        ("R = {x | y}} ; 1 < 2 > 0", "R = {x | y}} ; 1 < 2 > 0"),
    ],
)
def test_what_shows(wikitext: str, shown: str) -> None:
    assert plain_text(wikitext, HIDDEN) == shown


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "{{",
                "}}",
                "{|",
                "|}",
                "[[",
                "]]",
                "|",
                "\n",
                "<ref>",
                "</ref>",
                "<nowiki>",
                "<!--",
                "a",
                "''",
                "=",
                "*",
                ":",
            ]
        ),
        max_size=60,
    )
)
def test_any_markup_gives_text_without_what_was_closed(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert plain_text(f"début {{{{caché}}}} {text}", HIDDEN).startswith("début")


HOSTILE = {
    "templates": "{{" * 200_000,
    "tables": "{|\n" * 100_000,
    "links": "[[a|" * 100_000,
    "closed links": "[[a|" * 5_000 + "b" * 100_000 + "]]" * 5_000,
    "references": "<ref>" * 80_000,
    "half references": "<ref a" * 60_000,
    "comments": "<!--" * 100_000,
    "literals": "<nowiki>" * 50_000,
    "web links": "[http://a " * 40_000,
    "mixed": "[[{{" * 100_000 + "}}]]" * 100_000,
    "ends": "}}|}]]" * 70_000,
    "quotes": "''" * 200_000,
    "brackets": " (" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_markup_takes_linear_time(name: str) -> None:
    def seconds(text: str) -> float:
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            plain_text(text, HIDDEN)
            best = min(best, time.process_time() - began)
        return best

    whole = HOSTILE[name]
    quarter = whole[: len(whole) // 4]
    # Quadratic would be sixteen times; the floor keeps the clock's grain out of it.
    assert seconds(whole) <= 8 * max(seconds(quarter), 0.01)
