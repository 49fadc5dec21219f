"""The metrics of any language-model server."""

import pytest

from mcq_service.api.mcq.answer_schemas import Usage
from mcq_service.telemetry import Metrics


@pytest.mark.parametrize(("written", "observed"), [(0, None), (1, None), (2, 0.6), (4, 0.2)])
def test_the_time_per_output_token_is_that_of_the_tokens_after_the_first(
    written: int, observed: float | None
) -> None:
    metrics = Metrics()
    tokens = Usage(prompt_tokens=9, completion_tokens=written, cached_tokens=0)
    metrics.completed(mode="chat", operation="chat", model="m", tokens=tokens, seconds=1.0, first=0.4)
    labels = {"gen_ai_operation_name": "chat", "gen_ai_request_model": "m"}
    total = metrics.registry.get_sample_value("gen_ai_server_time_per_output_token_seconds_sum", labels)
    assert total == (None if observed is None else pytest.approx(observed))
