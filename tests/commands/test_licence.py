import json
from pathlib import Path

import pytest

from fonderie.cli import main
from fonderie.licences.texts import reference_texts


def test_a_file_that_restricts_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "LICENSE"
    path.write_text(reference_texts()["MIT"] + "\n\nFor non-commercial use only.\n", encoding="utf-8")
    assert main(["licence", str(path)]) == 1
    said = capsys.readouterr().out
    assert "restricted" in said
    assert "“For non-commercial use only.”" in said


def test_a_free_file_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "LICENSE"
    path.write_text(reference_texts()["Apache-2.0"], encoding="utf-8")
    assert main(["licence", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["licence"], answer["status"], answer["similarity"]) == ("Apache-2.0", "free", 1.0)
    assert answer["excerpts"] == []


@pytest.mark.parametrize(
    ("expression", "status"),
    [
        ("MIT OR CC-BY-NC-4.0", 0),
        ("MIT AND CC-BY-NC-4.0", 1),
        ("GPL-2.0-only WITH Classpath-exception-2.0", 0),
        ("Apache-2.0 WITH Commons-Clause", 1),
        ("llama3.1", 1),
        ("https://creativecommons.org/licenses/by/4.0/", 0),
        ("nobody-knows-1.0", 1),
    ],
)
def test_an_expression(expression: str, status: int) -> None:
    assert main(["licence", expression]) == status


@pytest.mark.parametrize("what", ["no/such/file", "", "   "])
def test_what_is_no_request(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["licence", what]) == 2
    assert "UsageError" in capsys.readouterr().err


def test_a_folder_is_no_licence(tmp_path: Path) -> None:
    assert main(["licence", str(tmp_path)]) == 2


def test_bytes_that_are_no_text_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "LICENSE"
    path.write_bytes(bytes(range(256)) * 100)
    assert main(["licence", str(path)]) == 1
