"""The tests' name for the loop that users have, too."""

from trunkline.testing.virtual_time import run_in_virtual_time

__all__ = ["run_in_virtual_time"]
