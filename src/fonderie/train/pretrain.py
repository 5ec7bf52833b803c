"""train.pretrain: a model from random weights and packed tokens. What it writes: see committed.py."""

from pathlib import Path
from typing import TYPE_CHECKING

from fonderie.core.digest import digest_file
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Port, step
from fonderie.tokens.shards import ShardIndex, TokenStream
from fonderie.train.commitment import Commitment, shuffle_seed, trees
from fonderie.train.committed import train_committed
from fonderie.train.parameters import PretrainParameters
from fonderie.train.training import Training

if TYPE_CHECKING:
    from fonderie.model.transformer import Decoder

NAME = "train.pretrain"
VERSION = 2


@step(
    NAME,
    version=VERSION,
    parameters=PretrainParameters,
    produces="model",
    inputs={"tokens": Port("tokens"), "tokenizer": Port("tokenizer")},
    resumable=True,
)
def pretrain(inputs: Inputs, params: PretrainParameters, out: Output, machine: Machine) -> None:
    """Commit, train, then write the model; statistics hold its size, tokens, steps, FLOPs and final loss."""
    from fonderie.model.convert import save_pretrained
    from fonderie.model.numerics import settle

    settle(machine.threads)
    tokenizer, stream = inputs.one("tokenizer"), TokenStream.open(inputs.one("tokens").path)
    index = stream.index
    check_tokenizer(tokenizer, index)
    draft = _promise(params, stream, digest_file(tokenizer.path / "tokenizer.json"))
    training = Training.of(params, [stream], [draft.shuffle_seed])

    def save(model: "Decoder", folder: Path) -> None:
        save_pretrained(model, folder, bos=index.bos, eos=(index.eos, index.end), pad=index.eos)

    train_committed(training, draft, out, machine, save=save)


def _promise(params: PretrainParameters, stream: TokenStream, tokenizer: str) -> Commitment:
    """The commitment, but for the initial state, which needs a model."""
    parameters = params.model_dump(mode="json")
    tokens, offsets = trees(stream.folder, stream.index)
    return Commitment(
        step=NAME,
        version=VERSION,
        parameters=parameters,
        tokenizer=tokenizer,
        tokens=tokens,
        offsets=offsets,
        shuffle_seed=shuffle_seed(tokens.root, params.seed),
        initial_state="",
    )


def check_tokenizer(tokenizer: Artifact, index: ShardIndex) -> None:
    """Refuse tokens that another tokenizer made: the model would answer in the wrong alphabet."""
    from fonderie.tokens.tokenizer import Tokenizer

    known = Tokenizer(tokenizer.path)
    if (known.vocabulary, known.bos, known.eos, known.end) != (index.vocabulary, index.bos, index.eos, index.end):
        raise InputError(
            f"the tokens were not made by the tokenizer in {tokenizer.path}",
            hint="Give both calls, the packing and the training, the same `tokenizer` input.",
        )
