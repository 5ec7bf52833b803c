import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.corpus.builders import document, documents, ledger, run_step, texts

from fonderie.core.document import GROUP_CHARACTERS, ROWS_PER_GROUP, shard_paths
from fonderie.core.errors import InputError, RecipeError
from fonderie.corpus import batches
from fonderie.corpus.filter import FilterParameters, filter_documents
from fonderie.corpus.measures import language, words
from fonderie.corpus.rules.lists import UrlList
from fonderie.corpus.transform import Decision, drop, edit, keep, transform

FRENCH = "Le petit renard traverse la forêt pendant que la neige tombe doucement sur les grands arbres."
ENGLISH = "The little fox walks through the forest while the snow falls softly on the tall old trees."


def test_first_broken_rule_is_the_reason_and_the_value_the_detail(tmp_path: Path) -> None:
    given = documents(tmp_path / "in", [[document("Un deux trois."), document(FRENCH), document(ENGLISH)]])
    rules = ("words >= 5", "language in ['fr']")
    artifact, out = run_step(
        filter_documents, FilterParameters(rules=rules), tmp_path / "out", {"documents": (given,)}
    )
    assert texts(artifact) == [FRENCH]
    assert [(entry.fate, entry.reason, entry.detail) for entry in ledger(artifact)] == [
        ("dropped", "words >= 5", "words = 3"),
        ("kept", None, None),
        ("dropped", "language in ['fr']", "language = en"),
    ]
    counts = out.statistics["sources"]["test"]
    assert (counts["read"], counts["kept"], counts["dropped"]) == (3, 1, {"words >= 5": 1, "language in ['fr']": 1})


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("wrds >= 5", "no measure 'wrds'; known: characters"),
        ("words => 5", "not of the form"),
        ("words >= five", "not a number"),
        ("words >= 'five'", "cannot be compared"),
        ("language == 3", "cannot be compared"),
        ("language in 'fr'", "cannot be compared"),
        ("words >= __import__('os')", "not a number"),
        ("words >= True", "not a number"),
    ],
)
def test_a_bad_rule_is_refused_before_any_step(rule: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint.replace("'", "['\"]?")):
        FilterParameters(rules=(rule,))


def test_words_keep_the_elision_apart() -> None:
    assert words("l'homme qu’il vit") == ["l'", "homme", "qu’", "il", "vit"]


def test_language_of_nothing_is_undetermined() -> None:
    assert [language(FRENCH), language(ENGLISH), language("  \n")] == ["fr", "en", "und"]


def test_what_is_not_known_satisfies_no_bound(tmp_path: Path) -> None:
    scanned = [
        document("Page bien lue.", metadata={"ocr_confidence": "97.5"}),
        document("Pgae mla leu.", metadata={"ocr_confidence": "41"}),
        document("Page sans note."),
        document("Page mal notée.", metadata={"ocr_confidence": "bonne"}),
    ]
    given = documents(tmp_path / "in", [scanned])
    params = FilterParameters(rules=("metadata.ocr_confidence >= 90",))
    artifact, _ = run_step(filter_documents, params, tmp_path / "out", {"documents": (given,)})
    assert texts(artifact) == ["Page bien lue."]
    assert [entry.detail for entry in ledger(artifact)] == [
        None,
        "metadata.ocr_confidence = 41",
        "metadata.ocr_confidence = unknown",
        "metadata.ocr_confidence = unknown",
    ]


def test_rules_of_a_language_and_of_a_source_take_the_place_of_the_others(tmp_path: Path) -> None:
    four, six = "Un deux trois quatre.", "Un deux trois quatre cinq six."
    given = documents(
        tmp_path / "in",
        [
            [document(six, source=source, language=code) for source in ("web", "poems") for code in ("fr", "de")]
            + [document(four, source=source, language=code) for source in ("web", "poems") for code in ("fr", "de")]
        ],
    )
    params = FilterParameters(
        rules=("words >= 5", "words <= 100"),
        languages={"de": ("words >= 7",)},
        sources={"poems": ("words >= 3", "braces == 0")},
    )
    artifact, _ = run_step(filter_documents, params, tmp_path / "out", {"documents": (given,)})
    fates = [(entry.source, entry.fate, entry.reason) for entry in ledger(artifact)]
    assert fates == [
        ("web", "kept", None),
        ("web", "dropped", "words >= 7"),
        ("poems", "kept", None),
        ("poems", "kept", None),
        ("web", "dropped", "words >= 5"),
        ("web", "dropped", "words >= 7"),
        ("poems", "kept", None),
        ("poems", "kept", None),
    ]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"rules": ("gofer",)}, "no rule set 'gofer'; known: gopher_repetition"),
        ({"rules": ("words >= 1",), "languages": {"fr": ("wrds >= 2",)}}, "no measure 'wrds'"),
        ({"rules": ("words >= 1",), "languages": {"fra": ("words >= 2",)}}, "'fra' is no .*: documents say 'fr'"),
        ({"rules": ("words >= 1",), "languages": {"FR": ("words >= 2",)}}, "'FR' is no .*: documents say 'fr'"),
        (
            {"rules": ("words >= 1",), "languages": {"french": ("words >= 2",)}},
            "'french' is no language of a document;",
        ),
        ({"rules": ("words >= 1",), "sources": {"web": ("without letters",)}}, "no rule is on letters"),
        ({"rules": ("listed_url == 0",)}, "a rule is on listed_url: give url_lists"),
        ({"rules": ("words >= 1",), "word_lists": "x"}, "word_lists is given, and no rule is on listed_words"),
        ({"rules": ("kept_sentences >= 5",)}, "no line is dropped before it"),
        ({"rules": ("metadata.kind < 'x'",)}, "cannot be compared"),
    ],
)
def test_a_bad_combination_is_refused_before_any_step(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        FilterParameters.model_validate(given)


def test_rules_for_a_source_that_no_document_has_are_refused(tmp_path: Path) -> None:
    given = documents(tmp_path / "in", [[document(FRENCH, source="web")]])
    first, out = run_step(
        filter_documents, FilterParameters(rules=("words >= 1",)), tmp_path / "first", {"documents": (given,)}
    )
    first = replace(first, manifest=first.manifest.model_copy(update={"statistics": out.statistics}))
    params = FilterParameters(rules=("words >= 1",), sources={"wbe": ("words >= 2",), "web": ("words >= 3",)})
    with pytest.raises(RecipeError, match="that the documents do not have: wbe") as refused:
        run_step(filter_documents, params, tmp_path / "second", {"documents": (first,)})
    assert refused.value.hint == "They have: web."


def test_lists_of_addresses_and_words(tmp_path: Path) -> None:
    (tmp_path / "lists/games").mkdir(parents=True)
    (tmp_path / "lists/games/domains").write_text("# jeux\ncasino.example\nexemple.fr/jeux\n")
    (tmp_path / "words.txt").write_text("Zut\nnom d'un chien\n", encoding="utf-8")
    given = [
        document("Bonjour à tous.", origin="https://www.exemple.fr/recettes/tarte"),
        document("Faites vos jeux.", origin="http://live.casino.example:8080/a"),
        document("Jouez avec nous.", metadata={"url": "https://exemple.fr/jeux/loto?x=1"}),
        document("Un casino, exemple de jeu.", origin="https://casino.example.org/"),
        document("Et ZUT alors !", origin="a"),
        document("Ah, nom d'un  Chien !", origin="b"),
        document("Le nom d'un chat.", origin="c"),
    ]
    params = FilterParameters(
        rules=("listed_url == 0", "listed_words == 0"),
        url_lists=str(tmp_path / "lists/*/domains"),
        word_lists=str(tmp_path / "words.txt"),
    )
    sources = {"url_lists": params.url_lists or "", "word_lists": params.word_lists or ""}
    artifact, _ = run_step(
        filter_documents, params, tmp_path / "out", {"documents": (documents(tmp_path / "in", [given]),)}, sources
    )
    assert texts(artifact) == [given[index].text for index in (0, 3, 6)]
    assert [entry.reason for entry in ledger(artifact) if entry.fate == "dropped"] == [
        *["listed_url == 0"] * 2,
        *["listed_words == 0"] * 2,
    ]


@pytest.mark.parametrize(
    ("entry", "named", "not_named"),
    [
        ("[2001:db8::1]", ["http://[2001:DB8::1]:80/x"], ["http://[2001:db8::2]/"]),
        ("192.0.2.7", ["http://192.0.2.7:8080/a"], ["http://192.0.2.77/"]),
        ("café.example", ["http://xn--caf-dma.example/", "http://www.CAFÉ.example"], ["http://cafe.example"]),
        (
            "a.example",
            ["http://a.example?x=1", "https://u:p@b.a.example./", "HTTPS://A.example#f"],
            ["http://aa.example"],
        ),
        ("http://a.example/b/", ["https://a.example/b", "https://a.example/b/c?d"], ["https://a.example/bc"]),
        ("a.example/b?c=1", ["http://a.example/b?c=1"], ["http://a.example/b?c=12", "http://a.example/b"]),
    ],
)
def test_an_entry_names_addresses_however_they_are_written(
    tmp_path: Path, entry: str, named: list[str], not_named: list[str]
) -> None:
    (tmp_path / "list").write_text(entry, encoding="utf-8")
    listed = UrlList([tmp_path / "list"])
    assert [url for url in [*named, *not_named] if listed.names(url)] == named


@pytest.mark.parametrize("entry", ["0.0.0.0 a.example", "*.a.example", "a.example # games"])
def test_an_entry_that_could_name_nothing_is_refused(tmp_path: Path, entry: str) -> None:
    (tmp_path / "list").write_text(f"b.example\n{entry}\n")
    with pytest.raises(InputError, match=f"'{re.escape(entry)}' is no domain and no address"):
        UrlList([tmp_path / "list"])


def test_c4_edits_and_the_ledger_says_by_how_many_lines(tmp_path: Path) -> None:
    prose = "\n".join(f"Voici la phrase numéro {number}." for number in range(6))
    given = documents(tmp_path / "in", [[document(f"Accueil\n{prose}\nPlan du site"), document(prose)]])
    artifact, _ = run_step(
        filter_documents, FilterParameters(rules=("c4",)), tmp_path / "out", {"documents": (given,)}
    )
    assert texts(artifact) == [prose, prose]
    first, second = ledger(artifact)
    assert (first.fate, first.reason, first.detail) == ("edited", "lines dropped", "c4: 2 of 8 lines")
    assert first.id != first.id_after == second.id == second.id_after
    assert second.fate == "kept"


def test_perplexity_and_models_come_together(tmp_path: Path) -> None:
    given = documents(tmp_path / "in", [[document(FRENCH)]])
    with pytest.raises(RecipeError, match="come together"):
        run_step(
            filter_documents,
            FilterParameters(rules=("perplexity <= 1000",)),
            tmp_path / "out",
            {"documents": (given,)},
        )


def test_an_altered_text_is_noticed(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    given = documents(tmp_path / "in", [[document(FRENCH), document(ENGLISH)]])
    (path,) = shard_paths(given.path)
    table = pq.read_table(path)
    table = table.set_column(1, table.field("text"), pa.array([FRENCH, ENGLISH + "!"]))
    pq.write_table(table, path)
    with pytest.raises(InputError, match=f"{path.name}: the text of document sha256:.* was altered"):
        run_step(
            filter_documents, FilterParameters(rules=("words >= 1",)), tmp_path / "out", {"documents": (given,)}
        )


def _fate(text: str) -> batches.Fates:
    if text.startswith("drop"):
        return batches.Fates("dropped", "begins so", text[:6])
    if text.startswith("edit"):
        return batches.Fates("edited", "shortened", None, text[:-1].encode())
    return batches.Fates("kept")


def _judge(batch: object) -> list[batches.Fates]:
    return [_fate(text) for text in batch.column("text").to_pylist()]  # type: ignore[attr-defined]


def _decide(item: object) -> Decision:
    fate = _fate(item.text)  # type: ignore[attr-defined]
    if fate.fate == "dropped":
        return drop(fate.reason or "", fate.detail)
    if fate.text is not None:
        return edit(item.with_text(fate.text.decode()), fate.reason or "")  # type: ignore[attr-defined]
    return keep(item)  # type: ignore[arg-type]


def test_batches_write_the_bytes_that_documents_do(tmp_path: Path) -> None:
    def text(number: int) -> str:
        return f"{('keep', 'drop', 'edit', 'keep')[number % 4]} {number} " + "é" * (number % 50)

    small = [
        document(text(number), author=None if number % 3 else "Anne") for number in range(2 * ROWS_PER_GROUP + 9)
    ]
    small[5] = document(
        text(7), language="fr", created="1900", collection_licence="CC0-1.0", metadata={"b": "1", "a": ""}
    )
    large = [document("edit" + "a" * (GROUP_CHARACTERS // 3) + str(number)) for number in range(5)]
    given = documents(tmp_path / "in", [small, large, [document("drop")], []])

    class Out:
        def __init__(self, path: Path) -> None:
            path.mkdir()
            self.path, self.statistics = path, {}

    from fonderie.core.machine import Machine

    one, other = Out(tmp_path / "one"), Out(tmp_path / "other")
    transform([given], one, Machine(), _decide, label="")  # type: ignore[arg-type]
    batches.transform_batches([given], other, Machine(), _judge, label="")  # type: ignore[arg-type]
    assert one.statistics == other.statistics
    files = sorted(path.relative_to(one.path) for path in one.path.rglob("*.parquet"))
    assert len(files) == 8
    for name in files:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name


def test_bytes_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    shards = [[document(f"{FRENCH} {number} {shard}") for number in range(30)] for shard in range(3)]
    given = documents(tmp_path / "in", shards)
    params = FilterParameters(rules=("gopher_repetition", "words >= 5", "c4", "language == 'fr'"))
    one, _ = run_step(filter_documents, params, tmp_path / "one", {"documents": (given,)})
    two, _ = run_step(filter_documents, params, tmp_path / "two", {"documents": (given,)}, workers=2)
    assert one.digest == two.digest
