"""Whether a release's manifests, lock and files tell one story: every key, digest and input recomputed."""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel

from fonderie.core.digest import short
from fonderie.core.manifest import InputEntry, Manifest, files_digest, manifest_key
from fonderie.core.run import LOCK_STEP
from fonderie.release.account import document_files, upstream
from fonderie.release.layout import (
    BASE,
    DOCUMENTS,
    TOKENS,
    ReleaseIndex,
    Trained,
    all_tokens,
    copied_files,
    manifest_name,
    training_behind,
)

SHOWN = 8
"""File names in one complaint."""


class LockedCall(BaseModel):
    """What a lock says of one call."""

    step: str
    version: int
    key: str
    digest: str


class LockedRecipe(BaseModel):
    """What a lock says of its recipe."""

    name: str
    sha256: str


class LockRecord(BaseModel):
    """The part of lock.json that is checked."""

    format: int
    recipe: LockedRecipe
    calls: dict[str, LockedCall]


Manifests = Mapping[str, Manifest]
"""By key."""


def check_manifests(manifests: Manifests) -> list[str]:
    """Each key follows from its request, each digest from its files."""
    problems = []
    for manifest in manifests.values():
        name = manifest_name(manifest.key)
        try:
            key = manifest_key(manifest)
        except ValueError as error:  # a number that JSON has no word for
            problems.append(f"{name}: its request cannot be hashed: {error}")
            continue
        if key != manifest.key:
            problems.append(f"{name}: its request gives the key {short(key)}, not {short(manifest.key)}")
        if files_digest(manifest.files) != manifest.digest:
            problems.append(f"{name}: its files do not give the digest {short(manifest.digest)}")
    return problems


def check_inputs(manifests: Manifests) -> list[str]:
    """Each input of each manifest is there, with the digest it was used with."""
    return [
        f"{manifest_name(manifest.key)}: {problem}"
        for manifest in manifests.values()
        for port, entries in manifest.inputs.items()
        for entry in entries
        if (problem := _entry_problem(entry, manifests, f"its input '{port}'"))
    ]


def _entry_problem(entry: InputEntry, manifests: Manifests, what: str) -> str:
    manifest = manifests.get(entry.key)
    if manifest is None:
        return f"{what} {short(entry.key)} has no manifest here"
    if manifest.digest != entry.digest:
        where = manifest_name(entry.key)
        return f"{what} had the digest {short(entry.digest)}, but {where} says {short(manifest.digest)}"
    return ""


def check_copies(index: ReleaseIndex, manifests: Manifests, digests: Mapping[str, str]) -> list[str]:
    """Each copied file has the hash that the manifest of its making gives it."""
    problems = []
    for entry, names in copied_files(index, manifests):
        named = ", ".join([*names.values()][:SHOWN])
        problem = _entry_problem(entry, manifests, f"release.json: what {named or 'its data'} came from,")
        if problem:
            problems.append(problem)
            continue
        made = {file.path: file.sha256 for file in manifests[entry.key].files}
        where = manifest_name(entry.key)
        for there, here in names.items():
            if there in made and here not in digests:
                problems.append(f"{here}: missing, though {where} has made it")
            elif there not in made and here in digests:
                problems.append(f"{here}: {where}, which it is said to come from, has made no such file")
            elif there in made and digests[here] != made[there]:
                problems.append(f"{here}: not the file that {where} has made")
    if index.model_digest != index.model.digest:
        problems.append("release.json: model_digest is not the digest of its model")
    return problems


def check_lineage(index: ReleaseIndex, manifests: Manifests) -> list[str]:
    """Tokenizer, scores and samples belong to these weights, and no manifest is beside the point."""
    problems = []
    made = manifests.get(index.model.key)
    # Of a model that others made, no manifest can say which tokenizer it was trained with.
    of_others = made is not None and not any(made.inputs.values())
    if not of_others and index.tokenizer.key not in upstream([index.model.key], manifests):
        problems.append("tokenizer.json: the weights were not trained with this tokenizer, say the manifests")
    for kind in ("scores", "samples"):
        for entry in getattr(index, kind):
            manifest = manifests.get(entry.key)
            if manifest and index.model not in [item for group in manifest.inputs.values() for item in group]:
                problems.append(f"{manifest_name(entry.key)}: these {kind} are of another model")
    problems += _data_problems(index, manifests) + _gate_problems(index, manifests)
    problems += _course_problems(index, manifests)
    entries = (index.model, index.tokenizer, index.lock, *index.scores, *index.samples, *index.course)
    entries += (index.gate,) if index.gate else ()
    reached = upstream((entry.key for entry in entries), manifests)
    problems += [
        f"{manifest_name(key)}: nothing in this release was made from it" for key in manifests if key not in reached
    ]
    return problems


def _course_problems(index: ReleaseIndex, manifests: Manifests) -> list[str]:
    """What was evaluated on the way is of checkpoints of the same training."""

    def training(key: str) -> str | None:
        found = training_behind(manifests.get(key), manifests)
        return None if found is None else found.key

    problems = []
    for entry in index.course:
        manifest = manifests.get(entry.key)
        models = manifest.inputs.get("model", ()) if manifest else ()
        if manifest and training(index.model.key) not in {training(model.key) for model in models}:
            problems.append(f"{manifest_name(entry.key)}: these scores are of another training")
    return problems


def _gate_problems(index: ReleaseIndex, manifests: Manifests) -> list[str]:
    """The gate, if there is one, judges scores that are here."""
    gate = manifests.get(index.gate.key) if index.gate else None
    if gate is None:
        return []
    judged = gate.inputs.get("scores", [])
    here = all(entry in index.scores for entry in judged)
    return [] if judged and here else [f"{manifest_name(gate.key)}: this gate judges scores that are not here"]


def _data_problems(here: ReleaseIndex | Trained, manifests: Manifests, where: str = "") -> list[str]:
    """Tokens, documents and base, where they are here, are those that these weights come from; so for each base."""
    problems = []
    model = training_behind(manifests.get(here.model.key), manifests)
    inputs = model.inputs if model else {}
    trained = tuple({entry.key: entry for entry in inputs.get("tokens", [])}.values())
    if here.tokens and all_tokens(here) != trained:
        problems.append(f"{where}{TOKENS}: the weights were not trained on these tokens, say the manifests")
    packed = [
        document
        for entry in trained
        if entry.key in manifests
        for document in manifests[entry.key].inputs.get("documents", [])
    ]
    if here.documents and list(here.documents) != packed:
        problems.append(
            f"{where}{DOCUMENTS}: these are not the documents, in order, that were packed, say the manifests"
        )
    if here.base:
        below = where + BASE
        base = training_behind(manifests.get(here.base.model.key), manifests)
        if here.base.model not in inputs.get("model", []):
            problems.append(f"{below}model.safetensors: the weights do not go on from these, say the manifests")
        if base and here.base.tokenizer not in base.inputs.get("tokenizer", []):
            problems.append(f"{below}tokenizer.json: the base has another tokenizer, say the manifests")
        problems += _data_problems(here.base, manifests, below)
    return problems


def check_lock(
    index: ReleaseIndex, lock: LockRecord | None, manifests: Manifests, digests: Mapping[str, str]
) -> list[str]:
    """The lock names the same makings as the manifests, and the recipe it was made from."""
    if lock is None:
        return []
    problems = []
    if digests.get("recipe.toml") != lock.recipe.sha256:
        problems.append("recipe.toml: not the recipe that lock.json was made from")
    for name, call in lock.calls.items():
        manifest = manifests.get(call.key)
        if manifest is None:
            problems.append(f"lock.json: the call [{name}] came to {short(call.key)}, which has no manifest here")
        elif (call.step, call.version, call.digest) != (manifest.step, manifest.version, manifest.digest):
            problems.append(f"lock.json: the call [{name}] disagrees with {manifest_name(call.key)}")
    locked = {call.key for call in lock.calls.values()}
    for manifest in manifests.values():
        if manifest.key not in locked and manifest.key != index.lock.key:
            problems.append(f"{manifest_name(manifest.key)}: no call of lock.json made it")
    own = manifests.get(index.lock.key)
    if own is not None and own.step != LOCK_STEP:
        problems.append(f"{manifest_name(own.key)}: made by {own.step}, so it is no lock")
    return problems


def describe_chain(index: ReleaseIndex, manifests: Manifests, lock: LockRecord | None) -> Iterable[str]:
    """From the weights back to the sources, a line for each making."""
    calls = {call.key: name for name, call in lock.calls.items()} if lock else {}
    if index.model.key not in manifests:
        yield "model.safetensors ← unknown: the manifest of its making is not here"
        return
    yield f"model.safetensors ← {_making(manifests[index.model.key], calls)}"
    # Only what enters keys is used here, ports and source files: statistics are the maker's word.
    kinds: dict[str, str] = {}
    for key in upstream([index.model.key], manifests):
        for port, entries in manifests[key].inputs.items():
            kinds.update({entry.key: port for entry in entries})
    beginnings = [key for key in kinds if key in manifests and not any(manifests[key].inputs.values())]
    for key, port in sorted(kinds.items(), key=lambda item: (item[1] != "tokens", item[1], item[0])):
        if key in manifests and key not in beginnings:
            yield f"{port} ← {_making(manifests[key], calls)}"
    for key in sorted(beginnings):
        yield f"sources ← {_making(manifests[key], calls)}, from {_origin(manifests[key])}"
    if not beginnings:
        yield "sources ← unknown: no manifest reads or composes documents"


def _origin(manifest: Manifest) -> str:
    files = len(document_files(manifest))
    if files:
        return f"files named and hashed, not in this folder: {files:,}"
    return f"no file: composed by the step itself, seed {str(manifest.parameters.get('seed'))[:40]}"


def _making(manifest: Manifest, calls: Mapping[str, str]) -> str:
    call = calls.get(manifest.key, "no call")
    return f"[{call}] {manifest.step} version {manifest.version}, sha256 {short(manifest.digest)}"
