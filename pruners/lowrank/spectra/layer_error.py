"""The exact error of one option of one layer."""

from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.metrics import ERROR_METRICS, spectral_errors
from pruners.lowrank.spectra.residual import residual_norm


def layer_error(spectra: LayerSpectra, rank: int, num_subspaces: int, metric: str) -> float:
    """Return the error, by one of the five metrics, of truncating each slice to ``rank``."""
    if metric == "true" and num_subspaces > 1:
        return residual_norm(spectra, rank, num_subspaces) / (spectra.scale or 1.0)
    # one slice is the whole matrix: its worst slice is its residual
    in_closed_form = "max" if metric == "true" else metric
    values = spectra.singular_values(num_subspaces)
    return float(spectral_errors(in_closed_form, values, spectra.scale, spectra.norm)[rank - 1])


def layer_errors(spectra: LayerSpectra, rank: int, num_subspaces: int) -> dict[str, float]:
    """Return the error of truncating each slice to ``rank``, by every metric."""
    return {metric: layer_error(spectra, rank, num_subspaces, metric) for metric in ERROR_METRICS}
