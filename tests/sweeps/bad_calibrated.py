"""Wrong sweep files of what is chosen by calibration images, layer by layer, or beside other methods."""

from tests.sweeps.bad_sweeps import SWEEP, BadSweep

METHOD, LAST = "  method: alds\n", "run_cap: 2\n"


def _compression(lines: str, said: str, more: str = "") -> BadSweep:
    return BadSweep(((METHOD, lines), (LAST, LAST + more)), said)


def _baselines(entries: str, said: str, exit_code: int = 2) -> BadSweep:
    return BadSweep(((LAST, f"{LAST}baselines: [{entries}]\n"),), said, exit_code)


SCALE = "per_layer: {scale: {spread: 0.3}}\n"
BAD_CALIBRATED = {
    "a method that chooses by no images": _compression(
        "  method: calibrated\n  calibration_images: 0\n",
        r"s\.yaml:9: method calibrated needs compression\.calibration_images, which are 0\.",
    ),
    "a decomposition fitted to no images": _compression(
        "  method: alds\n  calibration_images: 0\n  options: {refit: layer}\n",
        r"s\.yaml:9: refit layer needs compression\.calibration_images, which are 0\.",
    ),
    "a mask allocated by no images": _compression(
        "  method: magnitude\n  calibration_images: 0\n  options: {allocation: measured}\n",
        r"s\.yaml:9: allocation measured needs compression\.calibration_images, which are 0\.",
    ),
    "tolerances that the method does not take": _compression(
        "  method: calibrated\n",
        r"s\.yaml:15: per_layer\.tolerance needs a method with the option tolerance, and calibrated has "
        r"none; those that have it are alds\.",
        "per_layer: {tolerance: {min: 0.5, max: 2}}\n",
    ),
    "ranks that the method does not take": _compression(
        "  method: svd\n",
        r"s\.yaml:15: per_layer\.rank needs a method with the option layers, and svd has none; "
        r"those that have it are alds, calibrated\.",
        "per_layer: {rank: {min: 1}}\n",
    ),
    "scales for one allocation of two": BadSweep(
        (
            (METHOD, "  method: magnitude\n"),
            (
                "  training.lr: {min: 0.01, max: 0.1}",
                "  compression.options.allocation: {values: [measured, global]}",
            ),
            (LAST, LAST + SCALE),
        ),
        r"s\.yaml:.*: compression: scale multiplies curves of the allocation measured; global has none\.",
    ),
    "a baseline that no budget leaves room for": _baselines(
        "svd, {method: svd, name: whole, options: {exclude: ['*']}}",
        r"s\.yaml:15: baselines: whole: no choice of layers meets budget\.keep_ratio 0\.25; "
        r"the least possible is 1\.",
        exit_code=3,
    ),
}

assert SWEEP.endswith(LAST)
