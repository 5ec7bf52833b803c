"""A run: every call of a recipe made once, reused by key ever after.

Keys are made of upstream digests, so a call whose inputs come out equal is reused even if what made them changed.
Everything that happens is one JSON line of the recipe's event log; the lock says what each call came to.
"""

import contextlib
import json
import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.markup import escape

from fonderie.core import environment
from fonderie.core.apart import must_run_apart, run_apart
from fonderie.core.digest import digest_bytes, digest_json, short
from fonderie.core.energy import USAGE, Usage, meter_for
from fonderie.core.errors import FonderieError, InputError, NoSourceError, StepError, StoreError
from fonderie.core.files import disk_full
from fonderie.core.machine import Machine
from fonderie.core.manifest import InputEntry, request_key
from fonderie.core.recipe import Call, Recipe
from fonderie.core.step import TOMBSTONES, Artifact, Inputs, Output, Source
from fonderie.core.store import Store, now
from fonderie.core.tombstones import lists_in_force

LOCK_FORMAT = 1
LOCK_STEP = "core.lock"


class EventLog:
    """Appends JSON lines, each with its time and its run; use as a context manager. StoreError if it cannot."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run = digest_json([now(), time.monotonic_ns(), os.getpid()])[7:19]
        try:
            self._file = path.open("ab+", buffering=0)
            self._drop_half_line()
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def write(self, event: str, **fields: Any) -> None:
        """One event, in the system's hands as soon as this returns: a crash of ours cannot lose it."""
        record = {"time": now(), "run": self._run, "event": event, **fields}
        # A file name that is not UTF-8 becomes \\udc.., which JSON reads back.
        line = (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", errors="backslashreplace")
        size_bytes = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(line)
            if written < len(line):
                self._file.write(line[written:])  # says why the first stopped short
        except OSError as error:
            self._file.truncate(size_bytes)
            hint = "The disk is full: free some space and run again." if disk_full(error) else ""
            raise StoreError(f"{self._path} cannot be written: {error.strerror}", hint=hint) from error

    def _drop_half_line(self) -> None:
        # A machine that lost power may have left one: what is half written did not happen.
        self._file.seek(0)
        whole = self._file.read().rpartition(b"\n")
        self._file.truncate(len(whole[0]) + len(whole[1]))


@dataclass
class RunResult:
    """What a run came to."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    releases: list[Path] = field(default_factory=list)
    """Links to the releases this run made or found."""


def run_recipe(
    recipe: Recipe, store: Store, machine: Machine, *, until: str | None = None, wait: bool = True
) -> RunResult:
    """Make or reuse every call of a recipe, or a call and what it needs.

    Raises the first error: refusals before any step starts, then StepError or what a step raised.
    """
    names = recipe.names_until(until)
    with (
        store.hold(f"fonderie run {recipe.path}", wait=wait, say=lambda text: machine.reporter.say(escape(text))),
        EventLog(store.run_folder(recipe.name) / "events.jsonl") as events,
    ):
        machine = replace(machine, note=events.write, on_damaged_checkpoint=recipe.on_damaged_checkpoint)
        return _Run(recipe, store, machine, events).run(names)


def check_recipe(
    recipe: Recipe,
    names: list[str],
    tombstones: tuple[Source, ...] = (),
    missing: list[str] | None = None,
) -> dict[str, dict[str, tuple[Source, ...]]]:
    """Find and hash the sources of these calls and let every step refuse, before anything is made.

    `tombstones` are the lists in force: see `lists_in_force`. A path that matches nothing raises NoSourceError; if
    there is a list of what is `missing`, its message goes there, and the call is checked without files.
    """
    sources: dict[str, dict[str, tuple[Source, ...]]] = {}
    for name in names:
        try:
            sources[name] = recipe.calls[name].sources()
        except NoSourceError as error:
            if missing is None:
                raise
            missing.append(error.message)
            sources[name] = dict.fromkeys(recipe.calls[name].source_folders, ())
    for name in names:
        call = recipe.calls[name]
        if call.step.preflight is not None:
            try:
                obeyed = {TOMBSTONES: tombstones} if call.step.obeys_tombstones else {}
                call.step.preflight(call.parameters, {**sources[name], **obeyed})
            except FonderieError as error:
                error.message = f"[{name}] {error.message}"
                raise
    return sources


@dataclass
class _Run:
    recipe: Recipe
    store: Store
    machine: Machine
    events: EventLog
    result: RunResult = field(default_factory=RunResult)
    tombstones: tuple[Source, ...] = ()

    def run(self, names: list[str]) -> RunResult:
        self.events.write("run_started", recipe=str(self.recipe.path), overrides=self.recipe.overrides)
        try:
            self.tombstones = lists_in_force(self.recipe, self.store.root)
            if self.tombstones:
                self._say_tombstones()
            sources = check_recipe(self.recipe, names, self.tombstones)
            for name in names:
                self._call(self.recipe.calls[name], sources[name])
            self.store.write_lock(self.recipe.name, self._lock(names))
            self.events.write("run_finished", made=self.result.made, reused=self.result.reused)
        except BaseException as error:
            event = "run_interrupted" if isinstance(error, KeyboardInterrupt) else "run_failed"
            with contextlib.suppress(StoreError):  # on a full disk the first error matters, not that of the log
                self.events.write(event, error=str(error))
            raise
        return self.result

    def _say_tombstones(self) -> None:
        names = [source.name for source in self.tombstones]
        self.events.write("tombstones", lists={source.name: source.entry.sha256 for source in self.tombstones})
        count = f"{len(names)} lists" if len(names) > 1 else "1 list"
        self.machine.reporter.say(escape(f"Obeys {count} of erased documents: {', '.join(names)}"))

    def _identity(self, call: Call) -> dict[str, Any]:
        """What of a call enters its key beside inputs and sources; without lists, its own parameters alone."""
        if not (call.step.obeys_tombstones and self.tombstones):
            return call.identity()
        return {**call.identity(), TOMBSTONES: {source.name: source.entry.sha256 for source in self.tombstones}}

    def _call(self, call: Call, sources: Mapping[str, tuple[Source, ...]]) -> None:
        upstream = {
            port: tuple(self.result.artifacts[parent] for parent in parents)
            for port, parents in call.inputs.items()
            if parents
        }
        if call.step.needs_lock:
            upstream["lock"] = (self._commit_lock(call.name),)
        entries = {name: [source.entry for source in files] for name, files in sources.items()}
        key = request_key(
            call.step.name,
            call.step.version,
            self._identity(call),
            {port: [artifact.digest for artifact in group] for port, group in upstream.items()},
            entries,
        )
        artifact = self.store.get(key, upstream)
        if artifact is not None:
            self.result.reused.append(call.name)
            self.events.write("call_reused", call=call.name, key=key, digest=artifact.digest)
        else:
            artifact = self._make(call, key, upstream, sources)
            self.result.made.append(call.name)
        self.result.artifacts[call.name] = artifact
        if call.step.produces == "release":
            self.result.releases.append(self.store.publish(self.recipe.name, artifact))

    def _make(
        self,
        call: Call,
        key: str,
        upstream: Mapping[str, tuple[Artifact, ...]],
        sources: Mapping[str, tuple[Source, ...]],
    ) -> Artifact:
        self.events.write("call_started", call=call.name, step=call.step.name, key=key)
        began, clock, machine = now(), time.monotonic(), self.machine
        out = self.store.stage(key, resumable=call.step.resumable)
        record = out.state / USAGE if call.step.resumable else None
        usage = Usage(
            meter_for(machine.device), record, country=machine.country, watts=machine.watts, nodes=machine.nodes
        )
        try:
            obeyed = self.tombstones if call.step.obeys_tombstones else ()
            with usage:
                ran_on = _perform(call, Inputs(upstream, sources, obeyed), out, machine)
            _check_unchanged({**sources, TOMBSTONES: obeyed})
            seconds = time.monotonic() - clock
            artifact = self.store.commit(
                out,
                key=key,
                step=call.step.name,
                version=call.step.version,
                parameters=self._identity(call),
                inputs={
                    port: [InputEntry(key=item.key, digest=item.digest) for item in group]
                    for port, group in upstream.items()
                },
                sources={name: [source.entry for source in files] for name, files in sources.items()},
                environment=ran_on,
                started=began,
                duration_seconds=round(seconds, 3),
                energy=usage.total(),
            )
        except BaseException as error:
            if not call.step.resumable:
                self.store.discard(out)
            with contextlib.suppress(StoreError):
                self.events.write("call_failed", call=call.name, error=str(error), trace=traceback.format_exc())
            explained = _explain(call, error, out)
            if explained is error:
                raise
            raise explained from error
        self.events.write(
            "call_finished", call=call.name, key=key, digest=artifact.digest, seconds=round(seconds, 3)
        )
        self.machine.reporter.say(
            f"  [bold]{call.name}[/bold]  {call.step.name}  {seconds:,.1f} s  {short(artifact.digest)}"
        )
        return artifact

    def _lock(self, names: list[str]) -> dict[str, Any]:
        recipe = self.recipe
        made = {name: self.result.artifacts[name] for name in names if name in self.result.artifacts}
        return {
            "format": LOCK_FORMAT,
            "recipe": {
                "name": recipe.name,
                "title": recipe.title,
                "sha256": digest_bytes(recipe.text.encode("utf-8")),
            },
            "policy": recipe.policy.model_dump(mode="json"),
            "overrides": list(recipe.overrides),
            "calls": {
                name: {
                    "step": artifact.manifest.step,
                    "version": artifact.manifest.version,
                    "key": artifact.key,
                    "digest": artifact.digest,
                }
                for name, artifact in made.items()
            },
        }

    def _commit_lock(self, name: str) -> Artifact:
        """The recipe's text and what each call upstream came to, as an artifact a release can take along."""
        names = [other for other in self.recipe.upstream_of(name) if other != name]
        lock = json.dumps(self._lock(names), indent=1, ensure_ascii=False) + "\n"
        identity = {
            "recipe": digest_bytes(self.recipe.text.encode("utf-8")),
            "lock": digest_bytes(lock.encode("utf-8")),
        }
        key = request_key(LOCK_STEP, LOCK_FORMAT, identity, {}, {})
        artifact = self.store.get(key)
        if artifact is None:
            out = self.store.stage(key, resumable=False)
            (out.path / "recipe.toml").write_text(self.recipe.text, encoding="utf-8")
            (out.path / "lock.json").write_text(lock, encoding="utf-8")
            artifact = self.store.commit(
                out, key=key, step=LOCK_STEP, version=LOCK_FORMAT, parameters=identity, inputs={}, sources={}
            )
        return artifact


def _perform(call: Call, inputs: Inputs, out: Output, machine: Machine) -> dict[str, Any]:
    """Run the step, here or in a process that begins as its parameters ask; what it ran on."""
    variables = call.parameters.variables()
    if must_run_apart(variables):
        return run_apart(call.step, inputs, call.parameters, out, machine=machine, variables=variables)
    call.step.function(inputs, call.parameters, out, machine)
    return environment.describe()


def _check_unchanged(sources: Mapping[str, tuple[Source, ...]]) -> None:
    for files in sources.values():
        for source in files:
            if source.modified_ns is not None and source.path.stat().st_mtime_ns != source.modified_ns:
                raise InputError(f"{source.path} changed while it was being read", hint="Run again.")


def _explain(call: Call, error: BaseException, out: Output) -> BaseException:
    """The error a person should see; interrupts and our own errors pass with the call's name."""
    if isinstance(error, KeyboardInterrupt):
        return error
    if disk_full(error):
        kept = "Its checkpoints are kept" if call.step.resumable else "Nothing half-made was kept"
        place = getattr(error, "filename", None) or out.path
        return StoreError(
            f"[{call.name}] the disk is full: {place}",
            hint=f"{kept}; calls that had finished are safe. Free some space and run again.",
        )
    if isinstance(error, FonderieError):
        error.message = f"[{call.name}] {error.message}"
        return error
    return StepError(
        f"[{call.name}] {call.step.name} failed: {type(error).__name__}: {error}",
        hint="The event log has the whole trace; --debug prints it.",
    )
