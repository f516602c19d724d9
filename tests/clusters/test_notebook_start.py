"""What becomes JupyterLab."""

from __future__ import annotations

import json
from pathlib import Path

from beampipe.clusters.notebook_start import build_command, find_address, read_server


def test_no_secret_is_on_the_command_line_and_the_network_sees_tls(tmp_path):
    (tmp_path / "token").write_text("SECRET")
    argv, added = build_command(tmp_path, Path("/work"), only_here=False)
    assert "SECRET" not in " ".join([*argv, *added.values()])
    assert added["JUPYTER_TOKEN_FILE"] == str(tmp_path / "token")
    assert f"--ServerApp.certfile={tmp_path / 'certificate.pem'}" in argv
    assert "--ServerApp.root_dir=/work" in argv


def test_on_this_host_nobody_else_can_reach_it(tmp_path):
    argv, _ = build_command(tmp_path, Path("/work"), only_here=True)
    assert "--ServerApp.ip=127.0.0.1" in argv
    assert not any("certfile" in each for each in argv)


def test_a_server_is_known_once_it_has_said_where_it_is(tmp_path):
    assert read_server(tmp_path) is None
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (runtime / "jpserver-1.json").write_text("{")
    assert read_server(tmp_path) is None
    (runtime / "jpserver-2.json").write_text(json.dumps({"port": 8900, "pid": 2, "token": "x"}))
    assert read_server(tmp_path) == {"port": 8900, "pid": 2}


def test_a_node_has_an_address_for_others():
    assert not find_address().startswith("127.")
