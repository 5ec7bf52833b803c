"""evaluate.french: what a model makes of the French suites, with intervals, and which items it was trained on."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from fonderie.core.document import Document
from fonderie.core.errors import InputError
from fonderie.core.intervals import wilson
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.evaluate.french.answers import Answer, Template, answer_items
from fonderie.evaluate.french.items import Item, read_items
from fonderie.evaluate.french.seen import stand_in, training_shards
from fonderie.evaluate.score import DECIMALS, Outcome, Score, write_scores

ACCURACY = "accuracy"
PREFIX = "french/"
_HOW = {
    "pair": "which of two sentences that differ in one word is likelier",
    "choice": "which of two answers is likelier per byte",
    "answer": "the likeliest answer, token by token, judged by the rule",
}


class FrenchParameters(Parameters):
    """How the items are put."""

    template: Template = "chat"
    """chat: as a user's turn. plain: "Question : …", for a model that has learnt no chat template."""
    max_tokens: PositiveInt = 40
    """An answer ends here at the latest."""


@step(
    "evaluate.french",
    version=1,
    parameters=FrenchParameters,
    produces="scores",
    inputs={"model": Port("model"), "tokenizer": Port("tokenizer"), "items": Port("documents", many=True)},
)
def french(inputs: Inputs, params: FrenchParameters, out: Output, machine: Machine) -> None:
    """Write scores.json and outcomes.parquet, which keeps every answer; statistics count the items trained on."""
    asked = read_items(inputs.all("items"))
    shards = training_shards(inputs.one("model"))
    scores, outcomes = ask(
        inputs.one("model").path, inputs.one("tokenizer").path, asked, params, shards=shards, machine=machine
    )
    write_scores(out, scores, outcomes)
    out.statistics["also_trained_on"] = None if shards is None else sum(bool(item.seen) for item in outcomes)
    out.statistics["parts"] = parts(outcomes)


def ask(
    model_folder: Path,
    tokenizer_folder: Path,
    asked: Sequence[tuple[Document, Item]],
    params: FrenchParameters,
    *,
    shards: Sequence[Path] | None,
    machine: Machine,
) -> tuple[list[Score], list[Outcome]]:
    """The scores of a model on items, and what came of each; `shards` are the documents it was trained on."""
    from fonderie.model.convert import load_model
    from fonderie.model.numerics import settle
    from fonderie.tokens.tokenizer import Tokenizer

    settle(machine.threads)
    tokenizer = Tokenizer(tokenizer_folder)
    if params.template == "chat" and not tokenizer.has_turns:
        raise InputError("template = 'chat', and this tokenizer has no chat template", hint="template = 'plain'")
    model = load_model(model_folder, device=machine.device).float()
    answers = answer_items(
        model,
        tokenizer,
        [item for _, item in asked],
        template=params.template,
        max_tokens=params.max_tokens,
        machine=machine,
    )
    seen = None if shards is None else stand_in(shards, (document for document, _ in asked), machine)
    outcomes = list(outcomes_of_items(asked, answers, seen))
    return suite_scores(asked, outcomes, params), outcomes


def outcomes_of_items(
    asked: Sequence[tuple[Document, Item]], answers: Sequence[Answer], seen: set[int] | None
) -> Iterator[Outcome]:
    """One per item; `seen` are the numbers of those trained on."""
    for number, ((document, item), answer) in enumerate(zip(asked, answers, strict=True)):
        yield Outcome(
            item.id,
            ACCURACY,
            PREFIX + item.suite,
            document.language,
            float(answer.right),
            1.0,
            item.part,
            None if seen is None else number in seen,
            answer.said,
        )


def suite_scores(
    asked: Sequence[tuple[Document, Item]], outcomes: Sequence[Outcome], params: FrenchParameters
) -> list[Score]:
    """The accuracy of each suite, in the order of the items."""
    scores = []
    for suite in dict.fromkeys(item.suite for _, item in asked):
        of = [outcome for outcome in outcomes if outcome.source == PREFIX + suite]
        right, n = round(sum(outcome.value for outcome in of)), len(of)
        low, high = wilson(right, n)
        languages = {outcome.language for outcome in of}
        scores.append(
            Score(
                name=ACCURACY,
                source=PREFIX + suite,
                language=languages.pop() if len(languages) == 1 else None,
                value=round(right / n, DECIMALS),
                low=round(low, DECIMALS),
                high=round(high, DECIMALS),
                n=n,
                unit="items",
                better="higher",
                standard_error=round((right / n * (1 - right / n) / n) ** 0.5, DECIMALS),
                shots=0,
                seen=None if of[0].seen is None else sum(bool(outcome.seen) for outcome in of),
                method=_method([item for _, item in asked if item.suite == suite], params),
            )
        )
    return scores


def parts(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Right answers and items of each part of each suite."""
    found: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        suite: Mapping[str, Any] = found.setdefault(outcome.source.removeprefix(PREFIX), {})
        counts = suite.setdefault(outcome.part or "", {"right": 0, "n": 0})  # type: ignore[attr-defined]
        counts["right"] += round(outcome.value)
        counts["n"] += 1
    return found


def _method(items: Sequence[Item], params: FrenchParameters) -> str:
    kinds = dict.fromkeys(item.kind for item in items)
    rules = sorted({item.rule for item in items if item.rule})
    how = "; ".join(_HOW[kind] for kind in kinds)
    judged = f" {' or '.join(rules)}" if rules else ""
    asked = f", put by the {params.template} template, answers of {params.max_tokens} tokens at most"
    return (
        f"{items[0].suite}: share of items right: {how}{judged}{'' if set(kinds) == {'pair'} else asked}; "
        "each item computed alone, in fp32; interval: 95 %, Wilson's."
    )
