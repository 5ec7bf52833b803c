"""The commands in docs/guide are run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDES = sorted((Path(__file__).parents[2] / "docs/guide").glob("*.md"))


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_command_of_the_guide_works(guide: Path, tmp_path: Path) -> None:
    script = "\n".join(re.findall(r"```sh\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL))
    assert "fonderie run" in script
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("fonderie verify" in script) == (" holds: sha256:" in done.stdout)
