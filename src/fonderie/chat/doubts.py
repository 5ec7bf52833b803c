"""What speaks against counting a vote: it is stored and thanked for like any other, and the ranking leaves it out.

Nobody is told at the time: who knew what is noticed would know what to change. A few hundred votes move a rank
(arXiv 2501.17858, ICML 2025), so that it takes more than one person to have so many counted.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from fonderie.chat.judged import SIDES, Conversation, Turn

VOTES_PER_DAY: Final = 50
"""Of one session. A vote takes a minute or two with reading; more a day is rarely one person's opinion."""
SAME_QUESTION: Final = 10
"""Votes on one question that count within a month: what a page suggests is asked often, too."""
WORDS_PER_SECOND: Final = 1000 / 60
"""Four times the speed at which adults read: 238 words a minute (Brysbaert, J. Memory and Language 109, 2019)."""
FASTEST_SECONDS: Final = 0.5
"""From the last word of the slower answer to the vote."""


@dataclass(frozen=True)
class History:
    """What was voted before."""

    WINDOW_DAYS: ClassVar[int] = 30
    SIDES_LOOKED_AT: ClassVar[int] = 15
    """The same side so often and once more is 2^-15 by chance: sides are drawn anew for every duel."""

    votes_today: int = 0
    """By this session within a day."""
    own_on_question: int = 0
    """By this session on the same question, ever."""
    all_on_question: int = 0
    """By anybody on the same question within WINDOW_DAYS."""
    last_sides: tuple[str, ...] = ()
    """The sides of this session's last votes for one of the two."""


def question_hash(conversation: Conversation, position: int) -> str:
    """SHA-256 of what was asked, whatever case, accents' encoding, spaces and punctuation.

    With all that was asked before in the conversation: "Pourquoi ?" is another question after another one.
    """
    asked = [turn.text for turn in conversation.turns if turn.role == "user" and turn.position < position]
    plain = unicodedata.normalize("NFKC", "\n".join(asked)).casefold()
    return hashlib.sha256(" ".join(re.findall(r"\w+", plain)).encode(errors="replace")).hexdigest()


def doubts(conversation: Conversation, position: int, choice: str, history: History, *, at: float) -> list[str]:
    """Codes of what speaks against counting a vote made at a time; none if nothing does."""
    answers = [answer for side in SIDES if (answer := conversation.answer(position, side))]
    question = conversation.question(position)
    found = {
        "over_daily_cap": history.votes_today >= VOTES_PER_DAY,
        "own_question_again": history.own_on_question > 0,
        "question_too_common": history.all_on_question >= SAME_QUESTION,
        "one_side": choice in SIDES
        and len(history.last_sides) >= History.SIDES_LOOKED_AT
        and set(history.last_sides) == {choice},
        "too_fast": _too_fast(question, answers, at),
        "names_a_model": names_a_model(conversation, position),
        "unfinished": any(answer.finish_reason not in ("stop", "length") for answer in answers),
        "same_answer": len({answer.text.strip() for answer in answers}) < len(SIDES),
        "same_contender": _same_contender(conversation),
    }
    return [code for code, holds in found.items() if holds]


def _too_fast(question: Turn | None, answers: list[Turn], at: float) -> bool:
    # People read while the answers come, so their time begins with the question.
    since = at - question.at if question else 0.0
    longest = max(len(answer.text.split()) for answer in answers)
    return since * WORDS_PER_SECOND < longest or at - max(answer.at for answer in answers) < FASTEST_SECONDS


def _same_contender(conversation: Conversation) -> bool:
    a, b = (conversation.contenders[side] for side in SIDES)
    return (a.digest, dict(a.settings)) == (b.digest, dict(b.settings))


# ── Names ───────────────────────────────────────────────────────────────────────────────────────────────────────

_CLAIM = (
    r"\b(?:je suis|je m['’]appelle|mon nom est|en tant qu(?:e |['’])|nomm[ée]e? |appel[ée]e? |"
    r"i am|i['’]m|my name is|called|(?:cré|développ|entra[iî]n|conçu|fabriqu)\w* par|"
    r"(?:made|built|created|developed|trained) by)\b"
)
_KNOWN = (
    r"chat ?gpt|gpt[- ]?\d\w*|openai|anthropic|deepseek|qwen|mistral ai|mixtral|le chat|meta ai|llama[- ]?\d|"
    r"google deepmind|microsoft copilot|apertus|eurollm|croissantllm|openllm"
)
_ALSO_OTHERWISE = "bard|bloom|claire|claude|copilot|gemini|google|grok|llama|lucie|mistral"
"""Names of models or makers that are people, winds and animals too: only where the sentence speaks of models."""
_OF_MODELS = re.compile(r"\b(?:assistante?|mod[èe]les?|models?|ia|an ai|llms?|intelligence artificielle|chatbot)\b")
_KNOWN_CLAIM = re.compile(rf"{_CLAIM}[^.!?\n]{{0,60}}?\b(?:{_KNOWN})\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")


def names_a_model(conversation: Conversation, position: int) -> bool:
    """Whether a question or answer up to here says who answers.

    A contender's full name anywhere; names of well-known models where one is claimed ("je suis ChatGPT", "made by
    OpenAI"); names that are words of everyday too ("Claude", "mistral", a release called "demo") only where the
    same sentence claims one and speaks of a model or an assistant.
    """
    full = {contender.name.casefold() for contender in conversation.contenders.values()}
    stems = "|".join(sorted(re.escape(name.partition("-")[0]) for name in full))
    everyday = re.compile(rf"{_CLAIM}[^.!?\n]{{0,60}}?\b(?:{stems}|{_ALSO_OTHERWISE})\b")
    for text in _texts(conversation, position):
        if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in full):
            return True
        for sentence in _SENTENCE.split(text):
            if _KNOWN_CLAIM.search(sentence) or (_OF_MODELS.search(sentence) and everyday.search(sentence)):
                return True
    return False


def _texts(conversation: Conversation, position: int) -> Iterator[str]:
    for turn in conversation.turns:
        if turn.position <= position and turn.role != "system":
            yield unicodedata.normalize("NFKC", turn.text).casefold()
