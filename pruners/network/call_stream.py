"""A network's calls of its layers one at a time, while its forward pass waits."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Any

import torch
from torch import Tensor, nn

from pruners.network.forward_pass import REFUSED, evaluating, naming_refusals
from pruners.network.inputs import Inputs, forward_on_copy
from pruners.network.layer_names import unwrapped


class _Abandoned(BaseException):
    """Nobody waits for further calls. Not an Exception: a network may catch those of its layers."""


class CallStream:
    """The calls of some layers in one forward pass of a network in eval mode, in their order.

    The pass runs in a thread of its own that only goes on while `next_output` waits for it, so that two
    networks can be run in step without keeping either's activations. Used by `streaming`.
    """

    def __init__(self, network: nn.Module, layers: Mapping[str, nn.Module], batch: Inputs) -> None:
        self._network, self._layers, self._batch = network, layers, batch
        self._wanted = Semaphore(0)
        self._calls: SimpleQueue[tuple[str, Tensor] | Exception | None] = SimpleQueue()
        self._abandoned = False
        self._default_device = torch.get_default_device()  # each thread has its own
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def next_output(self, name: str) -> Tensor:
        """Return the output of the next call, which must be of this layer; it holds until the one after.

        Raises what the pass raised, and RuntimeError where another layer is called, or none.
        """
        self._wanted.release()
        call = self._calls.get()
        if isinstance(call, Exception):
            raise call
        if call is None or call[0] != name:
            raise RuntimeError(
                f"the dense network calls {repr(call[0]) if call else 'no layer'} next, the compressed one "
                f"{name!r}; where inputs decide which layers run, give refit='layer'"
            )
        return call[1]

    def close(self) -> None:
        """End the pass where it is."""
        self._abandoned = True
        self._wanted.release()
        self._thread.join()

    def _run(self) -> None:
        handles = [layer.register_forward_hook(self._noting(name)) for name, layer in self._layers.items()]
        end: Exception | None = None
        try:
            self._wait()
            with (
                self._default_device,
                evaluating(self._network),
                naming_refusals(self._network, REFUSED),
            ):
                try:
                    forward_on_copy(unwrapped(self._network), self._batch)
                except _Abandoned:
                    return
        except _Abandoned:
            return
        except Exception as error:
            end = error
        finally:
            for handle in handles:
                handle.remove()
            self._calls.put(end)

    def _noting(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def note(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            self._calls.put((name, output))
            self._wait()

        return note

    def _wait(self) -> None:
        if self._abandoned:  # and the network has caught that: it may go on to its end
            return
        self._wanted.acquire()
        if self._abandoned:
            raise _Abandoned


@contextmanager
def streaming(network: nn.Module, layers: Mapping[str, nn.Module], batch: Inputs) -> Iterator[CallStream]:
    """Run a network on a batch in step with the block: see `CallStream`."""
    stream = CallStream(network, layers, batch)
    try:
        yield stream
    finally:
        stream.close()
