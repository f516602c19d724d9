from __future__ import annotations

import os
import stat

import pytest
from distributed.security import Security

from beampipe.batch.model import JobDescription
from beampipe.clusters.cluster_folder import ClusterFolder, find_folder, make_tag, write_private
from beampipe.clusters.site import Site
from beampipe.errors import ClusterStartError


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_may_look(tmp_path):
    before = os.umask(0)
    try:
        folder = ClusterFolder(tmp_path / "Z → µµ 'x'" / "tag")
        folder.make()
        folder.write_keys(Security.temporary())
    finally:
        os.umask(before)
    assert mode(folder.path) == mode(folder.logs) == 0o700
    assert mode(folder.key) == mode(folder.certificate) == 0o600
    assert "PRIVATE KEY" in folder.key.read_text()
    assert "PRIVATE KEY" not in folder.certificate.read_text()
    folder.remove_keys()
    assert not folder.key.exists()
    folder.remove()
    assert not folder.path.exists()


def test_a_file_that_is_there_is_not_written_into(tmp_path):
    path, elsewhere = tmp_path / "key", tmp_path / "elsewhere"
    elsewhere.write_text("old")
    path.symlink_to(elsewhere)
    write_private(path, "secret")
    assert elsewhere.read_text() == "old"
    assert path.read_text() == "secret"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ClusterStartError, match="work_folder"):
        ClusterFolder(tmp_path / "file" / "tag").make()


@pytest.mark.parametrize("name", ["lpc", "Z → µµ 'x'", "", "-" * 90])
def test_a_tag_is_one_that_batch_systems_take(name, tmp_path):
    tag = make_tag(name)
    assert tag != make_tag(name)
    JobDescription(name=name, tag=tag, command=("true",), log_folder=tmp_path)


def test_folders_lie_where_the_site_or_the_state_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert find_folder(Site(), "t").path == tmp_path / "beampipe" / "clusters" / "t"
    site = Site.model_validate({"work_folder": str(tmp_path / "work")})
    assert find_folder(site, "t").path == tmp_path / "work" / "t"
