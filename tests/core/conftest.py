"""Fixtures of the core's tests."""

from pathlib import Path

import pytest
from tests.core.helpers import Bench
from tests.core.toy_steps import HOLD_FILE


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv(HOLD_FILE, str(tmp_path / "hold"))
    return Bench(tmp_path)
