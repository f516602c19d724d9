from __future__ import annotations

from pathlib import Path

import pytest

from beampipe.clusters import pack_delivery, strategies
from beampipe.clusters.cluster_folder import ClusterFolder
from beampipe.clusters.pack_delivery import deliver_pack
from beampipe.clusters.site_files import load_site
from beampipe.clusters.worker_job import describe_job
from beampipe.environments import packs
from beampipe.errors import ClusterStartError

PACK = packs.Pack(packs.Layer("base-abc", (), 5, "{}"), packs.Layer("own-def", (), 6, "{}"), "tar")


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """Packing takes no time here."""
    made = (tmp_path / "base-abc.tar.gz", tmp_path / "own-def.tar.gz")
    for path in made:
        path.write_text("an archive")
    monkeypatch.setattr(packs, "plan_pack", lambda *_: PACK)
    monkeypatch.setattr(pack_delivery, "make_pack", lambda *_: made)
    folder = ClusterFolder(tmp_path / "cluster µ")
    folder.make()
    return folder


def test_jobs_find_it_in_the_folder_of_their_cluster(packed):
    said = []
    site = load_site("slurm", environment="packed", local_directory="/scratch")
    deliver_pack(site, packed, said.append)
    assert "version abc+def" in said[-1]
    job = describe_job(site, tag="bp-x", folder=packed, scheduler="tls://here:1")
    assert job.command[:7] == (
        "/bin/sh", str(packed.starter), "/scratch", str(packed.path / "base-abc.tar.gz"),
        str(packed.path / "own-def.tar.gz"), "-m", "beampipe.clusters.worker_start",
    )  # fmt: skip
    assert job.files == ()
    assert all(Path(part).exists() for part in (job.command[1], *job.command[3:5]))
    packed.remove_packs()
    assert not [path for path in packed.path.iterdir() if path.suffix == ".gz"]


def test_or_it_is_sent_along(packed):
    site = load_site("htcondor", environment="packed", key_files="transfer")
    deliver_pack(site, packed, lambda _: None)
    job = describe_job(site, tag="bp-x", folder=packed, scheduler="tls://here:1")
    assert job.command[:5] == (
        "/bin/sh", "start-packed.sh", "", "base-abc.tar.gz", "own-def.tar.gz",
    )  # fmt: skip
    assert [path.name for path in job.files] == [
        "certificate.pem", "key.pem", "start-packed.sh", "base-abc.tar.gz", "own-def.tar.gz",
    ]  # fmt: skip


def test_an_image_runs_it_too(packed):
    site = load_site("slurm", environment="packed", apptainer="/i.sif")
    job = describe_job(site, tag="bp-x", folder=packed, scheduler="tls://here:1")
    assert job.command[:4] == ("apptainer", "exec", "/i.sif", "/bin/sh")


def test_others_get_nothing(packed, monkeypatch):
    monkeypatch.setattr(strategies, "plan_for", None)
    deliver_pack(load_site("slurm", venv="/v"), packed, lambda _: None)
    assert not packed.starter.exists()


def test_a_full_disk_is_named(packed, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pack_delivery, "place_pack", refuse)
    with pytest.raises(ClusterStartError, match="No space left"):
        deliver_pack(load_site("slurm", environment="packed"), packed, lambda _: None)
