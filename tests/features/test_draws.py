import numpy as np

from features.draws import mix

STEP = 0x9E3779B97F4A7C15
SPLITMIX64 = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
"""What the reference implementation draws first, seeded with 0: draws that are kept rest on it."""


def test_the_bits_are_those_of_splitmix64():
    states = np.array([n * STEP % 2**64 for n in range(3)], np.uint64)
    assert mix(states).tolist() == SPLITMIX64
    assert mix(states[:, None]).tolist() == [[one] for one in SPLITMIX64]
