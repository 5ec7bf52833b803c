"""What a model was trained on, from what it was made from."""

from fonderie.core.step import Artifact

IMPORTED = "model.import"
"""The step that brings in a model whose training nobody here has seen."""
OFFSETS_FOLDER = "offsets"
"""Where a tokens artifact says which documents it holds (fonderie.tokens.shards)."""


def packed(model: Artifact) -> list[Artifact] | None:
    """Every tokens artifact on the way to a model; None if it began as a model from elsewhere."""
    lineage = model.lineage()
    if any(artifact.manifest.step == IMPORTED for artifact in lineage):
        return None
    return [artifact for artifact in lineage if (artifact.path / OFFSETS_FOLDER).is_dir()]
