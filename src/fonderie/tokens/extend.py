"""tokens.extend: a tokenizer with more tokens; every id that it had stays what it was.

New tokens come from three places, in this order of their ids: merges learnt on documents, going on where the
tokenizer's own training ended; words that the recipe names; and the tokens of the chat template. tokens.transplant
gives a model the rows for them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt, model_validator
from tokenizers import Tokenizer as _Tokenizer

from fonderie.core.document import read_documents, shard_paths
from fonderie.core.errors import InputError, StepError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.tokens.bpe import SAMPLE_BYTES_DEFAULT, sample
from fonderie.tokens.conversation import BOS, CHAT_TEMPLATE, END, ROLE_TOKENS
from fonderie.tokens.tokenizer import SETTINGS, Tokenizer, border_tokens

FILE, TEMPLATE = "tokenizer.json", "chat_template.jinja"


class ExtendParameters(Parameters):
    """Which tokens are added."""

    learn: NonNegativeInt = 0
    """How many tokens to learn from the documents, each a merge of two that there are."""
    tokens: tuple[str, ...] = ()
    """Words that become one token each wherever they stand in a text, such as "[Intervenant 1:]"."""
    conversation: bool = False
    """Add those tokens of the chat template that are not there: conversations can then be packed and learnt."""
    sample_bytes: int = Field(default=SAMPLE_BYTES_DEFAULT, ge=1)
    """Learn from at most this many bytes of text, documents taken in order of their content ids."""

    @model_validator(mode="after")
    def _adds_something(self) -> "ExtendParameters":
        if not (self.learn or self.tokens or self.conversation):
            raise ValueError("give learn, tokens or conversation: there is nothing to add")
        if len(set(self.tokens)) < len(self.tokens) or not all(self.tokens):
            raise ValueError("tokens: each must be given once, and have a character")
        return self


def _fits(params: ExtendParameters, inputs: Any) -> None:
    if bool(params.learn) != bool(inputs.get("documents")):
        raise ValueError("learn and inputs.documents are of use only together")


@step(
    "tokens.extend",
    version=1,
    parameters=ExtendParameters,
    produces="tokenizer",
    inputs={"tokenizer": Port("tokenizer"), "documents": Port("documents", many=True, optional=True)},
    wiring=_fits,
)
def extend(inputs: Inputs, params: ExtendParameters, out: Output, machine: Machine) -> None:
    """Write the tokenizer with its new tokens; statistics name them, and say what learnt ones save."""
    before = inputs.one("tokenizer").path
    Tokenizer(before)  # says what is wrong with it
    file: dict[str, Any] = json.loads((before / FILE).read_bytes())
    first = _next_id(file)
    learnt = _learn(file, before, inputs, params, machine) if params.learn else []
    named = _add(file, params.tokens, before, special=False)
    turns = (END, *ROLE_TOKENS.values()) if params.conversation else ()
    present = {token["content"] for token in file["added_tokens"]}
    _add(file, [token for token in turns if token not in present], before, special=True)
    (out.path / FILE).write_text(json.dumps(file, ensure_ascii=False), encoding="utf-8")
    _write_settings(before, out.path, with_turns=params.conversation)
    made = Tokenizer(out.path)
    out.statistics.update(
        vocabulary=made.vocabulary,
        added=made.vocabulary - first,
        learnt=learnt[:100],
        named=named,
        has_turns=made.has_turns,
    )
    if params.learn:
        out.statistics.update(_saved(inputs, params, Tokenizer(before), made))


def _next_id(file: dict[str, Any]) -> int:
    vocabulary = file["model"].get("vocab")
    if not isinstance(vocabulary, dict):
        raise InputError(
            f"a tokenizer of type {file['model'].get('type')} cannot be extended here", hint="BPE tokenizers can."
        )
    return int(max([*vocabulary.values(), *(token["id"] for token in file["added_tokens"])])) + 1


def _add(file: dict[str, Any], tokens: Iterable[str], folder: Path, *, special: bool) -> list[str]:
    """Add tokens that are found in texts before these are cut, or, if special, that no text holds."""
    known = {token["content"] for token in file["added_tokens"]} | set(file["model"]["vocab"])
    added = []
    for token in tokens:
        if token in known:
            raise InputError(f"{token!r} is a token of the tokenizer in {folder} already", hint="Leave it out.")
        file["added_tokens"].append(
            {
                "id": _next_id(file),
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": special,
            }
        )
        added.append(token)
    return added


def _learn(
    file: dict[str, Any], folder: Path, inputs: Inputs, params: ExtendParameters, machine: Machine
) -> list[str]:
    """Go on with the training of a BPE where it ended; adds merges and their tokens, returns these."""
    tokenizer = _Tokenizer.from_file(str(folder / FILE))
    if file["model"].get("type") != "BPE" or tokenizer.pre_tokenizer is None:
        raise InputError(
            f"the tokenizer in {folder} does not cut texts into words that merges could be learnt in",
            hint="Name the new words in `tokens`.",
        )
    words = _words(tokenizer, inputs, params)
    merges, vocabulary = file["model"]["merges"], file["model"]["vocab"]
    as_text = bool(merges) and isinstance(merges[0], str)
    learnt: list[str] = []
    with machine.bar("learning merges", params.learn, "tokens") as bar:
        for left, right in most_frequent_pairs(words):
            merges.append(f"{left} {right}" if as_text else [left, right])
            if left + right in vocabulary:
                continue
            vocabulary[left + right] = _next_id(file) if not learnt else vocabulary[learnt[-1]] + 1
            learnt.append(left + right)
            bar.advance()
            if len(learnt) == params.learn:
                return learnt
    raise StepError(
        f"the documents give only {len(learnt)} new tokens, not learn = {params.learn}",
        hint="Give more text, or a smaller `learn`.",
    )


def _words(tokenizer: _Tokenizer, inputs: Inputs, params: ExtendParameters) -> Counter[tuple[str, ...]]:
    """How often each word occurs, as the tokens that it is now."""
    chosen, _ = sample(inputs.all("documents"), params.sample_bytes)
    counts = Counter[str]()
    for text in _texts(inputs, chosen):
        plain = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(plain))
    return Counter(
        {tuple(token.value for token in tokenizer.model.tokenize(word)): count for word, count in counts.items()}
    )


def most_frequent_pairs(words: Counter[tuple[str, ...]]) -> Iterable[tuple[str, str]]:
    """The pairs of neighbours to merge, in turn, each the most frequent once those before it are merged.

    Of equally frequent pairs the first in the order of their characters; a pair seen once is none.
    """
    pieces = [list(word) for word in words]
    often = list(words.values())
    counts = Counter[tuple[str, str]]()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)

    def count(number: int, sign: int) -> None:
        for pair in zip(pieces[number], pieces[number][1:], strict=False):
            counts[pair] += sign * often[number]
            where[pair].add(number)

    for number in range(len(pieces)):
        count(number, 1)
    while counts:
        best = max(counts, key=lambda pair: (counts[pair], _backwards(pair)))
        if counts[best] < 2:
            return
        yield best
        for number in where.pop(best):
            count(number, -1)
            pieces[number] = _merged(pieces[number], best)
            count(number, 1)
        del counts[best]


def _backwards(pair: tuple[str, str]) -> tuple[tuple[int, ...], ...]:
    """A key by which the first pair in order is the greatest."""
    return tuple(tuple(-ord(char) for char in part) for part in pair)


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    made: list[str] = []
    at = 0
    while at < len(pieces):
        if tuple(pieces[at : at + 2]) == pair:
            made.append(pieces[at] + pieces[at + 1])
            at += 2
        else:
            made.append(pieces[at])
            at += 1
    return made


def _texts(inputs: Inputs, chosen: set[str]) -> Iterable[str]:
    for artifact in inputs.all("documents"):
        for path in shard_paths(artifact.path):
            for document in read_documents(path):
                if document.id in chosen:
                    yield document.text


def _saved(inputs: Inputs, params: ExtendParameters, before: Tokenizer, after: Tokenizer) -> dict[str, int]:
    """Tokens of the documents that were learnt from, before and after."""
    chosen, _ = sample(inputs.all("documents"), params.sample_bytes)
    counts = {"tokens_before": 0, "tokens_after": 0}
    for text in _texts(inputs, chosen):
        counts["tokens_before"] += len(before.encode(text))
        counts["tokens_after"] += len(after.encode(text))
    return counts


def _write_settings(before: Path, folder: Path, *, with_turns: bool) -> None:
    """The settings of the tokenizer before; with the chat template, begun by its own border, if it has turns."""
    values: dict[str, Any] = json.loads((before / SETTINGS).read_bytes())
    template = before / TEMPLATE
    if with_turns:
        bos, eos = border_tokens(before)
        begins = bos or eos
        assert begins is not None
        values["additional_special_tokens"] = [END, *ROLE_TOKENS.values()]
        text = CHAT_TEMPLATE.replace(BOS, begins)
        (folder / TEMPLATE).write_text(text, encoding="utf-8")
    elif template.is_file():
        (folder / TEMPLATE).write_bytes(template.read_bytes())
    (folder / SETTINGS).write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
