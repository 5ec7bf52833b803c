"""One small build for all tests of the package."""

import pytest
from tests.evaluate.small import Build, build


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build(tmp_path_factory.mktemp("small"))
