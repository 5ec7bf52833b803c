"""DSSE, the envelope of a signed payload: what is signed is the payload's type with its bytes, not its parsing.

    signature = Sign("DSSEv1" SP length(type) SP type SP length(payload) SP payload)

Source: DSSE protocol and envelope version 1.0.2, github.com/secure-systems-lab/dsse. As it asks, fields that we do
not know are ignored, both alphabets of base64 are read, and a key id narrows nothing: it is not authenticated.
"""

import base64
import binascii
import json
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fonderie.release.signing.keys import key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ENVELOPE_LIMIT_BYTES = 64 << 20
"""A file of the release takes about 200 bytes of it: enough for 300,000."""
SIGNATURES_LIMIT = 64


class EnvelopeError(ValueError):
    """What is there is no DSSE envelope."""


class Signature(BaseModel):
    """One signature of an envelope, in base64, with the hint of whose it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    keyid: str | None = None
    sig: str


class Envelope(BaseModel):
    """A payload in base64, its type, and who signed both."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    payload_type: str = Field(alias="payloadType")
    payload: str
    signatures: tuple[Signature, ...] = Field(max_length=SIGNATURES_LIMIT)

    @property
    def body(self) -> bytes:
        """The payload's bytes; EnvelopeError if it is not base64."""
        return decode(self.payload, "the payload")

    @property
    def keyids(self) -> tuple[str, ...]:
        """Whom the signatures say they are by."""
        return tuple(signature.keyid or "(no key id)" for signature in self.signatures)

    def signed_by(self, public: "Ed25519PublicKey") -> bool:
        """Whether any of the signatures is by this key; those of others do not matter."""
        from cryptography.exceptions import InvalidSignature

        message = pae(self.payload_type, self.body)
        for signature in self.signatures:
            try:
                public.verify(decode(signature.sig, "a signature"), message)
            except InvalidSignature:
                continue
            return True
        return False

    def signed(self, key: "Ed25519PrivateKey") -> "Envelope":
        """The same envelope with this key's signature, in the order of key ids; one that was there is replaced."""
        own = key_id(key.public_key())
        signature = Signature(
            keyid=own, sig=base64.b64encode(key.sign(pae(self.payload_type, self.body))).decode("ascii")
        )
        others = [other for other in self.signatures if other.keyid != own]
        ordered = sorted([*others, signature], key=lambda each: each.keyid or "")
        return self.model_copy(update={"signatures": tuple(ordered)})

    def to_json(self) -> bytes:
        """The envelope as a file's bytes: the same for the same payload and keys."""
        value = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(value, indent=1).encode("utf-8") + b"\n"


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def enclose(payload_type: str, payload: bytes) -> Envelope:
    """An envelope that nobody has signed yet."""
    return Envelope(payload_type=payload_type, payload=base64.b64encode(payload).decode("ascii"), signatures=())


def parse_envelope(data: bytes) -> Envelope:
    """An envelope from a file's bytes; EnvelopeError says why it is none."""
    if len(data) > ENVELOPE_LIMIT_BYTES:
        raise EnvelopeError(f"it is larger than {ENVELOPE_LIMIT_BYTES:,} bytes")
    try:
        return Envelope.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise EnvelopeError(f"{place}: {first['msg']}" if place else str(first["msg"])) from error


def decode(text: str, what: str) -> bytes:
    """Base64 in either alphabet; EnvelopeError where it is neither."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnvelopeError(f"{what} is not base64: {error}") from error
