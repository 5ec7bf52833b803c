"""The documents that a release distributes of all that it was trained on."""

from pathlib import Path

from pydantic import ValidationError

from fonderie.core.document import shard_paths
from fonderie.core.errors import ReleaseError
from fonderie.release.layout import BASE, INDEX, TRAINING, ReleaseIndex, Trained
from fonderie.train.record.commitment import COMMITMENT, parse_commitment


def documents_behind(release: Path) -> list[Path] | None:
    """The document shards of the training of a release, and of every one that it went on from.

    None if it does not hold them all, as where it went on from a model of others: then nobody can say what it has
    not seen. ReleaseError if it cannot be read.
    """
    found: list[Path] = []
    try:
        here: ReleaseIndex | Trained | None = ReleaseIndex.model_validate_json((release / INDEX).read_bytes())
        while here is not None:
            commitment = release / TRAINING / COMMITMENT
            if not (here.documents and commitment.is_file()):
                return None
            if here.base is None and parse_commitment(commitment.read_bytes()).base is not None:
                return None
            found += shard_paths(release / "data")
            here, release = here.base, release / BASE
    except (OSError, ValueError, ValidationError) as error:
        raise ReleaseError(f"{release} cannot be read: {str(error)[:300]}") from error
    return found
