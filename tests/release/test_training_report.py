"""The report of a training: drawn from its files and manifests, while it runs, when it has ended, and in a release."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import lxml.html
import pytest
from tests.evaluate.small import RECIPE, Build, build

from fonderie.cli import main
from fonderie.core.errors import ReleaseError
from fonderie.core.step import Artifact
from fonderie.core.store import Store
from fonderie.evaluate.score import Score
from fonderie.release.chain.manifests import check_lineage
from fonderie.release.layout import ReleaseIndex
from fonderie.release.report import gather
from fonderie.release.reports.course import courses_of, ended_course, running_course
from fonderie.release.reports.training import Course, Scored, energy_words, facts_of, training_report
from fonderie.release.reports.training_charts import BINS, HEIGHT, WIDTH, Axis, Curve, Scale, chart, figure, stacked
from fonderie.train.record.commitment import LogLine, read_log
from fonderie.train.settings.stopping import Measurement
from fonderie.train.view.mix import Mix, Stretch
from fonderie.train.view.record import Moment, Outlook

PHASED = (
    RECIPE.replace('duration = "3 steps"\n', "")
    .replace(
        "checkpoints_kept = 5\n",
        """checkpoints_kept = "all"

[[base.phases]]
name = "main"
duration = "8 steps"

[[base.phases]]
name = "annealing"
duration = "4 steps"
schedule = "linear"

[early]
step = "evaluate.perplexity"
inputs = { model = "base@step-4", tokenizer = "bpe", documents = "held" }
bootstrap = 100
""",
    )
    .replace('samples = "answers" }', 'samples = "answers", course = "early" }')
)


@pytest.fixture(scope="module")
def phased(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A training of two phases whose checkpoint after step 4 is evaluated too."""
    return build(tmp_path_factory.mktemp("phased"), PHASED)


def tree_of(page: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(page)


def training_of(made: Build) -> Artifact:
    return made.result.artifacts["base"]


def test_it_asks_for_nothing_and_runs_nothing(phased: Build) -> None:
    tree = tree_of((phased.release / "training" / "report.html").read_text())
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert (
        tree.xpath("//script | //link | //img | //iframe | //object | //form | //base | //a[@href!='#content']")
        == []
    )
    assert [name for name in tree.xpath("//@*/..") if any(key.startswith("on") for key in name.attrib)] == []
    assert all(svg.get("aria-label") for svg in tree.xpath("//svg"))


def test_a_draft_says_so_in_words_and_not_in_markdown(phased: Build) -> None:
    (notice,) = tree_of((phased.release / "training" / "report.html").read_text()).xpath("//*[@class='notice']")
    assert notice.text_content() == "DRAFT. The publisher has not declared this release final."


def test_a_release_holds_it_and_verify_writes_it_again(phased: Build) -> None:
    assert main(["verify", str(phased.release)]) == 0
    page = phased.release / "training" / "report.html"
    text = page.read_text()
    page.write_text(text.replace("It ended after 12 steps", "It ended after 13 steps"))
    try:
        assert main(["verify", str(phased.release)]) == 1
    finally:
        page.write_text(text)


def test_it_says_what_log_and_manifest_say(phased: Build) -> None:
    artifact = training_of(phased)
    lines = read_log((artifact.path / "log.jsonl").read_bytes())
    page = (phased.release / "training" / "report.html").read_text()
    tree = tree_of(page)
    facts = {
        row.xpath("./th")[0].text_content(): row.xpath("./td")[0].text_content()
        for row in tree.xpath("//table[@class='facts']//tr")
    }
    assert facts["Parameters"] == f"{artifact.manifest.statistics['parameters']:,}"
    assert facts["Tokens"] == f"{lines[-1].tokens:,}"
    assert facts["Energy"].startswith("not measured: no readable RAPL counter") or "kWh" in facts["Energy"]
    assert "of" in facts["Model FLOPs utilisation"]
    headings = [heading.text_content() for heading in tree.xpath("//h3")]
    assert headings == [
        *("Loss", "Learning rate", "Norm of the gradient", "Speed", "Evaluation over checkpoints", "The mix seen"),
    ]
    (figures,) = [one for one in tree.xpath("//details") if "figures of" in one.text_content()]
    rows = [[cell.text_content() for cell in row] for row in figures.xpath(".//tbody/tr")]
    assert rows == [
        [
            f"{line.step:,}",
            f"{line.tokens:,}",
            f"{line.loss:.4f}",
            figure(line.learning_rate),
            f"{line.gradient_norm:.4f}",
        ]
        for line in lines
    ]
    assert [phase.text_content() for phase in tree.xpath("(//div[@class='phases'])[1]/span")] == [
        "main",
        "annealing",
    ]


def test_checkpoints_are_scored_at_their_steps(phased: Build) -> None:
    (course,) = courses_of(phased.store, "toy")
    assert [scored.step for scored in course.scored] == [4, 12]
    tree = tree_of(training_report("toy", [course]))
    (table,) = [one for one in tree.xpath("//details") if "bits per byte: the figures" in one.text_content()]
    steps = {row.xpath("./td")[0].text_content() for row in table.xpath(".//tbody/tr")}
    assert steps == {"4", "12"}
    early = {score.source: score for score in course.scored[0].scores if score.language is None}
    row = next(row for row in table.xpath(".//tbody/tr") if row.xpath("./td")[0].text_content() == "4")
    assert row.xpath("./td")[1].text_content() == f"{early['all sources'].value:.4f}"


def test_a_release_shows_what_its_checkpoints_scored_and_is_judged_by_its_end_alone(phased: Build) -> None:
    tree = tree_of((phased.release / "training" / "report.html").read_text())
    (table,) = [one for one in tree.xpath("//details") if "bits per byte: the figures" in one.text_content()]
    assert {row.xpath("./td")[0].text_content() for row in table.xpath(".//tbody/tr")} == {"4", "12"}
    report = json.loads((phased.release / "report.json").read_text())
    own = phased.result.artifacts["scores"].manifest.statistics["scores"]
    assert [score["value"] for score in report["scores"]] == [score["value"] for score in own]
    assert "early" not in {entry["call"] for entry in report["lineage"]}


def test_verify_names_a_course_that_is_of_another_training(phased: Build) -> None:
    index = ReleaseIndex.model_validate_json((phased.release / "release.json").read_bytes())
    made = [artifact for call, artifact in phased.result.artifacts.items() if call != "release"]
    manifests = {item.key: item.manifest for item in gather(made)}
    assert check_lineage(index, manifests) == []
    (entry,) = index.course
    (model,) = manifests[entry.key].inputs["model"]
    strange = manifests[model.key].model_copy(update={"inputs": {"model": [index.tokenizer]}})
    (problem,) = check_lineage(index, {**manifests, model.key: strange})
    assert problem.endswith("these scores are of another training")


def test_the_course_of_another_training_is_refused(tmp_path: Path) -> None:
    other = (
        PHASED.replace('model = "base@step-4"', 'model = "other"')
        + """
[other]
step = "train.pretrain"
inputs = { tokens = "packed", tokenizer = "bpe" }
depth = 1
width = 32
heads = 2
kv_heads = 1
head_size = 16
hidden = 64
context = 64
batch = 2
duration = "1 step"
"""
    )
    with pytest.raises(ReleaseError, match="the course of another training"):
        build(tmp_path, other)


def test_the_command_writes_a_page_and_says_how_the_training_stands(
    phased: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "page.html"
    store = ["--store", str(phased.store.root)]
    assert main(["report", "toy", "--html", str(path), *store]) == 0
    assert "base: It ended after 12 steps." in capsys.readouterr().out
    assert "http-equiv" in path.read_text()
    assert 'http-equiv="refresh"' not in path.read_text()
    assert main(["report", "toy.toml", "--html", str(path), "--json", "--follow", "1", *store]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"report": str(path), "trainings": [{"call": "base", "state": "It ended after 12 steps."}]}
    assert main(["report", "nothing", *store]) == 2
    assert main(["report", str(phased.release), *store]) == 2
    assert "training/report.html" in capsys.readouterr().err.replace("\n", "")
    assert not (tmp_path / "elsewhere").exists()
    assert main(["report", "toy", "--store", str(tmp_path / "elsewhere")]) == 2
    assert not (tmp_path / "elsewhere").exists()


def lines_of(count: int, loss: float = 2.0) -> list[LogLine]:
    return [
        LogLine(
            step=step,
            tokens=10 * step,
            loss=loss,
            learning_rate=1e-3,
            gradient_norm=1.0,
            batch="sha256:00",
            chain="sha256:00",
        )
        for step in range(1, count + 1)
    ]


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A training that has been killed once, and is at step 30 of 100, its last line half written."""
    files, view = tmp_path / "files", tmp_path / "view"
    files.mkdir()
    view.mkdir()
    text = "".join(line.to_json() + "\n" for line in lines_of(30))
    (files / "log.jsonl").write_text(text + '{"step": 31, "tok')
    moments = [(1, 0, 0.0), (1, 20, 10.0), (2, 10, 0.0), (2, 30, 10.0)]
    (view / "times.jsonl").write_text(
        "".join(
            Moment(
                run=run, step=step, tokens=10 * step, seconds=seconds, waited=0, joules=3.6e6, time=1_000.0
            ).model_dump_json()
            + "\n"
            for run, step, seconds in moments
        )
    )
    return tmp_path


OUTLOOK = Outlook(
    parameters=1_000,
    steps=100,
    tokens=1_000,
    phases=(("main", 100),),
    flops=6_000_000,
    peak_flops_per_second=1e6,
    peak_method="measured: so",
    energy_method="a counter",
)


def test_a_training_under_way_is_shown_as_far_as_it_has_come(staged: Path) -> None:
    course = running_course("base", staged, OUTLOOK, now=1_010.0)
    assert course.state == "Step 30 of 100 (30.0%); about 35 s left, at the speed of this run."
    facts = dict(course.facts)
    assert facts["Tokens"] == "300 of 1,000"
    assert facts["Runs"] == "2, which trained 20 s"
    assert facts["Energy"] == "2 kWh so far (a counter)"
    assert facts["Model FLOPs utilisation"] == "12.0% of 0 GFLOP/s (measured: so)"
    page = training_report("toy", [course], refresh_seconds=5)
    assert '<meta http-equiv="refresh" content="5">' in page
    # What is not trained yet stays blank: the last point is at 30 % of the width.
    points = re.search(r'<polyline class="s0" points="([^"]+)"', page)
    assert points is not None
    assert float(points[1].split()[-1].split(",")[0]) == pytest.approx(0.3 * WIDTH)


def test_a_silent_training_is_not_said_to_run(staged: Path) -> None:
    course = running_course("base", staged, OUTLOOK, now=1_000.0 + 7_200)
    assert "nothing was heard of it for 2 h: it is interrupted, or very slow" in course.state
    (staged / "view" / "times.jsonl").unlink()
    assert "has not begun to train" in running_course("base", staged, OUTLOOK, now=0.0).state


def test_a_store_shows_a_run_that_was_killed(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = Store(tmp_path_factory.mktemp("killed") / "store")
    key = "sha256:" + "a" * 64
    events = store.run_folder("toy") / "events.jsonl"
    before = {"event": "call_started", "call": "old", "key": key}
    events.write_text(
        "".join(
            json.dumps(event) + "\n"
            for event in (before, {"event": "run_started"}, {"event": "call_started", "call": "base", "key": key})
        )
        + '{"event": "call_st'
    )
    whole = store.root / "staging" / ("a" * 64) / "whole"
    whole.parent.mkdir()
    staged.rename(whole)
    (whole / "view" / "outlook.json").write_text(OUTLOOK.model_dump_json())
    (course,) = courses_of(store, "toy")
    assert (course.call, len(course.lines), course.planned) == ("base", 30, 100)


def test_what_recipes_and_sources_say_is_text() -> None:
    said = '<script>x</script>"&'
    mix = Mix(stretches=(Stretch(phase=said, first=1, last=2, counted=2, tokens={said: 3, "b": 1}),))
    score = Score(name="bits_per_byte", source=said, value=1.0, low=0.9, high=1.1, n=3, method="m")
    course = Course(
        call=said,
        step=said,
        state=said,
        lines=lines_of(2),
        planned=2,
        phases=((said, 1), ("b", 2)),
        facts=((said, said),),
        mix=mix,
        validation=(Measurement(step=1, losses={said: 1.0, "b": 2.0}),),
        scored=(Scored(2, [score]),),
    )
    tree = tree_of(training_report(said, [course], notice=said))
    assert tree.xpath("//script") == []
    assert said in tree.text_content()
    assert any(said in label for label in tree.xpath("//svg/@aria-label"))


def test_an_empty_build_has_a_page() -> None:
    assert "There is no training to show." in training_report("toy", [])
    course = Course("base", "train.pretrain", "It ended after 0 steps.", [], 0)
    assert "It ended after 0 steps." in training_report("toy", [course])


def test_many_points_keep_their_extremes() -> None:
    values = [1.0] * 10_000
    values[5_000] = 9.0
    drawn = chart([Curve("loss", range(1, 10_001), values, band=True)], Axis(10_000), said="s", caption="c")
    line, band = (re.search(rf'<{shape} [^>]*points="([^"]+)"', drawn) for shape in ("polyline", "polygon"))
    assert line is not None
    assert band is not None
    assert len(line[1].split()) == BINS
    heights = [float(point.split(",")[1]) for point in band[1].split()]
    assert min(heights) == pytest.approx(Scale.of(values).at(9.0), abs=0.01)


def test_what_is_no_number_is_not_drawn() -> None:
    drawn = chart([Curve("x", [1, 2, 3], [1.0, math.inf, 2.0])], Axis(3), said="s", caption="c")
    assert "inf" not in drawn
    assert "nan" not in drawn
    assert "nothing yet" in chart([Curve("x", [1], [math.nan])], Axis(1), said="loss", caption="c")


def test_scales_hold_their_values_between_round_ticks() -> None:
    for values in ([0.313, 6.2], [5.0], [0.0], [-3.0, 4.0], [1e-9, 3e-9], [12_000.0, 25_000.0]):
        scale = Scale.of(values)
        assert all(-1e-6 <= scale.at(value) <= HEIGHT + 1e-6 for value in values), values
        assert 2 <= len(scale.ticks) <= 8
    assert Scale.of([0.3, 6.2]).ticks == (0.0, 2.0, 4.0, 6.0, 8.0)
    wide = Scale.of([0.001, 50.0], may_be_logarithmic=True)
    assert wide.logarithmic
    assert (wide.low, wide.high) == (0.001, 100.0)


def test_shares_fill_the_height_and_few_colours_are_enough() -> None:
    names = [f"source {number}" for number in range(12)]
    tokens = {name: 10 * (12 - number) for number, name in enumerate(names)}
    mix = Mix(stretches=(Stretch(phase="main", first=1, last=4, counted=2, tokens=tokens),))
    page = training_report("toy", [Course("base", "s", "x", [], 4, mix=mix)])
    assert "all others" in page
    assert "counted on 2 of 4 steps, evenly spread" in page
    assert page.count("source 11") == 1  # in the table alone
    drawn = stacked([(1, 2, [0.25, 0.75]), (3, 4, [1.0, 0.0])], ["a", "b"], Axis(4), said="s")
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"', drawn)]
    assert heights == [100.0, 300.0, 400.0, 0.0]


def test_energy_is_said_with_its_method_and_an_estimate_apart() -> None:
    measured = {"joules": 3.6e6, "method": "RAPL", "country": "FR"}
    assert energy_words(measured) == "1 kWh (RAPL); country: FR"
    estimated = {"joules": None, "method": "not measured: x", "estimate": {"joules": 7.2e6, "formula": "2 W x 1 s"}}
    assert energy_words(estimated) == "not measured: x; country: not stated; estimate: 2 kWh (2 W x 1 s)"
    assert energy_words({}) == ""


def test_a_training_that_ended_early_says_so(phased: Build) -> None:
    artifact = training_of(phased)
    log = (artifact.path / "log.jsonl").read_bytes().splitlines(keepends=True)
    files = {"log.jsonl": b"".join(log[:5]), "parameters.json": (artifact.path / "parameters.json").read_bytes()}
    course = ended_course("base", artifact.manifest, files.get, [])
    assert course.state == "It ended after 5 steps of 12 planned."
    assert course.mix is None
    assert replace(course, state="").planned == 12


def test_what_an_instruction_does_on_what_was_held_out_has_a_row() -> None:
    base, model = ({"loss": loss, "loss_low": loss - 0.1, "loss_high": loss + 0.1} for loss in (7.95214, 0.78618))
    held_out = {"conversations": 1237, "also_trained_on": 2, "base": base, "model": model}
    ((name, said),) = facts_of({"held_out": held_out}, {}, {}, {})
    assert name == "On what was held out"
    assert said == (
        "0.7862 nats per token that counts (0.6862 to 0.8862), where its base has 7.9521; 1,237 conversations; "
        "2 of them were trained on"
    )
