"""The operator's dashboard."""

from __future__ import annotations

from hack.dashboards.board import RATE, Query, board, graph, number

JOB = 'job="mcq-operator"'


def operator() -> str:
    """Return the dashboard of the operator's work and lag."""
    now = [
        number("Leaders", "Operators that hold the lease.", "none", f"sum(mcq_operator_leader{{{JOB}}})",
               good_above=1),
        number("Solvers", "MCQSolvers that it knows.", "none", "count(mcq_solver_ready)"),
        number("Not ready", "MCQSolvers whose Ready condition is not True.", "none",
               "count(mcq_solver_ready == 0) or vector(0)", bad_above=1),
        number("Waiting", "Solvers that wait to be reconciled.", "none", f"max(mcq_operator_queue_depth{{{JOB}}})",
               bad_above=100),
        number("Watch age", "The longest time for which events of a kind have been missing.", "s",
               f"max(mcq_operator_watch_age_seconds{{{JOB}}})", bad_above=60),
        number("Longest reconcile", "The one that runs now, if any.", "s",
               f"max(mcq_operator_longest_running_reconcile_seconds{{{JOB}}})", bad_above=120),
    ]  # fmt: skip
    work = [
        graph("Reconciles by outcome", "Failed ones are tried again, later and later.", "ops",
              Query(f"sum by (outcome) (rate(mcq_operator_reconciles_total{{{JOB}}}[{RATE}]))", "{{outcome}}"),
              stacked=True),
        graph("Reconcile duration", "From its start to its end.", "s", *(
            Query(f"histogram_quantile({share}, sum by (le) "
                  f"(rate(mcq_operator_reconcile_duration_seconds_bucket{{{JOB}}}[{RATE}])))", f"p{share * 100:.0f}")
            for share in (0.5, 0.95, 0.99))),
        graph("Writes", "What the API server accepted; a quiet cluster has none.", "ops",
              Query(f"sum by (kind, verb) (rate(mcq_operator_writes_total{{{JOB}}}[{RATE}]))", "{{verb}} {{kind}}"),
              stacked=True),
        graph("Requests", "Requests to the API server, without watches.", "reqps",
              Query(f"sum by (method) (rate(mcq_operator_requests_total{{{JOB}}}[{RATE}]))", "{{method}}"),
              stacked=True),
        graph("Conditions that are not as they should be", "Solvers, by condition and reason.", "none",
              Query('count by (type, reason) (mcq_solver_condition{type=~"Degraded|Exposed",status="True"} or '
                    'mcq_solver_condition{type!~"Degraded|Exposed|Progressing",status!="True"})'
                    ' or on () label_replace(vector(0), "type", "none", "", "")', "{{type}} {{reason}}"),
              stacked=True),
        graph("Watch age", "The time for which expected events have been missing, by kind.", "s",
              Query(f"mcq_operator_watch_age_seconds{{{JOB}}}", "{{kind}}")),
        graph("CPU", "Cores in use.", "none",
              Query(f"sum by (pod) (rate(process_cpu_seconds_total{{{JOB}}}[{RATE}]))", "{{pod}}")),
        graph("Memory", "Resident memory.", "bytes", Query(f"process_resident_memory_bytes{{{JOB}}}", "{{pod}}")),
    ]  # fmt: skip
    return board(
        "mcq-operator", "MCQ operator", "What the operator does, and whether it keeps up.",
        variables=(), rows=[("Now", now), ("Work", work)],
    )  # fmt: skip
