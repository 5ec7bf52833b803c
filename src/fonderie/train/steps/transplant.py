"""tokens.transplant: a model for another tokenizer, its tables of embeddings made anew.

A token that both tokenizers have, spelling the same bytes, keeps its row; of every other the row is the mean of the
rows of the pieces that the tokenizer before cuts it into. So is an untied head. Nothing else of the model changes,
and nothing is learnt: that is for train.continue to do. After tokens.extend, every row stays where it was.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PositiveInt

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.tokens.conversation import BOS, EOS
from fonderie.tokens.pieces import read_pieces
from fonderie.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from fonderie.model.language_model import LanguageModel

FILE = "tokenizer.json"


class TransplantParameters(Parameters):
    """How large the new tables are."""

    multiple_of: PositiveInt = 1
    """Tables get unused rows up to a multiple of this, each the mean of all: fast kernels like multiples of 64."""


@step(
    "tokens.transplant",
    version=1,
    parameters=TransplantParameters,
    produces="model",
    inputs={"model": Port("model"), "before": Port("tokenizer"), "tokenizer": Port("tokenizer")},
)
def transplant(inputs: Inputs, params: TransplantParameters, out: Output, machine: Machine) -> None:
    """Write the model with its new tables; statistics count rows kept and rows made."""
    from fonderie.model.convert import load_model, save_pretrained
    from fonderie.model.numerics import settle

    settle(machine.threads)
    before, after = inputs.one("before").path, inputs.one("tokenizer").path
    model = load_model(inputs.one("model").path)
    old, new = Tokenizer(before), Tokenizer(after)
    if old.vocabulary > model.config.vocabulary:
        raise InputError(
            f"the tokenizer before has {old.vocabulary:,} tokens, and the model knows {model.config.vocabulary:,}",
            hint="Give as `before` the tokenizer that the model was trained with.",
        )
    sources = pieces_of_tokens(before, after)
    rows = -(-new.vocabulary // params.multiple_of) * params.multiple_of
    made = _with_tables(model, sources, rows, known=old.vocabulary)
    save_pretrained(made, out.path, bos=new.bos, eos=tuple(dict.fromkeys(new.stops)), pad=new.eos)
    kept = sum(len(pieces) == 1 for pieces in sources)
    name = inputs.one("model").manifest.statistics.get("name")
    out.statistics.update(
        rows_kept=kept,
        rows_made=len(sources) - kept,
        rows_unused=rows - len(sources),
        parameters=made.config.parameters,
        vocabulary=made.config.vocabulary,
        **({"name": name} if name else {}),
    )


def pieces_of_tokens(before: Path, after: Path) -> list[list[int]]:
    """For each id of the tokenizer in `after`, the ids of `before` that it stands for: itself, or its pieces.

    An id that no token has gets none. InputError for a byte that no token before spells.
    """
    old, new = Tokenizer(before), Tokenizer(after)
    spelt, wanted = (read_pieces((folder / FILE).read_bytes(), str(folder / FILE)) for folder in (before, after))
    known = {piece: number for number, piece in reversed(list(enumerate(spelt.of))) if piece}
    found: list[list[int]] = [[] for _ in range(new.vocabulary)]
    for number, piece in enumerate(wanted.of):
        if piece:
            found[number] = [known[piece]] if piece in known else _cut(piece, old, spelt.of, known)
    names = {number: name for name, number in wanted.special.items()}
    roles = {new.special[token]: old.special[token] for token in new.special if token in old.special}
    for number, name in names.items():
        # The same border or turn, whatever it is called; else the same name; else what the name spells.
        if number in roles:
            found[number] = [roles[number]]
        elif name in spelt.special:
            found[number] = [spelt.special[name]]
        else:
            found[number] = _cut(name.encode("utf-8"), old, spelt.of, known)
    assert new.special[BOS] in roles
    assert new.special[EOS] in roles
    return found


def _cut(piece: bytes, old: Tokenizer, spelt: Sequence[bytes], known: dict[bytes, int]) -> list[int]:
    """The ids into which the tokenizer before cuts these bytes; the longest that fit, where it cannot be asked."""
    try:
        ids = old.encode(piece.decode("utf-8"))
    except UnicodeDecodeError:
        ids = []
    # A part of a character is no text, and some tokenizers put a space before every text.
    if ids and b"".join(spelt[number] for number in ids) == piece:
        return ids
    found = []
    while piece:
        length = next((size for size in range(len(piece), 0, -1) if piece[:size] in known), 0)
        if not length:
            raise InputError(
                f"the tokenizer before has no token for the byte {piece[:1]!r}",
                hint="It does not spell every text, so rows for other tokens cannot be made of its own.",
            )
        found.append(known[piece[:length]])
        piece = piece[length:]
    return found


def _with_tables(
    model: "LanguageModel", sources: Sequence[Sequence[int]], rows: int, *, known: int
) -> "LanguageModel":
    """The same model with tables of so many rows."""
    from fonderie.model.config import ModelConfig
    from fonderie.model.foreign import foreign_config, make_foreign
    from fonderie.model.transformer import Decoder

    tables = {id(model.embedding.weight), id(model.output_weight)}
    state = model.state_dict(keep_vars=True)
    state = {
        name: _table(value, sources, rows, known) if id(value) in tables else value for name, value in state.items()
    }
    config = model.config
    made: LanguageModel
    if isinstance(config, ModelConfig):
        made = Decoder(config.model_copy(update={"vocabulary": rows}))
    else:
        made = make_foreign(foreign_config({**config.values, "vocab_size": rows}))
    made.to(model.embedding.weight.dtype).load_state_dict(state)
    return made.eval()


def _table(table_VW: "Tensor", sources: Sequence[Sequence[int]], rows: int, known: int) -> "Tensor":
    """Rows of before, or means of them, summed in fp32."""
    import torch

    whole = table_VW.detach().float()
    spare = whole[:known].mean(0)
    made = [
        whole[list(pieces)].mean(0) if len(pieces) > 1 else whole[pieces[0]] if pieces else spare
        for pieces in sources
    ]
    made += [spare] * (rows - len(made))
    return torch.stack(made).to(table_VW.dtype)
