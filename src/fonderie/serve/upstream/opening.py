"""A release that an engine of others answers for: its name, digest, gate and tokenizer are the folder's."""

import json
from pathlib import Path
from typing import Literal

import httpx2

from fonderie.core.errors import UsageError
from fonderie.serve.answers import Answers
from fonderie.serve.engine.engine import Limits
from fonderie.serve.guards.guards import Guards
from fonderie.serve.served import Served, read_release
from fonderie.serve.upstream.dialect import Dialect, Facts, GarbledError
from fonderie.serve.upstream.llamacpp import LlamaCpp
from fonderie.serve.upstream.upstream import CONNECT_SECONDS, SILENCE_SECONDS, Upstream
from fonderie.serve.upstream.vllm import Vllm
from fonderie.tokens.tokenizer import Tokenizer

UpstreamKind = Literal["vllm", "llamacpp"]
KEY_VARIABLE = "FONDERIE_UPSTREAM_KEY"
"""Environment variable of the upstream's key, if it wants one: a command line can be read by others."""
COMPARED_TOKENS = 256
IDLE_SECONDS = 2.0
"""After which a connection is not used again: vLLM's server and llama-server close theirs after 5, and what is
asked just then would be lost."""
CONFIG = "config.json"


def open_upstream(
    folder: Path,
    answers: Answers,
    *,
    kind: UpstreamKind,
    url: str,
    key: str | None,
    alone: bool,
    limits: Limits,
    guards: Guards | None = None,
) -> Served:
    """A release whose requests an upstream answers; `alone` if no other release is served.

    UsageError if the upstream does not answer, is no such engine, or reads tokens otherwise than the release does.
    """
    dialect: Dialect = Vllm() if kind == "vllm" else LlamaCpp()
    release = read_release(folder)
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    try:
        with httpx2.Client(base_url=url, headers=headers, timeout=CONNECT_SECONDS, trust_env=False) as client:
            facts = dialect.facts(client, release.name, alone=alone)
            _compare(client, dialect, facts, release.tokenizer)
    except httpx2.HTTPStatusError as error:
        raise UsageError(
            f"the upstream at {url} answers {error.response.status_code} to {error.request.url.path}",
            hint=f"Is it {kind}, has it loaded its model, and does it want a key (${KEY_VARIABLE})?",
        ) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise UsageError(
            f"no upstream answers at {url} ({type(error).__name__})",
            hint="Start it first, or give another --upstream.",
        ) from error
    except (GarbledError, ValueError) as error:
        raise UsageError(
            f"what answers at {url} is not {kind}: {error}", hint="--engine says which it is."
        ) from error
    asking = httpx2.AsyncClient(
        base_url=url,
        headers=headers,
        timeout=httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx2.Limits(
            max_connections=None, max_keepalive_connections=limits.batch, keepalive_expiry=IDLE_SECONDS
        ),
        trust_env=False,
    )
    engine = Upstream(
        dialect, facts, asking, release.tokenizer, answers.deliver, context=_context(folder, facts), limits=limits
    )
    return Served(**vars(release), arithmetic=kind, engine=engine, answers=answers, guards=guards or Guards.none())


def _context(folder: Path, facts: Facts) -> int:
    """What both the model and the upstream read."""
    stated = json.loads((folder / CONFIG).read_bytes()).get("max_position_embeddings")
    return facts.context if stated is None else min(facts.context, int(stated))


def _compare(client: httpx2.Client, dialect: Dialect, facts: Facts, tokenizer: Tokenizer) -> None:
    """Ask what some tokens read as: an upstream of another vocabulary would answer nonsense with good manners."""
    special = set(tokenizer.special.values())
    ids = [token for token in range(tokenizer.vocabulary) if token not in special][-COMPARED_TOKENS:]
    # By their own, those of whole characters: what the others read as is a matter of taste.
    texts = {token: tokenizer.decode([token]) for token in ids}
    known = [token for token, text in texts.items() if text.isascii() and text.strip() == text and text]
    expected = tokenizer.decode(known)
    if dialect.spelt(client, facts.model, known).strip() != expected.strip():
        raise UsageError(
            f"the upstream reads the tokens {known[0]} to {known[-1]} otherwise than the release does",
            hint="It serves other weights, or a conversion with another vocabulary.",
        )
