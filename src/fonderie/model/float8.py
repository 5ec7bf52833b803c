"""Products of the blocks' matrices in 8-bit floating point, by torchao, on GPUs that multiply so.

Weights, gradients and what lies between the products stay as they are; each product's operands are scaled by row
and rounded to float8 (e4m3) on the way in ("FP8 formats for deep learning", arXiv 2209.05433). Norms, embedding and
head are left alone.
"""

import torch
from torch import nn

from fonderie.core.errors import StepError
from fonderie.model.language_model import LanguageModel

# torch's scaled products take sizes that are multiples of this (torchao, float8 training, "filter small layers").
MULTIPLE = 16
# Ada and Hopper are the first to multiply float8 (NVIDIA, CUDA programming guide, table of compute capabilities).
CAPABILITY = (8, 9)


def use_float8(model: LanguageModel, device: str) -> None:
    """Let the blocks multiply in float8; their weights keep names, shapes and precision.

    StepError where the device cannot, torchao is absent, or a matrix is not of a size that can be taken.
    """
    if not device.startswith("cuda"):
        raise StepError(
            f"fp8 = true needs a GPU that multiplies in float8, and the device is {device}",
            hint="Give --device cuda on such a machine, or set fp8 = false.",
        )
    if torch.cuda.get_device_capability() < CAPABILITY:
        raise StepError(
            f"{torch.cuda.get_device_name()} does not multiply in float8; Ada, Hopper and later do",
            hint="Set fp8 = false.",
        )
    convert(model, emulate=False)


def convert(model: LanguageModel, *, emulate: bool) -> None:
    """Exchange the blocks' matrices; with `emulate`, rounded as float8 but multiplied in full, for any device."""
    try:
        from torchao.float8 import Float8LinearConfig, convert_to_float8_training
    except ImportError as error:
        raise StepError(f"fp8 = true needs torchao: {error}", hint="pip install 'fonderie[gpu]'") from error
    from dataclasses import replace

    for name, part in model.blocks.named_modules():
        if isinstance(part, nn.Linear) and (part.in_features % MULTIPLE or part.out_features % MULTIPLE):
            raise StepError(
                f"fp8 = true takes matrices whose sizes are multiples of {MULTIPLE}, and blocks.{name} is of "
                f"{part.out_features} x {part.in_features}",
                hint="Choose width, hidden and heads so, or set fp8 = false.",
            )
    config = replace(Float8LinearConfig.from_recipe_name("rowwise"), emulate=emulate)
    convert_to_float8_training(model.blocks, config=config)
