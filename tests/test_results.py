from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bnbench.results import MOST_POINTS, thinned


@given(lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=3), first=st.integers(0, 1))
def test_thinned_curves_keep_their_ends_and_their_steps_in_common(lengths: list[int], first: int) -> None:
    curves = {str(i): [(step, step / 7) for step in range(first, first + n)] for i, n in enumerate(lengths)}
    found = thinned(curves)
    assert found.keys() == curves.keys()
    for key, points in curves.items():
        kept = found[key]
        assert set(kept) <= set(points)
        assert kept == sorted(kept)
        if len(points) <= MOST_POINTS:
            assert kept == points
        else:
            assert len(kept) <= MOST_POINTS
            assert kept[0] == points[0]
    longest = max(curves.values(), key=len)
    if len(longest) > MOST_POINTS:
        kept = found[str(lengths.index(len(longest)))]
        assert (kept[0], kept[-1]) == (longest[0], longest[-1])
        gaps = [b[0] - a[0] for a, b in pairwise(kept)]
        assert max(gaps) - min(gaps) <= 1
