"""A model instructed and then taught preferences is walked back, stage by stage, to its base and to every document."""

import json
import shutil
from pathlib import Path

import pytest
from tests.evaluate.small import RECIPE, Build, build
from tests.release.forging import seal

from fonderie.audit.replay import replay_release
from fonderie.core.errors import InputError, ReleaseError
from fonderie.core.step import Artifact
from fonderie.release.trained_on import documents_behind
from fonderie.release.verify import verify
from fonderie.trace.why import why
from fonderie.train.record.commitment import parse_commitment

pytestmark = pytest.mark.slow

HEAD, _, TAIL = RECIPE.partition("[scores]")
SIZES = 'context = 63\nbatch = 2\nlearning_rate = 1e-3\ncheckpoint_every = 2\ncheckpoints_kept = "all"\n'
INSTRUCTED = (
    HEAD
    + f"""
[talks]
step = "corpus.conversations"
path = "talks.jsonl"
format = "messages"
licence = "CC0-1.0"

[talked]
step = "tokens.pack"
inputs = {{ documents = "talks", tokenizer = "bpe" }}

[other_talks]
step = "corpus.conversations"
path = "other-talks.jsonl"
format = "messages"
licence = "CC0-1.0"

[instructed]
step = "train.instruct"
inputs = {{ model = "base", tokens = "talked", tokenizer = "bpe", validation = "other_talks" }}
duration = "4 steps"
{SIZES}

[votes]
step = "corpus.preferences"
path = "votes.jsonl"
format = "pairs"
licence = "CC0-1.0"

[paired]
step = "tokens.pairs"
inputs = {{ documents = "votes", tokenizer = "bpe" }}

[other_votes]
step = "corpus.preferences"
path = "other-votes.jsonl"
format = "pairs"
licence = "CC0-1.0"

[preferred]
step = "train.prefer"
inputs = {{ model = "instructed", tokens = "paired", tokenizer = "bpe", validation = "other_votes" }}
duration = "4 steps"
{SIZES}
"""
    + """
[before]
step = "evaluate.perplexity"
inputs = { model = "base", tokenizer = "bpe", documents = "held" }
bootstrap = 200

[gate]
step = "evaluate.gate"
inputs = { scores = "scores", parent = "before" }
regressions = [{ score = "bits_per_byte", margin = 9.0 }]

[scores]"""
    + TAIL.replace('model = "base"', 'model = "preferred"').replace(
        'scores = "scores"', 'scores = "scores", gate = "gate"'
    )
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("instructed")
    animals, others = ("chat", "chien", "coq", "renard", "loup"), ("cheval", "canard", "mouton")

    def talk(one: str, n: int) -> dict[str, object]:
        question = {"role": "user", "content": f"Le {one} {n} ?"}
        return {"messages": [question, {"role": "assistant", "content": f"Un {one}."}]}

    def vote(one: str) -> dict[str, object]:
        return {"prompt": f"Le {one} ?", "chosen": f"Un {one}.", "rejected": "Non."}

    files = {
        "talks": [talk(one, n) for n in range(6) for one in animals],
        "votes": [vote(one) for one in animals],
        "other-talks": [talk(one, 0) for one in others],
        "other-votes": [vote(one) for one in others],
    }
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return build(folder, INSTRUCTED)


@pytest.fixture
def copy(made: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.release, tmp_path / "release"))


def test_it_is_walked_back_to_its_bases_and_their_documents(made: Build) -> None:
    found = verify(made.release)
    assert found.ok, found.problems
    links = {link.name: link for link in found.links}
    stages = ("", "base: ", "base: base: ")
    assert [*links] == [
        f"{stage}{name}"
        for stage in stages
        for name in ("weights", "checkpoints", "log", "tokens", "documents", "sources", "base")
        if (stage, name) != ("base: base: ", "base")
    ]
    assert all(link.checked for link in links.values())
    assert links["base"].lower == "base/model.safetensors"
    assert "tensors before the first step are those of base/model.safetensors" in links["base: base"].detail
    assert links["documents"].detail.startswith("5 documents")
    assert links["base: documents"].detail.startswith("30 documents")
    assert (made.release / "base/base/training/commitment.json").is_file()


def test_every_stage_is_replayed_to_the_bit(made: Build) -> None:
    for folder, segments in ((made.release, 2),):
        report = replay_release(folder, segments=segments, seed=0)
        assert (report.verdict, report.segments_published) == ("identical", 2)


def test_without_base_and_first_state_the_first_steps_need_it(made: Build, copy: Path) -> None:
    shutil.rmtree(copy / "base")
    assert replay_release(copy, segments=2, seed=0).verdict == "identical"  # from the state before the first step
    shutil.rmtree(copy / "training/checkpoints/step-00000000")
    with pytest.raises(InputError, match=r"the base .* is not here\n.*--base"):
        replay_release(copy, segments=2, seed=0)
    instructed = made.result.artifacts["instructed"]
    assert replay_release(copy, segments=2, seed=0, base=instructed.path).verdict == "identical"


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("base/model.safetensors", "base"),
        ("base/base/training/log.jsonl", "base: base: log"),
        ("training/reference.safetensors", "tokens"),
        ("base/data/tokens/tokens/00000.bin", "base: tokens"),
    ],
)
def test_what_is_altered_breaks_the_link_that_it_belongs_to(copy: Path, name: str, broken: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[-3] ^= 1
    (copy / name).write_bytes(bytes(data))
    seal(copy)
    found = verify(copy)
    assert not found.ok
    assert broken in [link.name for link in found.links if not link.ok]


def test_another_template_than_the_tokenizers_is_found(copy: Path) -> None:
    path = copy / "base/training/commitment.json"
    commitment = parse_commitment(path.read_bytes())
    assert commitment.special is not None
    swapped = {**commitment.special, "<|user|>": commitment.special["<|assistant|>"]}
    swapped["<|assistant|>"] = commitment.special["<|user|>"]
    path.write_text(commitment.model_copy(update={"special": swapped}).to_json(), encoding="utf-8")
    seal(copy)
    (link,) = [link for link in verify(copy).links if link.name == "base: tokens"]
    assert any("takes 4 for <|assistant|>, which the tokenizer does not" in problem for problem in link.problems)


def test_the_card_says_what_was_done_and_the_hub_that_it_is_tuned(made: Build) -> None:
    card = (made.release / "README.md").read_text(encoding="utf-8")
    for call in ("base", "instructed", "preferred"):
        assert call in card
    index = json.loads((made.release / "release.json").read_text())
    assert index["base"]["base"]["base"] is None
    report = json.loads((made.release / "report.json").read_text())
    assert {source["name"] for source in report["sources"] if source["tokens"]} == {
        "toy",
        "letters",
        "talks",
        "votes",
    }


def _artifacts(made: Build) -> dict[str, Artifact]:
    return made.result.artifacts


def test_why_says_which_steps_saw_a_conversation(made: Build) -> None:
    (trail,) = why(_artifacts(made), "Le renard 3 ?")
    (tokens,) = trail.tokens
    assert set(tokens.seen) == {"instructed"}
    assert tokens.seen["instructed"]


def test_its_report_says_what_it_does_on_what_was_held_out(made: Build) -> None:
    found = [_artifacts(made)[call].manifest.statistics["held_out"] for call in ("instructed", "preferred")]
    assert [found[0]["conversations"], found[1]["pairs"]] == [3, 3]
    page = (made.release / "training/report.html").read_text(encoding="utf-8")
    assert f"the better answer gained on the worse one in {found[1]['preferred']:.1%} of 3 pairs" in page
    report = json.loads((made.release / "report.json").read_text())
    other = {source["name"]: source["stages"][0]["branch"] for source in report["sources"]}
    assert (other["other_talks"], other["talks"]) == ("evaluation", "training")


def test_a_fall_from_the_base_follows_from_the_scores_of_both(copy: Path) -> None:
    path = copy / "gate.json"
    gate = json.loads(path.read_text())
    gate["lines"][0] |= {"value": 0.0, "low": 0.0, "high": 0.0}
    gate["parent"] = gate["model"]
    path.write_text(json.dumps(gate), encoding="utf-8")
    seal(copy)
    (check,) = [check for check in verify(copy).checks if check.name == "gate"]
    assert [problem.removeprefix("gate.json: ") for problem in check.problems] == [
        "its manifest repeats it otherwise",
        "its parent is not the model whose scores it was given as a parent's",
        "bits_per_byte on all sources: the scores of this release and of its parent do not say so",
    ]


def test_all_that_it_was_trained_on_is_looked_through_or_nothing_is_said(made: Build, copy: Path) -> None:
    documents = documents_behind(made.release)
    assert documents is not None
    folders = {path.parent.relative_to(made.release).as_posix() for path in documents}
    assert folders == {f"{stage}data/documents" for stage in ("", "base/", "base/base/")}
    index = copy / "release.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "base": None}))
    assert documents_behind(copy) is None
    index.write_text("{}")
    with pytest.raises(ReleaseError, match="cannot be read"):
        documents_behind(copy)
