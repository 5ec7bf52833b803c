"""Content-Usage: preferences about training, in a header or in robots.txt (drafts of the IETF's aipref group).

The vocabulary is still a draft, so its reading is versioned, and lenient in one direction only: what cannot be
parsed is passed over, but a "no" to training that can be found stands, whatever is beside it.
"""

DRAFTS = "draft-ietf-aipref-vocab-06, draft-ietf-aipref-attach-04"
"""What this follows; another draft that gives other answers raises the step's version."""
TRAINING = "train-ai"
FORMERLY = ("train-genai", "genai", "ai", "tdm", "bots", "all")
"""Names that earlier drafts of the vocabulary had for training, or for more than training."""
SIGNAL = "ai-train"
"""Of Content-Signal in robots.txt: the same intent in other words (draft-romm-aipref-contentsignals-00)."""
_NO = ("n", "no", "?0")
_YES = ("y", "yes", "?1")


def training_allowed(value: str) -> bool | None:
    """What a Content-Usage or Content-Signal value says of training: True, False, or None where it says nothing.

    A dictionary of RFC 9651 (section 3.2). Where one name occurs twice, as in several fields joined, "no" wins: the
    vocabulary's rule for combining. `train-ai` stands before the wider names of earlier drafts.
    """
    said: dict[str, bool] = {}
    for member in value.split(","):
        name, _, rest = member.partition("=")
        answer = rest.partition(";")[0].strip().lower()
        key = name.strip().lower()
        if answer in _NO:
            said[key] = False
        elif answer in _YES:
            said.setdefault(key, True)
    own = [said[name] for name in (TRAINING, SIGNAL) if name in said]
    if own:
        return all(own)
    return False if any(said.get(name) is False for name in FORMERLY) else None
