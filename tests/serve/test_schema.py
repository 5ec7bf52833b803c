"""Requests made up from the OpenAPI document, such as it allows and such as it forbids, find no error of ours."""

from collections import Counter

import openai
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.serve.serving import door, serving

from fonderie.serve.access import Rules
from fonderie.serve.api.app import make_api

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.generation import GenerationMode  # noqa: E402

EXAMPLES = 12
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def document(small, tmp_path_factory):
    def make(served):
        rules = Rules(per_minute_per_address=1_000_000)
        return make_api({one.name: one for one in served}, door(tmp_path_factory.mktemp("database"), rules))

    with serving([small.release], make) as running:
        yield schemathesis.openapi.from_url(f"{running.url}/openapi.json")


@pytest.mark.slow
def test_no_request_that_the_document_allows_or_forbids_is_an_error_of_ours(document):
    statuses: Counter[int] = Counter()

    def check(case) -> None:
        # The model that is there, so that requests go further than its name.
        if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body["model"] = "toy-0.1.0"
        response = case.call(timeout=60)
        case.validate_response(response, checks=[not_a_server_error])
        assert response.headers["x-request-id"][0].startswith("req_")
        if response.status_code >= 400:
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        statuses[response.status_code] += 1

    operations = [found.ok() for found in document.get_all_operations()]
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            # Of a path there is nothing that the document forbids.
            if operation.body or mode is GenerationMode.POSITIVE:
                BOUNDED(given(operation.as_strategy(generation_mode=mode))(check))()
    assert len(operations) >= 12
    assert statuses[200] >= len(operations)
    assert statuses[400] >= EXAMPLES, "nothing that is forbidden was tried"


def test_a_token_of_thousands_of_digits_is_refused_by_name(client):
    with pytest.raises(openai.BadRequestError, match="logit_bias names"):
        client.completions.create(model="toy-0.1.0", prompt="Le chat", logit_bias={"9" * 5_000: 1})
