"""Wrong sweep files of networks that are made int8."""

from tests.sweeps.bad_sweeps import BadSweep

METHOD = "  method: alds\n"


def _int8(lines: str, said: str, line: int) -> BadSweep:
    return BadSweep(((METHOD, f"{METHOD}{lines}"),), rf"s\.yaml:{line}: {said}")


BAD_INT8 = {
    "int8 of another kind": _int8(
        "  int8: fp8\n", r"compression\.int8: should be 'none', 'static' or 'dynamic', not 'fp8'\.", 9
    ),
    "int8 without images": _int8(
        "  calibration_images: 0\n  int8: static\n",
        r"int8 static is calibrated on images, and compression\.calibration_images is 0\.",
        10,
    ),
    "the divergence of int8 that is none": BadSweep(
        (("val/accuracy, goal: maximize", "compress/int8_divergence, goal: minimize"),),
        r"s\.yaml:13: metric\.name: compress/int8_divergence is of int8 networks, "
        r"and compression\.int8 is none\.",
    ),
    "int8 of a network that no graph follows": BadSweep(
        (
            ("network: lenet_300_100", "network: tests.trainables.users:undecided_network"),
            (METHOD, f"{METHOD}  int8: static\n"),
        ),
        r"s\.yaml:9: compression\.int8: The network cannot be made int8: "
        r"torch\.export does not follow it \(Data-dependent branching\)\.",
    ),
}
