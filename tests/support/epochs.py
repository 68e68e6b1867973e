"""Epoch records made by hand."""

from counterpoint.results.epoch_log import (
    Distances,
    EpochRecord,
    EpochScores,
    Losses,
    NegativeCounts,
    Spread,
)


def epoch_record(
    epoch: int = 0,
    *events: str,
    train: float = 0.5,
    dev: float | None = 0.5,
    train_loss: float | None = 1.0,
    dev_loss: float | None = 1.0,
    retrieval_loss: float | None = 1.0,
    spread: float | None = 1.0,
) -> EpochRecord:
    """Of an epoch with some accuracies (train official, dev clean) and losses.

    `dev` None stands for an epoch that diverged.
    """
    diverged = dev is None
    scores = {"train": {"official": train}, "dev": {"clean": 0.0 if dev is None else dev}}
    losses = {"train": train_loss, "dev": dev_loss}
    distances = Distances(Spread(1.0, 0.1), Spread(2.0, 0.2))
    return EpochRecord(
        epoch=epoch,
        learning_rate=1e-3,
        random_rate=0.5,
        negatives=NegativeCounts(random=3, hard_point=2, hard_counter=1, same_debate=0),
        losses={
            split: Losses(retrieval=retrieval_loss, counter=0.5, negative=0.25, total=total)
            for split, total in losses.items()
        },
        distances=dict.fromkeys(losses, distances),
        accuracy={}
        if diverged
        else {
            split: {
                protocol: EpochScores(retrieval=value / 2, reranked=value, recall_at_10=1.0)
                for protocol, value in protocols.items()
            }
            for split, protocols in scores.items()
        },
        gap=None if dev is None else train - dev,
        spread=spread,
        diverged="the loss is not a number" if diverged else None,
        events=list(events),
    )
