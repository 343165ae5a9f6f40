"""What W&B shows of a trial that is over."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sweeps.tracking.curves import with_spread
from trainables.metric_names import (
    BYTES,
    BYTES_KEPT,
    DENSITY,
    FLOPS_KEPT,
    LATENCY_KEPT,
    LATENCY_MS,
    MULTIPLY_ADDS,
    OF_A_LAYER,
    PARAMS,
    PARAMS_KEPT,
    of_dense,
)
from trainables.places.place import place_of
from trainables.results.verdict import verdict

Rows = list[Mapping[str, Any]]
_DENSE = {"params": PARAMS, "multiply_adds": MULTIPLY_ADDS, "latency_ms": LATENCY_MS, "bytes": BYTES}
_ALL_KEPT = dict.fromkeys((PARAMS_KEPT, FLOPS_KEPT, LATENCY_KEPT, BYTES_KEPT), 1.0)


@dataclass(frozen=True)
class Shown:
    """The summary, the tables, the notes of a trial's run, and its dense network's figures where known."""

    summary: dict[str, Any]
    notes: str
    tables: dict[str, Rows] = field(default_factory=dict)
    dense: dict[str, Any] = field(default_factory=dict)


def read_result(path: str | None) -> dict[str, Any]:
    """Read a trial's result.json; nothing where there is none, or a damaged one."""
    try:
        found: dict[str, Any] = json.loads(place_of(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
    return found


def points(result: Mapping[str, Any], metric: str) -> Iterator[dict[str, Any]]:
    """Yield the points of a finished trial as its journal would have them, but for its last metrics.

    These are the epochs of its closing training, or the levels of a lottery.
    """
    for level in result.get("levels", ()):
        if "step" not in level:  # of a version that did not keep it
            continue
        tracks, number = level["tracks"], level["level"]
        own = {"step": level["step"], "epoch": number, "level": number, PARAMS_KEPT: level["params_kept"]}
        own |= {DENSITY: level["density"]} if number else {}
        curves: dict[str, float] = {}
        for track, figures in tracks.items():
            if metric in figures:
                curves |= with_spread(track, figures[metric], figures.get(f"{metric}_std", 0.0))
        name = f"training/level {number:02d}"
        yield {
            "point": {**{n: v for n, v in tracks["ticket"].items() if n != "step"}, **own},
            "curves": {DENSITY: level["density"], **curves},
            "training": [{"training/step": one["step"], name: one[metric]} for one in level["history"]],
        }
    if not result.get("levels"):
        yield from ({"point": _numbers(epoch)} for epoch in result.get("history", ()))


def shown(begin: Mapping[str, Any], end: Mapping[str, Any], result: Mapping[str, Any]) -> Shown:
    """Return what to show of a trial: CR-P, CR-F, quality, verdict, tables of its layers and its seeds."""
    summary = {"outcome": end["outcome"], **end["point"], **end["others"]}
    if end.get("failed"):
        return Shown({**summary, "failed": end["failed"]}, f"Failed: {end['failed']}")
    summary |= _rates(summary)
    replicates = result.get("replicates", [])
    told = _verdict(begin, result)
    if told:
        summary |= {"verdict": told["verdict"]} | {
            f"verdict/{n}": v for n, v in told.items() if n != "verdict"
        }
    tables: dict[str, Rows] = {}
    layers = result.get("layers") or _layers_of(end["layers"])
    if layers:
        tables["layers"] = [{"layer": name, **figures} for name, figures in layers.items()]
    if len(replicates) > 1:
        tables["replicates"] = [{"seed": one["seed"], **_numbers(one["metrics"])} for one in replicates]
    dense: dict[str, Any] = {}
    if begin["metric"] in (measured := result.get("dense", {})):  # else nobody trained it
        dense = {_DENSE.get(n, n): v for n, v in measured.items()}
        dense |= {**_ALL_KEPT, "CR-P": 0.0, "CR-F": 0.0}
    return Shown(summary, _sentence(begin, summary, told, len(replicates)), tables, dense)


def _rates(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return CR-P and CR-F: the shares of parameters and multiply-adds that were removed, in percent."""
    return {
        name: 100 * (1 - summary[kept])
        for name, kept in (("CR-P", PARAMS_KEPT), ("CR-F", FLOPS_KEPT))
        if kept in summary
    }


def _verdict(begin: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether the seeds tell the network from its dense one; of a lottery, its last ticket."""
    if result.get("levels"):
        return dict(result["levels"][-1]["verdict"].get("ticket", {}))
    metric = begin["metric"]
    pairs = [
        (one["metrics"][metric], one["metrics"][of_dense(metric)])
        for one in result.get("replicates", [])
        if metric in one["metrics"] and of_dense(metric) in one["metrics"]
    ]
    return verdict([own for own, _ in pairs], [dense for _, dense in pairs], begin["goal"]) if pairs else {}


def _layers_of(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the layers' figures by layer, from metrics named ``compress/layer/<layer>/<figure>``."""
    layers: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        layer, _, figure = name.removeprefix(OF_A_LAYER).rpartition("/")
        layers.setdefault(layer, {})[figure] = value
    return layers


def _sentence(
    begin: Mapping[str, Any], summary: Mapping[str, Any], told: Mapping[str, Any], seeds: int
) -> str:
    """Say in words what came of the trial."""
    metric = begin["metric"]
    if metric not in summary:
        return ""
    said = f"Reaches {metric} {_number(summary[metric])}"
    if seeds > 1:
        said += f" (mean of {seeds} seeds, standard deviation {_number(summary.get(f'{metric}_std', 0.0))})"
    kept = [
        f"{100 * summary[name]:.1f} % of the {what}{rate}"
        for name, what, rate in (
            (DENSITY, "weights", ""),
            (PARAMS_KEPT, "parameters", f" (CR-P {summary.get('CR-P', 0):.1f} %)"),
            (FLOPS_KEPT, "multiply-adds", f" (CR-F {summary.get('CR-F', 0):.1f} %)"),
        )
        if name in summary
    ]
    said += (" with " + " and ".join(kept) if kept else "") + "."
    if (dense := summary.get(of_dense(metric))) is not None:
        said += f" Its dense network ({begin['dense_link']}) reaches {_number(dense)}"
        said += f": {_words(told)}." if told else "."
    return said if summary["outcome"] == "complete" else f"Stopped early. {said}"


def _words(told: Mapping[str, Any]) -> str:
    """Say a verdict in words that claim no more than it does."""
    word = told["verdict"]
    if word == "one seed":
        return "one seed cannot tell them apart"
    if word == "no spread":
        return "all seeds differ by the same, which a test cannot judge"
    word = "not told apart" if word == "matching" else word
    interval = f"95 % interval of the difference {told['low']:+.4f} to {told['high']:+.4f}"
    return f"{word} over {told['seeds']} seeds ({interval})"


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        n: v
        for n, v in metrics.items()
        if isinstance(v, int | float) and math.isfinite(v) and not n.startswith(OF_A_LAYER)
    }


def _number(value: float) -> str:
    return f"{value:.4f}"
