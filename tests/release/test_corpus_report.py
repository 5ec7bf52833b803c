"""The corpus report: one file that asks for nothing, hides what it must, and says what the manifests say."""

import re
from pathlib import Path

import lxml.html
import numpy as np
import pytest
from tests.evaluate.small import Build
from tests.trace.corpora import SmallCorpus, make, texts

from fonderie.cli import main
from fonderie.core.document import Document, read_documents, shard_path, shard_paths, write_documents
from fonderie.core.manifest import Manifest
from fonderie.core.step import Artifact
from fonderie.corpus.measures import identify
from fonderie.release.reports.corpus import corpus_report, share, size
from fonderie.release.reports.corpus_charts import Bar, bars, histogram
from fonderie.release.reports.corpus_shares import ends, lengths_from_to, measure

ADDRESSES = re.compile(r"m\.martin\d|01 42 68 53")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> SmallCorpus:
    return make(tmp_path_factory.mktemp("report"), texts(), shards=2)


@pytest.fixture(scope="module")
def page(corpus: SmallCorpus) -> str:
    return report(corpus)


def report(corpus: SmallCorpus, *, personal_data: bool = False) -> str:
    lock = corpus.store.read_lock("small")
    assert lock is not None
    return corpus_report(corpus.artifacts, lock, personal_data=personal_data)


def documents(artifact: Artifact) -> list[Document]:
    return [one for path in shard_paths(artifact.path) for one in read_documents(path)]


def test_it_asks_for_nothing_and_runs_nothing(page: str) -> None:
    tree = lxml.html.document_fromstring(page)
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert tree.xpath("//script | //link | //img | //iframe | //object | //form | //base") == []
    assert [name for name in tree.xpath("//@*/..") if any(key.startswith("on") for key in name.attrib)] == []
    # Links lead within the page alone, and lead somewhere.
    anchors = [link.removeprefix("#") for link in tree.xpath("//a/@href")]
    assert set(anchors) <= set(tree.xpath("//@id"))
    assert "url(" not in page
    assert "@import" not in page


def test_what_documents_and_recipes_say_is_text(tmp_path: Path) -> None:
    said = "<script>x</script> &amp;"
    tree = lxml.html.document_fromstring(report(make(tmp_path, [said, *texts()[-5:]])))
    assert "A <small> corpus: the corpus" in tree.xpath("//h1")[0].text_content()
    assert tree.xpath("//small") == []
    assert tree.xpath("//script | //b") == []
    assert tree.xpath("//article//p[@class='text']")[0].text_content() == said


def test_personal_data_is_masked_unless_asked_for(corpus: SmallCorpus, page: str) -> None:
    assert not ADDRESSES.search(page)
    assert "•.•••••••@•••••••.••" in page
    assert "<ins>[EMAIL]</ins>" in page
    told = report(corpus, personal_data=True)
    assert "<del>m.martin3@exemple.fr</del>" in told
    assert "pass this page on to nobody" in told


def test_the_same_store_gives_the_same_page(corpus: SmallCorpus, page: str) -> None:
    assert report(corpus) == page


def test_figures_are_those_of_the_documents(corpus: SmallCorpus, page: str) -> None:
    read, left = documents(corpus.artifacts["letters"]), documents(corpus.artifacts["unique"])
    rows = {
        row.xpath("./th")[0].text_content(): row.xpath("./td")[0].text_content()
        for row in lxml.html.document_fromstring(page).xpath("//table[@class='facts']//tr")
    }
    assert rows["Documents read"] == f"{len(read):,}" == "49"
    assert rows["Documents that go into training"] == f"{len(left):,}"
    assert rows["Dropped"] == "39"
    assert rows["Edits"] == "8"
    bars_ = [bar.text_content() for bar in lxml.html.document_fromstring(page).xpath("//div[@class='bar']")]
    assert "clean13 (26.5 %), −36" in bars_
    assert "clean: words >= 530 dropped" in bars_
    assert "CC-BY-4.0 (free)100.0 % → 100.0 %" in bars_


def test_shares_count_bytes_and_lengths_in_powers_of_two(corpus: SmallCorpus) -> None:
    read, left = ends(corpus.artifacts)
    assert [artifact.key for artifact in read] == [corpus.artifacts["letters"].key]
    assert [artifact.key for artifact in left] == [corpus.artifacts["unique"].key]
    shares = measure(read)
    sizes = [len(document.text.encode("utf-8")) for document in documents(corpus.artifacts["letters"])]
    assert (shares.documents, shares.size_bytes) == (len(sizes), sum(sizes))
    assert shares.languages == {"fr": sum(sizes)}
    assert shares.licences == {"CC-BY-4.0": sum(sizes)}
    assert shares.identified == 0
    assert shares.lengths.tolist() == [
        sum(1 << place <= length < 1 << (place + 1) for length in sizes) for place in range(len(shares.lengths))
    ]


def test_what_is_trained_on_is_what_was_packed_and_never_what_was_held_out(small: Build) -> None:
    read, left = ends(small.result.artifacts)
    artifacts = small.result.artifacts
    assert {artifact.key for artifact in read} == {artifacts["toy"].key, artifacts["letters"].key}
    assert [artifact.key for artifact in left] == [artifacts["training"].key]
    assert measure(left).documents == len(documents(artifacts["training"]))


def test_a_release_is_shown_with_its_status_and_has_no_examples(
    small: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(small.release)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("Status draft: what its publisher has not said yet is shown in")
    assert main(["show", str(small.release), "--dropped", "3"]) == 2
    assert "Give the recipe" in " ".join(capsys.readouterr().err.split())


def test_a_language_that_nobody_declared_is_identified(tmp_path: Path) -> None:
    said = [
        "Le conseil municipal se réunit demain soir pour voter le budget de la commune et des écoles.",
        "The town council meets tomorrow evening to vote on the budget of the schools and the roads.",
        "Der Gemeinderat trifft sich morgen Abend, um über den Haushalt der Schulen abzustimmen.",
    ]
    made = [Document(text=text, source="s", origin="o", licence="CC0-1.0") for text in said]
    made.append(Document(text="Declared.", source="s", origin="o", licence="CC0-1.0", language="br"))
    write_documents(shard_path(tmp_path, 0), made)
    manifest = Manifest(key="k", digest="d", step="s", version=1, parameters={}, inputs={}, sources={}, files=[])
    shares = measure([Artifact(tmp_path, manifest)])
    assert [identify(text)[0] for text in said] == ["fr", "en", "de"]
    assert shares.languages == {
        **{identify(text)[0]: len(text.encode("utf-8")) for text in said},
        "br": len(b"Declared."),
    }
    assert shares.identified == 3


def test_an_empty_corpus_has_a_report(tmp_path: Path) -> None:
    said = report(make(tmp_path, ["Court"]))
    assert "Documents that go into training" in said
    assert "no licence recorded" not in said


def test_bars_are_as_long_as_their_shares_and_nothing_is_drawn_as_something() -> None:
    drawn = bars([Bar("a & b", (0.25, 0.0), "1", ("before", "after")), Bar("c", (0.0001,), "2")], "caption")
    widths = re.findall(r'class="(before|after)" y="\d+" width="([\d.]+)%"', drawn)
    assert widths == [("before", "25.00"), ("after", "0.00"), ("after", "0.30")]
    assert "a &amp; b" in drawn


def test_a_histogram_draws_each_bin_once_and_labels_few() -> None:
    labels = [size(1 << place) for place in range(20)]
    drawn = histogram(labels, list(range(20)), [0] * 20, said="lengths")
    assert drawn.count("<rect") == 19
    assert drawn.count("<text") <= 8
    heights = [float(height) for height in re.findall(r'height="([\d.]+)%"', drawn)]
    assert np.allclose(heights, [max(80 * number / 19, 0.4) for number in range(1, 20)], atol=0.01)


def test_words_for_sizes_and_shares() -> None:
    assert [size(number) for number in (0, 1, 999, 1000, 1024, 1536, 1 << 20, 5 * 2**40, 2**53)] == [
        *("0 B", "1 B", "999 B", "1,000 B", "1 KiB", "1.5 KiB", "1 MiB", "5 TiB", "8,192 TiB"),
    ]
    assert (share(1, 3), share(0, 0)) == ("33.3 %", "–")
    assert lengths_from_to([0, 1, 0, 0], [0, 0, 0, 2]) == (1, 3)
    assert lengths_from_to([0, 0], [0, 0]) == (0, 0)
