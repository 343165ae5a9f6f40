"""How a network without BatchNorm is initialised; a lottery ticket is made of it."""

from torch import nn

from trainables.errors import TaskError, nearest

INITIALIZATIONS = ("torch", "glorot")


def initialized(network: nn.Sequential, initialization: str) -> nn.Sequential:
    """Initialise ``network`` in place as torch does, or with Gaussian Glorot weights and zero biases.

    Returns it. ``glorot`` (Glorot & Bengio, AISTATS 2010) is what Frankle & Carbin train (ICLR 2019, figure
    2). Raises `TaskError` for another name.
    """
    if initialization not in INITIALIZATIONS:
        raise TaskError(
            f"there is no initialization {initialization!r}; {nearest(initialization, INITIALIZATIONS)}"
        )
    if initialization == "glorot":
        for layer in network:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return network
