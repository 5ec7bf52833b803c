"""train.pretrain: a model from random weights and packed tokens. What it writes: see committed.py."""

from collections.abc import Sequence
from dataclasses import replace

from fonderie.core.digest import digest_file
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Port, step
from fonderie.tokens.shards import ShardIndex, TokenStream
from fonderie.train.committed import saving, train_committed
from fonderie.train.parallel.launch import shared_out
from fonderie.train.record.commitment import Commitment, phase_data
from fonderie.train.settings.kernels import settle_for
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.settings.shared import PhasedSettings, tokens_for_every_phase
from fonderie.train.training import Training
from fonderie.train.view.mix import mix_of

NAME = "train.pretrain"
VERSION = 3


@step(
    NAME,
    version=VERSION,
    parameters=PretrainParameters,
    produces="model",
    inputs={
        "tokens": Port("tokens", many=True),
        "tokenizer": Port("tokenizer"),
        "model": Port("model", optional=True),
    },
    wiring=tokens_for_every_phase,
    resumable=True,
)
@shared_out
def pretrain(inputs: Inputs, params: PretrainParameters, out: Output, machine: Machine) -> None:
    """Commit, train, then write the model; statistics hold its size, tokens, steps, FLOPs and final loss.

    With an input `model`, such as "other@step-0", it begins from those weights instead of drawn ones.
    """
    settle_for(params, machine)
    tokenizer = inputs.one("tokenizer")
    streams = streams_of(inputs, params, tokenizer)
    draft = _promise(params, streams, digest_file(tokenizer.path / "tokenizer.json"))
    training = Training.of(params, streams, [data.shuffle_seed for data in draft.data])
    for given in inputs.all("model"):
        draft = draft.model_copy(update={"base": given.digest})
        training = replace(training, drawn=False, initial=given.path)

    save = saving(streams[0].index)
    train_committed(training, draft, out, machine, save=save, mix=mix_of(training.plan, training.data))


def _promise(params: PretrainParameters, streams: Sequence[TokenStream], tokenizer: str) -> Commitment:
    """The commitment, but for the initial state, which needs a model."""
    first, *further = phase_data(streams, params.seed)
    return Commitment(
        step=NAME,
        version=VERSION,
        parameters=params.model_dump(mode="json"),
        tokenizer=tokenizer,
        **dict(first),
        further=tuple(further) or None,
        initial_state="",
    )


def streams_of(inputs: Inputs, params: PhasedSettings, tokenizer: Artifact) -> list[TokenStream]:
    """The tokens of each phase, in order; InputError if another tokenizer made them."""
    given = inputs.all("tokens")
    streams = [TokenStream.open(artifact.path) for artifact in given]
    for stream in streams:
        check_tokenizer(tokenizer, stream.index)
    phases = params.all_phases
    return streams * len(phases) if len(streams) == 1 else streams


def check_tokenizer(tokenizer: Artifact, index: ShardIndex) -> None:
    """Refuse tokens that another tokenizer made: the model would answer in the wrong alphabet."""
    from fonderie.tokens.tokenizer import Tokenizer

    known = Tokenizer(tokenizer.path)
    if (known.vocabulary, known.bos, known.eos, known.end) != (index.vocabulary, index.bos, index.eos, index.end):
        raise InputError(
            f"the tokens were not made by the tokenizer in {tokenizer.path}",
            hint="Give both calls, the packing and the training, the same `tokenizer` input.",
        )
