"""Weights laid out once as oneDNN's kernels read them; left as they are, they are laid out anew for every product.

For bf16 on processors, where it is half of a lone step. These are the operators that torch.compile's own code calls
for frozen weights; torch has no public name for them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def packs(weight: Tensor) -> bool:
    """Whether a weight gains by it."""
    return weight.device.type == "cpu" and weight.dtype == torch.bfloat16


class Product:
    """x @ W.T for a weight [outputs, inputs]; the weight itself is kept as well."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._weight, self._bias = weight.detach(), None if bias is None else bias.detach()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(self._weight) if packs(weight) else None

    @property
    def like(self) -> Tensor:
        """The weight, for its type and place."""
        return self._weight

    def __call__(self, x: Tensor) -> Tensor:
        """The product of any number of rows."""
        if self._packed is None:
            return functional.linear(x, self._weight, self._bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return out


def pack(blocks: nn.ModuleList) -> list[Product]:
    """Let every linear layer of some blocks compute with packed weights, from now on; returns the first block's."""
    products: list[list[Product]] = []
    for block in blocks:
        made = []
        for module in block.modules():
            if isinstance(module, nn.Linear):
                product = Product(module.weight, module.bias)
                module.forward = product  # type: ignore[method-assign, assignment]
                made.append(product)
        products.append(made)
    return products[0]
