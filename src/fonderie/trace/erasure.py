"""Erasure: find what a request is about, show what it touches, and keep it out of the next build and of answers.

`examine` looks and writes nothing; `carry_out` writes `<store>/erasures/<reference>/`, once and for all:

    tombstones.json       published: salted fingerprints that every later build obeys (fonderie.corpus.tombstones)
    output-filter.json    for those who serve the models there are: salted passages (fonderie.trace.output_filter)
    decision.json .md     the dated record, for those who answer for it

Weights that have learnt from a document keep what they learnt: the record says which, and nothing here unlearns.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fonderie.core.digest import canonical_json
from fonderie.core.errors import InputError, UsageError
from fonderie.core.machine import Machine
from fonderie.core.store import Store
from fonderie.core.tombstones import ERASURES, LIST
from fonderie.corpus.bury import Place, Shards, Text, bury, forecast
from fonderie.corpus.sketch import SALT_BYTES, Hasher
from fonderie.corpus.tombstones import Match, TombstoneList
from fonderie.trace.erasure_reach import Reach, in_order, reach
from fonderie.trace.erasure_record import FILTER, Left, Record, Touching, as_bytes, write_record
from fonderie.trace.erasure_request import Received, Request
from fonderie.trace.erasure_search import Found, readers_of, resolve, search, shards_of, texts_of
from fonderie.trace.output_filter import Passage, PassageList, passages_of
from fonderie.trace.why import artifacts_of


@dataclass(frozen=True)
class Examination:
    """What a request comes to, before anything is written."""

    received: Received
    found: tuple[Found, ...]
    erased: tuple[Found, ...]
    """Those that are to be erased, were the request granted."""
    copies: tuple[tuple[Place, Match], ...]
    """Other documents of the store that the tombstones keep out as well."""
    left: tuple[Left, ...]
    unconfirmed: tuple[Found, ...]
    """Found by a name alone, and not confirmed: nothing may be written while the request is silent on them."""
    reach: Reach
    tombstones: TombstoneList
    passages: PassageList
    seconds: float

    @property
    def known_by_all_words(self) -> int:
        """Documents too short, or too like others, for a changed copy of them to be known again."""
        return sum(not stone.sketch for stone in self.tombstones.documents)


def examine(
    received: Received,
    store: Store,
    machine: Machine,
    *,
    date: str,
    recipe: str | None = None,
    confirm_all: bool = False,
    salt: bytes | None = None,
) -> Examination:
    """Search, follow, prepare the lists. `date` is the decision's; a salt left out is made of the documents."""
    clock = time.monotonic()
    artifacts = in_order(artifacts_of(store, recipe).values() if recipe else store.artifacts())
    select, shards = received.request.select, shards_of(readers_of(artifacts))
    found = search(select, artifacts, machine)
    confirmed = {resolve(given, (one.id for one in found), "select.confirm") for given in select.confirm}
    homonyms = [one for one in found if one.needs_confirming and one.id not in confirmed and not confirm_all]
    kept_back = {one.id for one in homonyms}
    spare = tuple(f"sha256:{given.removeprefix('sha256:')}" for given in select.spare)
    erased = [one for one in found if one.id not in kept_back and not one.id.startswith(spare)]
    ids = {one.id for one in erased}
    stones, passages = _lists(received.request, date, texts_of(ids, shards), shards, machine, salt=salt)
    alike = forecast([stones], frozenset(ids), shards, machine) if erased else []
    known = {one.id for one in found} | {place.id for place, _ in alike}
    spared = {resolve(given, known, "select.spare") for given in select.spare}
    hasher = Hasher(bytes.fromhex(stones.salt))
    copies = [(place, match) for place, match in alike if place.id not in spared]
    touching = ids | {place.id for place, _ in copies} if erased else {one.id for one in found}
    return Examination(
        received=received,
        found=tuple(found),
        erased=tuple(erased),
        copies=tuple(copies),
        left=tuple(
            [Left(name, "spared by the request") for name in sorted(spared)]
            + [Left(one.id, "not confirmed to be about this person") for one in homonyms if one.id not in spared]
        ),
        unconfirmed=() if select.confirm else tuple(one for one in homonyms if one.id not in spared),
        reach=reach(artifacts, touching, store),
        tombstones=stones.model_copy(update={"spared": tuple(sorted(map(hasher.name, spared)))}),
        passages=passages,
        seconds=time.monotonic() - clock,
    )


def _lists(
    request: Request, date: str, texts: Sequence[Text], shards: Shards, machine: Machine, *, salt: bytes | None
) -> tuple[TombstoneList, PassageList]:
    """The two lists of some documents, each under a salt of its own: together they would tell more than apart."""
    hasher = Hasher(salt or _salt("tombstones", request.reference, texts))
    apart = Hasher(_salt("output filter", request.reference, texts))
    buried = bury(texts, shards, hasher, machine)
    passages = passages_of((Passage(text.text, buried.common[text.id]) for text in texts), apart)
    reference = request.reference
    return (
        TombstoneList(reference=reference, date=date, salt=hasher.salt.hex(), documents=buried.stones),
        PassageList(reference=reference, date=date, salt=apart.salt.hex(), passages=passages),
    )


def _salt(purpose: str, reference: str, texts: Sequence[Text]) -> bytes:
    """A salt that is the same in a dry run and after it, and that nobody can foresee without the documents."""
    named = canonical_json([purpose, reference, [text.id for text in texts]])
    return hashlib.blake2b(named, digest_size=SALT_BYTES).digest()


def carry_out(examination: Examination, store: Store, *, date: str) -> Path:
    """Write the record, and the lists unless the request is refused, into a folder; UsageError if it cannot be."""
    request = examination.received.request
    refuse_reference(store, request.reference)
    if request.decision is None:
        raise UsageError("the request holds no decision", hint='decision = "granted", "partly" or "refused"')
    refused = request.decision == "refused"
    if examination.unconfirmed and not refused:
        raise UsageError(
            f"{len(examination.unconfirmed)} documents are found by a name alone, and may be about somebody else",
            hint="List the right ones in select.confirm, or give --yes to take them all.",
        )
    if not examination.erased and not refused:
        raise UsageError(
            "no document is to be erased", hint='To record that, decide "refused" and say why in `reasons`.'
        )
    files = {} if refused else {LIST: as_bytes(examination.tombstones), FILTER: as_bytes(examination.passages)}
    record = Record(
        received=examination.received,
        decided=date,
        found=examination.erased,
        copies=examination.copies,
        left=examination.left,
        touching=Touching.of(examination.reach),
        known_by_all_words=examination.known_by_all_words,
    )
    return write_record(store.root / ERASURES, record, files)


def refuse_reference(store: Store, reference: str) -> None:
    """UsageError if an erasure of that reference is already recorded: a record is never written over."""
    folder = store.root / ERASURES / reference
    if folder.exists():
        raise UsageError(
            f"the erasure {reference} is already recorded in {folder}",
            hint="A record is never written over: give what is new a reference of its own.",
        )


def read_salt(path: Path) -> bytes:
    """A salt from a file of 64 hexadecimal digits; InputError if it is not one."""
    hint = f"openssl rand -hex {SALT_BYTES} > {path}"
    try:
        salt = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no salt: {error}", hint=hint) from error
    if len(salt) != SALT_BYTES:
        raise InputError(f"{path} holds {len(salt)} bytes, and a salt has {SALT_BYTES}", hint=hint)
    return salt
