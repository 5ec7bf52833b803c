import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAVY = ("torch", "jinja2", "matplotlib", "transformers")


@pytest.mark.parametrize(
    "module", ["evaluate.perplexity", "evaluate.samples", "release.bundle", "release.verify", "release.report"]
)
def test_recipes_and_checks_import_nothing_heavy(module: str) -> None:
    code = f"import sys, fonderie.{module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
