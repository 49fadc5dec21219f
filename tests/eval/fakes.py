"""An answerer without a model, and exams that it takes."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcq_eval.dataset.exam_file import read_exams
from mcq_eval.dataset.typed_question import DecisionQuestion
from mcq_eval.parts import Part, build_report
from mcq_eval.report.exam_report import Report
from mcq_eval.report.rows import Row
from mcq_eval.runner.answerers import Answerer
from mcq_eval.runner.runner import ExamSpec, run_exam
from mcq_service.api.mcq.answer_schemas import (
    Answer,
    Choice,
    LabelProbability,
    Result,
    Results,
    Timings,
    Usage,
)
from mcq_service.api.mcq.question_schemas import Question
from mcq_service.api.problems import Problem
from mcq_service.model_store import PreparedModel
from mcq_service.prompts import CHATML
from mcq_service.runtime.builder import identity_of

PREPARED = PreparedModel(
    path=Path("/none"), uri="hf://some/model", revision="1", digest="sha256:me", precision="float32"
)
IDENTITY = identity_of(PREPARED, CHATML.answer_first)
COUNT = 40


class FakeAnswerer:
    """Always choose `best` with 0.8, and refuse questions that end in `refused`."""

    def __init__(self, best: int = 1, refused: str | None = None, status: int = 422) -> None:
        self.status = status
        self.best = best
        self.refused = refused
        self.questions: list[Question] = []

    async def answers(self, questions: Sequence[Question | DecisionQuestion]) -> Results:
        return Results(results=[self._result(index, each) for index, each in enumerate(questions)])

    def _result(self, index: int, question: Question | DecisionQuestion) -> Result:
        assert isinstance(question, Question)
        self.questions.append(question)
        if self.refused and question.question.endswith(self.refused):
            problem = Problem(type="about:blank", title="Refused", status=self.status, detail="Come again.")
            return Result(index=index, problem=problem)
        probabilities = [0.8 if choice == self.best else 0.1 for choice in range(3)]
        options = question.options
        answer = Answer(
            id="x", model="some/model", mode="answer", abstained=False, confidence=0.8, margin=0.7,
            answer=Choice(label=options[self.best].label, index=self.best, text=options[self.best].text),
            probabilities=[
                LabelProbability(label=option.label, probability=each)
                for option, each in zip(options, probabilities, strict=True)
            ],
            trace_id=None, reasoning=None,
            usage=Usage(prompt_tokens=9, completion_tokens=0, cached_tokens=3),
            timings=Timings(queue_ms=0, answer_ms=5, total_ms=5),
        )  # fmt: skip
        return Result(index=index, answer=answer)


async def evaluate(
    answerer: Answerer, exam: Path, *, before: Sequence[Row] | None = None, **options: Any
) -> Report:
    return build_report([await run(answerer, exam, **options)], before=before)


async def run(answerer: Answerer, exam: Path, **options: Any) -> Part:
    return await run_exam(
        answerer,
        ExamSpec(read_exams([exam]), "all", **options),
        target="a test",
        identity=IDENTITY,
        stream=io.StringIO(),
    )
