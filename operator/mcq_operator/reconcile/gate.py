"""The gate of a solver: what its replicas are while a change has to pass an exam, and how far that is."""

from mcq_operator import desired, status
from mcq_operator.kube import Applied, Cluster
from mcq_operator.models import ExamKey, GateStatus, Manifest, MCQSolver, SolverKey, names
from mcq_operator.models.kinds import EXAM, SOLVER

from .common import readable_exam, readable_solver


async def held(
    solver: MCQSolver, cluster: Cluster, *, service_image: str
) -> tuple[GateStatus | None, Manifest | None]:
    """The change that has to pass, and the replicas' template of before it while it is kept from users.

    Which template that is, Kubernetes keeps in a ReplicaSet. Raises ClusterError.
    """
    gate, before = solver.spec.rollout.gate, solver.status.gate
    meant = desired.gate.identity(solver, service_image=service_image)
    unchanged = not solver.status.promoted or meant == solver.status.promoted
    if gate is None:
        return status.waiver.ungated(solver, meant, unchanged=unchanged), None
    if unchanged:
        # Of a change that was taken back nothing is told any more; of one that went through it is.
        return (None, None) if status.gate.holds(before) else (before, None)
    candidate = desired.gate.candidate_id(solver, gate, service_image=service_image)
    kept = {item["metadata"]["name"]: item for item in await cluster.replica_sets(solver)}
    if before is None or not status.gate.holds(before) or before.replica_set not in kept:
        newest = status.rollback.newest(kept.values())
        if newest is None:
            return None, None
        replica_set, digest = newest["metadata"]["name"], solver.status.template_digest
    else:
        replica_set, digest = before.replica_set, before.template_digest
    if before is None or before.candidate != candidate:
        before = GateStatus(
            candidate=candidate,
            change=meant,
            generation=solver.metadata.generation,
            # The candidate of the change before becomes the one of this.
            phase="Sitting" if before and before.phase == "Sitting" else "Waiting",
            replica_set=replica_set,
            template_digest=digest,
            reason="CandidateStarting",
            message="",
        )
    return before, status.rollback.template(kept[replica_set])


async def objects(solver: MCQSolver, gate: GateStatus | None, cluster: Cluster) -> list[Manifest]:
    """The candidate and its exam while it is sat; of a change that was decided upon only the exam, for its report."""
    wanted = solver.spec.rollout.gate
    if gate is None or wanted is None or gate.phase == "Waiting":
        return []
    exam = await readable_exam(cluster, ExamKey(solver.namespace, wanted.exam_ref.name))
    if exam is None:
        return []
    sitting = desired.gate.sitting(solver, exam, wanted)
    return [sitting] if gate.phase in status.gate.ENDED else [desired.gate.candidate(solver), sitting]


async def look(solver: MCQSolver, applied: Applied, cluster: Cluster) -> status.gate.Seen:
    """What the gate waits for. Raises ClusterError."""
    gate, name = solver.spec.rollout.gate, names.candidate_name(solver)
    made = applied.live
    candidate = SOLVER.named(name) in made
    sitting = EXAM.named(name) in made
    return status.gate.Seen(
        exam=await readable_exam(cluster, ExamKey(solver.namespace, gate.exam_ref.name)) if gate else None,
        candidate=await readable_solver(cluster, SolverKey(solver.namespace, name)) if candidate else None,
        sitting=await readable_exam(cluster, ExamKey(solver.namespace, name)) if sitting else None,
    )
