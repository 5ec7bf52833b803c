"""What /v1/models says of a release's gate."""

import shutil
from datetime import UTC, datetime

from tests.evaluate.gated import gated

from fonderie.cli import main
from fonderie.release.gate import exposures, refuse_failed
from fonderie.serve.api.gates import gate_of
from fonderie.serve.served import read_release

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_why_a_release_is_served_that_failed_its_gate_is_public_and_who_said_so_is_not(small, tmp_path):
    failed = gated(small, at_most=0.001, name="failed").release
    copy = shutil.copytree(failed, tmp_path / "toy")
    refuse_failed(copy, "Ouvert aux relecteurs", action="serve", now=lambda: AT)
    found = gate_of(read_release(copy))
    assert found["passed"] is False
    assert found["failed"]
    assert found["served_because"] == [{"reason": "Ouvert aux relecteurs", "on": "2026-11-26"}]


def test_a_reason_is_recorded_of_the_releases_that_failed_and_of_no_other(small, tmp_path, monkeypatch, capsys):
    """Nothing is served here: the database that comes next is none."""
    monkeypatch.chdir(tmp_path)
    bad = shutil.copytree(gated(small, at_most=0.001, name="failed").release, tmp_path / "bad")
    good = shutil.copytree(gated(small, at_most=100.0, name="passed").release, tmp_path / "good")
    no_database, known = ["--database", "mysql://host/name"], ["--i-know-it-failed", "Ouvert aux relecteurs"]
    assert main(["serve", str(good), str(bad), *no_database]) == 1
    assert "fonderie serve shows it only with --i-know-it-failed" in capsys.readouterr().err
    assert main(["serve", str(good), str(bad), *no_database, *known]) == 2
    assert "mysql is not a database" in capsys.readouterr().err
    assert [len(exposures(release)) for release in (good, bad)] == [0, 1]
    assert main(["serve", str(good), *no_database, *known]) == 2
    assert "nothing to know" in capsys.readouterr().err


def test_a_gate_that_was_passed_and_none_at_all(small):
    assert gate_of(read_release(gated(small, at_most=100.0, name="passed").release)) == {"passed": True}
    assert gate_of(read_release(small.release)) is None
