import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluate.small import Build
from tests.release.test_verify import seal

from fonderie.core.errors import ReleaseError, UsageError
from fonderie.core.manifest import list_files
from fonderie.release.signing import dsse, keys
from fonderie.release.signing.keys import key_id, new_key, read_private_key, read_public_key
from fonderie.release.signing.signature import SignatureCheck, beside, check, sign
from fonderie.release.verify import verify

pytestmark = pytest.mark.slow


@pytest.fixture
def release(small: Build, tmp_path: Path) -> Path:
    copy = tmp_path / "release"
    shutil.copytree(small.release, copy)
    return copy


@pytest.fixture
def private(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    new_key(path)
    return path


@pytest.fixture
def public(private: Path) -> Path:
    return private.with_name("key.pem.pub")


def envelope_of(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_bytes())
    return value


def payload_of(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(base64.b64decode(envelope_of(path)["payload"]))
    return value


def sign_payload(path: Path, payload: bytes, private: Path, kind: str = "application/vnd.in-toto+json") -> Path:
    path.write_bytes(dsse.enclose(kind, payload).signed(read_private_key(private)).to_json())
    return path


def problems(found: SignatureCheck) -> str:
    assert found.ok == (not found.problems)
    return "\n".join(found.problems)


# What is signed


def test_a_release_signed_beside_it_holds(release: Path, private: Path, public: Path) -> None:
    path = sign(release, private)
    assert path == release.with_name("release.dsse.json")
    found = check(release, public)
    assert found.ok
    assert found.signature_path == str(path)
    assert found.keyid == key_id(read_public_key(public))
    files = list_files(release)
    assert f"signs this draft release and all its {len(files)} files" in found.detail
    statement = payload_of(path)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert {subject["name"]: "sha256:" + subject["digest"]["sha256"] for subject in statement["subject"]} == {
        entry.path: entry.sha256 for entry in files
    }
    verified = verify(release)
    assert statement["predicate"]["release_digest"] == verified.digest
    assert statement["predicate"]["name"] == "toy"
    assert statement["predicate"]["version"] == "0.1.0"
    assert statement["predicate"]["status"] == "draft"
    index = json.loads((release / "release.json").read_bytes())
    assert statement["predicate"]["model_digest"] == index["model_digest"]
    # With what verify found, the same comes out, and no file is read again.
    assert check(release, public, digest=verified.digest).ok


def test_the_commitment_is_named_where_there_is_one(release: Path, private: Path) -> None:
    names = {entry.path: entry.sha256 for entry in list_files(release)}
    said = payload_of(sign(release, private))["predicate"]["commitment"]
    assert said == names.get("training/commitment.json")


def test_the_same_release_and_key_give_the_same_bytes(release: Path, private: Path, tmp_path: Path) -> None:
    first = sign(release, private).read_bytes()
    assert sign(release, private).read_bytes() == first
    assert sign(release, private, tmp_path / "other.json").read_bytes() == first


def test_the_signature_of_a_link_lies_beside_the_link(small: Build, private: Path, public: Path) -> None:
    link = small.result.releases[0]
    path = sign(link, private)
    assert path == link.with_name(f"{link.name}.dsse.json")
    assert check(link, public).ok
    assert verify(link).ok
    path.unlink()


def test_a_published_copy_carries_its_signature_inside(release: Path, private: Path, public: Path) -> None:
    digest = verify(release).digest
    inside = release / "release.dsse.json"
    assert sign(release, private, inside) == inside
    assert verify(release).ok
    assert verify(release).digest == digest
    found = check(release, public)
    assert found.ok
    assert found.signature_path == str(inside)
    assert sign(release, private).read_bytes() == inside.read_bytes()
    assert check(release, public).ok  # the two are the same


def test_the_folder_may_be_named_by_a_dot(
    release: Path, private: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(release, private)
    monkeypatch.chdir(release)
    assert check(Path(), public).ok
    assert beside(Path()) == release.with_name("release.dsse.json")


# What is refused


def test_a_release_that_does_not_hold_is_not_signed(release: Path, private: Path) -> None:
    (release / "config.json").write_text("{}")
    with pytest.raises(ReleaseError, match=r"what does not hold is not signed(.|\n)*config\.json: altered"):
        sign(release, private)
    assert not beside(release).exists()


def test_nothing_is_added_to_an_artifact_of_the_store(small: Build, private: Path) -> None:
    with pytest.raises(UsageError, match="is an artifact of a store"):
        sign(small.release, private, small.release / "release.dsse.json")
    with pytest.raises(UsageError, match="is an artifact of a store"):
        sign(small.result.releases[0], private, small.result.releases[0] / "release.dsse.json")


@pytest.mark.parametrize("name", ["other.dsse.json", "training/release.dsse.json"])
def test_inside_a_signature_has_one_name(release: Path, private: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"inside the release a signature is called release\.dsse\.json"):
        sign(release, private, release / name)
    with pytest.raises(UsageError, match="its folder is not there"):
        sign(release, private, release.parent / "nowhere" / "x.json")


def test_a_signature_of_something_else_is_never_replaced(release: Path, private: Path) -> None:
    statement = payload_of(sign(release, private))
    statement["predicate"]["version"] = "0.0.9"
    path = sign_payload(beside(release), json.dumps(statement).encode(), private)
    before = path.read_bytes()
    with pytest.raises(ReleaseError, match="of this one before it changed"):
        sign(release, private)
    assert path.read_bytes() == before
    path.write_text("{}")
    with pytest.raises(ReleaseError, match="is there, and is no signature"):
        sign(release, private)


# What check notices


def test_every_file_altered_missing_or_added_is_named(release: Path, private: Path, public: Path) -> None:
    path = sign(release, private)
    for entry in list_files(release):
        file = release / entry.path
        original = file.read_bytes()
        file.write_bytes(original + b" ")
        assert f"{entry.path}: not the file that was signed" in problems(check(release, public))
        file.unlink()
        assert f"{entry.path}: " in problems(check(release, public))
        file.write_bytes(original)
    (release / "more.txt").write_text("more")
    assert problems(check(release, public)) == "more.txt: not signed"
    (release / "more.txt").unlink()
    (release / "link").symlink_to(path)
    assert problems(check(release, public)) == "link: a link; a release holds none"


def test_altered_and_sealed_again_is_noticed_with_the_digest_of_verify(
    release: Path, private: Path, public: Path
) -> None:
    sign(release, private)
    (release / "TERMS.txt").write_text("Use it for good, not evil.")
    seal(release)
    found = check(release, public, digest=verify(release).digest)
    assert "TERMS.txt: not signed" in found.problems
    assert "release.json: not the file that was signed" in found.problems


def test_another_key_is_named(release: Path, private: Path, tmp_path: Path) -> None:
    sign(release, private)
    other = new_key(tmp_path / "other.pem")
    own = key_id(read_public_key(private.with_name("key.pem.pub")))
    found = check(release, other)
    assert f"signed by {own}, not by this key, {found.keyid}" in problems(found)


def test_a_payload_altered_after_signing(release: Path, private: Path, public: Path) -> None:
    path = sign(release, private)
    envelope = envelope_of(path)
    statement = payload_of(path)
    statement["predicate"]["status"] = "final"
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(envelope))
    assert "bears this key's id, but this key did not sign what it holds" in problems(check(release, public))


def test_a_type_altered_after_signing(release: Path, private: Path, public: Path) -> None:
    path = sign(release, private)
    envelope = envelope_of(path)
    envelope["payloadType"] = "application/json"
    path.write_text(json.dumps(envelope))
    assert not check(release, public).ok


def test_the_signature_of_another_release(
    release: Path, private: Path, public: Path, small: Build, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(small.release, other)
    (other / "NOTES.md").write_text("another")
    index = json.loads((other / "release.json").read_bytes())
    index["version"] = "0.2.0"
    (other / "release.json").write_text(json.dumps(index))
    seal(other)
    statement = payload_of(sign(release, private))
    statement["subject"] = [
        {"name": entry.path, "digest": {"sha256": entry.sha256.removeprefix("sha256:")}}
        for entry in list_files(other)
    ]
    # Even signed by the right key, for these very files: what it says of them is not so.
    path = sign_payload(tmp_path / "mixed.json", json.dumps(statement).encode(), private)
    said = problems(check(other, public, path))
    assert "signed for version 0.1.0, but this release's is 0.2.0" in said
    assert "signed for release digest sha256:" in said
    assert not check(other, public, beside(release)).ok


def _type(value: dict[str, Any]) -> None:
    value["_type"] = "https://in-toto.io/Statement/v0.1"


def _predicate_type(value: dict[str, Any]) -> None:
    value["predicateType"] = "https://slsa.dev/provenance/v1"


def _no_predicate(value: dict[str, Any]) -> None:
    value["predicate"] = {}


def _twice(value: dict[str, Any]) -> None:
    value["subject"].append(value["subject"][0])


def _outside(value: dict[str, Any]) -> None:
    value["subject"].append({"name": "../key.pem", "digest": {"sha256": "0" * 64}})


def _weaker_hash(value: dict[str, Any]) -> None:
    value["subject"][0]["digest"] = {"md5": "0" * 32}


def _without_index(value: dict[str, Any]) -> None:
    value["subject"] = [subject for subject in value["subject"] if subject["name"] != "release.json"]


def _final(value: dict[str, Any]) -> None:
    value["predicate"]["status"] = "final"


def _other_model(value: dict[str, Any]) -> None:
    value["predicate"]["model_digest"] = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (_type, "states urn:fonderie:release:v1 in https://in-toto.io/Statement/v0.1"),
        (_predicate_type, "states https://slsa.dev/provenance/v1"),
        (_no_predicate, "no statement: predicate.name: Field required"),
        (_twice, "the statement names a file twice"),
        (_outside, "../key.pem: signed, but missing"),
        (_weaker_hash, "not the file that was signed"),
        (_without_index, "release.json: not signed"),
        (_final, "signed for status final, but this release's is draft"),
        (_other_model, "signed for model digest sha256:000"),
    ],
)
def test_a_statement_that_is_well_signed_and_wrong(
    release: Path, private: Path, public: Path, forge: Callable[[dict[str, Any]], None], said: str
) -> None:
    path = sign(release, private)
    statement = payload_of(path)
    forge(statement)
    sign_payload(path, json.dumps(statement).encode(), private)
    assert said in problems(check(release, public))


def test_a_payload_of_another_type_well_signed(release: Path, private: Path, public: Path) -> None:
    path = sign(release, private)
    payload = base64.b64decode(envelope_of(path)["payload"])
    sign_payload(path, payload, private, "text/plain")
    assert "signs a payload of type text/plain" in problems(check(release, public))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 200_000,
        '{"payloadType": "a", "payload": "a", "signatures": [{"sig": "AAAA"}]}',
        '{"payloadType": "a", "payload": "AAAA", "signatures": [{"sig": "%%%%"}]}',
        '{"payloadType": "a", "payload": "AAAA", "signatures": []}',
        '{"payloadType": "a", "payload": "AAAA", "signatures": [{"sig": "AAAA"}]}',
        '{"payloadType": 1, "payload": "AAAA", "signatures": []}',
        '{"payloadType": "a", "payload": "AAAA", "signatures": [' + ",".join(['{"sig": ""}'] * 65) + "]}",
    ],
    ids=range(10),
)
def test_what_is_no_envelope_is_a_problem_not_a_crash(release: Path, public: Path, text: str) -> None:
    beside(release).write_text(text)
    assert problems(check(release, public))


def test_an_envelope_too_large_is_not_read(
    release: Path, private: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sign(release, private)
    path.write_bytes(path.read_bytes() + b" " * 1_000_000)
    assert check(release, public).ok
    monkeypatch.setattr(dsse, "ENVELOPE_LIMIT_BYTES", 1_000_000)
    assert "larger than 1,000,000 bytes" in problems(check(release, public))


def test_several_signatures_one_good_is_enough(release: Path, private: Path, public: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other_public = new_key(other)
    path = sign(release, private)
    first = path.read_bytes()
    assert sign(release, other) == path
    assert len(envelope_of(path)["signatures"]) == 2
    for key in (public, other_public):
        found = check(release, key)
        assert found.ok
        assert "1 of 2 signatures" in found.detail
    # The order of signing leaves no trace.
    path.unlink()
    sign(release, other)
    assert path.read_bytes() != first
    sign(release, private)
    both = path.read_bytes()
    path.write_bytes(first)
    sign(release, other)
    assert path.read_bytes() == both
    # A broken signature beside a good one changes nothing; alone it does not do. Its key id vouches for nothing.
    envelope = envelope_of(path)
    for signature in envelope["signatures"]:
        if signature["keyid"] != key_id(read_public_key(public)):
            signature["sig"] = base64.b64encode(bytes(64)).decode()
        else:
            signature["keyid"] = "whatever"
    path.write_text(json.dumps(envelope))
    assert check(release, public).ok
    assert not check(release, other_public).ok


def test_two_signatures_that_differ_and_none_at_all(
    release: Path, private: Path, public: Path, tmp_path: Path
) -> None:
    assert "there is neither" in problems(check(release, public))
    other = tmp_path / "other.pem"
    new_key(other)
    inside = sign(release, private, release / "release.dsse.json")
    outside = sign(release, other)
    with pytest.raises(ReleaseError, match=r"two signatures that differ: .*release/release\.dsse\.json and .*"):
        check(release, public)
    assert check(release, public, inside).ok
    assert not check(release, public, outside).ok
    with pytest.raises(UsageError, match="there is no signature at"):
        check(release, public, tmp_path / "nowhere.json")


def test_a_link_in_the_folder_is_not_followed_for_a_signature(release: Path, private: Path, public: Path) -> None:
    elsewhere = sign(release, private, release.with_name("elsewhere.json"))
    (release / "release.dsse.json").symlink_to(elsewhere)
    assert "there is neither" in problems(check(release, public))


# Keys


def test_a_key_is_its_owners_alone_and_never_overwritten(private: Path, public: Path) -> None:
    assert private.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in public.read_bytes()
    with pytest.raises(UsageError, match="already there, and a key is never overwritten"):
        new_key(private)
    private.unlink()
    with pytest.raises(UsageError, match=r"key\.pem\.pub is already there"):
        new_key(private)
    assert not private.exists()


def test_a_private_key_that_others_can_read_is_refused(private: Path) -> None:
    private.chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others"):
        read_private_key(private)


def test_a_passphrase_locks(tmp_path: Path, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.pem"
    public = new_key(path, "très secret")
    monkeypatch.delenv(keys.PASSPHRASE_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="is locked by a passphrase"):
        sign(release, path)
    monkeypatch.setenv(keys.PASSPHRASE_VARIABLE, "wrong")
    with pytest.raises(UsageError, match="the passphrase is not the one"):
        sign(release, path)
    monkeypatch.setenv(keys.PASSPHRASE_VARIABLE, "très secret")
    sign(release, path)
    assert check(release, public).ok


def test_what_is_no_key_of_the_kind_is_named(private: Path, public: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a private key; one checks with the public one"):
        read_public_key(private)
    public.chmod(0o600)
    with pytest.raises(UsageError, match="is a public key; one signs with the private one"):
        read_private_key(public)
    other = tmp_path / "other"
    other.write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(UsageError, match="cannot be read as a public key"):
        read_public_key(other)
    other.chmod(0o600)
    other.write_bytes(b"hello")
    with pytest.raises(UsageError, match="cannot be read as a private key"):
        read_private_key(other)
    other.write_bytes(b" " * 100_000)
    with pytest.raises(UsageError, match="larger than any key"):
        read_public_key(other)
    with pytest.raises(UsageError, match="no key can be read at"):
        read_public_key(tmp_path / "nowhere")


# Outside: other people's implementations of the same


def test_openssl_verifies_the_signature(release: Path, private: Path, public: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    envelope = envelope_of(sign(release, private))
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    # Spelt out as the specification has it, not by our function.
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))

    def verified(data: str) -> int:
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin"]
        command += ["-in", str(tmp_path / data), "-sigfile", str(tmp_path / "sig")]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert verified("message") == 0
    (tmp_path / "altered").write_bytes(message + b" ")
    assert verified("altered") != 0
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(public), "-outform", "DER"], capture_output=True, check=True
    ).stdout
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hex"], input=der, capture_output=True, check=True
    ).stdout
    assert digest.decode().split()[-1] == envelope["signatures"][0]["keyid"]


def test_a_key_of_openssl_signs(release: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    private, public = tmp_path / "theirs.pem", tmp_path / "theirs.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)], check=True)
    subprocess.run(["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)], check=True)
    private.chmod(0o600)
    sign(release, private)
    assert check(release, public).ok


def test_the_library_of_in_toto_and_tuf_verifies_the_envelope(release: Path, private: Path, public: Path) -> None:
    their = pytest.importorskip("securesystemslib.dsse")
    signer = pytest.importorskip("securesystemslib.signer")
    exceptions = pytest.importorskip("securesystemslib.exceptions")
    envelope = envelope_of(sign(release, private))
    keyid = envelope["signatures"][0]["keyid"]
    parsed = their.Envelope.from_dict(envelope)
    key = signer.SSlibKey.from_crypto(load_pem_public_key(public.read_bytes()), keyid=keyid)
    assert parsed.verify([key], 1) == {keyid: key}
    parsed.payload += b" "
    with pytest.raises(exceptions.VerificationError):
        parsed.verify([key], 1)


def test_the_bindings_of_in_toto_accept_the_statement(release: Path, private: Path) -> None:
    statements = pytest.importorskip("in_toto_attestation.v1.statement")
    json_format = pytest.importorskip("google.protobuf.json_format")
    payload = base64.b64decode(envelope_of(sign(release, private))["payload"])
    parsed = json_format.Parse(payload, statements.Statement([], "", {}).pb)
    statements.Statement.copy_from_pb(parsed).validate()
    assert parsed.predicate_type == "urn:fonderie:release:v1"
    assert len(parsed.subject) == len(list_files(release))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30), st.binary(max_size=200))
def test_the_encoding_is_theirs_for_any_payload(kind: str, payload: bytes) -> None:
    their = pytest.importorskip("securesystemslib.dsse")
    assert dsse.pae(kind, payload) == their.Envelope(payload, kind, {}).pae()


# model-signing, the optional format


def test_model_signing_goes_round(release: Path, private: Path, public: Path, tmp_path: Path) -> None:
    pytest.importorskip("model_signing", reason="the optional extra 'signing' is not installed")
    from fonderie.release.signing.openssf import new_elliptic_key, sign_bundle

    elliptic = tmp_path / "p256.pem"
    elliptic_public = new_elliptic_key(elliptic)
    assert elliptic.stat().st_mode & 0o777 == 0o600
    sign(release, private, release / "release.dsse.json")
    with pytest.raises(UsageError, match="is no elliptic key, and model-signing takes no other"):
        sign_bundle(release, private)
    path = sign_bundle(release, elliptic)
    assert path == release.with_name("release.sig")
    assert json.loads(path.read_bytes())["mediaType"].startswith("application/vnd.dev.sigstore.bundle")
    found = check(release, elliptic_public)
    assert found.ok, found
    assert check(release, elliptic_public, path).ok
    with pytest.raises(ReleaseError, match="already there"):
        sign_bundle(release, elliptic)
    other = new_elliptic_key(tmp_path / "other.pem")
    assert "Key mismatch" in problems(check(release, other))
    (release / ".gitignore").write_text("*")
    assert "Extra files found" in problems(check(release, elliptic_public))
    (release / ".gitignore").unlink()
    config = release / "config.json"
    original = config.read_bytes()
    config.write_bytes(original + b" ")
    assert "Hash mismatch for 'config.json'" in problems(check(release, elliptic_public))
    with pytest.raises(ReleaseError, match="what does not hold is not signed"):
        sign_bundle(release, elliptic, tmp_path / "x.sig")
    config.write_bytes(original)
    path.write_text("{}")
    assert problems(check(release, elliptic_public))
    path.unlink()
    assert "no signature" in problems(check(release, elliptic_public))


def test_a_locked_key_for_model_signing(release: Path, tmp_path: Path) -> None:
    pytest.importorskip("model_signing", reason="the optional extra 'signing' is not installed")
    from fonderie.release.signing.openssf import new_elliptic_key, sign_bundle

    public = new_elliptic_key(tmp_path / "p256.pem", "secret")
    sign_bundle(release, tmp_path / "p256.pem", ask=lambda path: "secret")
    assert check(release, public).ok


def test_without_the_extra_the_error_says_how_to_get_it(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fonderie.release.signing.openssf import new_elliptic_key, sign_bundle

    public = new_elliptic_key(tmp_path / "p256.pem")
    for name in ("model_signing", "model_signing.signing", "model_signing.verifying"):
        monkeypatch.setitem(sys.modules, name, None)  # Python's own way to say: not there
    with pytest.raises(UsageError, match=r"not installed\n.*fonderie\[signing\]"):
        sign_bundle(release, tmp_path / "p256.pem")
    with pytest.raises(UsageError, match="need that package"):
        check(release, public)
