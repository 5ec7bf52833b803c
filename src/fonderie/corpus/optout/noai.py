"""ai.txt and "noai": conventions without a standard, honoured as far as they can be understood.

ai.txt (Spawning, 2023) looks like robots.txt, with patterns for kinds of files; "noai" (DeviantArt, 2022) is a
directive of X-Robots-Tag and of <meta name="robots">.
"""

import re
from collections.abc import Iterable, Mapping

from fonderie.corpus.optout.addresses import escape, matches
from fonderie.corpus.optout.robots import AGENTS, decode

_DISALLOW = re.compile(r"[ \t]*disallow[ \t]*:[ \t]*([^\s#]+)", re.IGNORECASE)
_CLOSED = frozenset({"noai", "noindex", "none"})
"""To a training agent by name, each of these says: not for your index, which is what it trains on."""
_FALSE = ("0", "false", "no", "off")
_DIRECTIVES_WITH_VALUES = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")


def refused_patterns(data: bytes) -> tuple[str, ...]:
    """Every pattern that an ai.txt disallows to anyone; its "Allow" lines lift nothing."""
    found = (_DISALLOW.match(line) for line in decode(data).splitlines())
    patterns = (match[1] for match in found if match)
    return tuple(escape(pattern if pattern.startswith(("/", "*")) else f"/{pattern}") for pattern in patterns)


def of_file(patterns: Iterable[str], path: str) -> bool:
    """Whether a page is disallowed; one without a suffix is taken for the HTML that it is."""
    plain = path.partition("?")[0]
    name = plain.rpartition("/")[2]
    forms = [path, plain] if "." in name else [path, plain, f"{plain}.html"]
    return any(matches(pattern, form) for pattern in patterns for form in forms)


def in_header(headers: Mapping[str, str]) -> bool:
    """Whether X-Robots-Tag says noai to anyone, or keeps a training agent out by name."""
    agent = ""
    for part in headers.get("x-robots-tag", "").lower().split(","):
        name, colon, directive = part.partition(":")
        if colon and name.strip() not in _DIRECTIVES_WITH_VALUES:
            agent, part = name.strip(), directive  # noqa: PLW2901
        if _says_no(agent, part.split()):
            return True
    return False


def in_meta(metas: Mapping[str, str]) -> bool:
    """Whether a <meta> of the page says so; names are in lower case."""
    for name, content in metas.items():
        words = re.split(r"[\s,;]+", content.lower())
        if _says_no(name, words) or (name == "noai" and content.strip().lower() not in _FALSE):
            return True
    return False


def _says_no(agent: str, words: Iterable[str]) -> bool:
    said = {word.strip() for word in words}
    return "noai" in said or (agent in _TRAINING and not said.isdisjoint(_CLOSED))


_TRAINING = frozenset(agent.lower() for agent in AGENTS)
