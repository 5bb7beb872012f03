"""Recordings into others: one file, or millions.

convert         one recording into a file
convert_bytes   one recording in memory
Plan            what is to be made of it
"""

from trunkline.convert.conversion import Converted, convert, convert_bytes
from trunkline.convert.plan import Plan

__all__ = ["Converted", "Plan", "convert", "convert_bytes"]
