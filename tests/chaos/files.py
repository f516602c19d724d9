"""Files that are damaged, go away, or change under a run."""

import os
import shutil

import numpy as np
from tests.chaos.checking import check
from tests.chaos.clusters import BARE, NANNY
from tests.chaos.data import EVENTS_PER_FILE, FILES, N_EVENTS, write_file, zero_baskets
from tests.chaos.scenarios import scenario

import beampipe as bp

KINDS = (BARE, NANNY, "embedded")


def choose_file(stage):
    name = stage.rng.choice(FILES)
    stage.notes.append(f"file: {name}")
    return name, stage.data / name


def check_file(stage, told, name, *, may_be_exact=True):
    """Exact, or with holes in this very file, all of them named."""
    if told["ended"] == "complete":
        assert may_be_exact, "the run says that nothing is missing"
        return check(stage)
    if told["ended"] == "error":
        raise AssertionError(f"a broken file ended a run that was to skip it: {told}")
    checked = check(stage, holes=True)
    for failure in bp.load(stage.run_dir).failures:
        assert name.rpartition("/")[2] in failure.url, failure
    assert checked.events_missing <= EVENTS_PER_FILE
    return checked


def damage_before(stage, damage, **expected):
    """Damage a file, run over all, and see that only its events are missing."""
    name, path = choose_file(stage)
    damage(stage, path)
    told = stage.drive(on_error="skip").told()
    return check_file(stage, told, name, **expected)


def damage_within(stage, damage):
    """Damage a file while the run is under way; it may have been read by then."""
    name, path = choose_file(stage)
    driver = stage.drive(on_error="skip")
    stage.wait_for_random_chunk(1, 40)
    damage(stage, path)
    return check_file(stage, driver.told(), name)


def truncate(stage, path):
    os.truncate(path, int(path.stat().st_size * stage.rng.uniform(0.05, 0.95)))


def delete(stage, path):
    path.unlink()


def zero(stage, path):
    zero_baskets(path, stage.rng.uniform(0.03, 0.5))


def replacement(stage, path, *, events):
    """Another file of the same name: other weights, other event numbers, another uuid."""
    new = path.with_name("new.tmp")
    write_file(new, N_EVENTS, events, np.random.default_rng(stage.rng.randrange(2**32)))
    return new


def replace(stage, path):
    replacement(stage, path, events=EVENTS_PER_FILE).replace(path)


def rewrite(stage, path):
    new = replacement(stage, path, events=EVENTS_PER_FILE)
    shutil.copyfile(new, path)
    new.unlink()


def grow(stage, path):
    replacement(stage, path, events=EVENTS_PER_FILE + 200).replace(path)


def forbid(stage, path):
    path.chmod(0)


@scenario("file truncated", kinds=KINDS)
def file_truncated(stage):
    """A file cut short before the run; `on_error="skip"`."""
    return damage_before(stage, truncate, may_be_exact=False)


@scenario("file truncated in mid-run", kinds=KINDS)
def file_truncated_within(stage):
    """A file cut short while it is read."""
    return damage_within(stage, truncate)


@scenario("bytes zeroed", kinds=KINDS)
def file_zeroed(stage):
    """Baskets in the middle of a file overwritten with zeros before the run."""
    return damage_before(stage, zero, may_be_exact=False)


@scenario("bytes zeroed in mid-run", kinds=KINDS)
def file_zeroed_within(stage):
    """The same while the run is under way."""
    return damage_within(stage, zero)


@scenario("file deleted in mid-run", kinds=KINDS)
def file_deleted(stage):
    """A file deleted while the run is under way."""
    return damage_within(stage, delete)


@scenario("file replaced in mid-run", kinds=KINDS)
def file_replaced(stage):
    """Another file moved over it, with other events under another uuid."""
    return damage_within(stage, replace)


@scenario("file rewritten in mid-run", kinds=KINDS)
def file_rewritten(stage):
    """Another file written into it, while it may be open."""
    return damage_within(stage, rewrite)


@scenario("file grown in mid-run", kinds=KINDS)
def file_grown(stage):
    """A longer file moved over it."""
    return damage_within(stage, grow)


@scenario("permission lost in mid-run", kinds=KINDS)
def permission_lost(stage):
    """`chmod 000` of a file while the run is under way (by processes that must obey it)."""
    stage.child_options["obeys_permissions"] = True
    return damage_within(stage, forbid)


@scenario("file deleted between run and resume", kinds=(BARE,))
def file_deleted_before_resume(stage):
    """The driver killed, a file deleted, the run resumed."""
    name, path = choose_file(stage)
    driver = stage.drive(on_error="skip")
    stage.wait_for_random_chunk(1, 40)
    stage.kill_driver(driver)
    delete(stage, path)
    return check_file(stage, stage.resume().told(), name)
