"""What tests of clusters get."""

from __future__ import annotations

import pytest

from beampipe.clusters import site_files


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The folders of profiles by layer, empty but for the shipped one, with hostile names."""
    here = tmp_path / "Z → µµ 'x' \"q\""
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(site_files, "SYSTEM_FOLDER", tmp_path / "etc" / "sites")
    monkeypatch.setenv("BEAMPIPE_SITES", str(tmp_path / "institute ü"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    found = {
        "etc": tmp_path / "etc" / "sites",
        "institute": tmp_path / "institute ü",
        "user": site_files.user_folder(),
        "project": here / "beampipe-sites",
    }
    for path in found.values():
        path.mkdir(parents=True)
    return found
