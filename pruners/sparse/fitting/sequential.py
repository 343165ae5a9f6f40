"""Layer after layer fitted, each from the inputs that the masked layers before it leave it."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn

from pruners.calibration.calibration import Calibration
from pruners.calibration.layer_calls import LayerCall
from pruners.calibration.moments.columns import Layer
from pruners.network.batchnorm import estimating_batchnorm
from pruners.network.call_stream import streaming
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import COMPRESSED_REFUSED, naming_refusals
from pruners.network.inputs import forward_on_copy, layer_input
from pruners.network.layer_names import named_modules
from pruners.sparse.fitting.layer_fit import LayerFit, fit_to_outputs


def fit_in_sequence(
    network: nn.Module,
    small: nn.Module,
    layers: Mapping[str, Layer],
    calls: Mapping[str, LayerCall],
    kept: Mapping[str, Tensor],
    calibration: Calibration,
    ridge: float,
    put: Callable[[str, LayerFit], None],
) -> None:
    """Fit layers that are called once, in the order of their calls, to the dense layers' outputs.

    The inputs are those that the masked network ``small`` gives a layer, whose earlier layers are fitted and
    whose BatchNorm goes by the images already, so that a layer also makes up for what was lost before it
    (asymmetric reconstruction: Zhang et al., TPAMI 2016, arXiv 1505.06798, section 3.3). ``put`` puts each
    layer's fit into ``small``.

    One pass of either network, in step, over all images as one batch: the masked one waits before each layer
    until that has been fitted. Memory is both networks' for such a batch.
    """
    modules, batch = dict(named_modules(small)), calibration.joined()
    with as_defined(), streaming(network, layers, batch) as dense, ExitStack() as hooks:

        def fitting(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
            def fit(_: nn.Module, inputs: tuple[Any, ...], by_name: dict[str, Any]) -> None:
                given, wanted = layer_input(inputs, by_name), dense.next_output(name)
                about_means = calls[name].offset_free
                fitted = fit_to_outputs(name, layers[name], kept[name], given, wanted, ridge, about_means)
                if fitted is not None:
                    put(name, fitted)

            return fit

        for name in layers:
            hooks.callback(modules[name].register_forward_pre_hook(fitting(name), with_kwargs=True).remove)
        with estimating_batchnorm(small), naming_refusals(small, COMPRESSED_REFUSED):
            forward_on_copy(small, batch)
