"""What a model makes of items: each asked alone, so that an answer never depends on the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.evaluate.french.items import Item
from fonderie.evaluate.french.rules import RULES
from fonderie.evaluate.likelihood import continuation
from fonderie.tokens.conversation import Turn

if TYPE_CHECKING:
    from fonderie.model.language_model import LanguageModel
    from fonderie.tokens.tokenizer import Tokenizer

Template = Literal["chat", "plain"]
PLAIN = "Question : {}\nRéponse :"
"""For models that have learnt no chat template; their answer ends with its line."""


class Answer(NamedTuple):
    """What came of one item."""

    right: bool
    said: str
    """The answer, or the sentence that was preferred."""


def answer_items(
    model: "LanguageModel",
    tokenizer: "Tokenizer",
    items: Sequence[Item],
    *,
    template: Template,
    max_tokens: int,
    machine: Machine,
) -> list[Answer]:
    """One answer per item, in their order. InputError for a question that leaves no room to answer."""
    found = []
    with machine.bar("asking", len(items), "items") as bar:
        for item in items:
            if item.kind == "answer":
                said = _generate(model, tokenizer, item, template, max_tokens)
                found.append(Answer(RULES[item.rule](said, item.right), said))
            else:
                right = _likelihood(model, tokenizer, item, item.right, template)
                wrong = _likelihood(model, tokenizer, item, item.wrong, template)
                # A tie is not right: it says that the model does not tell one from the other.
                found.append(Answer(right > wrong, item.right if right > wrong else item.wrong))
            bar.advance()
    return found


def _prompt(tokenizer: "Tokenizer", question: str, template: Template) -> list[int]:
    if template == "chat":
        return tokenizer.encode_turns([Turn("user", question)], answer=True)
    return [tokenizer.bos, *tokenizer.encode(PLAIN.format(question))]


def _likelihood(model: "LanguageModel", tokenizer: "Tokenizer", item: Item, text: str, template: Template) -> float:
    """Nats of a sentence of a pair; nats per byte of an answer, as answers differ in length."""
    if item.kind == "pair":
        return continuation(model, [tokenizer.bos], _fitting(model, item, tokenizer.encode(text), 0)).log_likelihood
    prompt = _prompt(tokenizer, item.question, template)
    ids = tokenizer.encode(text if template == "chat" else f" {text}")
    nats = continuation(model, prompt, _fitting(model, item, ids, len(prompt))).log_likelihood
    return nats / len(text.encode("utf-8"))


def _fitting(model: "LanguageModel", item: Item, ids: list[int], before: int) -> list[int]:
    if before + len(ids) > model.config.context:
        raise InputError(
            f"an item of {item.suite} has {before + len(ids)} tokens, the model's context {model.config.context}: "
            f"{item.text[:60]}…"
        )
    return ids


def _generate(
    model: "LanguageModel", tokenizer: "Tokenizer", item: Item, template: Template, max_tokens: int
) -> str:
    from fonderie.model.generate import generate

    prompt = _prompt(tokenizer, item.question, template)
    _fitting(model, item, prompt, 1)
    ids: list[int] = []
    for token in generate(model, prompt, max_tokens=max_tokens, stop_ids=tokenizer.stops):
        ids.append(token)
        if template == "plain" and "\n" in tokenizer.decode(ids).lstrip():
            break
    text = tokenizer.decode(ids).strip()
    return text.partition("\n")[0] if template == "plain" else text
