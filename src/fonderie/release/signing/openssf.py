"""The other signature: OpenSSF's model-signing, an optional extra, for those whose tools check that format.

It signs with a NIST elliptic key (model-signing takes no Ed25519) and writes a Sigstore bundle, offline. What it
covers is the same: every file of the folder but `release.dsse.json`, which lies inside only in published copies.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from fonderie.core.errors import ReleaseError, UsageError
from fonderie.core.machine import Machine
from fonderie.release.folder import plain
from fonderie.release.layout import SIGNATURE
from fonderie.release.signing.keys import Ask, load_private, passphrase_from_environment, write_pair
from fonderie.release.signing.place import SignatureCheck, beside, find_signature, place_for
from fonderie.release.verify import verify

ENDING = ".sig"
"""models/demo → models/demo.sig; model-signing's own documentation calls its files model.sig."""


def new_elliptic_key(path: Path, passphrase: str = "") -> Path:
    """Make a P-256 key pair, for model-signing alone; as `keys.new_key`."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return write_pair(path, ec.generate_private_key(ec.SECP256R1()), passphrase)


def sign_bundle(
    folder: Path,
    key_path: Path,
    out: Path | None = None,
    *,
    ask: Ask = passphrase_from_environment,
    machine: Machine | None = None,
) -> Path:
    """Sign a release that holds with model-signing; returns the bundle's path, by default beside the folder.

    ECDSA draws a random number, so two signatures of the same release differ; both hold.
    """
    signing = _library("signing")
    _elliptic(key_path, ask)
    target = place_for(folder, out if out is not None else beside(folder, ENDING))
    if target.exists():
        raise ReleaseError(f"{target} is already there", hint="Move it away, or name another file with --out.")
    verification = verify(folder, machine)
    if not verification.ok:
        raise ReleaseError(
            f"{folder} does not hold, and what does not hold is not signed: {verification.problems[0]}",
            hint=f"All {len(verification.problems)} problems: fonderie verify {folder}",
        )
    root = folder.resolve()
    config = signing.Config().use_elliptic_key_signer(private_key=key_path, password=_password(key_path, ask))
    config.set_hashing_config(_hashing(root)).sign(root, target)
    return target


def check_bundle(folder: Path, public_key: Path, keyid: str, signature: Path | None) -> SignatureCheck:
    """Check a model-signing bundle with an elliptic public key; what `signature.check` does for such a key."""
    verifying = _library("verifying")
    path = find_signature(folder, signature) if signature is not None else beside(folder, ENDING)
    assert path is not None
    if not path.is_file():
        problem = plain(f"no signature: there is no {path}, where one of model-signing lies")
        return SignatureCheck(ok=False, detail=problem, problems=(problem,), keyid=keyid, signature_path=None)
    root = folder.resolve()
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        config.set_hashing_config(_hashing(root)).verify(root, path)
    except Exception as error:  # a stranger's bundle: the library raises what its parsers raise
        # cryptography's InvalidSignature carries no text at all.
        problem = plain(f"{path.name}: {str(error)[:500] or 'this key did not sign it'}")
        return SignatureCheck(ok=False, detail=problem, problems=(problem,), keyid=keyid, signature_path=str(path))
    return SignatureCheck(
        ok=True,
        detail=plain(f"{path.name} (model-signing) signs every file of this release, by key {keyid}"),
        keyid=keyid,
        signature_path=str(path),
    )


def _hashing(root: Path) -> Any:
    """What is hashed: every regular file, git's own names included, which the library would leave out."""
    ignored = [root / SIGNATURE] if (root / SIGNATURE).exists() else []
    return _library("hashing").Config().set_ignored_paths(paths=ignored, ignore_git_paths=False)


def _elliptic(key_path: Path, ask: Ask) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(load_private(key_path, ask), ec.EllipticCurvePrivateKey):
        raise UsageError(
            f"{key_path} is no elliptic key, and model-signing takes no other",
            hint="Make one: fonderie sign --new-key FILE --format model-signing",
        )


def _password(key_path: Path, ask: Ask) -> bytes | None:
    # The library documents text here, but hands it to cryptography, which takes bytes.
    return ask(key_path).encode("utf-8") if b"ENCRYPTED" in key_path.read_bytes() else None


def _library(part: str) -> Any:
    """A module of the optional package; imported by name, so that types are checked with or without it."""
    try:
        return import_module(f"model_signing.{part}")
    except ImportError as error:
        raise UsageError(
            "signatures of OpenSSF's model-signing need that package, which is not installed",
            hint="Install it: pip install 'fonderie[signing]'",
        ) from error
