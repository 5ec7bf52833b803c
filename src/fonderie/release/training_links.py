"""Weights, checkpoints, log, commitment, tokens: the links of a release that training made."""

import json
from typing import Any

from fonderie.core.digest import digest_json
from fonderie.model.names import huggingface_names
from fonderie.release.layout import CHECKPOINTS, TOKENS, TRAINING
from fonderie.release.links import Outcome, Walk
from fonderie.release.tensors import open_tensors, unlike
from fonderie.train.batch import batch_hash
from fonderie.train.commitment import (
    COMMITMENT,
    LOG,
    FileRoot,
    Tree,
    break_in_chain,
    committed_files,
    shuffle_seed,
    state_root,
)

STATE = "state.json"
WEIGHTS = "model.safetensors"
_LOG, _COMMITMENT = f"{TRAINING}/{LOG}", f"{TRAINING}/{COMMITMENT}"
BATCH_LIMIT_TOKENS = 1 << 27
"""Ten times the largest batches of published trainings; a stranger's number must not fill the memory."""
LEFT_OUT = "not in this folder, only named and hashed in the manifests: nothing to check against"


def folder_of(step: int) -> str:
    """Where a release holds the checkpoint of a step."""
    return f"{CHECKPOINTS}/step-{step:08d}"


def check_weights(walk: Walk) -> Outcome:
    """The weights are the tensors of the checkpoint after the last step."""
    if not walk.index.checkpoints:
        return Outcome(f"checkpoints: {LEFT_OUT}", checked=False)
    last = walk.log[-1].step if walk.log else 0
    name = f"{folder_of(last)}/{WEIGHTS}"
    if name not in walk.folder.files and not checkpoint_steps(walk):
        return Outcome("the training kept no checkpoint", checked=False)
    vocabulary = json.loads(walk.folder.read(walk.present("config.json")))["vocab_size"]
    with open_tensors(walk.path(WEIGHTS)) as weights, open_tensors(walk.path(name)) as checkpoint:
        if walk.parameters.depth > len(weights.data):  # before as many names are made
            return Outcome("", [f"{WEIGHTS}: has fewer tensors than {_COMMITMENT} plans blocks"])
        names = huggingface_names(walk.parameters.config_for(vocabulary))
        problems = [f"{WEIGHTS}: {problem} ({name})" for problem in unlike(weights, checkpoint, names)]
        count = len(weights.data)
    return Outcome(f"all {count:,} tensors are those of {name}, bit for bit", problems)


def checkpoint_steps(walk: Walk) -> list[int]:
    """The steps of the checkpoints in the folder."""
    names = {
        name.removeprefix(f"{CHECKPOINTS}/").partition("/")[0]
        for name in walk.folder.files
        if name.startswith(f"{CHECKPOINTS}/step-")
    }
    return sorted(int(name.removeprefix("step-")) for name in names)


def check_checkpoints(walk: Walk) -> Outcome:
    """Each checkpoint's root, recomputed, is in the log at its step; the first's in the commitment."""
    if not walk.index.checkpoints:
        return Outcome(f"checkpoints: {LEFT_OUT}", checked=False)
    lines = {line.step: line for line in walk.log}
    problems, steps = [], checkpoint_steps(walk)
    for step in steps:
        folder = folder_of(step)
        state = _state(walk, folder)
        files = {name: (walk.size(f"{folder}/{name}"), walk.digests[f"{folder}/{name}"]) for name in state["files"]}
        extra = {name.removeprefix(f"{folder}/") for name in walk.folder.files if name.startswith(f"{folder}/")} - {
            STATE,
            *files,
        }
        root = state_root(files)
        line = lines.get(step)
        wanted, where = (
            (walk.commitment.initial_state, _COMMITMENT) if step == 0 else (line.checkpoint if line else None, _LOG)
        )
        chain = None if step == 0 or line is None else line.chain
        if root != wanted:
            problems.append(
                f"{folder}: its tensors have the root {root[:19]}…, not the one in {where} at step {step}"
            )
        elif (state["step"], state["root"], state["facts"].get("chain")) != (step, root, chain):
            problems.append(f"{folder}/{STATE}: its step, root or chain is not that of {where}")
        problems += [f"{folder}/{name}: no part of a checkpoint" for name in sorted(extra)]
    detail = f"roots of {len(steps):,} checkpoints recomputed, from step {steps[0]:,}" if steps else "none was kept"
    return Outcome(detail, problems, checked=bool(steps))


def _state(walk: Walk, folder: str) -> dict[str, Any]:
    name = f"{folder}/{STATE}"
    state: dict[str, Any] = json.loads(walk.folder.read(walk.present(name)))
    digest = state.pop("digest")
    if digest_json(state) != digest:
        raise ValueError(f"{name} is not what was written")
    return state


def check_log(walk: Walk) -> Outcome:
    """The chain from the commitment to the last line, and in every line what the plan settles."""
    commitment, lines = walk.commitment, walk.log
    broken = break_in_chain(commitment.digest, lines)
    problems = [f"{_LOG}: {broken}"] if broken else []
    plan = walk.plan
    if len(lines) != plan.steps:
        problems.append(f"{_LOG}: {len(lines):,} steps, where {_COMMITMENT} plans {plan.steps:,}")
    for line in lines:
        step, due = line.step, plan.checkpoint_due(line.step)
        if step > plan.steps:
            break
        if line.learning_rate != plan.rate(step):
            problems.append(f"{_LOG}: step {step} has the learning rate {line.learning_rate}, not the plan's")
        if line.tokens != plan.tokens_until(step):
            problems.append(f"{_LOG}: step {step} counts {line.tokens:,} tokens")
        if due != (line.checkpoint is not None):
            problems.append(f"{_LOG}: step {step} {'lacks' if due else 'has'} the root of a checkpoint")
    head = lines[-1].chain if lines else ""
    return Outcome(f"{len(lines):,} steps in one chain, from {commitment.digest[:19]}… to {head[:19]}…", problems)


def check_commitment(walk: Walk) -> Outcome:
    """The commitment names this request, tokenizer and token shards, and the order that follows from them."""
    commitment, model = walk.commitment, walk.model
    problems = []
    if model is None:
        problems.append(f"{_COMMITMENT}: the manifest of the weights' making is not here")
    elif (commitment.step, commitment.version, commitment.parameters) != (
        model.step,
        model.version,
        model.parameters,
    ):
        problems.append(f"{_COMMITMENT}: commits to other parameters than the weights' manifest states")
    if commitment.tokenizer != walk.digests.get("tokenizer.json"):
        problems.append(f"{_COMMITMENT}: commits to another tokenizer than tokenizer.json")
    for tree in (commitment.tokens, commitment.offsets):
        if Tree.of(tree.files) != tree:
            problems.append(f"{_COMMITMENT}: a root is not that of the files it lists")
    if commitment.shuffle_seed != shuffle_seed(commitment.tokens.root, walk.parameters.seed):
        problems.append(f"{_COMMITMENT}: the data order does not follow from the tokens, somebody chose it")
    if walk.index.tokens is None:
        return Outcome(f"tokens: {LEFT_OUT}", problems, checked=False)
    stream = walk.stream
    for tree, names in zip((commitment.tokens, commitment.offsets), committed_files(stream.index), strict=True):
        problems += _unlike_tree(walk, tree, names)
    if not problems:
        problems += _unlike_batches(walk)
    return Outcome(
        f"root {commitment.tokens.root[:19]}… of {len(stream.index.shards):,} shards, {len(stream):,} tokens; "
        f"so are the batches of all {len(walk.log):,} steps",
        problems,
    )


def _unlike_tree(walk: Walk, tree: Tree, names: list[str]) -> list[str]:
    """The files that are not those of a tree, each by name."""
    committed = {file.path: file for file in tree.files}
    problems = [f"{TOKENS}/{name}: not among what {_COMMITMENT} names" for name in names if name not in committed]
    problems += [f"{TOKENS}/{name}: named in {_COMMITMENT}, missing" for name in committed if name not in names]
    for name in names:
        here = f"{TOKENS}/{name}"
        found = FileRoot(path=name, size_bytes=walk.size(here), root=walk.roots[here])
        if name in committed and found != committed[name]:
            problems.append(f"{here}: not the file that {_COMMITMENT} named before the first step")
    return problems


def _unlike_batches(walk: Walk) -> list[str]:
    """The steps whose batch is not the one that tokens and order give."""
    training, problems = walk.training, []
    if max(phase.sizes.size * phase.context for phase in training.plan.phases) > BATCH_LIMIT_TOKENS:
        return [f"{_COMMITMENT}: plans batches of more than {BATCH_LIMIT_TOKENS:,} tokens, too large to check"]
    with walk.machine.bar("batches", len(walk.log), "steps") as bar:
        for line in walk.log[: training.plan.steps]:
            if batch_hash(training.batches(line.step)) != line.batch:
                problems.append(f"{_LOG}: step {line.step} was not trained on the batch that tokens and order give")
            bar.advance()
    return problems
