"""What each kind of signal says; nothing that a server sends may raise, and a "no" wins."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from fonderie.corpus.optout import noai, tdmrep
from fonderie.corpus.optout.addresses import Address, matches, parse_address, stated_url
from fonderie.corpus.optout.page import head_of, metas
from fonderie.corpus.optout.robots import AGENTS, Robots
from fonderie.corpus.optout.usage import FORMERLY, training_allowed


def at(path: str) -> Address:
    found = parse_address(f"https://exemple.fr{path}")
    assert found is not None
    return found


# Addresses


@pytest.mark.parametrize(
    ("url", "site", "path"),
    [
        ("https://Exemple.FR", "https://exemple.fr", "/"),
        ("HTTP://exemple.fr:80/a?b=c#d", "http://exemple.fr", "/a?b=c"),
        ("https://exemple.fr:8443/é", "https://exemple.fr:8443", "/%C3%A9"),
        ("https://exemple.fr/%C3%A9/%7Ea", "https://exemple.fr", "/%C3%A9/~a"),
        ("https://user:secret@exemple.fr./", "https://exemple.fr", "/"),
        ("https://électre.fr/", "https://xn--lectre-9ua.fr", "/"),
        ("http://[::1]:80/x", "http://[::1]", "/x"),
    ],
)
def test_an_address_has_one_site_and_one_path(url: str, site: str, path: str) -> None:
    found = parse_address(url)
    assert found is not None
    assert (found.site, found.path) == (site, path)


@pytest.mark.parametrize(
    "url", ["", "exemple.fr", "ftp://exemple.fr/", "http://", "http://[", "http://a:99999999/", "http://a b/"]
)
def test_what_is_no_address_is_none(url: str) -> None:
    assert parse_address(url) is None


def test_pages_are_asked_for_as_they_were_written() -> None:
    assert at("/a%2Fb?q=%3F").url == "https://exemple.fr/a%2Fb?q=%3F"


def test_only_documents_from_the_web_are_concerned() -> None:
    assert stated_url("crawl.warc.gz#record-7", {"url": "https://exemple.fr/"}) == "https://exemple.fr/"
    assert stated_url("https://exemple.fr/a", {}) == "https://exemple.fr/a"
    assert stated_url("romans/zola.txt", {}) is None
    assert stated_url("crawl.warc.gz#record-7", {"url": "dns:exemple.fr"}) is None


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("/", "/a", True),
        ("/a", "/b", False),
        ("/*.pdf$", "/a/b.pdf", True),
        ("/*.pdf$", "/a/b.pdf?x", False),
        ("/*.pdf", "/a/b.pdf?x", True),
        ("*", "/a", True),
        ("/a$", "/a", True),
        ("/a$", "/ab", False),
        ("/*a*b$", "/xaxb", True),
        ("/a*a$", "/a", False),
        ("", "/a", True),
    ],
)
def test_patterns_match_as_rfc_9309_says(pattern: str, path: str, found: bool) -> None:
    assert matches(pattern, path) is found


def test_no_pattern_takes_for_ever() -> None:
    began = time.perf_counter()
    assert not matches("/" + "*a" * 5_000 + "b", "/" + "a" * 100_000)
    assert time.perf_counter() - began < 2


# robots.txt


@pytest.mark.parametrize("agent", AGENTS)
def test_one_training_agent_kept_out_is_enough(agent: str) -> None:
    robots = Robots(f"User-agent: *\nAllow: /\n\nUser-agent: {agent.upper()}\nDisallow: /\n".encode())
    assert robots.refuses(at("/a")) == agent


def test_a_disallow_for_all_concerns_training_agents_but_one_for_a_search_engine_does_not() -> None:
    assert Robots(b"User-agent: *\nDisallow: /*.pdf$").refuses(at("/a.pdf"))
    assert Robots(b"User-agent: *\nDisallow: /*.pdf$").refuses(at("/a.html")) is None
    assert Robots(b"User-agent: Bingbot\nDisallow: /").refuses(at("/")) is None
    assert Robots(b"").refuses(at("/")) is None


def test_marks_of_byte_order_hide_no_rule() -> None:
    rules = "User-agent: *\nDisallow: /"
    for data in (b"\xef\xbb\xbf" + rules.encode(), b"\xff\xfe" + rules.encode("utf-16-le")):
        assert Robots(data).refuses(at("/"))


USAGE = b"""
User-Agent: *
Allow: /
Content-Usage: / train-ai=n
Content-Usage: /ouvert/ train-ai=y

User-Agent: Bingbot
Content-Usage: train-ai=n
"""


def test_content_usage_rules_go_by_the_longest_path() -> None:
    robots = Robots(USAGE)
    assert robots.usage(at("/a")) is False
    assert robots.usage(at("/ouvert/a")) is True
    assert Robots(b"User-agent: Bingbot\nContent-Usage: train-ai=n").usage(at("/a")) is None


def test_content_usage_that_contradicts_itself_says_no() -> None:
    for pair in (("n", "y"), ("y", "n")):
        lines = "\n".join(f"Content-Usage: /a train-ai={answer}" for answer in pair)
        assert Robots(f"User-agent: *\n{lines}".encode()).usage(at("/a")) is False
        groups = "\n\n".join(
            f"User-agent: {agent}\nContent-Usage: / train-ai={answer}"
            for agent, answer in zip(("GPTBot", "*"), pair, strict=True)
        )
        assert Robots(groups.encode()).usage(at("/a")) is False


def test_content_usage_is_found_in_every_form_that_drafts_gave_it() -> None:
    for line in (
        "Content-Usage: train-ai=n",
        "content-usage:/ \ttrain-ai=n # non",
        "Content-Usage: / train-genai=n",
    ):
        assert Robots(f"User-agent: *\n{line}".encode()).usage(at("/a")) is False
    assert Robots(b"User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /").usage(at("/a")) is False
    assert Robots(b"Content-Usage: train-ai=n").usage(at("/a")) is False


@given(st.binary(max_size=400), st.text(max_size=40))
def test_no_robots_txt_can_raise(data: bytes, path: str) -> None:
    robots = Robots(data)
    address = at("/" + path.replace("#", "").replace("\\", ""))
    robots.refuses(address)
    robots.usage(address)


LINES = st.lists(
    st.sampled_from(
        ["User-agent: *", "User-agent: GPTBot", "Allow: /", "Allow: /a", "Crawl-delay: 3", "# rien", "x", ""]
    ),
    max_size=12,
)


@given(LINES, st.sampled_from(["GPTBot", "CCBot", "Google-Extended"]))
def test_a_disallow_wins_whatever_stands_before_it(lines: list[str], agent: str) -> None:
    if "User-agent: GPTBot" in lines and agent == "GPTBot":
        # Rules of one agent's groups are merged, and a longer or equal "Allow" of its own is the site's own word.
        lines = [line for line in lines if not line.startswith("Allow")]
    text = "\n".join([*lines, "Sitemap: /s", "", f"User-agent: {agent}", "Disallow: /"])
    if lines and lines[-1].startswith("User-agent"):
        text = text.replace("Sitemap: /s", "Crawl-delay: 1")
    assert Robots(text.encode()).refuses(at("/b")) is not None


RULES = st.lists(
    st.sampled_from(
        [
            *(
                "User-agent: *",
                "user agent GPTBot",
                "USERAGENT: meta",
                "User-agent: bot",
                "User-agent: *GPTBot*",
                "\r",
            ),
            *(
                "User-agent: Google",
                "\x0buser-agent:CCBot # a",
                "Disallow: /",
                "Disallow: /b",
                "Allow: /",
                "Allow: /b$",
            ),
        ]
    ),
    max_size=14,
)


@given(RULES)
def test_agents_that_fare_alike_are_asked_for_once(lines: list[str]) -> None:
    text = "\n".join(lines)
    kept_out = [agent for agent in AGENTS if not Protego.parse(text).can_fetch("https://exemple.fr/b", agent)]
    assert Robots(text.encode()).refuses(at("/b")) == (kept_out[0] if kept_out else None)


# TDMRep


def test_tdmrep_goes_by_the_first_rule_that_matches() -> None:
    rules = tdmrep.read_file(
        json.dumps(
            [
                {"location": "/libre/*", "tdm-reservation": 0},
                {"location": "/*.jpg$", "tdm-reservation": 2},
                {"location": 3, "tdm-reservation": 1},
                {"location": "/", "tdm-reservation": 1, "tdm-policy": "https://exemple.fr/p.json"},
            ]
        ).encode()
    )
    assert rules is not None
    assert tdmrep.of_file(rules, "/libre/a") is False
    assert tdmrep.of_file(rules, "/a.jpg") is True
    assert tdmrep.of_file((), "/a") is None


@pytest.mark.parametrize("value", [2, -1, 0.5, True, None, "0", "oui", [1]])
def test_an_invalid_reservation_is_unset(value: object) -> None:
    assert tdmrep.read_file(json.dumps([{"location": "/", "tdm-reservation": value}]).encode()) == ()


@pytest.mark.parametrize("data", [b"<html>", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5_000, b"\xff\xfe\x00"])
def test_a_file_that_is_no_json_is_unset(data: bytes) -> None:
    assert not tdmrep.read_file(data)


def test_a_rule_with_half_a_character_does_not_raise() -> None:
    assert tdmrep.read_file(b'[{"location": "/\\ud800", "tdm-reservation": 1}]')


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["location", "tdm-reservation", "a"]), x),
    )
)
def test_no_tdmrep_file_can_raise(content: object) -> None:
    rules = tdmrep.read_file(json.dumps(content).encode())
    assert rules is None or tdmrep.of_file(rules, "/a") in (True, False, None)


@given(st.binary(max_size=200))
def test_no_bytes_can_raise(data: bytes) -> None:
    tdmrep.read_file(data)
    noai.of_file(noai.refused_patterns(data), "/a")
    metas(head_of(data)[0])


def test_fields_of_a_page_reserve_allow_or_say_nothing() -> None:
    assert tdmrep.of_page({"tdm-reservation": "1"}) is True
    assert tdmrep.of_page({"tdm-reservation": " 0 "}) is False
    assert tdmrep.of_page({"tdm-reservation": "0, 1"}) is True
    assert tdmrep.of_page({"tdm-reservation": "yes"}) is None
    assert tdmrep.of_page({}) is None


# Content-Usage


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("train-ai=n", False),
        ("train-ai=y", True),
        ("search=n", None),
        ("search=y, train-ai=n;since=2026", False),
        ("train-ai=y, train-ai=n", False),
        ("train-ai=n, train-ai=y", False),
        ("TRAIN-AI = N", False),
        ("tdm=n, train-ai=y", True),
        ("ai=n", False),
        ('=,;"', None),
        ("train-ai", None),
        ("", None),
    ],
)
def test_content_usage_says_yes_no_or_nothing(value: str, said: bool | None) -> None:
    assert training_allowed(value) is said


@given(st.text(), st.text())
def test_a_no_stands_whatever_is_beside_it(before: str, after: str) -> None:
    assert training_allowed(f"{before},train-ai=n,{after}") is False
    assert training_allowed(before) in (True, False, None)


def test_names_of_earlier_drafts_count() -> None:
    assert all(training_allowed(f"{name}=n") is False for name in FORMERLY)


# ai.txt and noai


def test_ai_txt_disallows_by_path_or_by_kind_of_file() -> None:
    patterns = noai.refused_patterns(b"# Spawning\nUser-Agent: *\nDisallow: *.html\nDisallow: /prive\nAllow: /\n")
    assert noai.of_file(patterns, "/a.html")
    assert noai.of_file(patterns, "/article")
    assert noai.of_file(patterns, "/prive/a.txt")
    assert not noai.of_file(patterns, "/a.txt")
    assert noai.of_file(noai.refused_patterns(b"disallow:*"), "/a.txt")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("noai", True),
        ("noindex, NoAI, noimageai", True),
        ("GPTBot: noindex", True),
        ("googlebot: noindex, gptbot: none", True),
        ("noindex, nofollow", False),
        ("googlebot: noindex", False),
        ("noimageai", False),
        ("unavailable_after: 25 Jun 2030 15:00:00 GMT, noai", True),
    ],
)
def test_x_robots_tag(value: str, said: bool) -> None:
    assert noai.in_header({"x-robots-tag": value}) is said


def test_metas_of_a_page() -> None:
    html = b'<!doctype html><head><META NAME=Robots content="noindex, noai"><meta name="tdm-reservation" content=1>'
    head, whole = head_of(html + b"<body class=a>texte")
    assert whole
    assert head == html
    assert metas(head) == {"robots": "noindex, noai", "tdm-reservation": "1"}
    assert noai.in_meta(metas(head))
    assert noai.in_meta({"ccbot": "noindex"})
    assert noai.in_meta({"noai": "1"})
    assert not noai.in_meta({"noai": "false"})
    assert not noai.in_meta({"robots": "noindex"})
