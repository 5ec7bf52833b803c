"""Run by torchrun: trains small models in every layout of its processes and alone, and prints how they differ."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from fonderie.core.machine import Machine
from fonderie.model.config import ModelConfig
from fonderie.model.numerics import settle
from fonderie.model.transformer import Decoder
from fonderie.train.data.batch import Batch
from fonderie.train.loop import begin, run, tensors_of
from fonderie.train.optim import make_optimizer
from fonderie.train.parallel.saving import restore, save
from fonderie.train.parallel.shard import recompute, shard
from fonderie.train.parallel.spread import ALONE, Alone, Together, join
from fonderie.train.record.checkpoint import folder_name
from fonderie.train.record.journal import CHECKPOINTS
from fonderie.train.settings.plan import Phase, Plan
from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.settings.schedule import Schedule

STEPS, CONTEXT, BATCH, VOCABULARY = 4, 24, 6, 99
SETTINGS = {
    "optimizer": "adamw",
    "betas": (0.9, 0.95),
    "epsilon": 1e-8,
    "momentum": 0.95,
    "weight_decay": 0.1,
    "weight_decay_embeddings": 0.0,
    "weight_decay_norms": 0.0,
    "precision": "fp32",
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "masked": {"counts": True, "documents": True, "z_loss": 1e-2, "clip": 0.05},
    "untied": {"sizes": {"tied_embeddings": False, "architecture": "qwen2"}},
    "bf16": {"precision": "bf16"},
    "recomputed": {"recompute": True, "documents": True},
    "muon": {"optimizer": "muon"},
}


def batch(step: int, case: dict[str, Any]) -> Batch:
    generator = np.random.default_rng(step)
    shape = (BATCH, CONTEXT)
    return Batch(
        generator.integers(VOCABULARY, size=(BATCH, CONTEXT + 1)),
        counts=generator.random(shape) < 0.6 if case.get("counts") else None,
        documents=np.sort(generator.integers(3, size=shape), axis=1).astype(np.int32)
        if case.get("documents")
        else None,
    )


def train(
    case: dict[str, Any], spread: Alone, folder: Path
) -> tuple[list[tuple[float, float]], dict[str, Tensor] | None]:
    precision = case.get("precision", "fp32")
    sizes = {"width": 32, "heads": 4, "kv_heads": 2, "head_size": 8, "hidden": 50, **case.get("sizes", {})}
    config = ModelConfig(depth=2, vocabulary=VOCABULARY, context=CONTEXT, init_std=0.2, **sizes)
    schedule = Schedule(kind="constant", steps=STEPS, peak=1e-2)
    plan = Plan(
        phases=(Phase("main", schedule, BatchSizes(BATCH), CONTEXT, accumulation=2),),
        clip=case.get("clip", 1.0),
        z_loss=case.get("z_loss", 0.0),
        seed=0,
        precision=precision,
        compile=False,
        checkpoint_every=100,
        checkpoints_kept=0,
    )
    settings = SimpleNamespace(**{**SETTINGS, "precision": precision, "optimizer": case.get("optimizer", "adamw")})
    model = Decoder(config, seed=1)
    optimizer = make_optimizer(model, settings)
    if isinstance(spread, Together):
        # As a training does it: one process writes the weights whole, and each reads its part.
        spread.from_first(lambda: begin(model, optimizer, plan, folder, aside=folder / "aside"))
        with torch.device("meta"):
            model = Decoder(config)
        optimizer = make_optimizer(model, settings)
        shard(model, optimizer, spread, precision=precision)
        model.to_empty(device="cpu")
        restore(model, optimizer, folder / CHECKPOINTS / folder_name(0), spread)
    if case.get("recompute"):
        recompute(model)
    steps = run(model, optimizer, lambda step: batch(step, case), plan, after=0, until=STEPS, spread=spread)
    found = [(done.loss, done.gradient_norm) for done in steps]
    if not isinstance(spread, Together):
        return found, model.state_dict()
    draft = save(folder / "aside", STEPS, tensors_of(model, optimizer), spread, model).result()
    return found, None if draft is None else load_file(draft.path / "model.safetensors")


def main() -> None:
    settle(1)
    folder = Path(sys.argv[1])
    spread = join(Machine(processes=2))
    tensor = Together(
        init_device_mesh("cpu", (1, 2), mesh_dim_names=("data", "tensor")),
        spread.control,
        spread.waiting,
        spread.saving,
    )
    differences: dict[str, dict[str, float]] = {}
    for name, case in CASES.items():
        alone, weights = train(case, ALONE, folder)
        for layout, together in (("data", spread), ("tensor", tensor)):
            if name == "muon" and layout == "tensor":
                continue
            found, final = train(case, together, folder / f"{name}-{layout}")
            if final is None:
                continue
            differences[f"{name}, {layout}"] = {
                "first loss": abs(alone[0][0] - found[0][0]) / alone[0][0],
                "first norm": abs(alone[0][1] - found[0][1]) / alone[0][1],
                "loss": max(abs(a[0] - b[0]) / a[0] for a, b in zip(alone, found, strict=True)),
                "norm": max(abs(a[1] - b[1]) / a[1] for a, b in zip(alone, found, strict=True)),
                "weights": max(float((weights[key] - final[key]).abs().max()) for key in weights),
            }
    if int(os.environ["RANK"]) == 0:
        sys.stdout.write(json.dumps(differences) + "\n")


if __name__ == "__main__":
    main()
