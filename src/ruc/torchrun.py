"""Whether `torchrun` has started this command in several processes, by what it puts into the environment."""

import os


def is_one_of_several() -> bool:
    """Whether there are others beside this process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "TORCHELASTIC_RUN_ID" in os.environ


def is_first() -> bool:
    """Whether this is the process that does what isn't divided, or the only one."""
    return not is_one_of_several() or os.environ.get("RANK") == "0"
