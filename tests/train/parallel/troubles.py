"""Steps that go wrong in one of their processes."""

import os
import time

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, step
from fonderie.train.parallel.launch import shared_out


class TroubleParameters(Parameters):
    trouble: str
    """What happens in the second process."""


@step("train.trouble", version=1, parameters=TroubleParameters, produces="nothing")
@shared_out
def trouble(inputs: Inputs, params: TroubleParameters, out: Output, machine: Machine) -> None:
    import torch

    if os.environ["RANK"] == "1":
        if params.trouble == "refuses":
            raise InputError("the second half is missing", hint="Look for it.")
        if params.trouble == "breaks":
            raise ZeroDivisionError("by nothing")
        if params.trouble == "hangs":
            time.sleep(600)
    torch.distributed.all_reduce(torch.ones(1))
