"""Training done again: sampled segments of a release's training, retrained and compared."""

from fonderie.audit.replay.replay import replay_release

__all__ = ["replay_release"]
