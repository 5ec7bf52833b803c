"""Criterion 3: whether the method lies open. Code, settings, logs, checkpoints, evaluation, and whether it replays.

What lies in the release is *present*; what the card links to or tells is *declared*: nobody followed the link.
Without code or without settings the criterion fails; without the rest it is partial. It passes only by a replay.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fonderie.audit.cards import Card, Survey
from fonderie.audit.facts import Component, Extent
from fonderie.audit.hazards import WEIGHTS, disguised, pickled
from fonderie.audit.hub import Hub
from fonderie.audit.target import UnreadableError
from fonderie.release.findings.openness import Evidence, Finding, Level, Outcome
from fonderie.release.folder import plain

CHECKPOINTS_NEEDED = 2
"""One is the model itself."""
SHOWN = 3

_CODE = r"\.(py|sh|ipynb|cu|cpp|rs|jl)$"


@dataclass(frozen=True)
class Part:
    """One part of a method, and how it would be recognised."""

    component: Component
    words: str
    needed: bool
    """Without it the criterion fails."""
    files: re.Pattern[str]
    link: re.Pattern[str] | None = None
    """A sentence of the card that says where it is."""


_LINKED_CODE = r"(github\.com|gitlab\.|codeberg\.org|bitbucket\.org|sourcehut|git\.sr\.ht)[/:]"
PARTS = (
    Part(
        "training_code",
        "training code",
        True,
        re.compile(
            r"(^|/)(pre|fine)?[-_]?train[^/]*" + _CODE + r"|(^|/)(pre)?train(ing|er)?/[^/]+" + _CODE, re.IGNORECASE
        ),
        re.compile(r"^(?=.*" + _LINKED_CODE + r")(?=.*(train|code|repositor|entraîn))", re.IGNORECASE),
    ),
    Part(
        "preprocessing_code",
        "code that prepared the data",
        False,
        re.compile(
            r"(^|/)[^/]*(preprocess|prepare|dedup|clean|filter|pipeline|curat|tokeni[sz]e_)[^/]*" + _CODE,
            re.IGNORECASE,
        ),
        re.compile(r"^(?=.*" + _LINKED_CODE + r")(?=.*(process|curat|data|dedup|données))", re.IGNORECASE),
    ),
    Part(
        "metadata",
        "settings of the training",
        True,
        re.compile(
            r"(^|/)[^/]*(recipe|hparams|hyper[-_]?param|train(ing)?[-_]?(config|args|param|settings)|pretrain)[^/]*\.(ya?ml|json|toml)$|"
            r"(^|/)(training|pretrain(ing)?)/(parameters|config|settings)[^/]*\.(ya?ml|json|toml)$",
            re.IGNORECASE,
        ),
    ),
    Part(
        "logs",
        "training logs",
        False,
        re.compile(
            r"(^|/)(trainer_state\.json|events\.out\.tfevents[^/]*|[^/]*(train|loss|metric)[^/]*log[^/]*\.(jsonl?|csv|txt|tsv)|"
            r"(train(ing)?|logs?)/[^/]*(log|loss|metrics)[^/]*\.(jsonl?|csv|txt|tsv))$",
            re.IGNORECASE,
        ),
        re.compile(
            r"wandb\.ai/|tensorboard\.dev/|comet\.(ml|com)/|neptune\.ai/|^(?=.*https?://)(?=.*training logs?)",
            re.IGNORECASE,
        ),
    ),
    Part(
        "evaluation_results",
        "evaluation",
        False,
        re.compile(r"(^|/)[^/]*(eval|score|benchmark|results)[^/]*\.(jsonl?|csv|tsv|ya?ml)$", re.IGNORECASE),
    ),
)

_CHECKPOINT_FOLDER = re.compile(r"(^|/)((checkpoint|ckpt|step|iter)[-_]?\d+)/", re.IGNORECASE)
_CHECKPOINT_BRANCH = re.compile(
    r"(step|ckpt|checkpoint|iter|tokens?|stage)[-_]?\d|\d+[bk]?[-_]?(tokens|steps)", re.IGNORECASE
)
_LEARNING_RATE = re.compile(r"(learning[ _-]?rate|taux d[’']apprentissage|\blr\b)[^.]{0,80}?\d", re.IGNORECASE)
_BATCH = re.compile(r"batch[ _-]?size[^.]{0,80}?\d|taille de lot[^.]{0,60}?\d", re.IGNORECASE)


@dataclass(frozen=True)
class Standing:
    """One part of the method, as found."""

    component: Component
    extent: Extent
    level: Level
    where: str
    finding: Finding


def collect_method(survey: Survey, hub: Hub | None) -> list[Standing]:
    """Every part of the method; the replay is judged apart."""
    found = [_part(survey, part) for part in PARTS]
    return [*found, _checkpoints(survey, hub), _format(survey)]


def no_replay() -> Finding:
    """The finding of whoever brings nothing that this program can replay."""
    summary = "Its training was not replayed: only a release that carries its data, order and checkpoints can be."
    return _finding("method.replay", "partial", "declared", summary, ())


def _finding(rule: str, verdict: Outcome, level: Level, summary: str, evidence: Iterable[Evidence]) -> Finding:
    return Finding(
        rule=rule, criterion="method", verdict=verdict, level=level, summary=summary, evidence=tuple(evidence)
    )


def _part(survey: Survey, part: Part) -> Standing:
    names = [name for name in survey.target.entries if part.files.search(name)]
    rule = f"method.{part.component}"
    if names:
        shown = [survey.target.evidence(name, "name of the file", name) for name in names[:SHOWN]]
        summary = f"The release holds {part.words}: {', '.join(plain(name) for name in names[:SHOWN])}."
        return Standing(
            part.component, "all", "present", names[0], _finding(rule, "pass", "present", summary, shown)
        )
    told = _told(survey, part)
    if told is not None:
        return told
    verdict: Outcome = "fail" if part.needed else "partial"
    finding = _finding(
        rule, verdict, "present", f"The release holds no {part.words}, and its card points to none.", ()
    )
    return Standing(part.component, "none", "present", "", finding)


def _told(survey: Survey, part: Part) -> Standing | None:
    """What the cards say of a part that is not in the release."""
    rule = f"method.{part.component}"
    for card in survey.model_cards:
        if part.component == "metadata" and (told := _settings(survey, card)):
            return told
        results = card.head.get("model-index")
        if part.component == "evaluation_results" and isinstance(results, list) and results:
            evidence = survey.card_evidence(card, "model-index in the card's head", str(results[0])[:400])
            finding = _finding(rule, "pass", "parsed", "The card holds results of evaluations.", (evidence,))
            return Standing(part.component, "all", "parsed", card.path, finding)
        for sentence in card.sentences if part.link else ():
            if part.link and part.link.search(sentence):
                summary = f"The card says where the {part.words} is; the link was not followed."
                evidence = survey.card_evidence(card, "sentence of the card", sentence)
                finding = _finding(rule, "partial", "declared", summary, (evidence,))
                return Standing(part.component, "all", "declared", sentence[:200], finding)
    return None


def _settings(survey: Survey, card: Card) -> Standing | None:
    """Learning rate and batch size, told in the card."""
    rate = next((sentence for sentence in card.sentences if _LEARNING_RATE.search(sentence)), "")
    batch = next((sentence for sentence in card.sentences if _BATCH.search(sentence)), "")
    if not rate and not batch:
        return None
    complete = bool(rate and batch)
    summary = f"The card tells {'learning rate and batch size' if complete else 'a part of the settings'}."
    evidence = [survey.card_evidence(card, "sentence of the card", text) for text in (rate, batch) if text]
    finding = _finding("method.metadata", "pass" if complete else "partial", "parsed", summary, evidence)
    return Standing("metadata", "all" if complete else "part", "parsed", card.path, finding)


def _checkpoints(survey: Survey, hub: Hub | None) -> Standing:
    target = survey.target
    folders = {match.group(2).casefold() for name in target.entries if (match := _CHECKPOINT_FOLDER.search(name))}
    names, evidence = sorted(folders), []
    level: Level = "present"
    if len(folders) >= CHECKPOINTS_NEEDED:
        first = next(name for name in target.entries if _CHECKPOINT_FOLDER.search(name))
        evidence = [target.evidence(first, "name of the file", first)]
    elif hub is not None and survey.hub is not None:
        try:
            names = sorted(filter(_CHECKPOINT_BRANCH.search, hub.branches(target.name)))
        except UnreadableError:
            names = []
        level = "parsed"
        evidence = [survey.hub_evidence("branches and tags", ", ".join(names[:8]))] if names else []
    rule = "method.checkpoints"
    if len(names) >= CHECKPOINTS_NEEDED:
        summary = f"{len(names):,} checkpoints of the training are published."
        finding = _finding(rule, "pass", level, summary, evidence)
        return Standing("checkpoints", "all", finding.level, plain(names[0]), finding)
    summary = "No checkpoint between the beginning and the end of the training is published."
    return Standing("checkpoints", "none", "present", "", _finding(rule, "partial", "present", summary, ()))


def _format(survey: Survey) -> Standing:
    """Whether the weights are there, in a form that is read without running what they hold."""
    target = survey.target
    names = [name for name in target.entries if WEIGHTS.search(name)]
    rule, unsafe = "method.weights", pickled(target)
    shown = list(dict.fromkeys([*unsafe, *names]))[:SHOWN]
    evidence = [target.evidence(name, "name and first bytes of the file", name) for name in shown]
    if not names and not unsafe:
        finding = _finding(rule, "fail", "present", "There are no weights in it.", ())
        return Standing("weights", "none", "present", "", finding)
    if unsafe:
        listed = ", ".join(plain(name) for name in unsafe[:SHOWN])
        summary = f"Loading these files runs code that they may hold, since they are pickled: {listed}."
        finding = _finding(rule, "partial", "present", summary, evidence)
    elif false := [name for name, _ in disguised(target)]:
        listed = ", ".join(plain(name) for name in false[:SHOWN])
        summary = (
            f"These files are named as weights and do not begin as such (a git-lfs pointer, or damage): {listed}."
        )
        finding = _finding(rule, "unknown", "parsed", summary, evidence)
    else:
        finding = _finding(
            rule, "pass", "present", "The weights are in a form that runs nothing when read.", evidence
        )
    extent: Extent = "unknown" if finding.verdict == "unknown" else "all"
    return Standing("weights", extent, "present", [*names, *unsafe][0], finding)
