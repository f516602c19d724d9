from __future__ import annotations

from pathlib import Path

import pytest

from beampipe.testing.fake_batch.directives import (
    keep_script,
    read_clock,
    read_directives,
    read_resources,
    write_clock,
)
from beampipe.testing.fake_batch.queue import FakeQueue


def test_only_lines_with_the_prefix_are_options():
    text = "#!/bin/bash\n#BSUB -J \"a b[1-3]\"\n#BSUB -rn\n#BSUBX -q x\necho '#BSUB -q y'\n"
    assert read_directives(text, "#BSUB") == {"-J": ["a b[1-3]"], "-rn": []}


@pytest.mark.parametrize(
    ("asked", "resources"),
    [
        (["nodes=1:ppn=2", "mem=3mb"], {"nodes": "1", "ppn": "2", "mem": "3mb"}),
        (["select=1:ncpus=2:mem=3mb"], {"select": "1", "ncpus": "2", "mem": "3mb"}),
        (["mem=1mb,walltime=01:00:00"], {"mem": "1mb", "walltime": "01:00:00"}),
        (["signal=15@120"], {"signal": "15@120"}),
    ],
    ids=str,
)
def test_resources_are_read_in_each_spelling(asked, resources):
    assert read_resources({"-l": asked}) == resources


def test_a_clock_goes_beyond_a_day():
    assert read_clock("25:01:02") == 90062
    assert write_clock(90061.6) == "25:01:02"


def test_a_script_is_kept_as_it_was_submitted(tmp_path):
    kept = keep_script(FakeQueue(tmp_path / "q µ"), 7, "#!/bin/sh\necho µ\n")
    assert Path(kept).read_text(encoding="utf-8") == "#!/bin/sh\necho µ\n"
