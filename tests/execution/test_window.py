import pytest

from beampipe.execution.window import WINDOW, Load, window_size


@pytest.mark.parametrize(
    ("threads", "expected"), [(0, WINDOW), (2, WINDOW), (128, WINDOW), (1000, 2000)]
)
def test_two_for_each_thread_and_enough_to_grow_by(threads, expected):
    assert window_size(Load(threads)) == expected


@pytest.mark.parametrize(("threads", "expected"), [(0, 64), (2, 2), (1000, 1000)])
def test_few_to_begin_with(threads, expected):
    assert window_size(Load(threads, is_paced=False)) == expected


def test_small_results_do_not_count():
    assert window_size(Load(2, value_bytes=10_000, held=300, merging=20)) == WINDOW


def test_large_results_leave_room_for_few():
    assert window_size(Load(2, value_bytes=10_000_000)) == 16
    assert window_size(Load(2, value_bytes=10_000_000, held=4, merging=2)) == 6
    assert window_size(Load(2, value_bytes=10_000_000, held=16)) == 0


def test_the_largest_are_merged_before_there_are_more():
    huge = 160_000_000
    assert window_size(Load(2, value_bytes=huge)) == 2
    assert window_size(Load(2, value_bytes=huge, held=2)) == 2  # a sum and a bundle for each
    assert window_size(Load(2, value_bytes=huge, held=2, merging=1)) == 0
