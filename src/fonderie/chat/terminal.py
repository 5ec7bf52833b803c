"""fonderie chat: a release in the terminal. It streams, Ctrl-C stops the answer, and nothing is stored."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.markup import escape

from fonderie.core.errors import InputError, ReleaseError, UsageError
from fonderie.evaluate.gate import Gate, in_words
from fonderie.release.gate import refuse_failed
from fonderie.tokens.conversation import Turn
from fonderie.tokens.tokenizer import Tokenizer
from fonderie.trace.output_filter import OutputFilter

Stopped = Literal["end", "length", "interrupted", "blocked"]
HELP = "/new forgets the conversation, /quit leaves, Ctrl-C stops an answer."
_UNFINISHED = "\ufffd"


@dataclass(frozen=True)
class Settings:
    """How answers are drawn."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 200
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise UsageError(f"--temperature {self.temperature} is below 0")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"--top-p {self.top_p} is not above 0 and at most 1")


@dataclass
class Answer:
    """An answer as it grows."""

    text: str = ""
    tokens: int = 0
    stopped: Stopped = "interrupted"
    blocked_by: str | None = None
    """The erasure whose passage it repeated; there is then no text."""


@dataclass
class Conversation:
    """One conversation with one model; `generate` yields token ids."""

    tokenizer: Tokenizer
    generate: Callable[[list[int], int, int], Iterator[int]]
    """(prompt ids, longest answer, seed) to ids, without the stop id."""
    context: int
    settings: Settings
    output_filter: OutputFilter | None = None
    """With a filter, an answer comes whole, once it is known to repeat nothing erased."""
    turns: list[Turn] = field(default_factory=list)
    asked: int = 0

    def ask(self, question: str, answer: Answer) -> Iterator[str]:
        """Pieces of the answer's text as they come; `answer` is filled on the way, also if the reader stops.

        UsageError if the question alone does not fit into the context.
        """
        self.turns.append(Turn("user", question))
        prompt = self._prompt()
        room = min(self.settings.max_tokens, self.context - len(prompt))
        ids: list[int] = []
        try:
            for token in self.generate(prompt, room, self.settings.seed + self.asked):
                ids.append(token)
                text = self.tokenizer.decode(ids)
                if text.endswith(_UNFINISHED):  # a character whose last bytes are still to come
                    continue
                if self.output_filter is None:
                    piece, answer.text, answer.tokens = text[len(answer.text) :], text, len(ids)
                    yield piece
            answer.stopped = "length" if len(ids) == room else "end"
            if self.output_filter is not None:
                yield from self._checked(ids, answer, self.output_filter)
        finally:
            self.asked += 1
            self.turns.append(Turn("assistant", answer.text))

    def _checked(self, ids: list[int], answer: Answer, output_filter: OutputFilter) -> Iterator[str]:
        text = self.tokenizer.decode(ids).rstrip(_UNFINISHED)
        answer.tokens, answer.blocked_by = len(ids), output_filter.blocked(text)
        if answer.blocked_by is not None:
            answer.stopped = "blocked"
        else:
            answer.text = text
            yield text

    def _prompt(self) -> list[int]:
        """The longest recent part of the conversation that leaves max_tokens, or half the context, to answer."""
        wanted = self.context - min(self.settings.max_tokens, self.context // 2)
        first = 0
        while True:
            ids = self.tokenizer.encode_turns(self.turns[first:], answer=True)
            if len(ids) <= wanted:
                self.turns = self.turns[first:]
                return ids
            if first + 2 >= len(self.turns):
                self.turns.pop()
                raise UsageError(f"the question takes {len(ids)} tokens; this model reads at most {wanted}")
            first += 2


def chat(
    release: Path,
    settings: Settings,
    *,
    as_json: bool,
    output_filters: Sequence[Path] = (),
    i_know_it_failed: str | None = None,
) -> int:
    """Talk until the person leaves; with `as_json`, answer each line of standard input by one JSON object.

    No answer is shown that repeats a passage on one of the `output_filters`, as `fonderie erase` writes them.
    ReleaseError if the release failed its gate and `i_know_it_failed` does not say why it is shown all the same.
    """
    about = _about(release)
    gate = refuse_failed(release, i_know_it_failed, action="fonderie chat")
    output_filter = OutputFilter.load(*output_filters) if output_filters else None
    conversation = open_conversation(release, settings)
    conversation.output_filter = output_filter
    if as_json:
        return _answer_lines(conversation, about, sys.stdin, sys.stdout)
    console = Console(highlight=False)
    _introduce(about, release, console, gate)
    return _talk(conversation, console)


def open_conversation(release: Path, settings: Settings) -> Conversation:
    """Load a release's tokenizer and model."""
    import torch

    from fonderie.model.convert import load_model
    from fonderie.model.generate import generate

    torch.set_num_threads(settings.threads)
    tokenizer, model = Tokenizer(release), load_model(release)

    def ids(prompt: list[int], max_tokens: int, seed: int) -> Iterator[int]:
        return generate(
            model,
            prompt,
            max_tokens=max_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=seed,
            stop_ids=tokenizer.stops,
        )

    return Conversation(tokenizer, ids, model.config.context, settings)


def _about(release: Path) -> dict[str, Any]:
    path = release / "release.json"
    if not path.is_file():
        raise ReleaseError(
            f"{release} is not a release: it has no release.json", hint="fonderie run ends with its path."
        )
    try:
        about: dict[str, Any] = json.loads(path.read_bytes())
        findings = json.loads((release / "findings.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{release} cannot be read: {error}") from error
    return {**about, "findings": findings}


def _introduce(about: dict[str, Any], release: Path, console: Console, gate: Gate | None) -> None:
    for line in gate.failed if gate else ():
        console.print(f"[bold red]FAILED ITS GATE[/bold red] {escape(in_words(line))}")
    failed = [finding["summary"] for finding in about["findings"] if finding["verdict"] == "fail"]
    for summary in failed:
        console.print(f"[bold red]NOT FREE[/bold red] {escape(summary)}")
    name = f"{about['name']} {about['version']}"
    console.print(f"[bold]{escape(name)}[/bold]  {escape(str(release))}")
    console.print("You are talking with an AI. It is small, it is often wrong, and nothing you write is stored.")
    console.print(HELP, style="dim")


def _talk(conversation: Conversation, console: Console) -> int:
    while True:
        try:
            question = console.input("\n[bold cyan]›[/bold cyan] ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return 0
        if question in ("/quit", "/exit"):
            return 0
        if question == "/new":
            conversation.turns.clear()
            console.print("Forgotten.", style="dim")
        elif question.startswith("/"):
            console.print(HELP, style="dim")
        elif question:
            _stream(conversation, question, console)


def _stream(conversation: Conversation, question: str, console: Console) -> None:
    answer = Answer()
    pieces = conversation.ask(question, answer)
    try:
        for piece in pieces:
            console.print(piece, end="", markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        pieces.close()  # type: ignore[attr-defined]
    except UsageError as error:
        console.print(str(error), style="yellow", markup=False)
        return
    marks = {
        "interrupted": " [stopped]",
        "length": " [cut at the longest answer]",
        "end": "",
        "blocked": f"[not shown: it repeats a passage that was erased, {answer.blocked_by}]",
    }
    console.print(marks[answer.stopped], style="dim", markup=False)


def _answer_lines(conversation: Conversation, about: dict[str, Any], lines: TextIO, output: TextIO) -> int:
    for line in lines:
        question = line.strip()
        if not question:
            continue
        answer = Answer()
        for _ in conversation.ask(question, answer):
            pass
        record = {
            "model": f"{about['name']} {about['version']}",
            "model_digest": about["model_digest"],
            "question": question,
            "answer": answer.text,
            "tokens": answer.tokens,
            "stopped": answer.stopped,
            **({"blocked_by": answer.blocked_by} if answer.blocked_by else {}),
        }
        output.write(json.dumps(record, ensure_ascii=False) + "\n")
        output.flush()
    return 0
