"""The dense networks that a process keeps between trials, with the spectra that `pruners` keeps of each."""

from collections import OrderedDict

import pruners
from trainables.execution.network import Network

LIMIT = 512 * 2**20  # bytes, of CPU and GPU together


class KeptNetworks:
    """Networks by key, the least recently used of which go when all together take more than ``limit`` bytes.

    The last one used stays however large it is. A network's spectra grow after it was put here, so that they
    are weighed at every use.
    """

    def __init__(self, limit: int = LIMIT):
        self.limit = limit
        self._networks: OrderedDict[tuple[str, ...], Network] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> Network | None:
        """Return the network kept under ``key``, or None."""
        network = self._networks.get(key)
        if network:
            self.put(key, network)
        return network

    def put(self, key: tuple[str, ...], network: Network) -> None:
        """Keep ``network`` without its gradients, and let go of others until there is room."""
        network.module.zero_grad(set_to_none=True)
        self._networks[key] = network
        self._networks.move_to_end(key)
        sizes = {other: pruners.held_memory(kept.module) for other, kept in self._networks.items()}
        while len(sizes) > 1 and sum(sizes.values()) > self.limit:
            oldest = next(iter(self._networks))
            del self._networks[oldest], sizes[oldest]

    def clear(self) -> None:
        """Let go of all."""
        self._networks.clear()
