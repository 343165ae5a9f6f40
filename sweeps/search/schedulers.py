"""Ray Tune's schedulers that stop trials early, from the sweep file's ``early_terminate``."""

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from sweeps.spec.keys import EarlyTerminate, Metric


def build(early: EarlyTerminate | None, objective: Metric, retrain_epochs: int) -> TrialScheduler:
    """The scheduler, counting retraining epochs. ``max_iter`` is the retraining's length unless the file says otherwise."""
    if early is None:
        return FIFOScheduler()
    mode = "max" if objective.goal == "maximize" else "min"
    if early.type == "median":
        return MedianStoppingRule(
            time_attr="epoch", metric=objective.name, mode=mode, grace_period=early.min_iter, min_samples_required=early.eta, hard_stop=True
        )
    return ASHAScheduler(
        time_attr="epoch",
        metric=objective.name,
        mode=mode,
        max_t=early.max_iter or retrain_epochs,
        grace_period=early.min_iter,
        reduction_factor=early.eta,
    )
