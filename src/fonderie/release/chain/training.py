"""Weights, checkpoints, log, commitment, tokens: the links of a release that training made."""

import json
from typing import Any

from fonderie.core.digest import digest_json
from fonderie.release.chain.links import Outcome, Walk
from fonderie.release.chain.tensors import open_tensors, unlike
from fonderie.release.layout import BASE, CHECKPOINTS, TRAINING, tokens_folder
from fonderie.tokens.conversation import BOS, EOS, SPECIAL_TOKENS
from fonderie.train.data.batch import batch_hash
from fonderie.train.record.commitment import (
    COMMITMENT,
    LOG,
    Tree,
    break_in_chain,
    committed_files,
    shuffle_seed,
    state_root,
)
from fonderie.train.settings.continued import ContinueParameters

STATE = "state.json"
OF_OTHERS = ("model.import", "tokens.transplant")
"""Steps that make a model without training it."""
WEIGHTS = "model.safetensors"
_LOG, _COMMITMENT = f"{TRAINING}/{LOG}", f"{TRAINING}/{COMMITMENT}"
BATCH_LIMIT_TOKENS = 1 << 27
"""Ten times the largest batches of published trainings; a stranger's number must not fill the memory."""
LEFT_OUT = "not in this folder, only named and hashed in the manifests: nothing to check against"


def folder_of(step: int) -> str:
    """Where a release holds the checkpoint of a step."""
    return f"{CHECKPOINTS}/step-{step:08d}"


def check_weights(walk: Walk) -> Outcome:
    """The weights are the tensors of the checkpoint after the last step, or the best that was measured."""
    if not walk.checkpoints:
        return Outcome(f"checkpoints: {LEFT_OUT}", checked=False)
    last = walk.log[-1].step if walk.log else 0
    name = f"{folder_of(last if walk.stopping is None else walk.weights_step)}/{WEIGHTS}"
    if name not in walk.folder.files and not checkpoint_steps(walk):
        return Outcome("the training kept no checkpoint", checked=False)
    if isinstance(walk.parameters, ContinueParameters) and walk.parameters.lora is not None:
        from fonderie.release.chain.adapter import check_adapter

        return check_adapter(walk, name)
    with open_tensors(walk.path(WEIGHTS)) as weights, open_tensors(walk.path(name)) as checkpoint:
        if walk.config.depth > len(weights.data):  # before as many names are made
            return Outcome("", [f"{WEIGHTS}: has fewer tensors than {_COMMITMENT} plans blocks"])
        names = walk.names(checkpoint.data)
        problems = [f"{WEIGHTS}: {problem} ({name})" for problem in unlike(weights, checkpoint, names)]
        count = len(weights.data)
    return Outcome(f"all {count:,} tensors are those of {name}, bit for bit", problems)


def check_of_others(walk: Walk) -> Outcome:
    """Weights that no training here made: there is no way from them to any document."""
    made = walk.model
    name = made.parameters.get("name") or made.statistics.get("name") if made else None
    said = f"trained by others ({name}), on documents that are not here: nothing leads back from them"
    return Outcome(said, checked=False)


def check_base(walk: Walk) -> Outcome:
    """The training began from its base: the digest that it committed to, and the state before its first step."""
    commitment, made = walk.commitment, walk.model
    stated = [entry.digest for entry in made.inputs.get("model", [])] if made else []
    problems = []
    if stated != [commitment.base]:
        problems.append(f"{_COMMITMENT}: goes on from another model than the weights' manifest states")
    base, name = walk.base, f"{folder_of(0)}/{WEIGHTS}"
    if base is None:
        return Outcome(f"the base: {LEFT_OUT}", problems, checked=False)
    if name not in walk.folder.files:
        said = "the state before the first step was not kept, so a replay of the first steps alone can show it"
        return Outcome(said, problems, checked=False)
    with open_tensors(base.path(WEIGHTS)) as weights, open_tensors(walk.path(name)) as first:
        names = walk.names(first.data)
        found = unlike(weights, first, names)
        problems += [f"{name}: {problem} ({BASE}{WEIGHTS})" for problem in found]
        count = len(weights.data)
    return Outcome(f"all {count:,} tensors before the first step are those of {BASE}{WEIGHTS}", problems)


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
    if not walk.checkpoints:
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
    if len(lines) != walk.last_step:
        problems.append(f"{_LOG}: {len(lines):,} steps, where {_COMMITMENT} plans {walk.last_step:,}")
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
    problems += _unlike_template(walk)
    for phase, data in enumerate(commitment.data, 1):
        for tree in (data.tokens, data.offsets):
            if Tree.of(tree.files) != tree:
                problems.append(f"{_COMMITMENT}: a root is not that of the files it lists")
        if data.shuffle_seed != shuffle_seed(data.tokens.root, walk.parameters.seed, phase):
            problems.append(f"{_COMMITMENT}: the data order does not follow from the tokens, somebody chose it")
    if walk.index.tokens is None:
        return Outcome(f"tokens: {LEFT_OUT}", problems, checked=False)
    for number, data in zip(walk.mixes, commitment.data, strict=True):
        files = committed_files(walk.streams[number].index)
        for tree, names in zip((data.tokens, data.offsets), files, strict=True):
            problems += _unlike_tree(walk, tree, number, names)
    if not problems:
        problems += _unlike_batches(walk)
    streams, roots = walk.streams, dict.fromkeys(data.tokens.root for data in commitment.data)
    named = ", ".join(f"{root[:19]}…" for root in roots)
    return Outcome(
        f"root {named} of {sum(len(stream.index.shards) for stream in streams):,} shards, "
        f"{sum(map(len, streams)):,} tokens; so are the batches of all {len(walk.log):,} steps",
        problems,
    )


def _unlike_template(walk: Walk) -> list[str]:
    """The special tokens by which a training knew an answer, where the tokenizer has other ids for them."""
    if walk.commitment.special is None:
        return []
    tokenizer = json.loads(walk.folder.read(walk.present("tokenizer.json")))
    known = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    # A tokenizer from elsewhere has names of its own for the borders of documents; turns are always ours.
    known = {**{name: walk.commitment.special.get(name) for name in (BOS, EOS)}, **known}
    return [
        f"{_COMMITMENT}: takes {walk.commitment.special.get(token)} for {token}, which the tokenizer does not"
        for token in SPECIAL_TOKENS
        if walk.commitment.special.get(token) != known.get(token)
    ]


def _unlike_tree(walk: Walk, tree: Tree, number: int, names: list[str]) -> list[str]:
    """The files of a mix that are not those of a tree, each by name."""
    committed, folder = {file.path: file for file in tree.files}, tokens_folder(number)
    problems = [f"{folder}/{name}: not among what {_COMMITMENT} names" for name in names if name not in committed]
    problems += [f"{folder}/{name}: named in {_COMMITMENT}, missing" for name in committed if name not in names]
    problems += [
        f"{folder}/{found.path}: not the file that {_COMMITMENT} named before the first step"
        for found in walk.tree(number, names).files
        if found.path in committed and found != committed[found.path]
    ]
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
