"""Data sets of a hub as sources, against a hub on the loopback."""

import hashlib
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.audit.hub_stand_in import COMMIT
from tests.audit.loopback import Request, Site, site
from tests.corpus.builders import all_documents, run_step, texts

from fonderie.core.errors import InputError, RecipeError
from fonderie.core.recipe import find_sources, load_recipe
from fonderie.core.run import check_recipe
from fonderie.core.steps import find_step
from fonderie.corpus.read import ReadParameters, read

LINES = b"".join(json.dumps({"text": f"Ligne {i}."}).encode() + b"\n" for i in range(3))
NAME = "acme/corpus"


def parquet(*rows: str) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": list(rows)}), buffer)
    return buffer.getvalue()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with site() as place:
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        yield place


def publish(
    place: Site, files: dict[str, bytes], *, large: dict[str, str] | None = None, sha: str = COMMIT
) -> None:
    """A data set at a commit; `large` gives the SHA-256 that the hub states of some files."""
    siblings = [
        {"rfilename": path, "size": len(body), "blobId": "0" * 40}
        | (
            {"lfs": {"size": len(body), "sha256": large[path], "pointerSize": 130}}
            if large and path in large
            else {}
        )
        for path, body in files.items()
    ]
    record = {"id": NAME, "sha": sha, "private": False, "gated": False, "tags": [], "siblings": siblings}
    place.serve(f"/api/datasets/{NAME}/revision/{COMMIT}?blobs=true", json.dumps(record).encode())
    for path, body in files.items():
        place.behave(f"/datasets/{NAME}/resolve/{COMMIT}/{path}", _answer(body))


def _answer(body: bytes):
    etag = f'"{hashlib.sha256(body).hexdigest()}"'

    def behaviour(request: Request) -> None:
        request.answer(200, body, ETag=etag, X_Repo_Commit=COMMIT)

    return behaviour


FILES = {
    "README.md": b"# x",
    "data/b.jsonl": LINES,
    "data/a.parquet": parquet("Un.", "Deux."),
    "old/c.jsonl": LINES,
}


def test_files_are_found_by_pattern_and_hashed_under_their_commit(hub: Site) -> None:
    publish(hub, FILES)
    found = find_sources(f"hf://datasets/{NAME}@{COMMIT}/data/*", Path(), "a.path")
    assert [source.name for source in found] == [
        f"datasets/{NAME}@{COMMIT}/data/a.parquet",
        f"datasets/{NAME}@{COMMIT}/data/b.jsonl",
    ]
    assert found[1].entry.sha256 == f"sha256:{hashlib.sha256(LINES).hexdigest()}"
    everything = find_sources(f"hf://datasets/{NAME}@{COMMIT}", Path(), "a.path")
    assert [source.name.rpartition("@")[2].partition("/")[2] for source in everything] == [
        "data/a.parquet",
        "data/b.jsonl",
        "old/c.jsonl",
    ]
    assert not hub.asked(f"/datasets/{NAME}/resolve/{COMMIT}/README.md")


def test_the_step_reads_tables_by_their_endings(hub: Site, tmp_path: Path) -> None:
    publish(hub, FILES)
    params = ReadParameters.model_validate({"source": "hub", "path": "x", "format": "hub", "licence": "CC0-1.0"})
    artifact, _ = run_step(
        read, params, tmp_path / "out", sources={"path": f"hf://datasets/{NAME}@{COMMIT}/data/*"}
    )
    assert texts(artifact) == ["Un.", "Deux.", "Ligne 0.", "Ligne 1.", "Ligne 2."]
    assert all_documents(artifact)[0].origin == f"datasets/{NAME}@{COMMIT}/data/a.parquet#row1"


def test_what_was_fetched_once_is_not_asked_for_again(hub: Site) -> None:
    publish(hub, FILES)
    address = f"hf://datasets/{NAME}@{COMMIT}/data/*.jsonl"
    first = find_sources(address, Path(), "a.path")
    hub.server.behaviours.clear()
    asked = len(hub.server.seen)
    again = find_sources(address, Path(), "a.path")
    assert [source.entry for source in again] == [source.entry for source in first]
    assert len(hub.server.seen) == asked


def test_a_recipe_names_the_data_set_and_its_commit_enters_the_request(hub: Site, tmp_path: Path) -> None:
    publish(hub, FILES)
    (tmp_path / "r.toml").write_text(
        f'[a]\nstep = "corpus.read"\npath = "hf://datasets/{NAME}@{COMMIT}"\nformat = "hub"\nlicence = "CC0-1.0"\n'
    )
    recipe = load_recipe(tmp_path / "r.toml", [], find_step)
    sources = check_recipe(recipe, ["a"])
    assert all(COMMIT in source.entry.path for source in sources["a"]["path"])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (f"hf://datasets/{NAME}@main/data/*", r"'main' is not a commit of acme/corpus: a branch or tag moves"),
        (f"hf://datasets/{NAME}@{COMMIT[:12]}", "is not a commit"),
        (f"hf://datasets/{NAME}/data/*", "is no data set and no model on a hub"),
        (f"hf://acme@{COMMIT}", "is no data set and no model on a hub"),
        (f"hf://datasets/{NAME}@{COMMIT}/*.csv", r"no file of acme/corpus at \w+ matches \*\.csv"),
    ],
)
def test_an_address_must_pin_a_commit_and_match(hub: Site, address: str, message: str) -> None:
    publish(hub, FILES)
    with pytest.raises(RecipeError, match=message):
        find_sources(address, Path(), "a.path")


def test_a_file_that_is_not_what_the_hub_states_is_refused(hub: Site) -> None:
    publish(hub, FILES, large={"data/b.jsonl": "0" * 64})
    with pytest.raises(
        InputError, match=r"b\.jsonl is not what http://127.* states: sha256:\w+, and the hub says sha256:0+"
    ):
        find_sources(f"hf://datasets/{NAME}@{COMMIT}/data/b.jsonl", Path(), "a.path")


def test_a_hub_that_does_not_have_it_or_shows_another_commit_is_named(hub: Site) -> None:
    with pytest.raises(InputError, match=r"a\.path: http://127.* does not show the data set acme/corpus"):
        find_sources(f"hf://datasets/{NAME}@{COMMIT}", Path(), "a.path")
    publish(hub, FILES, sha="f" * 40)
    with pytest.raises(InputError, match=r"shows f+ of acme/corpus when asked for"):
        find_sources(f"hf://datasets/{NAME}@{COMMIT}", Path(), "a.path")


def test_a_name_outside_the_repository_is_refused(hub: Site) -> None:
    publish(hub, {"../../x.jsonl": LINES})
    with pytest.raises(InputError, match="lies outside it"):
        find_sources(f"hf://datasets/{NAME}@{COMMIT}", Path(), "a.path")


def test_a_file_that_the_hub_does_not_give_is_named(hub: Site) -> None:
    publish(hub, FILES)
    hub.lose(f"/datasets/{NAME}/resolve/{COMMIT}/data/b.jsonl")
    with pytest.raises(InputError, match=r"does not give data/b\.jsonl of acme/corpus"):
        find_sources(f"hf://datasets/{NAME}@{COMMIT}/data/b.jsonl", Path(), "a.path")


def test_a_hub_that_is_not_there_is_named(hub: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listened on
        port = taken.getsockname()[1]
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
        with pytest.raises(InputError, match=rf"a\.path: http://127\.0\.0\.1:{port} does not show") as refused:
            find_sources(f"hf://datasets/{NAME}@{COMMIT}", Path(), "a.path")
    assert "HF_ENDPOINT" in refused.value.hint


def test_a_connection_that_is_cut_is_named_and_nothing_of_the_file_is_taken(
    hub: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import file_download

    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)  # its patience between five attempts
    publish(hub, FILES)
    path = f"/datasets/{NAME}/resolve/{COMMIT}/data/b.jsonl"

    def cut(request: Request) -> None:
        request.send_response(200)
        for name, value in {"Content-Length": "1000000", "ETag": '"b"', "X-Repo-Commit": COMMIT}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(LINES)
        request.close_connection = True

    hub.behave(path, cut)
    address = f"hf://datasets/{NAME}@{COMMIT}/data/b.jsonl"
    with pytest.raises(InputError, match=r"does not give data/b\.jsonl of acme/corpus") as refused:
        find_sources(address, Path(), "a.path")
    assert "Run again" in refused.value.hint
    assert len(hub.asked(path)) > 2
    hub.behave(path, _answer(LINES))
    (whole,) = find_sources(address, Path(), "a.path")
    assert whole.path.read_bytes() == LINES
