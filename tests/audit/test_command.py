import json
from pathlib import Path

import pytest
from tests.audit.folders import card, licence_text, write
from tests.audit.hub_stand_in import publish
from tests.audit.loopback import site

from fonderie.cli import main

MOF = """
framework: {name: Model Openness Framework, version: '1.0'}
release:
  name: A model
  license: {distribution: {name: Apache-2.0}}
  components:
    - {name: Model architecture, description: x}
    - {name: Model parameters (Final), description: x}
"""


def test_exit_status_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path / "release", {"README.md": card("It was trained on the web.", license="mit")})
    assert main(["audit", str(root), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {name: grade["verdict"] for name, grade in report["criteria"].items()}["data"] == "fail"
    assert report["european_index"]["of"] == 12
    assert set(report["mof"]) == {"class", "label", "progress"}
    for finding in report["findings"]:
        assert set(finding) >= {"rule", "criterion", "verdict", "level", "summary", "evidence"}


def test_nothing_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(
        tmp_path / "release",
        {
            "README.md": card("Learning rate 1e-3, batch size 8.", license="mit"),
            "LICENSE": licence_text("MIT"),
            "train.py": "",
            "data/a.jsonl": '{"text": "a", "licence": "CC0-1.0"}\n',
            "model.safetensors": (2).to_bytes(8, "little") + b"{}",
        },
    )
    assert main(["audit", str(root)]) == 0
    assert "Nothing closed was found" in capsys.readouterr().out


def test_an_mof_description(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.yml"
    path.write_text(MOF, encoding="utf-8")
    main(["audit", str(path), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["mof"]["class"] == 0
    assert report["mof"]["progress"]["3"] == pytest.approx(100 * 2 / 6)
    assert report["subject"]["kind"] == "MOF description"
    assert {finding["level"] for finding in report["findings"]} == {"declared"}


def test_every_fixture_of_the_framework(real_mof: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = json.loads((real_mof / "expected.json").read_bytes())
    for name, verdict in expected.items():
        main(["audit", str(real_mof / "fixtures" / name), "--json"])
        found = json.loads(capsys.readouterr().out)["mof"]
        assert (found["class"], found["progress"]) == (verdict["class"], pytest.approx(verdict["progress"])), name


def test_the_terminal_and_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(
        tmp_path / "release", {"README.md": card("open-source model [bold]x[/bold]", license="cc-by-nc-4.0")}
    )
    page = tmp_path / "page.html"
    assert main(["audit", str(root), "--html", str(page)]) == 1
    out = capsys.readouterr().out
    for words in ("Not open:", "open-washing", "[bold]x[/bold]", "European Open Source AI Index", "Model Openness"):
        assert words in out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere/at/all"],
        ["./nowhere"],
        ["{folder}", "--revision", "main"],
        ["{folder}", "--replay", "1"],
        ["{folder}", "--html", "{folder}"],
        ["{folder}", "--html", "{folder}/none/page.html"],
        ["{folder}/README.md"],
    ],
)
def test_requests_that_are_wrong(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path / "release", {"README.md": card(license="mit")})
    assert main(["audit", *[argument.replace("{folder}", str(root)) for argument in arguments]]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_hub(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with site() as place:
        publish(place, "acme/model", {"README.md": card(license="mit"), "LICENSE": licence_text("MIT")})
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        assert main(["audit", "acme/model", "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["subject"]["kind"] == "hub repository"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["audit", "acme/model"]) == 2
