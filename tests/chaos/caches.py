"""Indexes and columns of earlier runs that are damaged, or whose files have become others."""

from tests.chaos.checking import check
from tests.chaos.clusters import BARE, NANNY
from tests.chaos.files import check_file, choose_file, damage_within, replace, rewrite, zero
from tests.chaos.scenarios import scenario

KINDS = (BARE, NANNY, "embedded")
PLACES = ("cache", "columns")


def fill_caches(stage):
    """Run over all files once, in another folder and with another trace."""
    trace = stage.folder / "trace of the first.txt"
    told = stage.drive(run_dir=stage.folder / "first", more_params={"trace": str(trace)}).told()
    assert told["ended"] == "complete", told
    # Indexes may be at hand: workers that play several scenarios know these files.
    assert len(find_cached(stage, "*.column")) > 1


def find_cached(stage, pattern):
    return sorted(path for place in PLACES for path in (stage.folder / place).rglob(pattern))


def damage_caches(stage):
    """Damage two files of three: a bit, the end, all of it, or another one in its place."""
    files = find_cached(stage, "*.index") + find_cached(stage, "*.column")
    for path in files:
        what = stage.rng.choice(("nothing", "bit", "end", "all", "other", "bit"))
        try:
            data = bytearray(path.read_bytes())
            match what:
                case "bit":
                    data[stage.rng.randrange(len(data))] ^= 1 << stage.rng.randrange(8)
                case "end":
                    del data[stage.rng.randrange(len(data)) :]
                case "all":
                    data = bytearray(stage.rng.randbytes(len(data)))
                case "other":
                    data = bytearray(stage.rng.choice(files).read_bytes())
        except FileNotFoundError:  # a file that was being written
            continue
        path.write_bytes(data)


@scenario("caches damaged", kinds=KINDS)
def caches_damaged(stage):
    """Indexes and columns on disk damaged before the run and within, and a worker killed."""
    fill_caches(stage)
    damage_caches(stage)
    driver = stage.drive()
    stage.wait_for_random_chunk(1, 30)
    damage_caches(stage)
    stage.kill_a_worker()
    assert driver.told()["ended"] == "complete"
    return check(stage)


@scenario("file replaced under the caches", kinds=KINDS)
def file_replaced_under_caches(stage):
    """Another file moved over one whose index and columns are kept, while the run is under way."""
    fill_caches(stage)
    return damage_within(stage, replace)


@scenario("file rewritten under the caches", kinds=KINDS)
def file_rewritten_under_caches(stage):
    """Another file written into one whose index and columns are kept, in mid-run."""
    fill_caches(stage)
    return damage_within(stage, rewrite)


@scenario("bytes zeroed under the caches", kinds=KINDS)
def file_zeroed_under_caches(stage):
    """Baskets of a file overwritten whose columns are kept: none is taken for the new bytes."""
    fill_caches(stage)
    name, path = choose_file(stage)
    zero(stage, path)
    return check_file(stage, stage.drive(on_error="skip").told(), name, may_be_exact=False)
