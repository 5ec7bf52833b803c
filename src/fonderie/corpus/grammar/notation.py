"""The notation of the templates, parsed once into small nodes.

text     literal French, written in full: `de {hero}` gives `du renard` or `d'Anna` (see `sandhi`)
[a|b|]   one of the alternatives, drawn evenly; they may nest and may be empty
<name>   the template bound to `name`, or one sentence of the shared list `name`, or of `name_tale`, `name_told`,
         `name_now` where it depends on the register; `<sky=season>`: of the list `sky_hiver` when `season` is
         bound to winter
{…}      a slot, one of:

{hero}            what is bound to `hero`: a name, `le renard`, a number, a word
{hero.un}         the noun with a determiner or in a role: see `referents.OPERATIONS`
{key.un*}         the same with the epithet: `une clé rouillée`
{apple.compte=n}  an operation with an argument
{content@hero}    an adjective or participle that agrees; `$mood` takes the word bound to `mood`; `hero_s`: of
                  several heroes
{aller@hero:im}   a verb that agrees, in a tense of `conjugation` or in a role of the register:
                  `E` event, `B` background, `A` what was before, `F` what was to come
{ne se lever pas@hero:E}     the verb with its negation and clitics, placed as the tense wants them
{le=key perdre@hero:A}       `le=key`: the pronoun of `key`, with which the participle agrees
{…@hero+friend:E}  several subjects;   `@je`, `@tu`, `@nous`, `@vous`, `@on`: the persons of a dialogue,
                  with a gender if need be: `{venir@je=hero:pc}`
{^hero}           a capital letter, where the start of a sentence cannot be seen (after `!` or `?`)
"""

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Choice:
    """`[a|b]`"""

    options: tuple["Sequence", ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """`<name>` or `<name=variable>`"""

    name: str
    variable: str


@dataclass(frozen=True, slots=True)
class Mention:
    """`{hero.un*}`: what is bound to a name, under an operation."""

    reference: str
    operation: str
    argument: str
    epithet: bool
    capital: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """`{content@hero}`: an adjective and what it agrees with."""

    adjective: str
    subject: str
    capital: bool


@dataclass(frozen=True, slots=True)
class Action:
    """`{ne se lever pas@hero:E}`: a verb, its tense, subject, clitics and negation."""

    verb: str
    tense: str
    subject: str
    clitics: tuple[tuple[str, str], ...]
    """Each clitic with its antecedent's name, or an empty string."""
    negated: bool
    """Whether `ne` stands before it; alone when another word denies (`personne ne vint`)."""
    negation: str
    """`pas`, `plus`, `jamais`, `rien`, or an empty string."""
    capital: bool


Sequence = tuple["str | Choice | Rule | Mention | Agreement | Action", ...]

_TOKEN = re.compile(r"\{([^{}]+)\}|<([^<>]+)>|([\[\]|])|([^\[\]|{}<>]+)")
_MENTION = re.compile(r"(\w+(?:\+\w+)*)(?:\.(\w+)(?:=(\w+))?)?(\*)?")
_NEGATIONS = frozenset(("pas", "plus", "jamais", "rien", "presque_plus", "pas_encore"))


class NotationError(ValueError):
    """A template that cannot be read; the message quotes it."""


def _slot(body: str) -> Mention | Agreement | Action:
    capital = body.startswith("^")
    words, at, target = body.removeprefix("^").partition("@")
    if not at:
        match = _MENTION.fullmatch(words)
        if not match:
            raise NotationError(f"cannot read the slot {{{body}}}")
        return Mention(match[1], match[2] or "", match[3] or "", bool(match[4]), capital)
    subject, colon, tense = target.partition(":")
    if not colon:
        return Agreement(words, subject, capital)
    clitics: list[tuple[str, str]] = []
    negation, verb = "", ""
    for word in words.split():
        if verb and word in _NEGATIONS:
            negation = word.replace("_", " ")
        elif word in ("se", "me", "te", "nous", "vous", "lui", "leur", "y", "en") or "=" in word:
            clitic, _, antecedent = word.partition("=")
            clitics.append((clitic, antecedent))
        elif word != "ne":
            verb = word
    negated = "ne" in words.split()
    if (negation and not negated) or not verb:
        raise NotationError(f"half a negation, or no verb, in {{{body}}}")
    return Action(verb, tense, subject, tuple(clitics), negated, negation, capital)


def _rule(body: str) -> Rule:
    name, _, variable = body.partition("=")
    return Rule(name, variable)


@cache
def parse(template: str) -> Sequence:
    """The nodes of a template. NotationError if it cannot be read."""
    tokens = _TOKEN.findall(template)
    if _TOKEN.sub("", template):
        raise NotationError(f"stray bracket in {template!r}")
    levels: list[list[list[str | Choice | Rule | Mention | Agreement | Action]]] = [[[]]]
    for slot, rule, bracket, literal in tokens:
        if bracket == "[":
            levels.append([[]])
        elif bracket == "|" and len(levels) > 1:
            levels[-1].append([])
        elif bracket == "]" and len(levels) > 1:
            options = tuple(tuple(option) for option in levels.pop())
            levels[-1][-1].append(Choice(options))
        elif bracket:
            raise NotationError(f"stray {bracket!r} in {template!r}")
        else:
            levels[-1][-1].append(_slot(slot) if slot else _rule(rule) if rule else literal)
    if len(levels) > 1:
        raise NotationError(f"a [ is never closed in {template!r}")
    return tuple(levels[0][0])
