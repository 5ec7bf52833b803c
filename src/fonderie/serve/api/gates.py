"""What /v1/models says of a release's gate: whether it passed, and why it is served where it did not."""

from typing import Any

from fonderie.release.gate import exposures, read_gate
from fonderie.serve.served import Release


def gate_of(release: Release) -> dict[str, Any] | None:
    """Null for a release that states no gate. ReleaseError if its gate cannot be read.

    Not who said so: the account's name stays in the record beside the release.
    """
    gate = read_gate(release.folder)
    if gate is None:
        return None
    if gate.passed:
        return {"passed": True}
    said = release.index.i_know_it_failed
    reasons = [{"reason": said.reason, "on": said.on.isoformat()}] if said is not None else []
    reasons += [{"reason": item.reason, "on": item.at.date().isoformat()} for item in exposures(release.folder)]
    return {"passed": False, "failed": [line.score for line in gate.failed], "served_because": reasons}
