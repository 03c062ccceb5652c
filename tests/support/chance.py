"""What tests draw: the same each time, so that a change is judged by what it changes. Another
RUN_CORE_SEED draws something else (tests/run --interop takes a new one, and prints it)."""
import os
import random

SEED = int(os.environ.get("RUN_CORE_SEED", "1"))


def seeds():
    """Seeds without end, the first is that of the environment."""
    rng, seed = random.Random(SEED), SEED
    while True:
        print(f"RUN_CORE_SEED={seed}")
        yield seed
        seed = rng.randrange(1 << 32)
