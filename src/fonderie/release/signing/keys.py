"""Ed25519 keys as files: PEM, PKCS #8 and SubjectPublicKeyInfo, as openssl and everybody else reads them.

The private key never leaves its file, which only its owner may read. A key's id is the SHA-256 of the public key's
DER form (RFC 5280, SubjectPublicKeyInfo): a hint for people and for finding a key, never a reason to trust one.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fonderie.core.errors import UsageError
from fonderie.core.files import sync_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

PASSPHRASE_VARIABLE = "FONDERIE_KEY_PASSPHRASE"
PUBLIC_ENDING = ".pub"
KEY_LIMIT_BYTES = 64 << 10
"""An Ed25519 key in PEM is about 120 bytes, an encrypted one about 300."""

Ask = Callable[[Path], str]
"""Asks for the passphrase of a key file; called only if the key has one."""


def passphrase_from_environment(path: Path) -> str:
    """The passphrase that the environment holds; UsageError if it holds none."""
    found = os.environ.get(PASSPHRASE_VARIABLE)
    if not found:
        raise UsageError(
            f"{path} is locked by a passphrase",
            hint=f"Set {PASSPHRASE_VARIABLE}, or run the command in a terminal, where it can ask.",
        )
    return found


def new_key(path: Path, passphrase: str = "") -> Path:
    """Make a key pair: the private key at `path`, readable by its owner only, the public one beside it.

    Returns the public key's path. Never overwrites: UsageError if either file is there.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return write_pair(path, Ed25519PrivateKey.generate(), passphrase)


def write_pair(path: Path, key: "PrivateKeyTypes", passphrase: str = "") -> Path:
    """Write a private key and, beside it, its public one; what `new_key` does, for a key of any kind."""
    from cryptography.hazmat.primitives import serialization

    public = path.with_name(path.name + PUBLIC_ENDING)
    for taken in (path, public):
        if os.path.lexists(taken):
            raise UsageError(
                f"{taken} is already there, and a key is never overwritten",
                hint="Give another name; what an old key signed can only be checked with its public key.",
            )
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode("utf-8"))
        if passphrase
        else serialization.NoEncryption()
    )
    private_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _create(path, private_pem, 0o600)
    _create(public, public_pem, 0o644)
    sync_folder(path.resolve().parent)
    return public


def read_private_key(path: Path, ask: Ask = passphrase_from_environment) -> "Ed25519PrivateKey":
    """An Ed25519 private key from its PEM file; UsageError if it is none, is locked, or can be read by others."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = load_private(path, ask)
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"{path} holds no Ed25519 key, but one of {type(key).__name__.strip('_')}",
            hint="Make one: fonderie sign --new-key FILE. P-256 keys are for --format model-signing.",
        )
    return key


def load_private(path: Path, ask: Ask = passphrase_from_environment) -> "PrivateKeyTypes":
    """A private key of any kind from its PEM file, as `read_private_key`."""
    from cryptography.hazmat.primitives import serialization

    data = _read(path)
    if path.stat().st_mode & 0o077:
        raise UsageError(
            f"{path} can be read by others than its owner, so others may have signed with it",
            hint=f"chmod 600 {path}, or make a new key if somebody could have read it.",
        )
    if b"PUBLIC KEY" in data:
        raise UsageError(f"{path} is a public key; one signs with the private one")
    # PKCS #8 says it in its first line; older PEM forms in a header.
    password = ask(path).encode("utf-8") if b"ENCRYPTED" in data else None
    try:
        return serialization.load_pem_private_key(data, password)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{path} cannot be read as a private key"
            + (": the passphrase is not the one it was locked with, or the file is damaged" if password else "")
        ) from error


def read_public_key(path: Path) -> "Ed25519PublicKey | EllipticCurvePublicKey":
    """A public key from its PEM file, Ed25519 or (for model-signing) elliptic; UsageError if it is neither."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data = _read(path)
    if b"PRIVATE KEY" in data:
        raise UsageError(
            f"{path} is a private key; one checks with the public one",
            hint=f"It lies beside it: {path.name}{PUBLIC_ENDING}. A private key never leaves its owner.",
        )
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} cannot be read as a public key in PEM form") from error
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise UsageError(f"{path} is no Ed25519 key, but one of {type(key).__name__.strip('_')}")
    return key


def key_id(public: "Ed25519PublicKey | EllipticCurvePublicKey") -> str:
    """64 hexadecimal digits: SHA-256 of the SubjectPublicKeyInfo in DER."""
    from cryptography.hazmat.primitives import serialization

    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(KEY_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"no key can be read at {path}: {error.strerror}") from error
    if len(data) > KEY_LIMIT_BYTES:
        raise UsageError(f"{path} is larger than any key")
    return data


def _create(path: Path, data: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise UsageError(f"no key can be written at {path}: {error.strerror}") from error
    with open(handle, "wb") as file:  # noqa: PTH123  # the mode must hold from the first moment
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
