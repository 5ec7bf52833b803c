"""Signing a release with a local key, and checking it offline: an in-toto statement in a DSSE envelope.

Where a signature lies. The store's artifacts are never added to, so the signature of `releases/demo` is
`releases/demo.dsse.json`, beside it. In a copy that is published, it may lie inside as `release.dsse.json`. If both
are there and differ, none is chosen.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from fonderie.core.digest import digest_file
from fonderie.core.errors import ReleaseError
from fonderie.core.files import write_atomically
from fonderie.core.machine import Machine
from fonderie.core.manifest import files_digest
from fonderie.release.folder import Folder, plain
from fonderie.release.layout import INDEX, SIGNATURE, ReleaseIndex
from fonderie.release.signing.dsse import Envelope, EnvelopeError, enclose, parse_envelope
from fonderie.release.signing.keys import (
    Ask,
    key_id,
    new_key,
    passphrase_from_environment,
    read_private_key,
    read_public_key,
)
from fonderie.release.signing.place import SignatureCheck, beside, find_signature, place_for, read_bounded
from fonderie.release.signing.statement import (
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Statement,
    StatementHead,
    statement_problems,
    subject_problems,
    write_statement,
)
from fonderie.release.verify import verify

__all__ = ["SignatureCheck", "beside", "check", "find_signature", "new_key", "sign"]


def sign(
    folder: Path,
    key_path: Path,
    out: Path | None = None,
    *,
    ask: Ask = passphrase_from_environment,
    machine: Machine | None = None,
) -> Path:
    """Sign a release; returns the signature's path, by default beside the folder.

    The release is verified first, and ReleaseError refuses one that does not hold. An envelope that is there and
    states the same gains this key's signature beside the others; one that states something else is never replaced.
    """
    key = read_private_key(key_path, ask)
    target = place_for(folder, out if out is not None else beside(folder))
    statement = write_statement(*_verified(folder, machine))
    envelope = enclose(PAYLOAD_TYPE, statement.to_json())
    if target.exists():
        there = _read_existing(target)
        if (there.payload_type, there.body) != (envelope.payload_type, envelope.body):
            raise ReleaseError(
                f"{target} is the signature of another release, or of this one before it changed",
                hint="Move it away, or name another file with --out. A signature is never overwritten.",
            )
        envelope = there
    write_atomically(target, envelope.signed(key).to_json())
    return target


def check(
    folder: Path, public_key: Path, signature: Path | None = None, *, digest: str | None = None
) -> SignatureCheck:
    """Check a release's signature with a public key, without a network.

    `digest` is what `verify` found for this same folder: with it no file is hashed twice. What does not hold is in
    `problems`; UsageError if the key or the named signature cannot be read, ReleaseError if two signatures differ.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = read_public_key(public_key)
    if not isinstance(key, Ed25519PublicKey):
        from fonderie.release.signing.openssf import check_bundle

        return check_bundle(folder, public_key, key_id(key), signature)
    path = find_signature(folder, signature)

    def failed(*problems: str) -> SignatureCheck:
        found = tuple(map(plain, problems))
        where = str(path) if path else None
        return SignatureCheck(ok=False, detail=found[0], problems=found, keyid=key_id(key), signature_path=where)

    if path is None:
        return failed(f"no signature: there is neither {folder / SIGNATURE} nor {beside(folder)}")
    try:
        envelope = parse_envelope(read_bounded(path))
        if not envelope.signed_by(key):
            return failed(f"{path.name}: {_why_not(envelope, key_id(key))}")
        # Only from here on is the payload more than a stranger's bytes.
        statement = _parse_statement(envelope)
    except EnvelopeError as error:
        return failed(f"{path.name}: {error}")
    problems = _compare(folder, statement, digest)
    if problems:
        return failed(*problems)
    count = len(envelope.signatures)
    said = statement.predicate
    detail = (
        f"{path.name} signs this {said.status} release and all its {len(statement.subject):,} files, "
        f"by key {key_id(key)}"
    )
    if count > 1:
        detail += f"; 1 of {count} signatures, the others were not needed"
    return SignatureCheck(ok=True, detail=plain(detail), keyid=key_id(key), signature_path=str(path))


def _verified(folder: Path, machine: Machine | None) -> tuple[ReleaseIndex, bytes]:
    """release.json of a release that holds."""
    verification = verify(folder, machine)
    if not verification.ok:
        shown = "\n".join(f"  {problem}" for problem in verification.problems[:5])
        raise ReleaseError(
            f"{folder} does not hold, and what does not hold is not signed:\n{shown}",
            hint=f"All {len(verification.problems)} problems: fonderie verify {folder}",
        )
    data = Folder.open(folder).read(INDEX)
    index = ReleaseIndex.model_validate_json(data)
    if files_digest(write_statement(index, data).entries) != verification.digest:
        raise ReleaseError(f"{folder} changed while it was being signed")
    return index, data


def _parse_statement(envelope: Envelope) -> Statement:
    """The statement that is signed; EnvelopeError if it is of a kind that says something else."""
    if envelope.payload_type != PAYLOAD_TYPE:
        raise EnvelopeError(f"signs a payload of type {envelope.payload_type}, not {PAYLOAD_TYPE}")
    try:
        head = StatementHead.model_validate_json(envelope.body)
        if (head.type_, head.predicate_type) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise EnvelopeError(f"states {head.predicate_type} in {head.type_}, not {PREDICATE_TYPE}")
        return Statement.model_validate_json(envelope.body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise EnvelopeError(f"no statement: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _compare(folder: Path, statement: Statement, digest: str | None) -> list[str]:
    opened = Folder.open(folder)
    opened.files.pop(SIGNATURE, None)
    if INDEX not in opened.files:
        return [f"{INDEX}: missing, this is no release"]
    problems = [f"{name}: {what}" for name, what in opened.refused]
    if digest is None or digest != files_digest(statement.entries):
        problems += subject_problems(statement, _hash(opened.files))
    if problems:
        return problems
    # The bytes are the signer's from here on; what could still be wrong is what the signer said.
    try:
        return statement_problems(statement, ReleaseIndex.model_validate_json(opened.read(INDEX)))
    except ValidationError:
        return [f"{INDEX}: signed, but of a form that this version of Fonderie does not read"]


def _hash(files: Mapping[str, Path]) -> dict[str, str]:
    digests = {}
    for name, path in sorted(files.items()):
        try:
            digests[name] = digest_file(path)
        except OSError as error:
            digests[name] = f"unreadable: {error.strerror}"
    return digests


def _why_not(envelope: Envelope, own: str) -> str:
    if not envelope.signatures:
        return "nobody signed it"
    if own in envelope.keyids:
        return "it bears this key's id, but this key did not sign what it holds: it was altered, or the id is false"
    return f"signed by {', '.join(envelope.keyids)}, not by this key, {own}"


def _read_existing(path: Path) -> Envelope:
    try:
        envelope = parse_envelope(read_bounded(path))
        _ = envelope.body
    except EnvelopeError as error:
        raise ReleaseError(
            f"{path} is there, and is no signature: {error}", hint="Move it away, or name another file with --out."
        ) from error
    return envelope
