"""robots.txt: whether any training agent is kept out of a page, and what its Content-Usage rules say (RFC 9309)."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fonderie.corpus.optout.addresses import Address, escape, matches
from fonderie.corpus.optout.usage import training_allowed

AGENTS = (
    *("AI2Bot", "Applebot-Extended", "Bytespider", "CCBot", "ClaudeBot", "cohere-training-data-crawler", "Diffbot"),
    *("FacebookBot", "meta-externalagent", "Google-Extended", "GPTBot", "PanguBot"),
)
"""Crawlers and tokens whose stated purpose includes training, by their operators' documentation (2025). A site that
keeps one of them out reserves its rights, whoever comes."""
MOST_BYTES = 500 << 10
"""RFC 9309, section 2.5: a parser reads at least so much."""

_BOM = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\xef\xbb\xbf": "utf-8"}
_COMMENT = re.compile(r"[ \t]*#.*")
_USAGE = ("content-usage", "content-signal")
_AGENT = ("user-agent", "useragent")
_PAGE = re.compile(r"\s*<(?:!doctype\s+html|html|head|body|script|title|meta)\b", re.IGNORECASE)
_AGENT_LINE = re.compile(r"\s*user[-\s]*agent[\s:]+([^#]*)", re.IGNORECASE)


class _Usage(NamedTuple):
    agents: frozenset[str]
    """Of its group, lower case; empty for a rule before any group, which then speaks to all."""
    path: str
    value: str


class Robots:
    """One robots.txt, read; unreadable lines are passed over, and nothing in it can raise."""

    def __init__(self, data: bytes, agents: Iterable[str] = AGENTS) -> None:
        from protego import Protego

        self.agents = tuple(agents)
        text = decode(data)
        self.is_page = _PAGE.match(text) is not None
        """It is HTML: a login, a challenge, a home page, where the rules should be; nobody knows those."""
        self._rules = Protego.parse(text)
        self._usage = list(_usage_rules(text))
        self._asked = _that_differ(self.agents, text)

    def refuses(self, address: Address) -> str | None:
        """The first agent that may not fetch the page, or None if all may."""
        url = address.url
        return next((agent for agent in self._asked if not self._rules.can_fetch(url, agent)), None)

    def usage(self, address: Address) -> bool | None:
        """Whether Content-Usage rules allow training on the page: True, False, or None where they do not say.

        Rules of each group are weighed apart, the longest matching path first, as the draft says. Then every group
        that names a training agent or "*" counts, and one "no" is enough.
        """
        ours = {agent.lower() for agent in self.agents} | {"*"}
        longest: dict[frozenset[str], tuple[int, bool]] = {}
        for rule in self._usage:
            if rule.agents and not rule.agents & ours:
                continue
            answer = training_allowed(rule.value)
            if answer is None or not matches(rule.path, address.path):
                continue
            length = len(rule.path.encode())
            before = longest.get(rule.agents, (-1, True))
            if length > before[0] or (length == before[0] and not answer):
                longest[rule.agents] = (length, answer)
        return all(answer for _, answer in longest.values()) if longest else None

    def delay_seconds(self, agent: str) -> float:
        """The Crawl-delay asked of an agent, 0 if none."""
        return float(self._rules.crawl_delay(agent) or 0.0)


def decode(data: bytes) -> str:
    """Text of a small file of the web: UTF-8 or what its byte order mark says, with damage replaced."""
    for mark, encoding in _BOM.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    return data.decode("utf-8", errors="replace")


def _that_differ(agents: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Agents that a file may name, and the first of those that it surely does not: the others fare as that one."""
    found = (_AGENT_LINE.match(line) for line in text.splitlines())
    groups = {match[1].strip().lower().replace("*", "") for match in found if match} - {""}
    unnamed = [agent for agent in agents if not any(group in agent.lower() for group in groups)]
    return tuple(agent for agent in agents if agent not in unnamed[1:])


def _usage_rules(text: str) -> Iterator[_Usage]:
    agents: list[str] = []
    in_rules = False
    for line in text.splitlines():
        label, colon, value = _COMMENT.sub("", line).partition(":")
        label, value = label.strip().lower(), value.strip()
        if not colon:
            continue
        if label in _AGENT:
            if in_rules:
                agents = []
            in_rules = False
            agents.append(value.lower())
            continue
        in_rules = True
        if label in _USAGE and value:
            path, _, rest = value.partition(" ") if value.startswith(("/", "*")) else ("/", "", value)
            # Tabs separate too; a path is mandatory in later drafts and optional in earlier ones.
            path, tab, more = path.partition("\t")
            yield _Usage(frozenset(agents), escape(path), more if tab else rest)
