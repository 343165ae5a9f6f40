"""Train until the mask has settled, prune, train what is left."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from trainables.config import TrialConfig
from trainables.errors import TaskError
from trainables.recipes.dense import dense
from trainables.recipes.pruning import pruning
from trainables.recipes.trainable import NO_TEACHER, TRAINS_ANEW, Trainable, sections_of_others
from trainables.stages import Compress, Recipe, Settle, Train

_WINDOW, _TOLERANCE = 5, 0.1


@final
class EarlyBird(Trainable):
    """Early-Bird tickets (You et al., ICLR 2020, section 3): the mask is drawn once it has settled."""

    name = "early_bird"
    unused = sections_of_others() | TRAINS_ANEW | NO_TEACHER
    kind = "mask"

    def stages(self, config: TrialConfig, steps_per_epoch: int) -> Recipe:
        """Return the stages: what is left is trained over the whole schedule from the weights at the draw.

        Raises `TaskError` where nothing is trained first.
        """
        training, (compress, *control) = dense(config, steps_per_epoch), pruning(config)
        if not training:
            raise TaskError(
                "trainable early_bird watches a training from its start; "
                "give training.epochs, and no checkpoint."
            )
        assert isinstance(compress, Compress) and isinstance(training[0], Train)
        return (*training, Settle(compress, _WINDOW, _TOLERANCE), *control, training[0])

    def keep_at(self, config: TrialConfig, searched: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        """Return every epoch: the mask may settle after any."""
        return tuple(f"{epoch}ep" for epoch in range(1, config.training.epochs + 1))
