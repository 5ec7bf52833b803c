"""What an erasure touches, on a whole small build: ids, shards, steps, checkpoints, evaluations, releases."""

import json
import shutil
from pathlib import Path

import pytest
from tests.evaluate.small import Build, build, find_step
from tests.trace.requests import DATE, documents_of

from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.store import Store
from fonderie.release.tombstones import check_lists
from fonderie.release.verify import verify
from fonderie.tokens.shards import TokenStream
from fonderie.trace.erasure import Examination, carry_out, examine
from fonderie.trace.erasure_request import Received, Request
from fonderie.train.seen import steps_that_saw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build(tmp_path_factory.mktemp("reach"))


def examined(made: Build, document: str) -> Examination:
    request = Request.model_validate(
        {
            "reference": "2026-1",
            "received": "2026-09-01",
            "ground": "copyright",
            "decision": "granted",
            "select": {"ids": [document]},
        }
    )
    received = Received(request=request, sha256="sha256:00")
    return examine(received, Store(made.store.root), Machine(), date=DATE)


def seen_first(made: Build) -> tuple[str, list[int]]:
    """A letter that the training saw, and in which steps, told by the stream itself."""
    packed, model = made.result.artifacts["packed"], made.result.artifacts["base"]
    stream = TokenStream.open(packed.path)
    for extent in stream.extents:
        steps = steps_that_saw(model, packed, len(stream), extent.start, extent.start + extent.length)
        if steps and extent.source == "letters":
            return extent.id, steps
    raise AssertionError("the training saw no letter")


def test_shards_steps_checkpoints_and_releases_are_named(made: Build) -> None:
    document, steps = seen_first(made)
    reach = examined(made, document).reach
    assert {extent.shard for extent in reach.tokens} <= {"tokens/00000.bin", "tokens/00001.bin"}
    (training,) = reach.trainings
    assert (training.made, list(training.steps)) == ("toy: base", steps)
    kept = {int(name.removeprefix("step-")) for name in (*training.checkpoints, *training.sound)}
    assert {int(name.removeprefix("step-")) for name in training.checkpoints} == {
        step for step in kept if step >= steps[0]
    }
    assert reach.releases == ["toy 0.1.0 (toy: release)"]
    assert reach.evaluations == []
    assert {row.made for row in reach.passed} >= {"toy: letters", "toy: distinct", "toy: training"}


def test_a_document_held_out_touches_the_evaluation_alone(made: Build) -> None:
    held = next(item for item in documents_of(made.result, "held") if item.source == "letters")
    reach = examined(made, held.id).reach
    assert reach.evaluations == ["toy: scores"]
    assert (reach.tokens, reach.trainings) == ([], [])


def test_the_next_release_carries_the_list_and_verifies(tmp_path: Path) -> None:
    made = build(tmp_path)
    document, _ = seen_first(made)
    folder = carry_out(examined(made, document), made.store, date=DATE)
    recipe = load_recipe(tmp_path / "toy.toml", (), find_step)
    again = run_recipe(recipe, Store(made.store.root), Machine())
    release = again.artifacts["release"].path
    assert (release / "erasures/2026-1.json").read_bytes() == (folder / "tombstones.json").read_bytes()
    verification = verify(release)
    assert verification.ok, verification.problems
    assert "erasures" in [check.name for check in verification.checks]
    forgetful = tmp_path / "forgetful"
    shutil.copytree(release, forgetful)
    (forgetful / "erasures/2026-1.json").unlink()
    assert not next(check for check in verify(forgetful).checks if check.name == "erasures").ok
    manifests = {artifact.key: artifact.manifest for artifact in again.artifacts["release"].lineage()}
    listed = {
        entry["path"]: entry["sha256"] for entry in json.loads((release / "release.json").read_bytes())["files"]
    }
    assert check_lists(manifests, listed) == []
    (problem,) = check_lists(manifests, {**listed, "erasures/2026-1.json": "sha256:00"})
    assert problem.startswith("erasures/2026-1.json: not the list that manifests/")
