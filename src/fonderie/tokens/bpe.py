"""tokens.bpe: train a byte-level BPE on the recipe's own documents.

Text is normalised to NFC, then cut by `PATTERN` before merges are learnt: a break after an apostrophe (l'|homme),
digits one by one, line breaks by themselves. Cutting digits and apostrophes follows Lucie's tokenizer
(arXiv 2503.12294, section 3); learning merges over bytes leaves no text without an encoding.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as _Tokenizer
from tokenizers.processors import TemplateProcessing

from fonderie.core.document import read_documents, shard_paths
from fonderie.core.errors import StepError
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Port, step
from fonderie.tokens.conversation import BOS, CHAT_TEMPLATE, SPECIAL_TOKENS
from fonderie.tokens.tokenizer import settings

PATTERN = (
    r" ?\p{L}[\p{L}\p{M}]*['’]?"  # a word with its leading space; an elision keeps its apostrophe
    r"|\p{N}"  # one digit
    r"| ?[^\s\p{L}\p{N}]+"  # punctuation and symbols
    r"|\n"  # a line break is never merged with its neighbours
    r"|[^\S\n]+(?!\S)|[^\S\n]+"  # other white space
)
"""For the Oniguruma engine of the `tokenizers` library."""

SAMPLE_BYTES_DEFAULT = 64 << 20


class BpeParameters(Parameters):
    """How large, and learnt from how much text."""

    vocabulary: int = Field(ge=264, le=1 << 20)
    """Number of token ids, the 256 bytes and the special tokens included."""
    minimum_frequency: int = Field(default=2, ge=1)
    """A pair seen less often than this is not merged."""
    sample_bytes: int = Field(default=SAMPLE_BYTES_DEFAULT, ge=1)
    """Learn from at most this many bytes of text, documents taken in order of their content ids."""
    context: int = Field(default=4096, ge=1)
    """Longest sequence, in tokens, that clients are told the model takes."""


@step(
    "tokens.bpe",
    version=1,
    parameters=BpeParameters,
    produces="tokenizer",
    inputs={"documents": Port("documents", many=True)},
)
def train_bpe(inputs: Inputs, params: BpeParameters, out: Output, machine: Machine) -> None:
    """Learn merges; writes tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    chosen, seen_bytes = sample(inputs.all("documents"), params.sample_bytes)
    tokenizer = _Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=params.vocabulary,
        min_frequency=params.minimum_frequency,
        special_tokens=[AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    with machine.bar("learning merges", len(chosen), "documents") as bar:

        def texts() -> Iterator[str]:
            for text in _texts(inputs.all("documents"), chosen):
                yield text
                bar.advance()

        tokenizer.train_from_iterator(texts(), trainer)
    if tokenizer.get_vocab_size() != params.vocabulary:
        raise StepError(
            f"the documents give only {tokenizer.get_vocab_size()} tokens, not vocabulary = {params.vocabulary}",
            hint="Give more text, a smaller vocabulary, or minimum_frequency = 1.",
        )
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bos)]
    )
    _write(tokenizer, params, out.path)
    out.statistics.update(vocabulary=params.vocabulary, learnt_from_bytes=seen_bytes, documents=len(chosen))


def sample(artifacts: tuple[Artifact, ...], limit_bytes: int) -> tuple[set[str], int]:
    """Ids of the documents to learn from: all, or those of lowest id up to the limit, whatever their order."""
    sizes: dict[str, int] = {}
    for artifact in artifacts:
        for path in shard_paths(artifact.path):
            for document in read_documents(path):
                sizes[document.id] = len(document.text.encode("utf-8"))
    chosen: set[str] = set()
    total = 0
    for name in sorted(sizes):
        if total + sizes[name] > limit_bytes and chosen:
            break
        chosen.add(name)
        total += sizes[name]
    return chosen, total


def _texts(artifacts: tuple[Artifact, ...], chosen: set[str]) -> Iterator[str]:
    for artifact in artifacts:
        for path in shard_paths(artifact.path):
            for document in read_documents(path):
                if document.id in chosen:
                    yield document.text


def _write(tokenizer: _Tokenizer, params: BpeParameters, folder: Path) -> None:
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(settings(params.context), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
