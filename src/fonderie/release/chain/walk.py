"""All links of a release, from the weights to the sources, in their order."""

from fonderie.release.chain.documents import check_documents, check_sources
from fonderie.release.chain.links import Link, Walk, link
from fonderie.release.chain.training import (
    OF_OTHERS,
    WEIGHTS,
    check_base,
    check_checkpoints,
    check_commitment,
    check_log,
    check_of_others,
    check_weights,
)
from fonderie.release.layout import BASE, CHECKPOINTS, DOCUMENTS, TOKENS, TRAINING
from fonderie.train.record.commitment import COMMITMENT, LOG

LINKS = (
    ("weights", "model.safetensors", CHECKPOINTS, check_weights),
    ("checkpoints", CHECKPOINTS, f"{TRAINING}/{LOG}", check_checkpoints),
    ("log", f"{TRAINING}/{LOG}", f"{TRAINING}/{COMMITMENT}", check_log),
    ("tokens", f"{TRAINING}/{COMMITMENT}", TOKENS, check_commitment),
    ("documents", TOKENS, DOCUMENTS, check_documents),
    ("sources", DOCUMENTS, "sources", check_sources),
)


def walk_links(walk: Walk) -> list[Link]:
    """Every link, the broken ones too: the first of them is where to look. A base's follow those of its heir."""
    if _of_others(walk):
        return [link(walk, "weights", WEIGHTS, "elsewhere", check_of_others)]
    links = [link(walk, name, upper, lower, check) for name, upper, lower, check in LINKS]
    if f"{TRAINING}/{COMMITMENT}" in walk.folder.files and _has_base(walk):
        links.append(link(walk, "base", f"{TRAINING}/{COMMITMENT}", f"{BASE}{WEIGHTS}", check_base))
    return [*links, *(walk_links(walk.base) if walk.base else [])]


def _of_others(walk: Walk) -> bool:
    """Whether the weights are of no training here: brought by model.import, at most with other tables."""
    return walk.model is not None and walk.model.step in OF_OTHERS and not walk.model.inputs.get("tokens")


def _has_base(walk: Walk) -> bool:
    return walk.index.base is not None or (walk.model is not None and bool(walk.model.inputs.get("model")))
