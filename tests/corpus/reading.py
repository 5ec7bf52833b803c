"""Reading a file through the step itself."""

from pathlib import Path

from tests.corpus.builders import run_step

from fonderie.core.step import Artifact, Output
from fonderie.corpus.read import ReadParameters, read


def params(**given: object) -> ReadParameters:
    return ReadParameters.model_validate({"source": "here", "path": "given", "licence": "CC0-1.0", **given})


def read_path(
    folder: Path, pattern: str, *, into: str = "out", workers: int = 1, **given: object
) -> tuple[Artifact, Output]:
    return run_step(read, params(**given), folder / into, sources={"path": str(folder / pattern)}, workers=workers)
