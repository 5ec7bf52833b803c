"""A hub on the loopback: what is asked of it, what of its answers counts, and what a bad one can do."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.audit.folders import card, licence_text, look, rules, verdicts, washed
from tests.audit.hub_stand_in import COMMIT, publish
from tests.audit.loopback import Request, Site, site

from fonderie.audit import hub as hub_module
from fonderie.audit.hub import Hub
from fonderie.core.errors import UsageError

MIT = licence_text("MIT")
DATA = {"dataset_info": {"features": [{"name": "text"}, {"name": "license"}]}}


@pytest.fixture
def place() -> Iterator[Site]:
    with site() as made:
        yield made


def of(place: Site) -> Hub:
    return Hub(endpoint=place.url)


def test_a_repository_is_pinned_and_its_weights_are_never_asked_for(place: Site) -> None:
    publish(
        place,
        "acme/model",
        {"README.md": card(license="mit"), "LICENSE": MIT, "model.safetensors": b"w", "pytorch_model.bin": b"p"},
        revisions=("v1",),
    )
    report = look("acme/model", of(place), revision="v1")
    assert report.subject.revision == COMMIT
    assert report.subject.place == f"{place.url}/acme/model"
    assert report.criteria["use"].verdict == "pass"
    asked = [path for _, path, _ in place.server.seen]
    assert not [path for path in asked if "model.safetensors" in path or ".bin" in path]
    assert f"/acme/model/resolve/{COMMIT}/LICENSE" in asked
    assert all("authorization" not in {name.casefold() for name in headers} for _, _, headers in place.server.seen)
    weights = next(item for item in report.findings if item.rule == "method.weights")
    assert weights.verdict == "partial"
    assert all(item.sha256.startswith("sha256:") for item in weights.evidence)


def test_the_endpoint_comes_from_the_environment(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(place, "acme/model", {"README.md": card(license="mit")})
    monkeypatch.setenv("HF_ENDPOINT", place.url)
    assert look("acme/model").subject.place == f"{place.url}/acme/model"


@pytest.mark.parametrize(("gated", "verdict"), [(False, "pass"), ("auto", "partial"), ("manual", "fail")])
def test_gates(place: Site, gated: bool | str, verdict: str) -> None:
    publish(
        place,
        "acme/model",
        {"README.md": card("An open-source model.", license="mit"), "LICENSE": MIT},
        gated=gated,
    )
    report = look("acme/model", of(place))
    assert report.criteria["use"].verdict == verdict
    assert ("open_with_gate" in washed(report)) == bool(gated)


def test_a_gated_card_is_read_from_the_hubs_answer(place: Site) -> None:
    publish(
        place,
        "acme/model",
        {"README.md": card(license="llama3"), "LICENSE": MIT},
        gated="manual",
        cardData={"license": "llama3", "extra_gated_prompt": "Accept the terms"},
    )
    for name in ("README.md", "LICENSE"):
        place.status(f"/acme/model/resolve/{COMMIT}/{name}", 401, X_Error_Code="GatedRepo")
    report = look("acme/model", of(place))
    assert rules(report, "fail") >= {"use.card_licence", "use.gate", "use.hub_gate"}
    declared = next(item for item in report.findings if item.rule == "use.card_licence")
    assert declared.evidence[0].path == "/api/models/acme/model"
    assert any("LICENSE" in item.summary for item in report.hazards)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"cardData": {"license": "cc-by-4.0"}}, "partial"),
        ({"cardData": {"license": "cc-by-4.0", **DATA}}, "partial"),
        ({"cardData": {"license": "cc-by-nc-4.0"}}, "fail"),
        ({"cardData": {}}, "unknown"),
        ({"cardData": {"license": "cc-by-4.0"}, "gated": "auto"}, "partial"),
        ({"cardData": {"license": "cc-by-4.0"}, "siblings": []}, "fail"),
        (None, "fail"),
    ],
    ids=["free", "licence by row", "non-commercial", "unlicensed", "gated", "empty", "not there"],
)
def test_each_data_set_is_looked_up(place: Site, answer: dict[str, object] | None, verdict: str) -> None:
    publish(place, "acme/model", {"README.md": card("An open-source model.", license="mit", datasets=["acme/web"])})
    if answer is not None:
        publish(place, "acme/web", {"data/0.parquet": b"PAR1", "README.md": "x"}, kind="datasets", **answer)
    report = look("acme/model", of(place))
    assert report.criteria["data"].verdict == verdict
    if verdict == "fail":
        assert washed(report) & {"open_with_data", "open_with_missing_data"} or (answer or {}).get("siblings") == []


def test_a_data_card_that_is_non_commercial_under_a_free_model_is_washing(place: Site) -> None:
    publish(place, "acme/model", {"README.md": card("A model.", license="apache-2.0", datasets=["acme/web"])})
    publish(place, "acme/web", {"a.parquet": b"PAR1"}, kind="datasets", cardData={"license": "cc-by-nc-sa-4.0"})
    (found,) = [item for item in look("acme/model", of(place)).contradictions if item.criterion == "data"]
    assert [item.path for item in found.evidence] == ["README.md", "/api/datasets/acme/web"]
    assert "cc-by-nc-sa-4.0" in found.evidence[1].excerpt


def test_what_a_hub_leaves_empty(place: Site) -> None:
    publish(place, "acme/model", {}, cardData=None, tags=None, siblings=None, gated=None)
    assert verdicts(look("acme/model", of(place))) == {"use": "unknown", "data": "fail", "method": "fail"}


def test_a_base_model_is_a_name_and_no_address(place: Site) -> None:
    publish(place, "acme/model", {"README.md": card(license="mit", base_model="../../secret?x=1")})
    look("acme/model", of(place))
    assert not [path for _, path, _ in place.server.seen if "secret" in path]


def test_branches_are_checkpoints(place: Site) -> None:
    branches = ("main", "step1000", "step2000", "step3000")
    publish(place, "acme/model", {"README.md": card(license="mit")}, branches=branches)
    assert "method.checkpoints" in rules(look("acme/model", of(place)), "pass")


def test_the_base_models_licence_is_asked_for(place: Site) -> None:
    publish(place, "acme/model", {"README.md": card(license="mit", base_model="other/base")})
    publish(place, "other/base", {}, cardData={"license": "cc-by-nc-4.0"})
    assert "base_model" in washed(look("acme/model", of(place)))


def test_the_hubs_page_says_something_else(place: Site) -> None:
    publish(place, "acme/model", {"README.md": card(license="mit")}, tags=["license:apache-2.0"])
    assert "hub_tag" in washed(look("acme/model", of(place)))


def test_names_that_leave_the_repository_are_refused(place: Site) -> None:
    publish(
        place,
        "acme/model",
        {"README.md": card(license="mit"), "../../LICENSE": "x", "/etc/LICENSE": "x", "a\x1bLICENSE": "x"},
    )
    report = look("acme/model", of(place))
    assert "not a name inside a repository" in report.model_dump_json()
    assert not [path for _, path, _ in place.server.seen if path.endswith("LICENSE")]


def test_a_text_without_end_is_left(place: Site) -> None:
    publish(place, "acme/model", {"README.md": card(license="mit"), "LICENSE": "x"})

    def endless(request: Request) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"never " * 10_000)
        except OSError:
            request.close_connection = True

    place.behave(f"/acme/model/resolve/{COMMIT}/LICENSE", endless)
    report = look("acme/model", of(place))
    assert report.criteria["use"].verdict == "unknown"
    assert "more than 2,097,152 bytes" in report.model_dump_json()


def test_a_hub_that_stalls_is_left(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "REQUEST_SECONDS", 0.2)
    publish(place, "acme/model", {"README.md": card(license="mit"), "LICENSE": "x"})
    place.behave(f"/acme/model/resolve/{COMMIT}/LICENSE", lambda request: request.server.released.wait(30) and None)
    assert look("acme/model", of(place)).criteria["use"].verdict == "unknown"


def test_an_audit_ends_at_its_hour(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "ALL_SECONDS", -1.0)
    with pytest.raises(UsageError, match="the audit has taken"):
        look("acme/model", of(place))


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b"[" * 100_000, b'{"id": 1}', b'{"id": "a", "sha": "main"}', b"\xff", b"9" * 10_000],
    ids=range(8),
)
def test_an_answer_that_is_none(place: Site, answer: bytes) -> None:
    place.serve("/api/models/acme/model?blobs=true", answer)
    with pytest.raises(UsageError):
        look("acme/model", of(place))


def test_an_answer_that_is_too_long(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "ANSWER_LIMIT_BYTES", 1_000)
    place.serve("/api/models/acme/model?blobs=true", json.dumps({"id": "x" * 2_000}).encode())
    with pytest.raises(UsageError, match="more than 1,000 bytes"):
        look("acme/model", of(place))


def test_too_many_files_are_refused(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "FILES_LIMIT", 10)
    publish(place, "acme/model", {f"{number}.txt": "" for number in range(20)})
    with pytest.raises(UsageError, match="more than 10 files"):
        look("acme/model", of(place))


def test_no_such_repository_and_no_hub(place: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="neither a path here nor a public repository"):
        look("acme/model", of(place))
    with pytest.raises(UsageError, match="cannot be read"):
        look("acme/model", Hub(endpoint="http://127.0.0.1:9"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="offline"):
        look("acme/model", of(place))


def test_sizes_beyond_reason_are_not_fetched(place: Site) -> None:
    publish(place, "acme/model", {"README.md": card(license="mit"), "LICENSE": "x"}, sizes={"LICENSE": 10 << 30})
    report = look("acme/model", of(place))
    assert not place.asked(f"/acme/model/resolve/{COMMIT}/LICENSE")
    assert verdicts(report)["use"] == "unknown"
