"""The whole chain as a person runs it: the command itself, in its own process, on a tiny recipe."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fonderie.core.document import read_documents, shard_paths
from fonderie.core.ledger import read_ledger
from fonderie.tokens.shards import TokenStream
from fonderie.train.data.loader import Batches
from fonderie.train.settings.ramp import BatchSizes

pytestmark = pytest.mark.slow

TINY = Path(__file__).with_name("tiny.toml")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "fonderie.cli", *map(str, arguments)]


def fonderie(*arguments: object, status: int = 0, stdin: str = "", cwd: Path | None = None) -> str:
    done = subprocess.run(
        command(*arguments), input=stdin, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain") / "store"
    folder.with_name("first.txt").write_text(fonderie("run", TINY, "--store", folder))
    return folder


@pytest.fixture(scope="module")
def release(store: Path) -> Path:
    return store / "releases/tiny"


def test_the_run_ends_with_what_a_newcomer_wants_to_know(store: Path) -> None:
    said = store.with_name("first.txt").read_text()
    for expected in ("releases/tiny", "Openness, so far", "Bonjour ?", "fonderie chat", "Made 12 calls, reused 0."):
        assert expected in said
    assert "bits per byte" in " ".join(said.split())


def test_a_second_run_makes_nothing(store: Path) -> None:
    assert "Nothing to do: all 12 calls are already made" in fonderie("run", TINY, "--store", store)
    told = json.loads(fonderie("run", TINY, "--store", store, "--json"))
    assert (told["made"], len(told["reused"]), len(told["calls"])) == ([], 12, 12)


def test_what_must_be_caught_is_caught(store: Path) -> None:
    report = json.loads(fonderie("show", TINY, "--store", store, "--json"))
    (source,) = report["sources"]
    caught = source["dropped"]
    assert {"exact duplicate", "near duplicate"} <= set(caught)
    assert sum(caught.values()) >= 6 + 4 + 4
    assert source["edited"] == {"personal data: email": 4}
    assert source["held_out"] > 0
    assert source["read"] == 204
    assert source["read"] == source["kept"] + source["held_out"] + sum(caught.values())


def test_show_prints_the_same_for_recipe_and_release(store: Path, release: Path) -> None:
    by_recipe, by_release = fonderie("show", "tiny", "--store", store), fonderie("show", release)
    for expected in ("tales", "near duplicate", "Evaluation"):
        assert expected in by_recipe
        assert expected in by_release


def test_the_release_holds_and_an_altered_byte_is_named(release: Path, tmp_path: Path) -> None:
    said = " ".join(fonderie("verify", release).split())
    assert "tiny 1 holds" in said
    assert "data/tokens ← data/documents" in said
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-rL", release, copy], check=True)
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    said = " ".join(fonderie("verify", copy, status=1).split())
    assert "The first broken link: model.safetensors ← training/checkpoints" in said
    told = json.loads(fonderie("verify", copy, "--json", status=1))
    assert told["ok"] is False
    assert [link["name"] for link in told["links"] if not link["ok"]] == ["weights"]
    assert "no folder of source files" in fonderie("verify", copy, "--sources", tmp_path / "none", status=2)


def made_by(store: Path, step: str) -> Path:
    """The files of the only artifact of a step."""
    (found,) = [
        manifest.with_name("files")
        for manifest in store.glob("artifacts/*/*/manifest.json")
        if json.loads(manifest.read_bytes())["step"] == step
    ]
    return found


def why(store: Path, query: str) -> list[dict]:
    return json.loads(fonderie("why", query, "--store", store, "--json"))


def test_why_follows_a_document_to_the_steps_that_saw_it(store: Path) -> None:
    stream = TokenStream.open(made_by(store, "tokens.pack"))
    extent = stream.extents[5]
    (trail,) = [trail for trail in why(store, extent.id) if trail["origin"] == extent.origin]
    assert [fate["call"] for fate in trail["fates"]] == [
        "tales",
        "clean",
        "private",
        "unique",
        "training",
        "held_out",
    ]
    assert [fate["fate"] for fate in trail["fates"]] == ["kept"] * 5 + ["dropped"]
    (place,) = trail["tokens"]
    assert (place["call"], place["first"], place["length"]) == ("shards", extent.start, extent.length)
    derived = json.loads((made_by(store, "train.pretrain") / "parameters.json").read_bytes())
    batches = Batches(
        stream, context=64, sizes=BatchSizes(4), seed=derived["training"]["phases"][0]["shuffle_seed"]
    )
    expected = [
        step
        for step in range(1, 41)
        if any(
            i * 64 <= extent.start + extent.length - 1 and extent.start <= i * 64 + 64
            for i in batches.indices(step)
        )
    ]
    assert place["seen"] == {"base": expected}
    assert expected


def test_why_finds_by_text_what_was_dropped_and_says_why(store: Path) -> None:
    dropped = [entry for entry in read_ledger(made_by(store, "corpus.filter")) if entry.fate == "dropped"]
    texts = {
        item.id: item.text
        for path in shard_paths(made_by(store, "corpus.generate"))
        for item in read_documents(path)
    }
    words = max(texts[dropped[0].id].split("\n"), key=len)
    trails = why(store, words)
    (trail,) = [trail for trail in trails if trail["origin"] == dropped[0].origin]
    assert trail["fates"][-1]["call"] == "clean"
    assert (trail["fates"][-1]["fate"], trail["fates"][-1]["reason"]) == ("dropped", dropped[0].reason)
    assert trail["tokens"] == []


def test_why_follows_an_edit_under_its_new_id(store: Path) -> None:
    edited = next(entry for entry in read_ledger(made_by(store, "corpus.redact")) if entry.fate == "edited")
    assert edited.id_after is not None
    for name in (edited.id, edited.id_after):
        (trail,) = [trail for trail in why(store, name) if trail["origin"] == edited.origin]
        assert (edited.id, edited.id_after) in [(fate["id"], fate["id_after"]) for fate in trail["fates"]]


def test_why_of_what_is_nowhere_is_a_finding(store: Path) -> None:
    assert "No document matches" in fonderie("why", "un ornithorynque quantique", "--store", store, status=1)


def test_chat_answers_lines(release: Path) -> None:
    told = fonderie("chat", release, "--json", "--max-tokens", 8, stdin="Bonjour !\n")
    record = json.loads(told)
    assert record["question"] == "Bonjour !"
    assert record["tokens"] <= 8
    assert record == json.loads(fonderie("chat", release, "--json", "--max-tokens", 8, stdin="Bonjour !\n"))


def test_transformers_loads_the_release_and_says_the_same(release: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    from fonderie.model.convert import load_pretrained

    theirs, ours = transformers.AutoModelForCausalLM.from_pretrained(release), load_pretrained(release)
    tokenizer = transformers.AutoTokenizer.from_pretrained(release)
    ids = tokenizer("Le petit renard voulait voir la mer.", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.allclose(theirs.float()(ids).logits, ours(ids), atol=1e-4)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("base.deapth=2", "[base] has no parameter 'deapth'; did you mean 'depth'?"),
        ("base.depth=0", "depth"),
        ("bose.depth=2", "no call 'bose'; did you mean 'base'?"),
        ("clean.rules=['wrds >= 3']", "no measure 'wrds'"),
        ("release.licence=CC-BY-NC-4.0", "CC-BY-NC-4.0"),
    ],
)
def test_a_wrong_recipe_fails_before_any_step(tmp_path: Path, override: str, complaint: str) -> None:
    status = 1 if "licence" in override else 2
    said = fonderie("run", TINY, "--store", tmp_path / "store", "--set", override, status=status)
    assert complaint in " ".join(said.split())
    assert not list((tmp_path / "store").glob("artifacts/*/*"))


def test_a_restricted_source_is_refused_then_relaxed_and_said_first(tmp_path: Path, store: Path) -> None:
    nc = ("--set", "tales.licence=CC-BY-NC-4.0")
    said = fonderie("run", TINY, "--store", store, *nc, status=1)
    assert "'tales' is under CC-BY-NC-4.0, which is restricted" in " ".join(said.split())
    relaxed = (*nc, "--set", 'policy.also_allow=["CC-BY-NC-4.0"]', "--set", "base.duration=5 steps")
    said = fonderie("run", TINY, "--store", tmp_path / "store", *relaxed)
    assert said.index("RESTRICTED") < said.index("Release")
    card = (tmp_path / "store/releases/tiny/README.md").read_text()
    front = card.index("---", 4)
    assert "CC-BY-NC-4.0" in card[front : front + 900]


def kill_while_training(store: Path, seconds: float) -> bool:
    """Kill the run some time after its training began; whether it was still running."""
    process = subprocess.Popen(
        command("run", TINY, "--store", store, "--set", "base.duration=400 steps"),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    events = store / "runs/tiny/events.jsonl"
    while process.poll() is None:
        if events.exists() and '"call_started", "call": "base"' in events.read_text():
            time.sleep(seconds)
            break
        time.sleep(0.05)
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def test_killed_three_times_the_artifact_is_the_same_to_the_last_byte(store: Path, tmp_path: Path) -> None:
    longer = ("--set", "base.duration=400 steps", "--json")
    whole = json.loads(fonderie("run", TINY, "--store", tmp_path / "whole", *longer, "--until", "base"))
    broken = tmp_path / "broken"
    kills = sum(kill_while_training(broken, seconds) for seconds in (1.5, 2.5, 3.5))
    assert kills == 3
    resumed = json.loads(fonderie("run", TINY, "--store", broken, *longer, "--until", "base"))
    assert resumed["calls"]["base"]["digest"] == whole["calls"]["base"]["digest"]
