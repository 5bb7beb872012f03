"""Lateness: quantiles from bins, beside those of all the numbers."""

import random

import numpy as np

from trunkline.lateness import Lateness


def test_quantiles_are_right_to_a_bin() -> None:
    rng = random.Random(0)
    late_ms = [rng.lognormvariate(0, 1.5) for _ in range(5000)]
    halves = Lateness(), Lateness()
    for k, late in enumerate(late_ms):
        halves[k % 2].add(late)
    whole = Lateness()
    assert (whole.n, whole.quantile_ms(0.5), whole.max_ms) == (0, 0.0, 0.0)
    for half in halves:
        whole.update(half)
    assert (whole.n, whole.max_ms) == (5000, max(late_ms))
    for q in (0.1, 0.5, 0.9, 0.99, 0.999, 1.0):
        exact = float(np.quantile(late_ms, q, method="inverted_cdf"))
        assert max(exact, 0.05) * 0.999 <= whole.quantile_ms(q) <= max(exact, 0.05) * 1.1


def test_what_is_early_or_very_late_has_a_bin_too() -> None:
    lateness = Lateness()
    for late_ms in (-1.0, 0.0, 1e9):
        lateness.add(late_ms)
    assert (lateness.n, lateness.max_ms, lateness.quantile_ms(0.5)) == (3, 1e9, 0.05)
