from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets.model import Chunk, DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.execution.groups import MOST_GROUPS, FileGroups
from beampipe.execution.pace import Pace


def make_plan(*counts):
    datasets = []
    for number, count in enumerate(counts):
        files = tuple(
            FilePlan(FileEntry(f"d{number}", ("/a",), "Events", f"{number}-{i}", 10), 2, 2, 10)
            for i in range(count)
        )
        datasets.append(DatasetPlan(f"d{number}", files))
    return Plan(tuple(datasets), 5)


def groups_of(plan, groups):
    return {chunk.key: groups.group_of(chunk) for chunk in plan.chunks()}


@given(st.lists(st.integers(1, 400), min_size=1, max_size=4))
def test_a_run_has_a_bounded_number_of_groups_of_neighbours(counts):
    plan = make_plan(*counts)
    found = groups_of(plan, FileGroups(plan))
    assert len(set(found.values())) <= MOST_GROUPS + len(counts)
    order = list(dict.fromkeys(found.values()))
    assert order == sorted(order)


def test_few_files_are_a_group_each():
    plan = make_plan(8)
    assert len(set(groups_of(plan, FileGroups(plan)).values())) == 8


@given(st.integers(1, 300), st.lists(st.integers(0, 10**9), min_size=1, max_size=4))
def test_larger_values_have_larger_groups_which_hold_the_old_ones(count, sizes):
    plan = make_plan(count)
    groups = FileGroups(plan)
    for size in sizes:
        before = groups_of(plan, groups)
        changed = groups.fit(size)
        after = groups_of(plan, groups)
        assert changed == (before != after) or groups.n_files >= count
        together = {}
        for key, group in before.items():
            assert together.setdefault(group, after[key]) == after[key]
    biggest = max(sizes)
    assert biggest * len(set(after.values())) <= 48_000_000 + biggest


def n_groups(count, *, chunk_s, done=1):
    plan = make_plan(count)
    groups = FileGroups(plan, Pace(chunk_s=chunk_s, done=done))
    groups.fit(0)
    return len(set(groups_of(plan, groups).values()))


def test_groups_whose_work_is_quick_are_larger():
    assert n_groups(128, chunk_s=0.2) == 128
    assert n_groups(128, chunk_s=0.04) == 128 / 4  # two chunks in a file
    assert n_groups(128, chunk_s=0.001) == 16
    assert n_groups(40_000, chunk_s=0.001) == 128


def test_few_files_stay_a_group_each_however_quick():
    assert n_groups(31, chunk_s=0.001) == 31
    assert n_groups(64, chunk_s=0.0, done=0) == 64  # nothing is known yet


def test_a_file_of_no_plan_does_not_break_it():
    groups = FileGroups(make_plan(3))
    assert groups.find("elsewhere", "x") == ("elsewhere", 0)
    assert groups.group_of(Chunk(make_plan(3).datasets[0].files[2], 1)) == ("d0", 2)
