"""What a method of your own is made of, see docs/own-method.md.

A subclass of `RankMethod` chooses how each layer is decomposed, one of `ScoreMethod` scores single weights,
one of `ChannelMethod` channels.
"""

from pruners.allocation.knapsack import knapsack
from pruners.allocation.minmax import minmax
from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.lowrank.layers.candidates import Candidates, dense_candidate, layer_candidates
from pruners.lowrank.layers.cut import DENSE, Cut
from pruners.lowrank.layers.shapes import LayerShape, NetworkShape
from pruners.lowrank.methods.common_share import cuts_at_largest_share
from pruners.lowrank.methods.every_cut import (
    CANDIDATE_SUBSPACES,
    WHAT_LAYERS_MAY_BECOME,
    best_options,
    every_cut,
)
from pruners.lowrank.methods.rank_method import (
    EXCLUDE,
    RANK_MULTIPLE,
    AllocationProblem,
    LayerErrors,
    RankMethod,
    excluding,
)
from pruners.lowrank.spectra.metrics import ERROR_METRICS
from pruners.method import Option
from pruners.option_values import (
    LAYERS,
    ByLayer,
    Choice,
    Fields,
    Flag,
    ListOf,
    Number,
    Share,
    Text,
    Values,
    Whole,
)
from pruners.sparse.curvature.batchnorm_mode import BATCHNORM
from pruners.sparse.curvature.gradients import loss_gradients
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod

__all__ = [
    "BATCHNORM",
    "CANDIDATE_SUBSPACES",
    "DENSE",
    "ERROR_METRICS",
    "EXCLUDE",
    "LAYERS",
    "RANK_MULTIPLE",
    "WHAT_LAYERS_MAY_BECOME",
    "AllocationProblem",
    "ByLayer",
    "Candidates",
    "ChannelGroup",
    "ChannelInputs",
    "ChannelMethod",
    "Choice",
    "Cut",
    "Fields",
    "Flag",
    "LayerErrors",
    "LayerShape",
    "ListOf",
    "NetworkShape",
    "Number",
    "Option",
    "RankMethod",
    "ScoreMethod",
    "Scores",
    "ScoringInputs",
    "Share",
    "Text",
    "Values",
    "Whole",
    "best_options",
    "cuts_at_largest_share",
    "dense_candidate",
    "every_cut",
    "excluding",
    "knapsack",
    "layer_candidates",
    "loss_gradients",
    "minmax",
]
