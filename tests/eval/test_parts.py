"""The shards of an exam give the same result as one process, and answers of two models give none."""

from pathlib import Path

import pytest
from tests.eval.fakes import IDENTITY, FakeAnswerer, run

from mcq_eval import parts
from mcq_eval.errors import AskingFailed, ModelChanged
from mcq_eval.verdict import Limits

TIMES = {"created", "seconds", "latency", "shards"}


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 64])
async def test_shards_together_ask_each_question_once(exam: Path, shards: int) -> None:
    answerer = FakeAnswerer(refused="7?")
    whole = parts.build_report([await run(answerer, exam)])
    answerer.questions.clear()
    combined = parts.build_report(
        [await run(answerer, exam, shard=shard, shards=shards) for shard in range(shards)]
    )
    assert len(answerer.questions) == len({each.question for each in answerer.questions}) == 40
    assert combined.model_dump(exclude=TIMES) == whole.model_dump(exclude=TIMES)
    assert len(combined.failures) == 4


async def test_a_replaced_model_gives_no_result(exam: Path) -> None:
    first, second = [await run(FakeAnswerer(), exam, shard=shard, shards=2) for shard in range(2)]
    other = second.model_copy(update={"identity": IDENTITY.model_copy(update={"prompt_digest": "sha256:0"})})
    with pytest.raises(ModelChanged):
        parts.build_report([first, other])


async def test_a_shard_that_gets_no_answer_fails_and_one_without_questions_does_not(exam: Path) -> None:
    with pytest.raises(AskingFailed, match="Come again"):
        await run(FakeAnswerer(refused="?", status=503), exam, shard=1, shards=2)
    assert (await run(FakeAnswerer(), exam, shard=0, shards=64)).rows == []


async def test_unanswerable_questions_fail_the_exam_only_if_there_are_no_others(
    exam: Path,
) -> None:
    first, second = [await run(FakeAnswerer(refused="?"), exam, shard=shard, shards=2) for shard in range(2)]
    with pytest.raises(AskingFailed, match="Come again"):
        parts.build_report([first, second])
    assert len(parts.build_report([first, await run(FakeAnswerer(), exam, shard=1, shards=2)]).failures) == 20


async def test_the_verdict_covers_all_parts(exam: Path) -> None:
    halves = [await run(FakeAnswerer(), exam, shard=shard, shards=2) for shard in range(2)]
    verdict = parts.build_report(halves, limits=Limits(min_accuracy=0.9, max_p95_seconds=1)).verdict
    assert verdict is not None
    assert [each.outcome for each in verdict.limits] == ["Failed", "Passed"]
