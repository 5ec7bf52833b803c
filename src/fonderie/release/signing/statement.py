"""What a signature states: in-toto's Statement version 1 over every file of a release.

Subjects are the files, release.json included, each with its SHA-256; the predicate names the release. No date and
no name of a person: the same release and key give the same signature, and whose a key is, is settled elsewhere.
Source: in-toto attestation framework 1.0, spec/v1/statement.md and resource_descriptor.md.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fonderie.core.digest import canonical_json, digest_bytes
from fonderie.core.manifest import FileEntry, files_digest
from fonderie.release.folder import is_safe_name, plain
from fonderie.release.layout import INDEX, ReleaseIndex

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:fonderie:release:v1"
"""A name, not an address: nobody has to keep a server alive for old signatures to be understood."""
COMMITMENT = "training/commitment.json"
TAG = "sha256:"


class Subject(BaseModel):
    """A file, as in-toto's ResourceDescriptor."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    digest: dict[str, str]
    """Hexadecimal digits by algorithm; we need sha256."""


class Predicate(BaseModel):
    """Which release the subjects are, in its own words."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    version: str
    status: Literal["draft", "final"]
    """Whether the publisher's own fields were all filled in when it was made."""
    release_digest: str
    """Of all the files, names and bytes: the digest that `fonderie verify` prints."""
    model_digest: str
    """Of the training's artifact that the weights come from."""
    commitment: str | None = None
    """The digest of training/commitment.json, where the training committed to its data."""


class Statement(BaseModel):
    """in-toto's Statement, with our predicate."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    type_: str = Field(alias="_type")
    subject: tuple[Subject, ...]
    predicate_type: str = Field(alias="predicateType")
    predicate: Predicate

    @property
    def entries(self) -> list[FileEntry]:
        """The subjects as files, sizes unknown; one without a SHA-256 has an empty digest, which no file has."""
        return [
            FileEntry(
                path=subject.name,
                size_bytes=0,
                sha256=TAG + subject.digest["sha256"] if "sha256" in subject.digest else "",
            )
            for subject in self.subject
        ]

    def to_json(self) -> bytes:
        """The bytes that are signed."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))


class StatementHead(BaseModel):
    """What tells whether a payload is a statement of ours, before the rest is read."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    type_: str = Field(alias="_type")
    predicate_type: str = Field(alias="predicateType")


def write_statement(index: ReleaseIndex, index_bytes: bytes) -> Statement:
    """The statement about a release that holds, from release.json alone: it lists every other file."""
    digests = {entry.path: entry.sha256 for entry in index.files} | {INDEX: digest_bytes(index_bytes)}
    subjects = tuple(
        Subject(name=name, digest={"sha256": digest.removeprefix(TAG)}) for name, digest in sorted(digests.items())
    )
    return Statement(
        type_=STATEMENT_TYPE,
        subject=subjects,
        predicate_type=PREDICATE_TYPE,
        predicate=Predicate(
            name=index.name,
            version=index.version,
            status=index.status,
            release_digest=_digest_of(digests),
            model_digest=index.model_digest,
            commitment=digests.get(COMMITMENT),
        ),
    )


def statement_problems(statement: Statement, index: ReleaseIndex) -> list[str]:
    """What a signed statement says that does not fit itself, or the release.json it was found with."""
    digests = {entry.path: entry.sha256 for entry in statement.entries}
    said = statement.predicate
    problems = [f"{plain(name)}: not a name inside a release" for name in digests if not is_safe_name(name)]
    if len(digests) != len(statement.subject):
        problems.append("the statement names a file twice")
    if INDEX not in digests:
        problems.append(f"the statement does not cover {INDEX}")
    pairs = {
        "name": (said.name, index.name),
        "version": (said.version, index.version),
        "status": (said.status, index.status),
        "model digest": (said.model_digest, index.model_digest),
        "release digest": (said.release_digest, _digest_of(digests)),
        "commitment": (said.commitment, digests.get(COMMITMENT)),
    }
    problems += [
        f"signed for {what} {plain(str(signed))}, but this release's is {plain(str(found))}"
        for what, (signed, found) in pairs.items()
        if signed != found
    ]
    return problems


def subject_problems(statement: Statement, found: Mapping[str, str]) -> list[str]:
    """Every file of the folder that is not as signed: altered, missing, or not covered by the signature."""
    signed = {entry.path: entry.sha256 for entry in statement.entries}
    problems = [f"{name}: signed, but missing" for name in sorted(signed.keys() - found.keys())]
    problems += [f"{name}: not signed" for name in sorted(found.keys() - signed.keys())]
    problems += [
        f"{name}: not the file that was signed"
        for name in sorted(signed.keys() & found.keys())
        if signed[name] != found[name]
    ]
    return problems


def _digest_of(digests: Mapping[str, str]) -> str:
    return files_digest(FileEntry(path=name, size_bytes=0, sha256=digest) for name, digest in digests.items())
