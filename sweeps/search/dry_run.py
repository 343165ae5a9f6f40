"""What a sweep would run, told without running it."""

from sweeps.search.prepare import Prepared


def dry_run_text(prepared: Prepared) -> str:
    """A few lines: what is searched, how many trials, and how many epochs they train with the dense network shared."""
    file = prepared.sweep.file
    first = prepared.sections(prepared.first_trial or {}) if not prepared.sweep.space.distributions else None
    lines = [
        f"{file.name}: {prepared.target} trials, sampler {file.method}, {len(prepared.space)} parameters",
        f"network: {len(prepared.shapes)} compressible layers",
        "objectives: " + ", ".join(f"{m.goal} {m.name}" for m in file.objectives),
    ]
    if prepared.baselines:
        lines.append(f"baselines: {', '.join(prepared.baselines)}")
    if first:
        runs = (prepared.target + len(prepared.baselines)) * file.replicates
        dense = 0 if first.task.checkpoint else first.training.epochs
        retrained = runs * prepared.retrain_epochs
        shared, alone = dense * file.replicates + retrained, dense * runs + retrained
        lines.append(f"epochs: {shared} with the dense network shared, {alone} if each trial trained its own")
    return "\n".join(lines)
