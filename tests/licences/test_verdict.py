import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.licences.verdict import identify, judge


@pytest.mark.parametrize(
    ("licence", "status", "spelling"),
    [
        ("CC-BY-4.0", "free", "CC-BY-4.0"),
        ("cc-by-sa-3.0", "free", "CC-BY-SA-3.0"),
        ("CC0-1.0", "free", "CC0-1.0"),
        ("etalab-2.0", "free", "etalab-2.0"),
        ("apache-2.0", "free", "Apache-2.0"),
        ("ODbL-1.0", "free", "ODbL-1.0"),
        ("OpenMDW-1.0", "free", "OpenMDW-1.0"),
        ("cc-by-nc-sa-4.0", "restricted", "CC-BY-NC-SA-4.0"),
        ("CC-BY-ND-4.0", "restricted", "CC-BY-ND-4.0"),
        ("bigscience-bloom-rail-1.0", "restricted", "bigscience-bloom-rail-1.0"),
        ("llama3.1", "restricted", "llama3.1"),
        ("gemma", "restricted", "gemma"),
        ("", "unknown", "unknown"),
        ("unknown", "unknown", "unknown"),
        ("proprietary", "unknown", "proprietary"),
        ("MIT OR CC-BY-NC-4.0", "free", "MIT OR CC-BY-NC-4.0"),
        ("MIT AND CC-BY-NC-4.0", "restricted", "MIT AND CC-BY-NC-4.0"),
        ("MIT AND proprietary", "unknown", "MIT AND proprietary"),
        ("Apache-2.0 AND (MIT OR proprietary)", "free", "Apache-2.0 AND (MIT OR proprietary)"),
        ("MIT AND", "unknown", "MIT AND"),
    ],
)
def test_verdicts(licence: str, status: str, spelling: str) -> None:
    verdict = judge(licence)
    assert (verdict.status, verdict.licence) == (status, spelling)
    assert verdict.reason


@given(st.text())
def test_what_nobody_knows_is_never_free(text: str) -> None:
    verdict = judge(f"x-{text}-x")
    assert verdict.status != "free" or " OR " in verdict.licence


@pytest.mark.parametrize(
    ("reference", "licence"),
    [
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/4.0/deed.fr", "CC-BY-NC-SA-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/legalcode", "CC0-1.0"),
        ("https://www.apache.org/licenses/LICENSE-2.0.txt", "Apache-2.0"),
        ("https://www.etalab.gouv.fr/licence-ouverte-open-licence/", "etalab-2.0"),
        ("mit", "MIT"),
        ("https://creativecommons.org/licenses/by/9.9/", None),
        ("https://example.org/terms", None),
        ("All rights reserved", None),
    ],
)
def test_identify_by_address(reference: str, licence: str | None) -> None:
    assert identify(reference) == licence
