"""The methods there are. A new one is a file of its own and a line here."""

from pruners.channels.methods.bn_scale import BNScale
from pruners.channels.methods.channel_method import ChannelMethod
from pruners.channels.methods.ft import FT
from pruners.channels.methods.l1 import L1
from pruners.channels.methods.pfp import PFP
from pruners.channels.methods.taylor import Taylor
from pruners.errors import PrunerError, UnknownMethod, nearest
from pruners.lowrank.methods.alds import ALDS
from pruners.lowrank.methods.calibrated import Calibrated
from pruners.lowrank.methods.cp import CP
from pruners.lowrank.methods.l_rank import LRank
from pruners.lowrank.methods.pca import PCA
from pruners.lowrank.methods.rank_method import RankMethod
from pruners.lowrank.methods.svd import SVD
from pruners.lowrank.methods.svd_energy import SVDEnergy
from pruners.lowrank.methods.tucker import Tucker
from pruners.method import Method
from pruners.option_values import shown
from pruners.sparse.methods.gradient_magnitude import GradientMagnitude
from pruners.sparse.methods.grasp import GraSP
from pruners.sparse.methods.iterative_snip import IterativeSNIP
from pruners.sparse.methods.magnitude import Magnitude
from pruners.sparse.methods.mlprune import MLPrune
from pruners.sparse.methods.movement import Movement
from pruners.sparse.methods.obd import OBD
from pruners.sparse.methods.random import Random
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.methods.snip import SNIP
from pruners.sparse.methods.synflow import SynFlow
from pruners.users_method import users_method

_METHODS: tuple[Method, ...] = (
    ALDS(),
    Calibrated(),
    SVD(),
    SVDEnergy(),
    PCA(),
    LRank(),
    Tucker(),
    CP(),
    Magnitude(),
    Random(),
    SNIP(),
    IterativeSNIP(),
    GraSP(),
    SynFlow(),
    OBD(),
    MLPrune(),
    Movement(),
    GradientMagnitude(),
    FT(),
    L1(),
    BNScale(),
    PFP(),
    Taylor(),
)

_BASES = (RankMethod, ScoreMethod, ChannelMethod)
"""What a method of the user's own is a subclass of."""

_REMOVED = {"mask": "single weights", "channels": "channels"}


def methods() -> dict[str, Method]:
    """Return every built-in method by name, with title, kind of artifact, paper, needs and options."""
    return {method.name: method for method in _METHODS}


def method_named(name: str) -> Method:
    """Return the method of this name, or one of the user's own by its ``package.module:Class``.

    Raises UnknownMethod, with the nearest name, where there is none, and PrunerError for a class that is no
    method or one that could not be used.
    """
    known = methods()
    if isinstance(name, str) and ":" in name:
        return users_method(name, _BASES)
    if not isinstance(name, str) or name not in known:
        raise UnknownMethod(f"There is no method {shown(name)}{nearest(str(name), known)}")
    return known[name]


def rank_method_named(name: str) -> RankMethod:
    """Return the method of this name, which must be one that chooses ranks. Raises PrunerError."""
    rule = method_named(name)
    if not isinstance(rule, RankMethod):
        ranks = ", ".join(n for n, known in methods().items() if isinstance(known, RankMethod))
        raise PrunerError(
            f"Method {name} removes {_REMOVED[rule.kind]} and chooses no ranks; those that do are {ranks}."
        )
    return rule


def score_method_named(name: str) -> ScoreMethod:
    """Return the method of this name, which must be one that scores single weights. Raises PrunerError."""
    rule = method_named(name)
    if not isinstance(rule, ScoreMethod):
        scoring = ", ".join(n for n, known in methods().items() if isinstance(known, ScoreMethod))
        does = "chooses ranks" if rule.kind == "decomposition" else "removes channels"
        raise PrunerError(f"Method {name} {does} and scores no single weights; those that do are {scoring}.")
    return rule
