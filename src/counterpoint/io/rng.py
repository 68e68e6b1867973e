"""Random numbers: every generator is seeded from (seed, epoch, purpose), and none is global."""

import zlib

import numpy as np


def sequence(seed: int, epoch: int, purpose: str) -> np.random.SeedSequence:
    """The seed sequence of one purpose in one epoch of one run.

    Drawing more numbers for one purpose never shifts those of another. An epoch of -1 stands for
    what is drawn once, before the first epoch.
    """
    return np.random.SeedSequence([seed, epoch + 1, zlib.crc32(purpose.encode("utf-8"))])


def generator(seed: int, epoch: int, purpose: str) -> np.random.Generator:
    """A private NumPy generator for one purpose in one epoch of one run."""
    return np.random.Generator(np.random.PCG64(sequence(seed, epoch, purpose)))


def torch_seed(seed: int, epoch: int, purpose: str) -> int:
    """A 63-bit seed for a torch generator, from the same three values."""
    return int(sequence(seed, epoch, purpose).generate_state(1, np.uint64)[0] >> np.uint64(1))
