"""Words of the Hugging Face hub, where they differ from the standards': licence identifiers, size classes."""

import re

_HUB_LICENCES = {
    "odbl-1.0": "odbl",
    "odc-by-1.0": "odc-by",
    "pddl-1.0": "pddl",
    "gpl-3.0-only": "gpl-3.0",
    "gpl-3.0-or-later": "gpl-3.0",
    "agpl-3.0-only": "agpl-3.0",
    "agpl-3.0-or-later": "agpl-3.0",
    "lgpl-3.0-only": "lgpl-3.0",
    "lgpl-3.0-or-later": "lgpl-3.0",
}
"""Identifiers of the Hugging Face hub (its documentation, "Licenses") that differ from SPDX's in lower case."""
_HUB_LICENCES_ALIKE = frozenset(
    {
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "zlib", "unlicense", "mpl-2.0", "eupl-1.2"),
        *("cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "etalab-2.0"),
    }
)
"""Those that do not. Any other licence is "other" to the hub, with its SPDX identifier as the name."""

_CLASSES = (
    "n<1K",
    "1K<n<10K",
    "10K<n<100K",
    "100K<n<1M",
    "1M<n<10M",
    "10M<n<100M",
    "100M<n<1B",
    "1B<n<10B",
    "10B<n<100B",
)
"""Numbers of examples, a power of ten each (the hub's data set card template, "size_categories")."""
_LARGEST = "100B<n<1T"


def hub_licence(licence: str) -> str:
    """The hub's identifier of an SPDX identifier, or "other"."""
    name = licence.casefold()
    return _HUB_LICENCES.get(name, name if name in _HUB_LICENCES_ALIKE else "other")


def slug(licence: str) -> str:
    """A name that the hub takes for a licence it has no identifier for: lower case, digits, dots and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", licence.casefold()).strip("-")


def size_class(examples: int) -> str:
    """The hub's class of a number of examples."""
    bound = 1_000
    for name in _CLASSES:
        if examples < bound:
            return name
        bound *= 10
    return _LARGEST
