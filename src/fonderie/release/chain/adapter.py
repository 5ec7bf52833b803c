"""Whether a released adapter is what its training ended with: the link of a training whose base was frozen."""

from collections.abc import Iterator

from fonderie.model.config import ForeignConfig
from fonderie.model.names import FOREIGN, foreign_head, foreign_prefix, huggingface_names
from fonderie.release.chain.links import Outcome, Walk
from fonderie.release.chain.tensors import TensorFile, open_tensors
from fonderie.train.settings.lora import ADAPTER

FILE = f"{ADAPTER}/adapter_model.safetensors"
_PREFIX = "base_model.model."


def check_adapter(walk: Walk, checkpoint_name: str) -> Outcome:
    """The adapter's matrices are those of a checkpoint; that the weights hold it, whoever has the base can see."""
    with open_tensors(walk.path(FILE)) as adapter, open_tensors(walk.path(checkpoint_name)) as checkpoint:
        problems = [f"{FILE}: {problem} ({checkpoint_name})" for problem in _unlike(walk, adapter, checkpoint)]
        count = len(adapter.data)
    said = (
        f"all {count:,} tensors of {FILE} are those of {checkpoint_name}, bit for bit; that the weights are the "
        "base with it merged, nothing here shows, as the base is not in this folder"
    )
    return Outcome(said, problems, checked=bool(problems))


def _unlike(walk: Walk, adapter: TensorFile, checkpoint: TensorFile) -> Iterator[str]:
    expected: set[str] = set()
    for name, whole in checkpoint.data.items():
        module, _, matrix = name.partition(".lora_")
        parts = [f"{_PREFIX}{part}.lora_{matrix}" for part in _theirs(walk, module)]
        expected.update(parts)
        missing = [part for part in parts if part not in adapter.data]
        if missing:
            yield f"{missing[0]}: missing"
        # One A is of all parts of a fused matrix, each of which has its own rows of B.
        elif matrix.startswith("A"):
            yield from (f"{part}: not as in the checkpoint" for part in parts if adapter.data[part] != whole)
        elif b"".join(adapter.data[part] for part in parts) != whole:
            yield f"{', '.join(parts)}: not as in the checkpoint"
    yield from (f"{name}: not of this training" for name in sorted(adapter.data.keys() - expected))


def _theirs(walk: Walk, module: str) -> list[str]:
    """The modules of the base's family that one of our modules is."""
    config = walk.config
    if isinstance(config, ForeignConfig):
        head, prefix = foreign_head(config.values), foreign_prefix(config.values)
        names: tuple[str, ...] = (head if module == "head" else f"{prefix}{module.removeprefix(FOREIGN)}.weight",)
    elif module == "head":
        names = ("lm_head.weight",)
    else:
        names = huggingface_names(config).get(f"{module}.weight", (f"{module}.weight",))
    return [name.removesuffix(".weight") for name in names]
