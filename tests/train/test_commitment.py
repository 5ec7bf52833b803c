"""The commitment and the chain: what they bind, that a resume goes on with them, and that a segment can be redone."""

import dataclasses
import hashlib
import json
import shutil
import struct

import numpy as np
import pytest
from tests.train.pretraining import run

from fonderie.core.digest import digest_file, digest_json
from fonderie.core.errors import InputError, StepError, StoreError
from fonderie.core.machine import Machine
from fonderie.train.record import checkpoint
from fonderie.train.record.commitment import (
    break_in_chain,
    committed_files,
    extend,
    parse_commitment,
    read_log,
    shuffle_seed,
    trees,
)
from fonderie.train.segment import retrain
from fonderie.train.training import Training, read_commitment

pytestmark = pytest.mark.slow

SHORT = {"duration": "30 steps", "checkpoint_every": 10, "checkpoints_kept": 9}


@pytest.fixture
def made(tokens_folder, tokenizer_folder, tmp_path):
    return run(tokens_folder, tokenizer_folder, tmp_path / "run", **SHORT).path


def lines_of(folder):
    return read_log((folder / "log.jsonl").read_bytes())


def test_the_commitment_names_what_the_training_follows_from(made, tokens_folder, tokenizer_folder, stream):
    commitment = read_commitment(made / "commitment.json")
    assert (commitment.tokens, commitment.offsets) == trees(tokens_folder, stream.index)
    assert commitment.tokenizer == digest_file(tokenizer_folder / "tokenizer.json")
    assert commitment.parameters["learning_rate"] == 3e-3
    assert commitment.shuffle_seed == shuffle_seed(commitment.tokens.root, 0) < 1 << 48
    names = [file.path for tree in (commitment.tokens, commitment.offsets) for file in tree.files]
    assert sorted(names) == sorted(
        path.relative_to(tokens_folder).as_posix() for path in tokens_folder.rglob("*.*")
    )
    assert sorted(names) == sorted([*committed_files(stream.index)[0], *committed_files(stream.index)[1]])
    initial = checkpoint.load(made / "checkpoints/step-00000000")
    assert commitment.initial_state == initial.root
    assert initial.tensors["optimizer"] == {}


def test_the_order_follows_from_the_tokens_and_the_seed(tokens_folder, stream):
    root = trees(tokens_folder, stream.index)[0].root
    seed = shuffle_seed(root, 0)
    assert seed != shuffle_seed(root, 1)
    path = tokens_folder / stream.index.shards[2].tokens_file
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    assert shuffle_seed(trees(tokens_folder, stream.index)[0].root, 0) != seed


def test_which_document_a_token_came_from_is_bound_without_moving_the_order(tokens_folder, stream):
    tokens, offsets = trees(tokens_folder, stream.index)
    path = tokens_folder / stream.index.shards[0].offsets_file
    path.write_bytes(path.read_bytes() + b"\0")
    again = trees(tokens_folder, stream.index)
    assert again[0] == tokens
    assert again[1].root != offsets.root


def test_the_chain_is_what_the_docstring_says(made):
    """Written out with hashlib alone, as a stranger would."""
    record = json.loads((made / "commitment.json").read_bytes())
    stated = record.pop("digest")
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    head = hashlib.sha256(text.encode()).digest()
    assert stated == "sha256:" + head.hex()
    for row in map(json.loads, (made / "log.jsonl").read_text().splitlines()):
        data = (
            head + struct.pack(">Q", row["step"]) + bytes.fromhex(row["batch"][7:]) + struct.pack(">d", row["loss"])
        )
        if row["step"] % 10 == 0:
            data += bytes.fromhex(row["checkpoint"][7:])
        head = hashlib.sha256(data).digest()
        assert row["chain"] == "sha256:" + head.hex()


def test_batches_and_checkpoints_of_the_log_are_those_there_are(made, tokens_folder):
    training = Training.committed(read_commitment(made / "commitment.json"), [tokens_folder])
    lines = lines_of(made)
    for line in lines:
        ids = training.batches(line.step).ids.astype("<u4")
        assert line.batch == "sha256:" + hashlib.sha256(ids.tobytes()).hexdigest()
        assert line.learning_rate == training.plan.rate(line.step)
    written = {line.step: line.checkpoint for line in lines if line.checkpoint}
    assert written.keys() == {10, 20, 30}
    for step, root in written.items():
        found = checkpoint.load(made / "checkpoints" / checkpoint.folder_name(step))
        assert found.root == root
        assert found.facts["chain"] == lines[step - 1].chain


@pytest.mark.parametrize("field", ["loss", "batch", "checkpoint", "step", "chain"])
def test_a_line_that_was_changed_breaks_the_chain_there(made, field):
    head, lines = read_commitment(made / "commitment.json").digest, lines_of(made)
    assert break_in_chain(head, lines) is None
    line = lines[9]
    changed = {
        "loss": float(np.nextafter(line.loss, 0)),
        "batch": lines[0].batch,
        "checkpoint": lines[19].checkpoint,
        "step": 11,
        "chain": lines[0].chain,
    }
    lines[9] = line.model_copy(update={field: changed[field]})
    said = break_in_chain(head, lines)
    assert said is not None
    assert ("line 10 is step 11" if field == "step" else "step 10") in said


def test_a_line_left_out_or_another_beginning_breaks_the_chain(made):
    head, lines = read_commitment(made / "commitment.json").digest, lines_of(made)
    assert break_in_chain(head, lines[:5] + lines[6:]) == "line 6 is step 7"
    assert break_in_chain(digest_json("another"), lines) is not None
    assert extend(head, 1, head, 0.5) != extend(head, 1, head, 0.5, head)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "\xff"])
def test_what_is_no_commitment_is_refused(tmp_path, text):
    path = tmp_path / "commitment.json"
    with pytest.raises(InputError, match=r"commitment\.json cannot be read"):
        read_commitment(path)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"commitment\.json is no commitment"):
        read_commitment(path)


def test_a_commitment_edited_is_refused(made):
    record = json.loads((made / "commitment.json").read_bytes())
    with pytest.raises(ValueError, match="its digest is not that"):
        parse_commitment(json.dumps({**record, "shuffle_seed": 7}).encode())


@pytest.mark.parametrize("line", ["{}", "[]", '{"step": 1.5}', '{"loss": NaN}'])
def test_a_line_that_is_none_is_named(made, line):
    data = (made / "log.jsonl").read_bytes() + line.encode()
    with pytest.raises(ValueError, match="line 31 is no step"):
        read_log(data)


def test_going_on_with_another_training_is_refused(made, tokens_folder, tokenizer_folder):
    with pytest.raises(StoreError, match="commits to another training"):
        run(tokens_folder, tokenizer_folder, made.parent, **SHORT, learning_rate=2e-3)
    (made / "commitment.json").unlink()
    with pytest.raises(StoreError, match=r"holds step-00000030, and no commitment\.json"):
        run(tokens_folder, tokenizer_folder, made.parent, **SHORT)


def test_killed_before_the_first_step_it_commits_again(made, tokens_folder, tokenizer_folder, tmp_path):
    early = tmp_path / "early" / "files"
    shutil.copytree(made / "checkpoints/step-00000000", early / "checkpoints/step-00000000")
    run(tokens_folder, tokenizer_folder, early.parent, **SHORT)
    for name in ("commitment.json", "log.jsonl", "model.safetensors"):
        assert (early / name).read_bytes() == (made / name).read_bytes()


@pytest.mark.parametrize(("start", "until"), [(None, 10), (0, 10), (10, 20), (10, 30), (20, 25)])
def test_a_segment_done_again_is_the_same_to_the_bit(made, tokens_folder, tmp_path, start, until):
    commitment, lines = read_commitment(made / "commitment.json"), lines_of(made)
    training = Training.committed(commitment, [tokens_folder])
    folder = None if start is None else made / "checkpoints" / checkpoint.folder_name(start)
    head = lines[start - 1].chain if start else commitment.digest
    found = retrain(training, folder, until, head=head, scratch=tmp_path / "scratch", machine=Machine())
    assert found.lines == tuple(lines[start or 0 : until])
    if until % 10 == 0:
        assert found.end.root == lines[until - 1].checkpoint
    assert [path.name for path in (tmp_path / "scratch/aside").iterdir()] == [found.end.path.name]


def test_a_segment_at_another_rate_is_another(made, tokens_folder, tmp_path):
    commitment, lines = read_commitment(made / "commitment.json"), lines_of(made)
    training = Training.committed(commitment, [tokens_folder])
    other = dataclasses.replace(training, plan=dataclasses.replace(training.plan, rate_factor=1.01))
    start = made / "checkpoints/step-00000010"
    found = retrain(other, start, 20, head=lines[9].chain, scratch=tmp_path / "scratch", machine=Machine())
    assert found.lines[0].loss == lines[10].loss  # the loss before the first wrong step
    assert found.lines[-1].chain != lines[19].chain
    assert found.end.root != lines[19].checkpoint


def test_segments_that_cannot_be_are_refused(made, tokens_folder, tmp_path):
    training = Training.committed(read_commitment(made / "commitment.json"), [tokens_folder])
    start = made / "checkpoints/step-00000020"
    for until in (20, 31):
        with pytest.raises(InputError, match="step-00000020 is not before"):
            retrain(training, start, until, head="", scratch=tmp_path, machine=Machine())
    with pytest.raises(StepError, match="at step"):
        retrain(
            dataclasses.replace(training, plan=dataclasses.replace(training.plan, rate_factor=1e33)),
            start,
            30,
            head=lines_of(made)[19].chain,
            scratch=tmp_path,
            machine=Machine(),
        )


def test_parameters_of_no_training_are_refused(made, tokens_folder):
    commitment = read_commitment(made / "commitment.json")
    odd = commitment.model_copy(update={"parameters": {**commitment.parameters, "depth": 0}})
    with pytest.raises(InputError, match="no training has these parameters"):
        Training.committed(odd, [tokens_folder])
