from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from beampipe.environments import packs
from beampipe.environments.installed import LINKS, Installation, Member
from beampipe.environments.packs import make_pack, place_pack, plan_pack
from beampipe.errors import EnvironmentPackError

STARTER = Path(packs.__file__).with_name("start-packed.sh")
# Takes the place of a Python: says what it was given.
PYTHON = """#!/bin/sh
[ "$1" = -I ] && exit 0
echo "$LD_LIBRARY_PATH|$PYTHONPATH|$PYTHONNOUSERSITE|$BEAMPIPE_PACKED|$(umask)|$*"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An environment of a few files, and a cache of its own."""
    monkeypatch.setenv("BEAMPIPE_CACHE_DIR", str(tmp_path / "cache µ"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    files = tmp_path / "files"
    files.mkdir()
    (files / "python").write_text(PYTHON)
    (files / "python").chmod(0o700)
    (files / "a.py").write_text("a = 1\n")
    (files / "a.pyc").write_text("first")
    (files / "own.py").write_text("mine = 1\n")
    monkeypatch.setattr(
        packs, "list_installation",
        lambda _: Installation(
            (
                Member(f"bin/{LINKS['bin/python']}", files / "python"),
                Member("lib/a.py", files / "a.py"),
                Member("lib/a.pyc", files / "a.pyc"),
            ),
            (Member("own µ.py", files / "own.py"),),
        ),
    )  # fmt: skip
    packs._plan.cache_clear()
    yield files
    packs._plan.cache_clear()


def plan(form="tar"):
    packs._plan.cache_clear()
    return plan_pack(form)


def test_a_pack_is_named_by_its_content(here):
    first = plan()
    assert "4 files" in first.describe()
    assert first.version in first.describe()
    os.utime(here / "a.py", (1, 1))
    (here / "a.pyc").write_text("bytecode comes and goes")
    assert plan().base.name == first.base.name
    (here / "own.py").write_text("mine = 2\n")
    assert (plan().base.name, plan().own.name != first.own.name) == (first.base.name, True)
    (here / "a.py").write_text("a = 2\n")
    assert plan().base.name != first.base.name
    (here / "a.py").write_text("a = 1\n")
    (here / "a.py").chmod(0o755)
    assert plan().base.name != first.base.name


def test_it_is_packed_once_and_the_own_code_again(here):
    said = []
    pack = plan()
    assert not packs.is_made(pack)
    base, own = make_pack(pack, said.append)
    assert packs.is_made(pack)
    assert [line.split()[0] for line in said] == ["packing", "packed"] * 2
    with tarfile.open(base) as archive:
        names = archive.getnames()
        assert {"bin/python", "lib/a.py", "lib/a.pyc", "beampipe-pack.json"} < set(names)
        facts = json.load(archive.extractfile("beampipe-pack.json"))
    assert (facts["prefix"], facts["packages"]["numpy"][0]) == (sys.prefix, "2")
    (here / "own.py").write_text("mine = 2\n")
    said.clear()
    again, other = make_pack(plan(), said.append)
    assert (again, other == own, len(said)) == (base, False, 2)


def test_whoever_is_killed_leaves_nothing_that_is_taken_for_an_archive(here, tmp_path):
    pack = plan()
    pid = os.fork()
    if pid == 0:
        packs._write_tar = lambda *_: (_.__getitem__(1).write(b"x" * 100), time.sleep(600))
        try:
            make_pack(pack)
        finally:
            os._exit(1)
    folder = packs.cache_folder()
    give_up = time.monotonic() + 120
    while not list(folder.glob(".making-*")) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not packs.is_made(pack)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    (folder / ".making-another").touch()
    base, _ = make_pack(pack)
    assert tarfile.is_tarfile(base)
    assert not list(folder.glob(".making-*"))


def test_the_cache_has_a_bound_and_keeps_what_may_be_on_its_way(here, monkeypatch):
    old, young = (packs.cache_folder() / f"base-{name}.tar.gz" for name in ("old", "young"))
    old.parent.mkdir(parents=True)
    for path, age_s in ((old, 2 * 86400), (young, 60)):
        path.write_bytes(b"x" * 1000)
        os.utime(path, (time.time() - age_s,) * 2)
    make_pack(plan())
    assert old.exists()
    monkeypatch.setattr(packs, "KEEP_BYTES", 500)
    made = make_pack(plan())
    assert (old.exists(), young.exists(), all(path.exists() for path in made)) == (
        False, True, True,
    )  # fmt: skip


def test_a_cache_that_cannot_be_written_is_named(here, monkeypatch):
    pack = plan()
    monkeypatch.setenv("BEAMPIPE_CACHE_DIR", "/proc/none")
    with pytest.raises(EnvironmentPackError, match="cache_dir"):
        make_pack(pack)


def test_archives_are_put_into_a_folder_as_links_or_as_copies(here, tmp_path, monkeypatch):
    made = make_pack(plan())
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    place_pack(made, one)
    assert (one / made[0].name).samefile(made[0])

    def refuse(*_):
        raise OSError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    place_pack(made, two)
    place_pack(made, two)
    assert [path.name for path in sorted(two.iterdir())] == sorted(path.name for path in made)
    assert (two / made[1].name).read_bytes() == made[1].read_bytes()


def test_an_image_needs_its_program(here, monkeypatch):
    monkeypatch.setenv("PATH", "/no/where")
    with pytest.raises(EnvironmentPackError, match="packed_format"):
        plan("squashfs")


def test_other_systems_are_told(here, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(EnvironmentPackError, match="darwin"):
        plan()


def test_a_conda_environment_is_told(here, tmp_path, monkeypatch):
    (tmp_path / "conda-meta").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(EnvironmentPackError, match="is a conda environment"):
        plan()


# -- on a host ------------------------------------------------------------------------------------


def start(root, made, *arguments, **options):
    return subprocess.run(
        ["/bin/sh", str(STARTER), str(root), *map(str, made), *arguments],
        capture_output=True, text=True, check=False, timeout=100, **options,
    )  # fmt: skip


def test_a_host_unpacks_once_and_runs_what_is_asked_for(here, tmp_path):
    made = make_pack(plan())
    root = tmp_path / "scratch µ"
    first = start(root, made, "-m", "a b", umask=0o027)
    assert first.returncode == 0, first.stderr
    assert first.stderr.count("unpacking") == 2
    place = root / f"beampipe-environments-{os.getuid()}"
    environment, code = (place / path.name.removesuffix(".tar.gz") for path in made)
    assert first.stdout.strip() == (f"{environment}/lib|{code}|1|{environment}:{code}|0027|-m a b")
    assert place.stat().st_mode & 0o777 == 0o700
    assert (code / "own µ.py").read_text() == "mine = 1\n"
    second = start(root, made, "-V")
    assert (second.returncode, second.stderr) == (0, "")


def test_an_image_is_unpacked_too(here, tmp_path):
    if shutil.which("sqfstar") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("squashfs-tools is not installed: tests/farms/install.sh")
        pytest.skip("squashfs-tools is not installed")
    made = make_pack(plan("squashfs"))
    assert [path.suffix for path in made] == [".sqfs", ".gz"]
    done = start(tmp_path / "r", made, "-m", "a")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("|-m a")
    assert start(tmp_path / "r", made, "-V").stderr == ""


def test_an_image_that_cannot_be_made_is_named(here, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "sqfstar"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no room >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    with pytest.raises(EnvironmentPackError, match="no room"):
        make_pack(plan("squashfs"))


def test_many_at_a_time_unpack_once(here, tmp_path):
    made = make_pack(plan())
    argv = ["/bin/sh", str(STARTER), str(tmp_path / "r"), *map(str, made), "-V"]
    jobs = [
        subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    words = [job.communicate(timeout=100) for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 8
    assert sum(err.count("unpacking base") for _, err in words) == 1


def test_what_was_sent_along_is_deleted_when_it_is_unpacked(here, tmp_path):
    made = make_pack(plan())
    job = tmp_path / "job"
    job.mkdir()
    place_pack(made, job)
    done = start(tmp_path / "r", [path.name for path in made], "-V", cwd=job)
    assert done.returncode == 0, done.stderr
    assert list(job.iterdir()) == []
    assert all(path.exists() for path in made)


def test_half_of_it_is_thrown_away_and_unpacked_again(here, tmp_path):
    made = make_pack(plan())
    place = tmp_path / "r" / f"beampipe-environments-{os.getuid()}"
    name = made[0].name.removesuffix(".tar.gz")
    for half in (name, f"{name}.part"):  # as after kill -9
        (place / half / "bin").mkdir(parents=True)
        (place / half / "bin" / "python").touch()
    place.chmod(0o700)
    done = start(tmp_path / "r", made, "-V")
    assert (done.returncode, done.stderr.count("unpacking base")) == (0, 1)
    assert not (place / f"{name}.part").exists()


def test_a_folder_of_somebody_else_is_not_used(here, tmp_path):
    made = make_pack(plan())
    target, root, other = tmp_path / "target", tmp_path / "r", tmp_path / "other"
    target.mkdir()
    root.mkdir()
    (root / f"beampipe-environments-{os.getuid()}").symlink_to(target)
    done = start(root, made, "-V", env={**os.environ, "TMPDIR": str(other)})
    assert done.returncode == 0, done.stderr
    assert str(other) in done.stdout
    assert list(target.iterdir()) == []


def test_what_nobody_uses_goes_after_a_day_and_what_is_used_stays(here, tmp_path):
    made = make_pack(plan())
    place = tmp_path / "r" / f"beampipe-environments-{os.getuid()}"
    place.mkdir(parents=True, mode=0o700)
    for name in ("base-old", "base-young", "base-used"):
        (place / name).mkdir()
        (place / f"{name}.lock").touch()
        (place / name / ".whole").touch()
    for name in ("base-old", "base-used"):
        os.utime(place / name, (1, 1))
    with subprocess.Popen(
        ["flock", "-s", str(place / "base-used.lock"), "sh", "-c", "echo; read _"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as user:  # fmt: skip
        user.stdout.readline()
        assert start(tmp_path / "r", made, "-V").returncode == 0
        user.stdin.close()
    left = {path.name for path in place.iterdir() if path.is_dir()}
    assert {name for name in left if "used" in name or "young" in name or "old" in name} == {
        "base-young", "base-used",
    }  # fmt: skip


def test_a_python_that_does_not_run_there_is_explained(here, tmp_path):
    (here / "python").write_text(
        "#!/bin/sh\necho \"/lib/libc.so.6: version 'GLIBC_9' not found\" >&2; exit 1\n"
    )
    done = start(tmp_path / "r", make_pack(plan()), "-V")
    assert done.returncode == 66
    for word in ("does not run on", "GLIBC_9", os.uname().machine, "glibc", "apptainer"):
        assert word in done.stderr


def test_libraries_of_the_system_are_used_where_the_host_lacks_them(here, tmp_path):
    lacking = PYTHON.replace(
        '[ "$1" = -I ] && exit 0',
        'case "$LD_LIBRARY_PATH" in */lib/more) lacks=sqlite3 ;; *) lacks=zlib ;; esac\n'
        '[ "$1" = -I ] && case "$3" in *$lacks*) exit 1 ;; *) exit 0 ;; esac',
    )
    (here / "python").write_text(lacking)
    done = start(tmp_path / "r", make_pack(plan()), "-V")
    assert done.returncode == 0, done.stderr
    assert done.stdout.partition("|")[0].endswith("/lib/more")


def test_an_archive_that_is_broken_is_named(here, tmp_path):
    made = make_pack(plan())
    broken = tmp_path / made[0].name
    broken.write_bytes(made[0].read_bytes()[:-200])
    done = start(tmp_path / "r", (broken, made[1]), "-V")
    assert done.returncode == 66
    assert "cannot be unpacked" in done.stderr
    assert not list((tmp_path / "r").rglob(".whole"))
