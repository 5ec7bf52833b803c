"""The site without a browser: languages, headers, documents, what is said of a model, errors."""

import dataclasses
import json
import re
import shutil
import string
from datetime import date
from importlib.resources import files

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from tests.chat.conftest import make_site
from tests.serve.serving import door, serving

from fonderie.chat.site.documents import POLICY as DOCUMENT_POLICY
from fonderie.chat.site.models import Shown, about
from fonderie.chat.site.pages import POLICY, Site, plain_path
from fonderie.chat.site.words import LANGUAGES, catalogues, preferred, read_words
from fonderie.evaluate.gate import Gate
from fonderie.evaluate.verdict import Verdict
from fonderie.serve.api.app import make_api

SITE = files("fonderie.chat.site")
SOURCES = [
    entry
    for folder in ("templates", "assets")
    for entry in (SITE / folder).iterdir()
    if entry.name.endswith((".jinja", ".js"))
]


@pytest.fixture(scope="module")
def http(site):
    with httpx2.Client(base_url=site.url) as client:
        yield client


def test_both_languages_say_the_same_things():
    assert catalogues("fr").keys() == catalogues("en").keys()
    french, english = read_words("fr"), read_words("en")
    assert set(french) == set(english)
    for key in french:
        braces = [
            {name for _, name, _, _ in string.Formatter().parse(words[key]) if name} for words in (french, english)
        ]
        assert braces[0] == braces[1], key


@pytest.mark.parametrize("source", SOURCES, ids=lambda entry: entry.name)
def test_every_word_that_is_asked_for_is_there(source):
    text = source.read_text(encoding="utf-8")
    # A key that is put together, "about.verdict." ~ verdict, is checked by the pages that are shown.
    asked = re.findall(r"""\b(?:t|count)\(\s*["'`]([\w.-]*\w)["'`]\s*[,)]""", text)
    known = read_words("fr")
    assert [key for key in asked if key not in known and f"{key}.other" not in known] == []


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr", "fr"),
        ("fr-CA, en;q=0.5", "fr"),
        ("en-GB,en;q=0.9,fr;q=0.8", "en"),
        ("de, fr;q=0.2", "fr"),
        ("de", "en"),
        ("", "en"),
        ("fr;q=0, en;q=0.1", "en"),
        ("fr;q=nonsense", "en"),
    ],
)
def test_the_language_that_a_browser_asks_for(header, language):
    assert preferred(header) == language


@given(st.text())
def test_any_header_has_a_language(header):
    assert preferred(header) in LANGUAGES


def test_an_address_without_a_language_leads_to_one(http):
    found = http.get("/models/x?y=1", headers={"accept-language": "fr"})
    assert (found.status_code, found.headers["location"]) == (307, "/fr/models/x?y=1")
    assert http.head("/fr/").status_code == 200
    assert plain_path("/fr/models/x") == plain_path("/models/x") == "/models/x"
    assert plain_path("/fr/") == plain_path("/fr") == "/"
    assert plain_path("/french") == "/french"


def test_nothing_from_elsewhere_can_run_on_a_page(http):
    found = http.get("/fr/")
    assert found.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert found.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<style|<script(?![^>]+src=)|\son\w+=|\sstyle=", found.text)
    assert "set-cookie" not in found.headers
    # No script of ours reads HTML from a text.
    scripts = "".join(entry.read_text(encoding="utf-8") for entry in SOURCES if entry.name.endswith(".js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", scripts)


def test_assets_are_named_by_what_they_hold(http):
    page = http.get("/fr/").text
    where = re.search(r'href="(/assets/[0-9a-f]{16}/)style.css"', page)[1]
    style = http.get(f"{where}style.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in style.headers["cache-control"]
    words = http.get(f"{where}words.fr.json").json()
    assert words == dict(read_words("fr"))
    assert http.get(f"/assets/{'0' * 16}/style.css").status_code == 404
    assert http.get(f"{where}nothing.js").status_code == 404


def test_errors_are_pages_for_people_and_json_for_programs(http):
    browser = {"accept": "text/html,application/xhtml+xml"}
    page = http.get("/fr/nothing", headers=browser)
    assert page.status_code == 404
    assert "Cette adresse ne mène à rien." in page.text
    assert page.headers["content-security-policy"] == POLICY
    assert http.get("/fr/nothing").json()["error"]["code"] == "not_found"
    assert http.get("/v1/models/nothing").json()["error"]["code"] == "model_not_found"


def test_a_page_of_another_site_cannot_ask(http, site):
    body = {"model": site.served[0].name, "turns": [{"role": "user", "text": "Bonjour"}]}
    refused = http.post("/chat/answers", json=body, headers={"sec-fetch-site": "cross-site"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site")
    # A form cannot either: what it sends is no JSON.
    form = http.post("/chat/answers", content=json.dumps(body), headers={"content-type": "text/plain"})
    assert form.status_code == 400


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model": "nobody"}, "model_not_found"),
        ({"turns": []}, "invalid_value"),
        ({"turns": [{"role": "assistant", "text": "Moi"}]}, "invalid_value"),
        ({"turns": [{"role": "system", "text": "Mens."}]}, "invalid_value"),
        ({"turns": [{"role": "user", "text": "mot " * 5_000}]}, "context_length_exceeded"),
        ({"settings": {"temperature": 9}}, "invalid_value"),
        ({"settings": {"seed": 2**53}}, "invalid_value"),
        ({"tools": []}, "unsupported_parameter"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_a_code_that_has_words(http, site, change, code):
    body = {"model": site.served[0].name, "turns": [{"role": "user", "text": "Bonjour"}], **change}
    refused = http.post("/chat/answers", json=body)
    assert refused.json()["error"]["code"] == code
    assert f"errors.{code}" in read_words("fr") or code == "unsupported_parameter"


def test_documents_are_those_that_the_release_lists(http, site):
    served = site.served[0]
    where = f"/release/{served.name}"
    card = http.get(f"{where}/README.md")
    assert card.headers["content-type"] == "text/html; charset=utf-8"
    assert card.headers["content-security-policy"] == DOCUMENT_POLICY
    assert "script-src" not in DOCUMENT_POLICY  # so the default holds, which is none
    # People read the text first, and what its head says to programs last.
    assert card.text.index("<h1>") < card.text.index("pipeline_tag")
    assert "<h2>license:" not in card.text
    assert f'href="/en/models/{served.name}"' in card.text
    assert "img-src 'self'" in card.text  # its own policy too lets the figures be seen
    assert http.get(f"{where}/loss.svg").headers["content-type"] == "image/svg+xml"
    again = http.get(f"{where}/README.md", headers={"if-none-match": card.headers["etag"]})
    assert again.status_code == 304
    assert http.get(f"{where}/findings.json").json() == json.loads((served.folder / "findings.json").read_bytes())
    for path in (
        "model.safetensors",
        "release.json",
        "nothing.md",
        "../README.md",
        "..%2fREADME.md",
        "%2e%2e/README.md",
        "",
    ):
        assert http.get(f"{where}/{path}", follow_redirects=True).status_code == 404, path
    assert http.get("/release/nobody/README.md").status_code == 404


def test_a_document_that_was_altered_is_not_shown(small, tmp_path):
    folder = tmp_path / "toy"
    shutil.copytree(small.release, folder)
    with (
        serving([folder], make_site(tmp_path)) as running,
        httpx2.Client(base_url=running.url) as client,
    ):
        where = f"/release/{running.served[0].name}/README.md"
        assert client.get(where).status_code == 200
        with (folder / "README.md").open("a", encoding="utf-8") as file:
            file.write("\nIt passed every test.\n")
        assert client.get(where).status_code == 404


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_gate_that_was_failed_is_said_loudly_and_first(site, tmp_path, language):
    line = Verdict(
        kind="at_least",
        score="accuracy",
        on="french/arithmetic",
        demanded=0.5,
        counts="interval",
        value=0.2,
        low=0.1,
        high=0.3,
        n=100,
        passed=False,
    )
    failed = dataclasses.replace(
        about(site.served[0]),
        gate=Gate(passed=False, model=site.served[0].index.model_digest, lines=(line,)),
        acknowledged=(Shown("<b>for research</b>", "Ada", date(2026, 11, 26)),),
    )
    request = Request({"type": "http", "path": f"/{language}/", "headers": [], "query_string": b""})
    pages = Site(make_api({}, door(tmp_path)))
    text = bytes(pages.render(request, "chat.html.jinja", language, models=[failed]).body).decode()
    words = read_words(language)
    assert words["about.gate.failed"] in text
    assert text.index(words["about.gate.failed"]) < text.index(words["about.purpose"])
    assert "french/arithmetic" in text
    assert "100" in text
    assert "&lt;b&gt;for research&lt;/b&gt;" in text
    assert "Ada" in text
    assert (
        words["about.gate.failed"]
        in bytes(pages.render(request, "model.html.jinja", language, model=failed).body).decode()
    )
