"""The commands in docs/guide are run as they stand."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

GUIDES = sorted((Path(__file__).parents[2] / "docs/guide").glob("*.md"))


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_command_of_the_guide_works(guide: Path, tmp_path: Path) -> None:
    script = "\n".join(re.findall(r"```sh\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL))
    assert "fonderie run" in script
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    here, output = tmp_path / "here", tmp_path / "output"
    here.mkdir()
    with output.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=here,
            env={**os.environ, "PATH": path},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=300)
        finally:
            with suppress(ProcessLookupError):  # a service that a script left running when it failed
                os.killpg(process.pid, signal.SIGKILL)
    printed = output.read_text(encoding="utf-8")
    assert status == 0, printed
    assert ("fonderie verify" in script) == (" holds: sha256:" in printed)
