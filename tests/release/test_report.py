import io
import json
from pathlib import Path

from rich.console import Console
from tests.evaluate.small import RECIPE, Build, build

from fonderie.core.machine import Machine
from fonderie.release.account import account, branches
from fonderie.release.attribution import attributions
from fonderie.release.report import Report, build_report, gather, render, to_markdown
from fonderie.release.writing.tables import cell, quantity


def report_of(small: Build, *calls: str) -> Report:
    lock = json.loads((small.release / "lock.json").read_bytes())
    return build_report([small.result.artifacts[name] for name in calls], lock)


def test_each_source_from_reading_to_score(small: Build) -> None:
    report = Report.model_validate_json((small.release / "report.json").read_bytes())
    letters, toy = report.sources
    assert (letters.read, letters.dropped, letters.edited) == (33, {"exact duplicate": 3}, {})
    assert letters.kept + letters.held_out == 30
    assert letters.held_out == letters.scores[0].n
    assert (letters.generated, toy.generated) == (False, True)
    assert [(count.licence, count.documents, count.status) for count in letters.licences] == [
        ("CC-BY-4.0", 33, "free")
    ]
    assert toy.read == 60 == toy.kept + toy.held_out
    packed = small.result.artifacts["packed"].manifest.statistics
    assert letters.tokens == packed["sources"]["letters"]["tokens"]
    assert report.tokens == packed["tokens"]
    assert abs(letters.token_share + toy.token_share - 1) < 1e-5
    assert report.warnings == ()
    assert [entry.call for entry in report.lineage][-4:] == ["base", "scores", "answers", "core.lock"]
    assert report.trainings[0].statistics["tokens"] == 3 * 2 * 64


def test_held_out_documents_are_not_bad_documents(small: Build) -> None:
    report = report_of(small, "scores", "base")
    stages = {(stage.call, stage.branch) for source in report.sources for stage in source.stages}
    assert ("training", "training") in stages
    assert ("held", "evaluation") in stages
    assert all("held out" not in reason for source in report.sources for reason in source.dropped)
    shown = to_markdown(report)
    assert "| letters | training | held out | held out for evaluation | 10 | 30 |" in shown
    assert "not held out" not in shown


def test_before_anything_is_packed(small: Build) -> None:
    report = report_of(small, "training", "held")
    letters = report.sources[0]
    assert letters.kept == 20
    assert letters.held_out == 10
    assert report.tokens == 0
    manifests = [artifact.manifest for artifact in gather([small.result.artifacts["held"]])]
    assert set(branches(manifests).values()) == {"training", "evaluation"}
    assert build_report([]).sources == ()
    assert account([], {}, []) == []


def test_two_packs_add_up(tmp_path: Path) -> None:
    recipe = RECIPE + '[more]\nstep = "tokens.pack"\ninputs = { documents = "extra", tokenizer = "bpe" }\n'
    recipe += '[extra]\nstep = "corpus.toy"\nseed = 8\ndocuments = 9\nsource = "toy"\n'
    made = build(tmp_path, recipe)
    report = build_report([made.result.artifacts[name] for name in ("release", "more")])
    toy = report.sources[1]
    assert toy.read == 69 == toy.kept + toy.held_out
    assert report.tokens == sum(
        made.result.artifacts[name].manifest.statistics["tokens"] for name in ("packed", "more")
    )


def test_the_terminal_and_the_file_hold_the_same_tables(small: Build) -> None:
    report = Report.model_validate_json((small.release / "report.json").read_bytes())
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(render(report.model_copy(update={"warnings": ("RESTRICTED DATA: [red]x[/red]",)})))
    text = console.export_text()
    assert text.index("RESTRICTED DATA: [red]x[/red]") < text.index("Sources")
    for title in ("What was dropped", "Training", "Evaluation", "Lineage"):
        assert title in text
        assert title in to_markdown(report)


def test_authors_are_all_counted(small: Build) -> None:
    letters, toy = attributions(small.result.artifacts["base"].lineage(), Machine())
    assert letters.documents == 20 == sum(letters.authors.values())
    assert set(letters.authors) == {"G. Sand", "H. <Beyle> | [x](y)"}
    assert letters.origins == 3
    assert letters.collection_licences == {"CC0-1.0": 20}
    assert toy.without_author == 0
    card = (small.release / "README.md").read_text()
    assert r"H. &lt;Beyle&gt; \| [x\](y)" in card
    assert "<Beyle>" not in card


def test_cells_hold_what_strangers_write() -> None:
    assert cell("a | b\n# c <b> `d` *e*") == r"a \| b # c &lt;b&gt; \`d\` \*e\*"
    assert cell("[1.2, 1.3], n = 4") == "[1.2, 1.3], n = 4"
    assert [quantity(value) for value in (True, 12345, 0.12345, 123456.7, "x")] == [
        "True",
        "12,345",
        "0.1235",
        "123,457",
        "x",
    ]
