"""What a training asks of the kernels that compute it, and how a process is settled for it. Imports no torch."""

from collections.abc import Mapping
from typing import Protocol, Self

from pydantic import model_validator

from fonderie.core.environment import PORTABLE_KERNELS
from fonderie.core.errors import StepError
from fonderie.core.machine import Machine
from fonderie.core.step import Parameters
from fonderie.train.settings.plan import Precision


class ComputeParameters(Parameters):
    """How a training computes: part of the request, as each of these changes the bits."""

    precision: Precision = "fp32"
    """ "bf16" computes products in half the bits: faster on processors with AMX and on GPUs, slower on others.

    On processors, its bits hold for one number of threads only; those of "fp32" for any, where the context is a
    multiple of 16 (docs/log/0010-instruct.md)."""
    fp8: bool = False
    """With "bf16", let the blocks' matrices multiply in 8-bit floating point, on GPUs that can (Ada, Hopper and
    later; needs torchao, the extra `gpu`)."""
    compile: bool = False
    """Compile the decoder block; needs a C++ compiler."""
    deterministic: bool = True
    """Use only kernels whose bits repeat. With false a GPU may use faster ones, whose sums come in another order
    each time: then nobody can replay the training to the bit."""
    portable: bool = False
    """Use only kernels that every x86-64 processor with AVX2 has, in fp32 and not compiled, so that machines with
    other instruction sets can replay the training to the bit (docs/decisions/0029-in-view.md)."""

    def variables(self) -> Mapping[str, str]:
        """Those that cap the kernels, where they are to be portable."""
        return PORTABLE_KERNELS if self.portable else {}

    @model_validator(mode="after")
    def _fp8_is_possible(self) -> Self:
        if self.fp8 and self.precision != "bf16":
            raise ValueError(f'fp8 = true needs precision = "bf16" around its products, not "{self.precision}"')
        return self

    @model_validator(mode="after")
    def _portable_is_possible(self) -> Self:
        if not self.portable:
            return self
        if self.precision != "fp32":
            raise ValueError(
                f"portable = true computes in fp32, and precision is {self.precision}, for which AVX2 has nothing"
            )
        if self.compile:
            raise ValueError(
                "portable = true and compile = true do not go together: a compiler writes for its own processor"
            )
        if not self.deterministic:
            raise ValueError(
                "portable = true and deterministic = false do not go together: bits that do not repeat "
                "here repeat nowhere"
            )
        return self


class Computing(Protocol):
    """Parameters, or the plan that was made of them."""

    @property
    def deterministic(self) -> bool:
        """Whether only kernels whose bits repeat are used."""

    @property
    def portable(self) -> bool:
        """Whether only kernels that others have are used."""


def settle_for(asked: Computing, machine: Machine) -> None:
    """Settle this process for a training; call it before anything is computed.

    StepError where portable kernels are asked of a GPU or of a process that did not begin with them.
    """
    from fonderie.model.numerics import settle

    if asked.portable and machine.device != "cpu":
        raise StepError(
            f"portable = true trains on a processor, and the device is {machine.device}",
            hint="Leave --device out, or set portable = false.",
        )
    settle(machine.threads, deterministic=asked.deterministic, portable=asked.portable)
