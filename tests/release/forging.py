"""A thorough forger: after changing a release, everything that only hashes is computed anew.

What is left to give a forgery away is what `verify` recomputes from the contents themselves.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fonderie.core.digest import digest_file, digest_json
from fonderie.core.manifest import FileEntry, InputEntry, Manifest, files_digest, list_files, manifest_key
from fonderie.core.run import LOCK_STEP
from fonderie.release.folder import Folder
from fonderie.release.layout import ReleaseIndex, copied_files, manifest_name
from fonderie.release.pages import write_pages
from fonderie.release.verify import contents_of
from fonderie.tokens.shards import TokenStream
from fonderie.train.again import training_named
from fonderie.train.data.batch import batch_hash
from fonderie.train.record.commitment import (
    LogLine,
    extend,
    parse_commitment,
    read_log,
    shuffle_seed,
    state_root,
    trees,
)


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def seal(release: Path) -> None:
    """List every file anew, so that release.json agrees."""
    index = read(release / "release.json")
    index["files"] = [entry.model_dump() for entry in list_files(release) if entry.path != "release.json"]
    write(release / "release.json", index)


@dataclass
class Forger:
    """Makes manifests, lock, index and pages agree with whatever now lies in a release."""

    release: Path
    new: dict[str, InputEntry] = field(default_factory=dict)
    """By the key that was."""

    def cover_up(self) -> None:
        index = ReleaseIndex.model_validate(read(self.release / "release.json"))
        manifests = {}
        for path in sorted((self.release / "manifests").iterdir()):
            manifest = Manifest.model_validate(read(path))
            manifests[manifest.key] = self._with_files(manifest, index, path)
        for key in manifests:
            self._renew(key, manifests)
        lock = read(self.release / "lock.json")
        for call in lock["calls"].values():
            call.update(self.new[call["key"]].model_dump())
        write(self.release / "lock.json", lock)
        self.new.pop(index.lock.key)
        lock_manifest = manifests[index.lock.key]
        files = [self._entry("lock.json", "lock.json"), self._entry("recipe.toml", "recipe.toml")]
        assert lock_manifest.step == LOCK_STEP
        identity = {"recipe": files[1].sha256, "lock": files[0].sha256}
        manifests[index.lock.key] = lock_manifest.model_copy(update={"files": files, "parameters": identity})
        self._renew(index.lock.key, manifests)
        self._write(index, manifests)

    def _with_files(self, manifest: Manifest, index: ReleaseIndex, path: Path) -> Manifest:
        path.unlink()
        plan = copied_files(index, {manifest.key: manifest})
        made = {entry.path: entry for entry in manifest.files}
        for entry, names in plan:
            for there, here in names.items() if entry.key == manifest.key else ():
                if (self.release / here).is_file():
                    made[there] = self._entry(there, here)
        return manifest.model_copy(update={"files": sorted(made.values(), key=lambda entry: Path(entry.path))})

    def _entry(self, there: str, here: str) -> FileEntry:
        path = self.release / here
        return FileEntry(path=there, size_bytes=path.stat().st_size, sha256=digest_file(path))

    def _renew(self, key: str, manifests: dict[str, Manifest]) -> InputEntry:
        if key not in self.new:
            old = manifests[key]
            inputs = {
                port: [self._renew(entry.key, manifests) for entry in entries]
                for port, entries in old.inputs.items()
            }
            fresh = old.model_copy(update={"inputs": inputs, "digest": files_digest(old.files)})
            fresh = fresh.model_copy(update={"key": manifest_key(fresh)})
            manifests[key] = fresh
            self.new[key] = InputEntry(key=fresh.key, digest=fresh.digest)
        return self.new[key]

    def _write(self, index: ReleaseIndex, manifests: dict[str, Manifest]) -> None:
        for manifest in manifests.values():
            path = self.release / manifest_name(manifest.key)
            path.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")

        def renewed(entries: tuple[InputEntry, ...]) -> tuple[InputEntry, ...]:
            return tuple(self.new[entry.key] for entry in entries)

        model, tokenizer, lock = renewed((index.model, index.tokenizer, index.lock))
        index = index.model_copy(
            update={
                "model": model,
                "model_digest": model.digest,
                "tokenizer": tokenizer,
                "lock": lock,
                "scores": renewed(index.scores),
                "samples": renewed(index.samples),
                "tokens": self.new[index.tokens.key] if index.tokens else None,
                "documents": renewed(index.documents),
            }
        )
        write(self.release / "release.json", index.model_dump(mode="json"))
        seal(self.release)
        folder = Folder.open(self.release)
        index = ReleaseIndex.model_validate(read(self.release / "release.json"))
        digests = {entry.path: entry.sha256 for entry in index.files}
        by_key = {manifest.key: manifest for manifest in sorted(manifests.values(), key=lambda item: item.key)}
        for name, text in write_pages(contents_of(folder, index, by_key, digests)).texts.items():
            (self.release / name).write_text(text, encoding="utf-8")
        seal(self.release)


def cover_up(release: Path) -> None:
    """Everything that only hashes, computed anew."""
    Forger(release).cover_up()


def lines_of(release: Path) -> list[LogLine]:
    return read_log((release / "training/log.jsonl").read_bytes())


def rechain(release: Path, lines: list[LogLine], head: str | None = None) -> list[LogLine]:
    """Write these lines with a chain that holds; returns them."""
    head = head or parse_commitment((release / "training/commitment.json").read_bytes()).digest
    chained = []
    for line in lines:
        head = extend(head, line.step, line.batch, line.loss, line.checkpoint)
        chained.append(line.model_copy(update={"chain": head}))
    text = "".join(line.to_json() + "\n" for line in chained)
    (release / "training/log.jsonl").write_text(text, encoding="utf-8")
    return chained


def restate(folder: Path, **facts: Any) -> str:
    """Make a checkpoint's state.json agree with its files; returns its root."""
    state = read(folder / "state.json")
    state.pop("digest")
    paths = {name: folder / name for name in state["files"]}
    state["files"] = {name: digest_file(path) for name, path in paths.items()}
    state["root"] = state_root({name: (path.stat().st_size, digest_file(path)) for name, path in paths.items()})
    state["facts"].update(facts)
    write(folder / "state.json", {**state, "digest": digest_json(state)})
    return str(state["root"])


def recommit(release: Path) -> None:
    """Commitment, data order, batches, chain and checkpoints, as if these tokens had been trained on."""
    path = release / "training/commitment.json"
    old = parse_commitment(path.read_bytes())
    stream = TokenStream.open(release / "data/tokens")
    tokens, offsets = trees(stream.folder, stream.index)
    seed = shuffle_seed(tokens.root, old.parameters["seed"])
    commitment = old.model_copy(update={"tokens": tokens, "offsets": offsets, "shuffle_seed": seed})
    path.write_text(commitment.to_json(), encoding="utf-8")
    batches = training_named(commitment, [stream.folder]).batches
    lines = [line.model_copy(update={"batch": batch_hash(batches(line.step))}) for line in lines_of(release)]
    for line in rechain(release, lines):
        if line.checkpoint:
            restate(release / f"training/checkpoints/step-{line.step:08d}", chain=line.chain)
