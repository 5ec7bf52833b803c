"""Models of families that our decoder does not compute: transformers computes them, behind the same interface.

Slower than our decoder (no block attention, no regional compile), and as exact as transformers' own kernels are.
Trained in full, one with layer norms (BLOOM, Falcon) repeats to the bit on one number of threads only: torch sums
the gradients of their scales by thread. Generation, evaluation and low-rank adaptation repeat on any. Needs the
extra `hf`. Code that comes with a checkpoint is never run (`trust_remote_code` stays off).

Shapes live in names: B sequences, T positions, W width, V vocabulary.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fonderie.core.errors import InputError
from fonderie.model.config import ForeignConfig
from fonderie.model.language_model import LanguageModel, ReadSoFar
from fonderie.model.names import foreign_names, foreign_prefix

# What families call the length that a sequence may have.
CONTEXTS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len")
# Ids with which a head that is not one matrix product shows itself.
_PROBE = 5
_TOLERANCE = 1e-3


class ForeignCache:
    """transformers' own cache, and how many tokens it holds."""

    def __init__(self, tokens: int) -> None:
        from transformers import DynamicCache

        self.held = DynamicCache()
        self.room = tokens
        self.length = 0


class Foreign(LanguageModel):
    """A causal language model of transformers: its network without the head, and the head's weight."""

    config: ForeignConfig
    native = False

    def __init__(self, config: ForeignConfig, network: nn.Module, head: nn.Linear | None) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.head = head
        # Not registered as modules: they are the network's, under its own names.
        object.__setattr__(self, "embedding", network.get_input_embeddings())  # type: ignore[operator]
        object.__setattr__(self, "blocks", _blocks(network, config.depth))

    @property
    def output_weight(self) -> Tensor:
        """The head's weight [V, W]; the embedding table itself where they are tied."""
        return self.embedding.weight if self.head is None else self.head.weight

    def hidden(self, ids_BT: Tensor, cache: ReadSoFar | None = None, documents_BT: Tensor | None = None) -> Tensor:
        """The normed residual stream x_BTW. InputError for documents, which its code cannot keep apart."""
        if documents_BT is not None:
            raise InputError(
                f"documents cannot be kept apart in a {self.config.family}: transformers computes it",
                hint="Set intra_document = false, or continue a family that our decoder computes.",
            )
        assert cache is None or isinstance(cache, ForeignCache)
        stop = ids_BT.shape[1] + (0 if cache is None else cache.length)
        room = self.config.context if cache is None else cache.room
        if stop > room:
            raise ValueError(f"{stop} tokens are more than the {room} there is room for")
        if cache is None:
            out = self.network(input_ids=ids_BT, use_cache=False)
        else:
            out = self.network(input_ids=ids_BT, use_cache=True, cache=cache.held)
            cache.length = stop
        hidden_BTW: Tensor = out[0]
        return hidden_BTW

    def reposition(self, context: int, rope_theta: float | None) -> None:
        """Refuse what its own code would have to do; InputError says so."""
        if context > self.config.context or rope_theta is not None:
            raise InputError(
                f"a {self.config.family} keeps its {self.config.context} tokens of context and its positions here",
                hint="Give phases a context within it and no rope_theta.",
            )

    def cache(self, *, batch: int = 1, tokens: int | None = None) -> ForeignCache:  # noqa: ARG002
        """Room for so many tokens, the context if not given, nothing read yet."""
        return ForeignCache(tokens or self.config.context)


def foreign_config(values: Mapping[str, Any]) -> ForeignConfig:
    """What is known of a model from its config.json.

    InputError if transformers itself has no such family, or the file does not say how long a sequence may be.
    """
    theirs = _their_config(values)
    context = next((int(values[name]) for name in CONTEXTS if values.get(name)), None)
    if context is None:
        raise InputError(
            f"config.json does not say how long a sequence may be: none of {', '.join(CONTEXTS)}",
            hint="Give model.import `context`.",
        )
    with torch.device("meta"):
        model = _transformers().AutoModelForCausalLM.from_config(theirs)
    if f"{model.base_model_prefix}." != foreign_prefix(values):
        raise InputError(
            f"names of a {values['model_type']}'s tensors begin with {model.base_model_prefix}, unknown here",
            hint="Choose a base of another family.",
        )
    return ForeignConfig(
        family=values["model_type"],
        depth=theirs.num_hidden_layers,
        width=theirs.hidden_size,
        vocabulary=theirs.vocab_size,
        context=context,
        tied_embeddings=bool(theirs.tie_word_embeddings),
        parameters=sum(weight.numel() for weight in model.parameters()),
        values=dict(values),
    )


def load_foreign(folder: Path, values: Mapping[str, Any]) -> Foreign:
    """Read a checkpoint of safetensors, in the precision it is in.

    InputError naming what is missing, misshapen or unknown, and a head that is not one matrix product.
    """
    _refuse_more_blocks(folder, _their_config(values).num_hidden_layers)
    config = foreign_config(values)
    # Its bar for the reading of weights would write over ours.
    _transformers().utils.logging.disable_progress_bar()
    try:
        model, found = _transformers().AutoModelForCausalLM.from_pretrained(
            folder,
            config=_their_config(values),
            dtype="auto",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder} does not hold a model: {error}") from error
    wrong = {name: sorted(map(str, keys))[:4] for name, keys in found.items() if keys}
    if wrong:
        words = "; ".join(f"{name.replace('_', ' ')}: {', '.join(keys)}" for name, keys in wrong.items())
        raise InputError(f"{folder} is no {config.family}: {words}")
    return _wrapped(config, model)


def _refuse_more_blocks(folder: Path, depth: int) -> None:
    """InputError for more blocks than tensors, a stranger's number: to lay out so many might take for ever."""
    try:
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            tensors = len(file.keys())
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder} does not hold a model: {error}") from error
    if depth > tensors:
        raise InputError(f"{folder}: config.json says {depth:,} blocks, and there are {tensors:,} tensors in all")


def make_foreign(config: ForeignConfig, *, seed: int = 0) -> Foreign:
    """A model with weights that transformers draws, to be loaded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _transformers().AutoModelForCausalLM.from_config(_their_config(config.values))
    return _wrapped(config, model)


def _wrapped(config: ForeignConfig, model: Any) -> Foreign:
    head = model.get_output_embeddings()
    if getattr(model.config, "final_logit_softcapping", None) is not None:
        # Of weights that give small logits yet, the comparison below would not see it.
        raise InputError(
            f"the logits of this {config.family} are capped: final_logit_softcapping = "
            f"{model.config.final_logit_softcapping}",
            hint="The loss here would train another model. Choose another base.",
        )
    if head.bias is not None:
        raise InputError(
            f"the head of a {config.family} has a bias, which the loss here does not compute",
            hint="Choose a base of another family.",
        )
    made = Foreign(config, model.base_model, None if config.tied_embeddings else head).eval()
    # The family's own logits must be the hidden states times the head's weight, and nothing else.
    ids = torch.arange(_PROBE)[None] % config.vocabulary
    with torch.no_grad():
        theirs, ours = model.eval()(input_ids=ids, use_cache=False).logits, made(ids)
    if not torch.allclose(theirs.float(), ours.float(), atol=_TOLERANCE, rtol=_TOLERANCE):
        raise InputError(
            f"the logits of a {config.family} are not its hidden states times its head: it scales or caps them",
            hint="The loss here would train another model. Choose another base.",
        )
    return made


def to_checkpoint(model: Foreign) -> dict[str, Tensor]:
    """Its weights under the names of its family's checkpoints; each tensor its own memory, ready to save."""
    state = model.state_dict()
    names = foreign_names(state, model.config.values)
    return {names[name][0]: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()}


def _blocks(network: nn.Module, depth: int) -> nn.ModuleList:
    """The list of the network's blocks: the one module list as long as it is deep."""
    found = [module for module in network.modules() if isinstance(module, nn.ModuleList) and len(module) == depth]
    return found[0]


def _their_config(values: Mapping[str, Any]) -> Any:
    transformers = _transformers()
    family = str(values.get("model_type"))
    if "auto_map" in values or family not in transformers.CONFIG_MAPPING:
        raise InputError(
            f"transformers {transformers.__version__} itself does not compute model_type = {family!r}",
            hint="Code that comes with a checkpoint is not run. A newer transformers may know the family.",
        )
    said = {name: value for name, value in values.items() if name not in ("model_type", "transformers_version")}
    try:
        return transformers.AutoConfig.for_model(family, **said)
    except Exception as error:  # of many kinds, as each family checks its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"transformers cannot read this config.json of a {family}: {' '.join(lines)}") from error


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            "a model of this family is computed by transformers, which is not installed",
            hint="pip install 'fonderie[hf]'",
        ) from error
    return transformers
