"""evaluate.samples: what the model answers to fixed questions and how it continues fixed beginnings, unchosen."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import Field, PositiveInt, model_validator

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step


class SamplesParameters(Parameters):
    """What is asked, and how answers are drawn."""

    questions: tuple[str, ...] = ()
    """Each is a user's turn in the chat template, answered by the assistant."""
    beginnings: tuple[str, ...] = ()
    """Each is a text to be continued."""
    max_tokens: PositiveInt = 100
    """An answer ends here at the latest."""
    temperature: float = Field(default=0.7, ge=0)
    """0 takes the likeliest token each time."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """Draw among the likeliest tokens that hold this probability together; 1 draws among all."""
    top_k: PositiveInt | None = None
    """Draw among this many likeliest tokens."""
    seed: int = Field(default=0, ge=0)
    """The first sample is drawn with this seed, the next with the next."""

    @model_validator(mode="after")
    def _something_is_asked(self) -> "SamplesParameters":
        if not any((*self.questions, *self.beginnings)):
            raise ValueError("give questions, beginnings, or both")
        return self


@step(
    "evaluate.samples",
    version=1,
    parameters=SamplesParameters,
    produces="samples",
    inputs={"model": Port("model"), "tokenizer": Port("tokenizer")},
)
def samples(inputs: Inputs, params: SamplesParameters, out: Output, machine: Machine) -> None:
    """Write samples.json: prompt, kind, answer, tokens and seed of each."""
    from fonderie.model.convert import load_model
    from fonderie.model.generate import generate
    from fonderie.model.numerics import settle
    from fonderie.tokens.tokenizer import Tokenizer

    settle(machine.threads)
    model = load_model(inputs.one("model").path, device=machine.device).float()
    tokenizer = Tokenizer(inputs.one("tokenizer").path)
    found: list[dict[str, Any]] = []
    with machine.bar("sampling", len(params.questions) + len(params.beginnings), "answers") as bar:
        for seed, (kind, prompt, ids) in enumerate(_prompts(params, tokenizer), start=params.seed):
            if len(ids) >= model.config.context:
                room = model.config.context
                raise InputError(f"this {kind} has {len(ids)} tokens, the model's context {room}: {prompt[:60]}…")
            answer = list(
                generate(
                    model,
                    ids,
                    max_tokens=params.max_tokens,
                    temperature=params.temperature,
                    top_k=params.top_k,
                    top_p=params.top_p,
                    seed=seed,
                    stop_ids=tokenizer.stops,
                )
            )
            text = tokenizer.decode(answer)
            found.append({"prompt": prompt, "kind": kind, "answer": text, "tokens": len(answer), "seed": seed})
            bar.advance()
    (out.path / "samples.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    out.statistics.update(samples=len(found), tokens=sum(sample["tokens"] for sample in found))


def _prompts(params: SamplesParameters, tokenizer: Any) -> Iterator[tuple[str, str, list[int]]]:
    from fonderie.tokens.conversation import Turn

    for question in params.questions:
        yield "question", question, tokenizer.encode_turns([Turn("user", question)], answer=True)
    for beginning in params.beginnings:
        yield "beginning", beginning, [tokenizer.bos, *tokenizer.encode(beginning)]
