"""Markdown in the browser: what chat models write is shown as they mean it, and nothing in it can do anything."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

SHOW = """([where, sources]) => import(where).then(({ show }) => sources.map((source) => {
  const element = document.createElement("div");
  show(element, source);
  return element.innerHTML.replaceAll(' dir="auto"', "");
}))"""
GROW = """([where, source]) => import(where).then(({ show }) => {
  const grown = document.createElement("div");
  for (let length = 0; length <= source.length; length += 1) show(grown, source.slice(0, length));
  const whole = document.createElement("div");
  show(whole, source);
  return [grown.innerHTML, whole.innerHTML];
})"""
INSPECT = """([where, sources]) => import(where).then(({ show }) => sources.flatMap((source) => {
  const element = document.createElement("div");
  show(element, source);
  return [...element.querySelectorAll("*")].map((one) => [one.tagName.toLowerCase(), [...one.attributes].map((a) => [a.name, a.value])]);
}))"""
TEXT = {"p", "br", "strong", "em", "s", "code", "pre", "blockquote", "h4", "h5", "h6", "hr", "a", "ul", "ol", "li"}
TAGS = TEXT | {"div", "span", "button", "table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {"class", "href", "rel", "target", "type", "tabindex", "role", "aria-label", "scope", "start", "dir"}
MARKS = [
    "*",
    "**",
    "_",
    "`",
    "```",
    "~~",
    "[",
    "](",
    ")",
    "!",
    "<",
    ">",
    "|",
    "|-|",
    "\n",
    "\n\n",
    "- ",
    "1. ",
    "# ",
    "> ",
]
HOSTILE = [
    "javascript:alert(1)",
    "<script>",
    "<img src=x onerror=alert(1)>",
    "data:text/html,x",
    "&lt;",
    "\u0000",
    "\u202e",
]
FRAGMENTS = st.sampled_from([*MARKS, *HOSTILE, "  ", "\\", "mot", "été", "👍", "https://a.example/x"])


@pytest.fixture(scope="module")
def page(chromium, site):
    """One page for all of these; they touch nothing of it."""

    def start():
        made = chromium.browser.new_page()
        made.goto(f"{site.url}/fr/")
        return made

    found = chromium.run(start)
    yield found
    chromium.run(found.close)


def where(page: Page) -> str:
    return page.locator("script[type=module]").first.get_attribute("src").replace("app.js", "markdown.js")


def shown(page: Page, source: str) -> str:
    return page.evaluate(SHOW, [where(page), [source]])[0]


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("Un **mot** et *un autre*.", "<p>Un <strong>mot</strong> et <em>un autre</em>.</p>"),
        ("***les deux***", "<p><strong><em>les deux</em></strong></p>"),
        ("un_nom_de_variable et 2 * 3 * 4", "<p>un_nom_de_variable et 2 * 3 * 4</p>"),
        ("première\nseconde", "<p>première<br>seconde</p>"),
        ("# Titre", "<h4>Titre</h4>"),
        ("un\n\ndeux", "<p>un</p><p>deux</p>"),
        ("- un\n- deux\n  - trois", "<ul><li>un</li><li>deux<ul><li>trois</li></ul></li></ul>"),
        ("2. deux\n3. trois", '<ol start="2"><li>deux</li><li>trois</li></ol>'),
        ("> cité\n> encore", "<blockquote><p>cité<br>encore</p></blockquote>"),
        ("`a < b`", "<p><code>a &lt; b</code></p>"),
        ("\\*pas en italique\\*", "<p>*pas en italique*</p>"),
        ("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"),
        ("<b>gras</b>", "<p>&lt;b&gt;gras&lt;/b&gt;</p>"),
        ("**pas fini", "<p>**pas fini</p>"),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"),
        ("[a](data:text/html,x)", "<p>[a](data:text/html,x)</p>"),
        ("[a](//elsewhere.example)", "<p>[a](//elsewhere.example)</p>"),
    ],
)
def test_what_is_written_is_what_is_shown(visit, page, source, html):
    assert shown(page, source) == html


def test_each_block_is_read_the_way_it_is_written(visit, page):
    sides = page.evaluate(
        """([where, source]) => import(where).then(({ show }) => {
          const element = document.createElement("div");
          document.body.append(element);
          show(element, source);
          const sides = [...element.children].map((block) => getComputedStyle(block).direction);
          element.remove();
          return sides;
        })""",
        [where(page), "un **mot**\n\nكلمة **word**\n\n- واحد\n- two\n\n> اقتباس\n\n```\nواحد\n```"],
    )
    assert sides == ["ltr", "rtl", "rtl", "rtl", "ltr"]


def test_links_lead_out_and_say_nothing_of_where_they_were(visit, page):
    link = '<a href="https://a.example/b" rel="noopener noreferrer nofollow ugc" target="_blank">{}</a>'
    assert shown(page, "[mot](https://a.example/b)") == f"<p>{link.format('mot')}</p>"
    assert shown(page, "Voir https://a.example/b.") == f"<p>Voir {link.format('https://a.example/b')}.</p>"
    assert shown(page, "<https://a.example/b>") == f"<p>{link.format('https://a.example/b')}</p>"


def test_a_picture_is_a_link_because_loading_it_would_tell(visit, page):
    assert "<img" not in shown(page, "![mot](https://a.example/b.png)")
    assert ">mot</a>" in shown(page, "![mot](https://a.example/b.png)")


def test_code_and_tables(visit, page):
    code = shown(page, "```python\nif a < b:\n    pass\n```\naprès")
    assert '<pre tabindex="0" role="region" aria-label="Code"><code>if a &lt; b:\n    pass</code></pre>' in code
    assert "<span>python</span>" in code
    assert code.endswith("<p>après</p>")
    table = shown(page, "| a | b |\n|---|--:|\n| 1 | **2** |")
    assert '<th scope="col">a</th><th class="right" scope="col">b</th>' in table
    assert '<td>1</td><td class="right"><strong>2</strong></td>' in table


@pytest.mark.parametrize(
    "source",
    [
        "*" * 3_000,
        "[" * 3_000,
        "`" * 2_999 + "a",
        "> " * 2_000,
        "- " * 2_000,
        "_a" * 2_000,
        "|-" * 2_000,
        "**a " * 2_000,
    ],
)
def test_what_is_made_to_take_long_does_not(visit, page, source):
    # Time that grows with the square of the length is well below a second here; what doubles with each mark would
    # never return.
    assert shown(page, source)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sources=st.lists(st.lists(FRAGMENTS, max_size=20).map("".join), max_size=20))
def test_nothing_but_harmless_elements(visit, page, sources):
    for tag, attributes in page.evaluate(INSPECT, [where(page), sources]):
        assert tag in TAGS
        for name, value in attributes:
            assert name in ATTRIBUTES
            assert name != "href" or re.match(r"(https?|mailto):", value)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=st.lists(FRAGMENTS, max_size=25).map("".join))
def test_grown_piece_by_piece_it_looks_the_same(visit, page, source):
    grown, whole = page.evaluate(GROW, [where(page), source])
    assert grown == whole
