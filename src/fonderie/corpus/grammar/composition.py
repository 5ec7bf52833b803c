"""What every composer of the grammar returns."""

from typing import NamedTuple


class Composition(NamedTuple):
    """One composed text, before the corpus makes a document of it."""

    text: str
    """The text itself: French, NFC, no trailing space or newline."""
    form: str
    """`text` (prose) or `conversation` (lines that begin with a speaker)."""
    title: str | None
    """A title, for stories; the text does not repeat it."""
    metadata: dict[str, str]
    """What was composed: `kind`, and the schema or topic that was drawn."""
