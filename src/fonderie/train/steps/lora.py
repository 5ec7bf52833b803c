"""Low-rank adaptation of a frozen base, through peft: trained alone, merged into the base in the end.

What is trained, kept in checkpoints and optimised is the adapter's matrices, nothing else: a checkpoint of a model
of seven billion weights has some hundred megabytes. Needs the extra `hf`.

Shapes live in names: N rows, W width, V vocabulary, R rank.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fonderie.core.errors import InputError
from fonderie.model.config import ForeignConfig
from fonderie.model.convert import rows_of_parts
from fonderie.model.language_model import LanguageModel, ReadSoFar
from fonderie.model.names import FOREIGN, foreign_prefix, huggingface_names
from fonderie.model.transformer import Decoder
from fonderie.train.settings.lora import ADAPTER, LoraParameters

_NAME = "default"
_HEAD = "head"
_PEFT_PREFIX = "base_model.model."


class Adapted(LanguageModel):
    """A base with an adapter: its parameters and its state are the adapter's, what it computes is of both."""

    def __init__(self, base: LanguageModel, lora: LoraParameters, *, seed: int) -> None:
        """Puts the adapter into `base` itself; `seed` draws each A, each B is zero."""
        super().__init__()
        # Not registered as a module: its weights are frozen, and no state of this training.
        object.__setattr__(self, "base", base)
        self.base: LanguageModel
        self.lora = lora
        self.native = base.native
        _inject(base, lora, seed)
        self._trained = {
            name.replace(f".{_NAME}.", "."): weight
            for name, weight in base.named_parameters()
            if weight.requires_grad
        }
        object.__setattr__(self, "embedding", base.embedding)
        object.__setattr__(self, "blocks", base.blocks)

    @property
    def config(self) -> Any:  # type: ignore[override]
        """The base's."""
        return self.base.config

    @property
    def output_weight(self) -> Tensor:
        """The head's weight [V, W], followed by the columns of its B where the head is adapted: [V, W + R]."""
        weight_VW = self.base.output_weight
        if _HEAD not in self.lora.targets:
            return weight_VW
        return torch.cat((weight_VW, self._head.lora_B[_NAME].weight.to(weight_VW.dtype)), dim=1)

    def hidden(self, ids_BT: Tensor, cache: ReadSoFar | None = None, documents_BT: Tensor | None = None) -> Tensor:
        """The base's residual stream, followed by what A makes of it where the head is adapted: x_BT(W + R)."""
        x_BTW = self.base.hidden(ids_BT, cache, documents_BT)
        if _HEAD not in self.lora.targets:
            return x_BTW
        # x W' for W' = W + s B A is one product of (x, s A x) with (W, B): the fused loss takes it as it is.
        head = self._head
        low_BTR = head.lora_A[_NAME](head.lora_dropout[_NAME](x_BTW.to(head.lora_A[_NAME].weight.dtype)))
        return torch.cat((x_BTW, (low_BTR * head.scaling[_NAME]).to(x_BTW.dtype)), dim=-1)

    @property
    def _head(self) -> Any:
        return self.base.head

    def cache(self, *, batch: int = 1, tokens: int | None = None) -> ReadSoFar:
        """The base's."""
        return self.base.cache(batch=batch, tokens=tokens)

    def reposition(self, context: int, rope_theta: float | None) -> None:
        """The base's."""
        self.base.reposition(context, rope_theta)

    def named_parameters(
        self,
        prefix: str = "",
        recurse: bool = True,  # noqa: ARG002
        remove_duplicate: bool = True,  # noqa: ARG002
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The adapter's matrices."""
        yield from ((prefix + name, weight) for name, weight in self._trained.items())

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """The adapter's matrices."""
        return {name: weight.detach() for name, weight in self._trained.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], *_: Any, **__: Any) -> None:
        """Put back what `state_dict` gave; RuntimeError if it is of another adapter."""
        if state_dict.keys() != self._trained.keys():
            raise RuntimeError(f"another adapter: {sorted(state_dict.keys() ^ self._trained.keys())[:4]}")
        with torch.no_grad():
            for name, weight in self._trained.items():
                weight.copy_(state_dict[name])

    def train(self, mode: bool = True) -> Self:
        """Whether dropout drops."""
        self.base.train(mode)
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self.base._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _inject(base: LanguageModel, lora: LoraParameters, seed: int) -> None:
    config = _peft().LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_targets(base, lora),
        bias="none",
    )
    if _HEAD in lora.targets and base.head is None:
        table = base.embedding.weight
        base.head = nn.Linear(table.shape[1], table.shape[0], bias=False, device="meta")
        base.head.weight = table
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _peft().inject_adapter_in_model(config, base)
    for name, weight in base.named_parameters():
        weight.requires_grad_("lora_" in name)
        if "lora_" in name:
            weight.data = weight.data.float()


def _targets(base: LanguageModel, lora: LoraParameters) -> list[str]:
    names = {id(module): name for name, module in base.named_modules()}
    found: list[str] = [_HEAD] if _HEAD in lora.targets else []
    for block in base.blocks:
        for name, module in block.named_modules():
            if isinstance(module, nn.Linear):
                kind = "attention" if "attn" in name or "attention" in name else "feed_forward"
                if kind in lora.targets:
                    found.append(names[id(module)])
    if len(found) == (_HEAD in lora.targets) and set(lora.targets) != {_HEAD}:
        raise InputError(
            "the base has no linear layers that peft could adapt", hint="Train it in full: leave out lora."
        )
    return found


def merged(model: Adapted) -> LanguageModel:
    """The base with the adapter added to its weights, in the base's own precision: a model like any other."""
    from fonderie.model.foreign import Foreign, make_foreign

    base = model.base
    state = {
        name.replace(".base_layer.", "."): weight
        for name, weight in base.state_dict().items()
        if ".lora_" not in name
    }
    with torch.no_grad():
        for name, module in _adapted(base):
            weight = state[f"{name}.weight"]
            delta = module.get_delta_weight(_NAME)
            state[f"{name}.weight"] = (weight.float() + delta.float()).to(weight.dtype)
    untied = _HEAD in model.lora.targets and base.config.tied_embeddings
    made: LanguageModel
    if isinstance(base, Decoder):
        made = Decoder(base.config.model_copy(update={"tied_embeddings": False}) if untied else base.config)
    else:
        assert isinstance(base, Foreign)
        made = make_foreign(base.config.untied() if untied else base.config)
    made.to(base.embedding.weight.dtype).load_state_dict(state)
    return made.to(base.embedding.weight.device).eval()


def _adapted(base: LanguageModel) -> Iterator[tuple[str, Any]]:
    for name, module in base.named_modules():
        if hasattr(module, "lora_A"):
            yield name, module


def save_adapter(model: Adapted, folder: Path, *, base_name: str) -> None:
    """Write the adapter as peft reads it: `PeftModel.from_pretrained` of the base as transformers has it."""
    tensors: dict[str, Tensor] = {}
    for name, module in _adapted(model.base):
        a_RW, b_VR = module.lora_A[_NAME].weight, module.lora_B[_NAME].weight
        parts = _their_names(model.base, name)
        for part, b in zip(parts, torch.split(b_VR, _split(model.base, name)), strict=True):
            key = f"{_PEFT_PREFIX}{part.removesuffix('.weight')}"
            # One A for all parts of a fused matrix: each gets a copy, and B its own rows.
            tensors[f"{key}.lora_A.weight"] = a_RW.detach().to("cpu", copy=True).contiguous()
            tensors[f"{key}.lora_B.weight"] = b.detach().to("cpu", copy=True).contiguous()
    values = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_name,
        "bias": "none",
        "inference_mode": True,
        "r": model.lora.rank,
        "lora_alpha": model.lora.alpha,
        "lora_dropout": model.lora.dropout,
        "target_modules": sorted({key.split(".")[-3] for key in tensors}),
    }
    (folder / ADAPTER).mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / ADAPTER / "adapter_model.safetensors", metadata={"format": "pt"})
    text = json.dumps(values, indent=2, sort_keys=True) + "\n"
    (folder / ADAPTER / "adapter_config.json").write_text(text, encoding="utf-8")


def _their_names(base: LanguageModel, name: str) -> tuple[str, ...]:
    if name == _HEAD:
        return ("lm_head.weight",)
    if isinstance(base, Decoder):
        return huggingface_names(base.config)[f"{name}.weight"]
    assert isinstance(base.config, ForeignConfig)
    return (foreign_prefix(base.config.values) + name.removeprefix(FOREIGN) + ".weight",)


def _split(base: LanguageModel, name: str) -> Any:
    if isinstance(base, Decoder):
        return rows_of_parts(f"{name}.weight", base.config)
    return 1 << 62


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise InputError(
            "low-rank adaptation is done by peft, which is not installed", hint="pip install 'fonderie[hf]'"
        ) from error
    return peft
