"""The dashboards of one solver: overview, quality, inference."""

from __future__ import annotations

from hack.dashboards.board import RATE, Query, board, buckets, graph, number, solver_variables
from mcq_operator.api.names import ANSWERED_OUTCOMES, FAILED_OUTCOMES
from mcq_operator.desired.alerts import outcomes

REPLICAS = 'namespace="$namespace",job="$solver"'
SOLVER = 'namespace="$namespace",name="$solver"'
EXAM = 'namespace="$namespace",solver="$solver"'
EXAMS_ROW = "Exams"


def _rate(metric: str, *, by: str = "", labels: str = "") -> str:
    matched = f"{REPLICAS},{labels}" if labels else REPLICAS
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (rate({metric}{{{matched}}}[{RATE}]))"


def _exam_metric(metric: str) -> str:
    """Return the operator's metric of each exam, from whichever replica leads."""
    return f"max by (name) ({metric}{{{EXAM}}})"


def _quantile(share: float, metric: str, *, by: str = "") -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', by=', '.join(filter(None, ('le', by))))})"


def _quantiles(metric: str) -> list[Query]:
    return [Query(_quantile(share, metric), f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99)]


def overview() -> str:
    """Return the overview: rate, errors, durations and saturation."""
    failed, valid = outcomes(*FAILED_OUTCOMES), outcomes(*ANSWERED_OUTCOMES, *FAILED_OUTCOMES)
    now = [
        number("Ready", "1 when every replica runs the newest spec and a test question was answered. Without an"
               " operator: 1 when a replica is scraped.", "none",
               f"max(mcq_solver_ready{{{SOLVER}}}) or max(up{{{REPLICAS}}})", good_above=1),
        number("Ready replicas", "Replicas that can answer. Without an operator: replicas that are scraped.", "none",
               f"max(mcq_solver_ready_replicas{{{SOLVER}}}) or sum(up{{{REPLICAS}}})", good_above=1),
        number("Questions", "Questions a second, with any outcome.", "reqps", _rate("mcq_requests_total")),
        number("Failed", "The share of questions that were in order and not answered.", "percentunit",
               f"({_rate('mcq_requests_total', labels=failed)} or vector(0)) / "
               f"{_rate('mcq_requests_total', labels=valid)}",
               bad_above=0.01),
        number("Answer p95", "95 of 100 answers take no longer, from admission to the probabilities.", "s",
               _quantile(0.95, "mcq_answer_duration_seconds")),
        number("Alerts", "Alerts of this solver that fire now.", "none",
               'count(ALERTS{namespace="$namespace",mcqsolver="$solver",alertstate="firing"}) or vector(0)',
               bad_above=1),
    ]  # fmt: skip
    requests = [
        graph("Questions by outcome", "Answered and abstained are successes; the others are slugs of problems.",
              "reqps", Query(_rate("mcq_requests_total", by="outcome"), "{{outcome}}"), stacked=True),
        graph("Time to the answer", "From admission to the probabilities; the points are traces. The solver's alerts"
              " call an answer quick that takes no longer than the line.", "s",
              *_quantiles("mcq_answer_duration_seconds"), Query("vector($answer_seconds)", "quick"), exemplars=True),
        graph("Whole time by mode, p95", "From admission to the end, the reasoning included.", "s",
              Query(_quantile(0.95, "mcq_request_duration_seconds", by="mode"), "{{mode}}"), exemplars=True),
        graph("Questions by mode", "What clients ask for.", "reqps",
              Query(_rate("mcq_requests_total", by="mode"), "{{mode}}"), stacked=True),
    ]  # fmt: skip
    saturation = [
        graph("Waiting questions", "In each replica's queue; at the line further ones get 429.", "none",
              Query(f"mcq_queue_depth{{{REPLICAS}}}", "{{pod}}"), Query("vector($queue_limit)", "limit")),
        graph("Engine busy", "The share of time in which the replica's engine computes.", "percentunit",
              Query(_rate("mcq_step_seconds_total", by="pod"), "{{pod}}"), most=1),
        graph("CPU", "Cores in use by each replica's process.", "none",
              Query(_rate("process_cpu_seconds_total", by="pod"), "{{pod}}")),
        graph("Memory", "Resident memory of each replica's process; the model's pages are shared by those of a node.",
              "bytes", Query(f"process_resident_memory_bytes{{{REPLICAS}}}", "{{pod}}")),
    ]  # fmt: skip
    return board(
        "mcq-overview", "MCQ overview", "Rate, errors, durations and saturation of one MCQSolver.",
        variables=solver_variables(answer_seconds="4", queue_limit="64"),
        rows=[("Now", now), ("Questions", requests), ("Saturation", saturation)],
    )  # fmt: skip


def quality() -> str:
    """Return the dashboard of accuracy, confidence and the distribution of answers."""
    answered = _rate("mcq_requests_total", labels=outcomes(*ANSWERED_OUTCOMES))
    letters = f"{_rate('mcq_answers_total', by='label')} / on () group_left {_rate('mcq_answers_total')}"
    chosen = [
        buckets("Confidence", "The probability of the chosen letter, of all answers.", "percentunit",
                _rate("mcq_answer_confidence_bucket", by="le")),
        graph("Mean confidence", "If it drifts, the questions or the model changed.", "percentunit",
              Query(f"{_rate('mcq_answer_confidence_sum')} / {_rate('mcq_answer_confidence_count')}", "mean"), most=1),
        graph("Abstentions", "The share of questions whose confidence was below the minimum.", "percentunit",
              Query(f"({_rate('mcq_abstentions_total')} or vector(0)) / {answered}", "abstained"), most=1),
        graph("Escalations", "The share of questions that were handed to another solver, by outcome.", "percentunit",
              Query(f"{_rate('mcq_escalations_total', by='outcome')} / on () group_left {answered}", "{{outcome}}"),
              stacked=True, most=1),
        graph("Chosen letters", "Answers by letter, as shares: a model that likes one letter shows here.",
              "percentunit", Query(letters, "{{label}}"), stacked=True, most=1),
    ]  # fmt: skip
    model = [
        graph("Replicas by model", "More than one line is a roll-out, or one that was undone.", "none",
              Query(f"count by (uri, digest, precision) (mcq_model_info{{{REPLICAS}}})",
                    "{{uri}} {{precision}} {{digest}}"), width=24),
    ]  # fmt: skip
    exams = [
        graph("Accuracy in exams", "The share of questions answered right in each exam's last sitting, with its 95 %"
              " interval.", "percentunit",
              Query(_exam_metric("mcq_exam_accuracy_ratio"), "{{name}}"),
              Query(_exam_metric("mcq_exam_accuracy_low_ratio"), "{{name}}, low"),
              Query(_exam_metric("mcq_exam_accuracy_high_ratio"), "{{name}}, high"), most=1),
        graph("Calibration error in exams", "How far, on average, the confidence is from the accuracy (ECE).",
              "percentunit", Query(_exam_metric("mcq_exam_calibration_error_ratio"), "{{name}}")),
        graph("Questions of exams", "The answered questions of the last sitting. Few questions give a wide interval.",
              "none", Query(_exam_metric("mcq_exam_questions"), "{{name}}")),
        graph("Age of the results", "The time since each exam's last run.", "s",
              Query(f"time() - {_exam_metric('mcq_exam_sat_timestamp_seconds')}", "{{name}}")),
    ]  # fmt: skip
    return board(
        "mcq-quality", "MCQ model quality", "How right and how sure the model of one MCQSolver is, what it chooses.",
        variables=solver_variables(), rows=[(EXAMS_ROW, exams), ("Answers", chosen), ("Model", model)],
    )  # fmt: skip


def inference() -> str:
    """Return the engine's dashboard."""
    prompt = _rate("mcq_tokens_total", labels='type="prompt"')
    steps = [
        buckets("Batch size", "Texts that were read in one step of the engine.", "none",
                _rate("mcq_batch_size_bucket", by="le")),
        graph("Tokens computed", "Each second in which the engine computes: its speed, however busy it is.", "none",
              Query(f"{_rate('mcq_step_tokens_total', by='pod')} / {_rate('mcq_step_seconds_total', by='pod')}",
                    "{{pod}}")),
        graph("Prefix-cache hits", "The share of prompt tokens that came from the prefix cache.", "percentunit",
              Query(f"{_rate('mcq_prefix_cache_tokens_total')} / {prompt}", "hits"), most=1),
        graph("Tokens by type", "Tokens of questions and of answers, a second.", "none",
              Query(_rate("mcq_tokens_total", by="type"), "{{type}}"), stacked=True),
    ]  # fmt: skip
    times = [
        graph("Time to first token", "gen_ai.server.time_to_first_token: from admission to the answer.", "s",
              *_quantiles("gen_ai_server_time_to_first_token_seconds")),
        graph("Time per output token", "gen_ai.server.time_per_output_token: between tokens of the reasoning.", "s",
              *_quantiles("gen_ai_server_time_per_output_token_seconds")),
        graph("Request duration", "gen_ai.server.request.duration: from admission to the end.", "s",
              *_quantiles("gen_ai_server_request_duration_seconds")),
        graph("Tokens a request", "gen_ai.client.token.usage: the median, by type.", "none",
              Query(_quantile(0.5, "gen_ai_client_token_usage", by="gen_ai_token_type"), "{{gen_ai_token_type}}")),
    ]  # fmt: skip
    return board(
        "mcq-inference", "MCQ inference", "What the engine of one MCQSolver does.",
        variables=solver_variables(), rows=[("Steps", steps), ("Times", times)],
    )  # fmt: skip
