"""evaluate.harness: lm-eval's tasks, each with its version, shots, n, standard error and every answer kept."""

import io
import json
import random
from collections.abc import Mapping
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt

from fonderie.core.environment import installed_version
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, Source, SourceFiles, step
from fonderie.evaluate.harness.scores import outcomes, scores, write_samples
from fonderie.evaluate.harness.tasks import check_tasks, load_tasks, no_network, read_tasks, refuse_missing_library
from fonderie.evaluate.score import write_scores


class HarnessParameters(Parameters):
    """Which tasks, from where, and how they are put."""

    tasks: SourceFiles
    """The files of a local folder of tasks in lm-eval's YAML, and their data: "tasks/**". Nothing is fetched."""
    run: tuple[str, ...] = Field(min_length=1)
    """Names of the tasks, groups or tags to run."""
    shots: NonNegativeInt | None = None
    """Solved examples before each question; what each task says itself if not given."""
    limit: PositiveInt | None = None
    """The first items of each task only; the scores say n."""
    chat: bool = False
    """Put each question as a user's turn of the chat template, the solved examples as turns before it."""
    bos: bool = True
    """Begin each context with the token that begins every document, as in training; lm-eval's `add_bos_token`."""
    code: bool = False
    """Run the Python that tasks bring along (`!function`); read it before."""
    bootstrap: int = Field(default=1_000, ge=100)
    """Resamples of intervals and errors that have no closed form."""
    seed: int = Field(default=1234, ge=0)
    """Of solved examples, of drawn answers and of resamples; 1234 is lm-eval's own."""


def refuse_early(params: HarnessParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Read every task before anything is trained: what is missing, fetched or run is said now."""
    refuse_missing_library()
    check_tasks(read_tasks(sources["tasks"]), params.run, sources["tasks"], code=params.code)


@step(
    "evaluate.harness",
    version=1,
    parameters=HarnessParameters,
    produces="scores",
    inputs={"model": Port("model"), "tokenizer": Port("tokenizer")},
    preflight=refuse_early,
)
def harness(inputs: Inputs, params: HarnessParameters, out: Output, machine: Machine) -> None:
    """Write scores.json, outcomes.parquet, harness.json (what ran) and samples/<task>.jsonl (every answer)."""
    refuse_early(params, inputs.sources)
    model, tokenizer = inputs.one("model").path, inputs.one("tokenizer").path
    run(model, tokenizer, params, inputs.sources["tasks"], out=out, machine=machine)


def run(
    model_folder: Path,
    tokenizer_folder: Path,
    params: HarnessParameters,
    sources: tuple[Source, ...],
    *,
    out: Output,
    machine: Machine,
) -> None:
    """The same of a model and a tokenizer wherever they lie; the tasks are checked already."""
    from fonderie.model.convert import load_model
    from fonderie.model.numerics import settle

    settle(machine.threads)
    from fonderie.evaluate.harness.model import Model
    from fonderie.tokens.tokenizer import Tokenizer

    tokenizer = Tokenizer(tokenizer_folder)
    if params.chat and not tokenizer.has_turns:
        raise InputError("chat = true, and this tokenizer has no chat template", hint="Leave chat out.")
    decoder = load_model(model_folder, device=machine.device).float()
    model = Model(decoder, tokenizer, bos=params.bos, chat=params.chat, seed=params.seed, machine=machine)
    results = _evaluate(model, params, sources, out)
    version = str(installed_version("lm-eval"))
    found, left = scores(results, how=_method(params, version), resamples=params.bootstrap, seed=params.seed)
    write_scores(out, found, outcomes(results))
    write_samples(out.path / "samples", results["samples"])
    ran = {
        "lm_eval": version,
        "tasks": {
            task: {
                "version": results["versions"].get(task),
                "shots": results["n-shot"].get(task),
                "items": results["n-samples"][task],
                "truncated": model.truncated[task],
            }
            for task in results["samples"]
        },
        "without_interval": left,
    }
    (out.path / "harness.json").write_text(json.dumps(ran, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    out.statistics["harness"] = ran


def _evaluate(model: Any, params: HarnessParameters, sources: tuple[Source, ...], out: Output) -> dict[str, Any]:
    from lm_eval.evaluator import evaluate

    files = read_tasks(sources)
    state = random.getstate()
    try:
        # Its own bars go to a buffer: ours are drawn on the console.
        with no_network(), redirect_stderr(io.StringIO()):
            tasks = load_tasks(files, params.run, sources, out.state, shots=params.shots, seed=params.seed)
            random.seed(params.seed)  # tasks that draw while they put a question draw alike
            found = evaluate(
                model,
                tasks,
                limit=params.limit,
                bootstrap_iters=params.bootstrap,
                log_samples=True,
                apply_chat_template=params.chat,
                fewshot_as_multiturn=params.chat,
                confirm_run_unsafe_code=params.code,
            )
    finally:
        random.setstate(state)
    results: dict[str, Any] = dict(found)
    return results


def _method(params: HarnessParameters, version: str) -> str:
    asked = "put by the chat template" if params.chat else "put as plain text"
    begin = "" if params.bos or params.chat else ", without the token that begins a document"
    some = f", the first {params.limit} items of each task" if params.limit else ""
    return f"lm-eval {version}, {asked}{begin}{some}, each request computed alone, in fp32"
