"""What /v1/models says of a release's gate."""

import shutil
from datetime import UTC, datetime

from tests.evaluate.gated import gated

from fonderie.release.gate import refuse_failed
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


def test_a_gate_that_was_passed_and_none_at_all(small):
    assert gate_of(read_release(gated(small, at_most=100.0, name="passed").release)) == {"passed": True}
    assert gate_of(read_release(small.release)) is None
