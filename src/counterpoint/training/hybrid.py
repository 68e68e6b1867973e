"""A finished first stage with BM25, as `evaluation.first_stage` asks (docs/method.md, "Hybrid")."""

from dataclasses import replace

from counterpoint.config.options import FirstStageKind
from counterpoint.evaluation.hybrid import CandidateRanking, choose_weight, standardised
from counterpoint.evaluation.system import TrainedSystem
from counterpoint.results.files import HybridWeight
from counterpoint.search.distances import Costs
from counterpoint.tasks.candidates import CandidateSets
from counterpoint.training.data import CellData


def ranked(
    system: TrainedSystem, data: CellData, kind: FirstStageKind
) -> tuple[TrainedSystem, HybridWeight | None]:
    """A system whose candidates are ranked as asked, and the weight of BM25 that dev chose for it.

    Args:
        system: ranks by its distances.
        data: of the cell.
        kind: `dense` leaves the system as it is.
    """
    if kind == "dense":
        return system, None

    def choose() -> HybridWeight:
        sets = data.sets("dev")
        return choose_weight(sets, standardised(system.costs_of(sets), data.lexical(sets)))

    ranking = CandidateRanking.chosen(kind, choose)
    known: dict[int, Costs] = {}

    def fused(sets: CandidateSets, dense: Costs) -> Costs:
        # The system's vectors stay, and a cross-encoder asks for the same costs each epoch.
        if id(sets) not in known:
            known[id(sets)] = ranking.costs(dense, lambda: data.lexical(sets))
        return known[id(sets)]

    return replace(system, fused=fused), ranking.weight
