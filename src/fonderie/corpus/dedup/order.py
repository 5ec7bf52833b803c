"""Which of several copies stays: the one under the freest licence, then the longest, then the one of lowest id.

So the choice follows from the documents, never from the order in which they came.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
from license_expression import ExpressionError, Licensing

from fonderie.licences.verdict import judge

PUBLIC_DOMAIN, ATTRIBUTION, SHARE_ALIKE, OTHER_FREE, NOT_FREE = range(5)
"""From the freest on: no condition; name the author; share under the same terms; free on other or unsorted
conditions; restricted or unknown."""

_NO_CONDITION = {
    "CC0-1.0",
    "CC-PDDC",
    "PDDL-1.0",
    "LicenseRef-public-domain",
    "DL-DE-ZERO-2.0",
    "Unlicense",
    "0BSD",
    "MIT-0",
}
_ATTRIBUTION = {
    "etalab-2.0",
    "ODC-By-1.0",
    "DL-DE-BY-2.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "OpenMDW-1.0",
    "MIT",
    "ISC",
    "Zlib",
    "BSL-1.0",
    "PSF-2.0",
}
_ATTRIBUTION_FAMILIES = ("CC-BY-", "OGL-", "BSD-", "Apache-")
_SHARE_ALIKE = {"ODbL-1.0", "CDLA-Sharing-1.0"}
_SHARE_ALIKE_FAMILIES = (
    "CC-BY-SA-",
    "GPL-",
    "LGPL-",
    "AGPL-",
    "GFDL-",
    "MPL-",
    "EUPL-",
    "CECILL-2",
    "EPL-",
    "OSL-",
    "CDDL-",
)


@cache
def freedom(licence: str) -> int:
    """How free a licence is, PUBLIC_DOMAIN (0) to NOT_FREE (4): an AND is its strictest part, an OR its freest."""
    if judge(licence).status != "free":
        return NOT_FREE
    try:
        tree = Licensing().parse(licence)
    except ExpressionError:  # no expression, but a licence that `judge` knows by another name
        tree = None
    operator = str(getattr(tree, "operator", "")).strip().upper()
    if operator:
        parts = [freedom(str(argument.render())) for argument in tree.args]
        return max(parts) if operator == "AND" else min(parts)
    identifier = judge(licence).licence.partition(" WITH ")[0]
    if identifier in _NO_CONDITION:
        return PUBLIC_DOMAIN
    # Share-alike first: CC-BY-SA is of the family CC-BY too.
    if identifier in _SHARE_ALIKE or identifier.startswith(_SHARE_ALIKE_FAMILIES):
        return SHARE_ALIKE
    if identifier in _ATTRIBUTION or identifier.startswith(_ATTRIBUTION_FAMILIES):
        return ATTRIBUTION
    return OTHER_FREE


def best_first(
    freedoms: npt.NDArray[np.uint8], sizes: npt.NDArray[np.int64], ids_N4: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """The order in which documents are preferred; `ids` are digests as four big-endian words."""
    return np.lexsort((ids_N4[:, 3], ids_N4[:, 2], ids_N4[:, 1], ids_N4[:, 0], -sizes, freedoms))
