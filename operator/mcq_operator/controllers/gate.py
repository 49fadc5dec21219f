"""The gate of a solver: the replicas that answer while a change has to pass an exam, and the exam's progress.

`status.gate` decides by the exam's verdict; `mcq_eval.verdict` compares the exam's figures with its limits.
"""

from datetime import datetime

from mcq_operator import desired, status
from mcq_operator.api import ExamKey, GateStatus, Manifest, MCQSolver, SolverKey, names
from mcq_operator.api.kinds import EXAM, SOLVER
from mcq_operator.api.observed import ObservedSolver
from mcq_operator.client import Applied, Cluster

from .steps import readable


async def gated_change(
    solver: MCQSolver, cluster: Cluster, *, images: desired.ServiceImages
) -> tuple[GateStatus | None, Manifest | None]:
    """Return the change that has a gate, and the template of the earlier replicas while the gate holds the change.

    Kubernetes keeps the template in a ReplicaSet. Without it, for example after someone has deleted the Deployment,
    the template is None, and the change names no ReplicaSet. Raises ClusterError.
    """
    gate, recorded = solver.spec.rollout.gate, solver.status.gate
    identity = desired.gate.identity(solver, images=images)
    unchanged = not solver.status.promoted or identity == solver.status.promoted
    if gate is None:
        return status.gate_override.ungated_change(solver, identity, unchanged=unchanged), None
    if unchanged:
        # Drop the record of a change that was taken back; keep the record of a change that went through.
        return (None, None) if status.gate.holds(recorded) else (recorded, None)
    candidate = desired.gate.candidate_id(solver, gate, images=images)
    exam = await readable(cluster.exam(ExamKey(solver.namespace, gate.exam_ref.name)))
    attempt = desired.gate.attempt(solver, exam)
    replica_sets = {item["metadata"]["name"]: item for item in await cluster.replica_sets(solver)}
    if recorded is None or not status.gate.holds(recorded):
        replica_set, digest = "", solver.status.template_digest
    else:
        replica_set, digest = recorded.replica_set, recorded.template_digest
    if replica_set not in replica_sets:
        newest = status.rollback.newest(replica_sets.values())
        replica_set = newest["metadata"]["name"] if newest else ""
    if recorded is None or recorded.candidate != candidate or status.gate.may_try_again(recorded, attempt):
        recorded = GateStatus(
            candidate=candidate,
            change=identity,
            generation=solver.metadata.generation,
            # The earlier change's candidate becomes this change's.
            phase="Sitting" if recorded and recorded.phase == "Sitting" else "Waiting",
            replica_set=replica_set,
            template_digest=digest,
            reason="CandidateStarting",
            message="",
            previous=solver.status.promoted,
        )
    recorded = recorded.model_copy(
        update={"replica_set": replica_set, "attempt": attempt or recorded.attempt}
    )
    return recorded, status.rollback.template(replica_sets[replica_set]) if replica_set else None


async def advance_watch(
    solver: MCQSolver, change: GateStatus, observed: ObservedSolver, cluster: Cluster, *, now: datetime
) -> GateStatus:
    """Return the change with the watch's next state. Raises ClusterError."""
    advice = status.gate.advice(solver, change, replicas="The earlier replicas answer again.")
    after = status.watch.advance(solver, change, observed, advice=advice, now=now)
    if not status.watch.refused(after) or status.watch.refused(change):
        return after
    replica_sets = {item["metadata"]["name"] for item in await cluster.replica_sets(solver)}
    return after if change.replica_set in replica_sets else status.watch.without_way_back(change, after)


async def objects(solver: MCQSolver, gate: GateStatus | None, cluster: Cluster) -> list[Manifest]:
    """Return the candidate and its exam; only the exam, for its report, once the gate has decided."""
    spec = solver.spec.rollout.gate
    if gate is None or spec is None or gate.phase == "Waiting":
        return []
    exam = await readable(cluster.exam(ExamKey(solver.namespace, spec.exam_ref.name)))
    if exam is None:
        return []
    exam_copy = desired.gate.candidate_exam(solver, exam, spec)
    return [exam_copy] if gate.phase in status.gate.ENDED else [desired.gate.candidate(solver), exam_copy]


async def read_objects(
    solver: MCQSolver, applied: Applied, cluster: Cluster, *, images: desired.ServiceImages
) -> status.gate.GateObjects:
    """Read the objects that the gate waits for. Raises ClusterError."""
    gate, name = solver.spec.rollout.gate, names.candidate_name(solver)
    live = applied.live
    has_candidate = SOLVER.named(name) in live
    has_exam = EXAM.named(name) in live
    return status.gate.GateObjects(
        exam=await readable(cluster.exam(ExamKey(solver.namespace, gate.exam_ref.name))) if gate else None,
        candidate=await readable(cluster.solver(SolverKey(solver.namespace, name)))
        if has_candidate
        else None,
        candidate_exam=await readable(cluster.exam(ExamKey(solver.namespace, name))) if has_exam else None,
        candidate_digest=candidate_digest(solver, images=images),
    )


def candidate_digest(solver: MCQSolver, *, images: desired.ServiceImages) -> str:
    """Return the digest of the replicas that the candidate should have."""
    candidate = MCQSolver.model_validate(desired.gate.candidate(solver))
    return desired.digest(desired.plain_template(candidate, images=images))
