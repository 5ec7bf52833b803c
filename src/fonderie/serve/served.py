"""A release as it is served: its name and digest, what reads and writes its tokens, the engine that answers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fonderie.core.digest import digest_file, short
from fonderie.core.errors import InputError, ReleaseError
from fonderie.release.gate import no_release
from fonderie.release.layout import INDEX, ReleaseIndex
from fonderie.serve.answers import Answers
from fonderie.serve.api.errors import ApiError
from fonderie.serve.backend import Backend
from fonderie.serve.engine.engine import Engine, Limits
from fonderie.serve.engine.grammar import Grammars
from fonderie.serve.guards.guards import Guards
from fonderie.tokens.spelling import Spelling
from fonderie.tokens.tokenizer import Tokenizer, border_tokens

LONGEST_TOKEN_BYTES = 256
"""Of tokenizers whose tokens are not known byte by byte."""

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Release:
    """What the folder of a release says, whatever computes its answers."""

    name: str
    """What clients call it: "<name>-<version>" of its release.json."""
    digest: str
    """Of its release.json, which lists every other file; votes and answers are bound to it."""
    created: int
    """Seconds since 1970 of its release.json's making on this machine, for /v1/models."""
    folder: Path
    index: ReleaseIndex
    tokenizer: Tokenizer
    pieces: list[bytes] | None
    """The bytes of every token; None for a tokenizer that is not byte-level."""
    longest_token: int
    """Bytes of the longest token."""


@dataclass(frozen=True)
class Served(Release):
    """One release with its engine."""

    arithmetic: str
    """How its products are computed: in a precision of our engine, or as an upstream does it, by its name."""
    engine: Backend
    answers: Answers
    grammars: Grammars | None = None
    """What answers of our engine are held to; an upstream makes its own of the schema."""
    guards: Guards = field(default_factory=Guards.none)
    """What questions and answers go through."""

    def check_length(self, text: str, param: str) -> None:
        """Refuse a text that cannot fit into the context, before a second is spent on its tokens."""
        most = self.engine.context * self.longest_token
        if len(text) > most:
            raise ApiError(
                400,
                f"{param} has {len(text):,} characters; {self.name} reads {self.engine.context:,} tokens, and no "
                f"{most:,} characters fit in them",
                code="context_length_exceeded",
                param=param,
            )

    @property
    def fingerprint(self) -> str:
        """What must be the same for the same seed to give the same answer: the weights, and their arithmetic.

        Of an upstream nothing is promised: `capabilities` of /v1/models say so.
        """
        return f"fp_{short(self.digest)}_{self.arithmetic}"

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; a special token's name."""
        if self.pieces is not None and token < len(self.pieces):
            return self.pieces[token]
        return self.tokenizer.decode([token], skip_special_tokens=False).encode("utf-8")

    def token_text(self, token: int) -> str:
        """A token as text; one that is no whole character as OpenAI writes it, "bytes:\\xe2\\x80"."""
        data = self.token_bytes(token)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def read_release(folder: Path) -> Release:
    """What the folder says; ReleaseError or InputError if it is no release."""
    path = folder / INDEX
    if not path.is_file():
        raise no_release(folder)
    try:
        index = ReleaseIndex.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise ReleaseError(f"{path} is no index of a release: {str(error)[:200]}") from error
    tokenizer = Tokenizer(folder)
    pieces = _pieces(folder, tokenizer)
    return Release(
        name=f"{index.name}-{index.version}",
        digest=digest_file(path),
        created=int(path.stat().st_mtime),
        folder=folder,
        index=index,
        tokenizer=tokenizer,
        pieces=pieces,
        longest_token=max(map(len, pieces)) if pieces else LONGEST_TOKEN_BYTES,
    )


def _pieces(folder: Path, tokenizer: Tokenizer) -> list[bytes] | None:
    """The bytes of every token, of special ones their names; None for a tokenizer of no kind that is known here."""
    data = (folder / "tokenizer.json").read_bytes()
    try:
        spelling = Spelling.read(data)
    except InputError:
        try:
            bos, eos = border_tokens(folder)
            spelling = Spelling.read(data, borders=(bos, eos or ""))
        except InputError:
            return None  # only how log-probabilities spell broken characters depends on it
    # There special tokens are marks that no text holds, or nothing; here they are shown to people.
    special = set(spelling.special.values())
    return [
        piece
        if piece and number not in special
        else tokenizer.decode([number], skip_special_tokens=False).encode("utf-8")
        for number, piece in enumerate(spelling.pieces)
    ]


def open_release(
    folder: Path,
    answers: Answers,
    *,
    limits: Limits,
    threads: int | None,
    device: str = "cpu",
    precision: Precision = "fp32",
    guards: Guards | None = None,
) -> Served:
    """Load a release and start its engine; ReleaseError or InputError if it is none.

    Whether it may be shown to people is asked of `fonderie.release.gate` before.
    """
    from fonderie.model.convert import load_model

    release = read_release(folder)
    tokenizer, model = release.tokenizer, load_model(folder, device=device)
    model = model.bfloat16() if precision == "bf16" else model.float()
    return Served(
        **vars(release),
        arithmetic=precision,
        engine=Engine(model, tokenizer, answers.deliver, limits=limits, threads=threads),
        answers=answers,
        grammars=Grammars(folder, model.config.vocabulary, tokenizer.eos),
        guards=guards or Guards.none(),
    )


def seed_of(request_seed: int | None, fresh: int, choice: int) -> int:
    """The seed of one of several choices: the first has the one that was given, the others their own."""
    seed = fresh if request_seed is None else request_seed
    if choice == 0:
        return seed
    digest = hashlib.sha256(f"fonderie choice {seed} {choice}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def conversation_prompt(served: Served, turns: Sequence[tuple[str, str]]) -> tuple[int, ...]:
    """A conversation by the release's template, the answer's turn opened. ApiError if it has none."""
    from fonderie.tokens.conversation import Turn

    if not served.tokenizer.has_turns:
        raise ApiError(
            400,
            f"{served.name} has no tokens for the turns of a conversation, and only goes on with a text: "
            "ask /v1/completions",
            code="no_conversations",
            param="model",
        )
    return tuple(served.tokenizer.encode_turns([Turn(role, text) for role, text in turns], answer=True))
