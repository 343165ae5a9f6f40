"""What a sweep would run, told without running it."""

import dataclasses

import pruners
from sweeps.search.epochs import forecast, format_epochs
from sweeps.search.feasibility import compressions, network_and_input, stages_of, trial_of
from sweeps.search.prepare import Prepared
from sweeps.search.unreached import unreached
from trainables.users_code.methods import method_named


def dry_run_text(prepared: Prepared) -> str:
    """Return a few lines on what is searched, how many trials run and how many epochs they train."""
    file = prepared.sweep.file
    lines = [
        f"{file.name}: {prepared.target} trials, sampler {file.method}, "
        f"{len(prepared.space.distributions)} parameters",
        _network(prepared),
        *unreached(prepared),
        "objectives: " + ", ".join(f"{m.goal} {m.name}" for m in file.objectives),
    ]
    if prepared.limits:
        lines.append("constraints: " + ", ".join(limit.name for limit in prepared.limits))
    lines += _cascade(prepared)
    if file.seconds is not None:
        lines.append(f"time limit: no new trial after {file.seconds:,.0f} s")
    if file.screen:
        lines.append(f"screened: {file.screen.trials} trials without training, to choose these by")
    if prepared.enqueued:
        lines.append(f"enqueued: {len(prepared.enqueued)} of these trials, tried first")
    if prepared.baselines:
        lines.append(f"baselines: {', '.join(baseline.name for baseline in prepared.baselines)}")
    epochs = forecast(prepared)
    shared, alone = format_epochs(epochs.need.shared), format_epochs(epochs.need.alone)
    lines.append(
        f"epochs: {'' if epochs.exact else 'about '}{shared} with nothing trained twice, "
        f"{alone} if each trial stood alone"
    )
    return "\n".join(lines)


def _cascade(prepared: Prepared) -> list[str]:
    """Return a line on the steps of the longest cascade; nothing where trials compress once."""
    longest = max(prepared.sweep.values_of("compression.cascade"))
    sections = prepared.sweep.sections(prepared.first_draw)
    if longest == 1:
        return []
    compression = dataclasses.replace(sections.compression, cascade=longest)
    trial = trial_of(prepared.sweep.file.trainable, dataclasses.replace(sections, compression=compression))
    budgets = [step.budget for step in compressions(stages_of(trial))]
    asked = [budget.parameters or f"{getattr(budget, budget.kind):.4g}" for budget in budgets]
    return [f"cascade: {longest} steps, {budgets[0].kind} {', '.join(map(str, asked))}"]


def _network(prepared: Prepared) -> str:
    sections = prepared.sweep.sections(prepared.first_draw)
    if method_named(sections.compression.method).kind == "decomposition":
        return f"network: {len(prepared.shapes)} compressible layers"
    layers = pruners.prunable(network_and_input(sections.task)[0])
    weights = sum(layer.params for layer in layers.values())
    return f"network: {weights:,} prunable weights in {len(layers)} layers"
