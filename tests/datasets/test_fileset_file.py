from __future__ import annotations

import gzip
import json

import pytest

from beampipe.datasets.fileset_file import is_fileset_file, load_fileset_file
from beampipe.errors import FilesetFileError

TOML = """
DY = "dy/*.root"
[TT]
files = ["a.root"]
metadata = { xsec = 831.76 }
"""
JSON = '{"DY": "dy/*.root", "TT": {"files": ["a.root"], "metadata": {"xsec": 831.76}}}'
YAML = """
DY: dy/*.root
TT:
  files: [a.root]
  metadata: {xsec: 831.76}
"""


def load(tmp_path, name, text):
    path = tmp_path / f"Z → µµ 'x' {name}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_fileset_file(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.toml", TOML),
        ("f.json", JSON),
        ("f.json.gz", gzip.compress(JSON.encode(), mtime=0)),
        ("f.yaml", YAML),
        ("f.YML", YAML),
        ("f.json", b"\xef\xbb\xbf" + JSON.encode()),
    ],
)
def test_every_format_says_the_same(tmp_path, name, text):
    assert load(tmp_path, name, text) == json.loads(JSON)


@pytest.mark.parametrize(
    ("name", "text", "line", "column", "word"),
    [
        ("f.toml", 'DY = "a.root"\nTT = oops\n', 2, 6, "Invalid value"),
        ("f.toml", 'DY = "a.root', 1, 13, "Unterminated"),
        ("f.toml", 'DY = "a"\nDY = "b"\n', 2, 9, "overwrite"),
        ("f.json", '{\n  "DY": "a.root",\n}', 3, 1, "property name"),
        ("f.json", '{"DY": "a",\n "DY": "b"}', 2, 2, "'DY' stands twice"),
        ("f.json", '{"µ": {"files": []},\n\n  "µ" : "b"}', 3, 3, "'µ' stands twice"),
        ("f.yaml", "DY: a\nTT: [b\n", 3, 1, "expected"),
        ("f.yaml", "DY: a\nTT:\n\t- b\n", 3, 1, "token"),
        ("f.yaml", "DY: a\nDY: b\n", 2, 1, "'DY' stands twice"),
        ("f.yaml", "DY:\n  files: a\n  files: b\n", 3, 3, "'files' stands twice"),
        ("f.yaml", "DY: !!python/object:os.system x\n", 1, 5, "constructor"),
        ("f.yaml", "? [a, b]\n: c\n", 1, 3, "unhashable"),
        ("f.toml", b'DY = "a"\nTT = "\xe4"\n', 2, 7, "UTF-8"),
        ("f.json", "[" * 100_000, 1, 1, "nested"),
    ],
)
def test_mistakes_have_a_line_and_a_column(tmp_path, name, text, line, column, word):
    with pytest.raises(FilesetFileError) as caught:
        load(tmp_path, name, text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert f"line {line}, column {column}" in caught.value.message
    assert word in caught.value.why
    assert "Z → µµ" in caught.value.message


def test_yaml_merges_are_no_repeats(tmp_path):
    text = "a: &a {treename: T}\nb: {<<: *a, files: x}\nc: {<<: *a, <<: {files: y}}\n"
    assert load(tmp_path, "f.yaml", text)["b"] == {"treename": "T", "files": "x"}


def test_a_day_that_no_calendar_has(tmp_path):
    with pytest.raises(FilesetFileError, match="day|month"):
        load(tmp_path, "f.yaml", "DY: 2024-13-45\n")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "dimuon.toml").touch()
    with pytest.raises(FilesetFileError, match="did you mean 'dimuon.toml'"):
        load_fileset_file(tmp_path / "dimoun.toml")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(FilesetFileError, match="directory"):
        load_fileset_file(tmp_path / "folder.json")
    with pytest.raises(FilesetFileError, match="cannot be read"):
        load(tmp_path, "f.json.gz", b"no gzip")
    with pytest.raises(FilesetFileError, match="cannot be read"):
        load(tmp_path, "f.json.gz", gzip.compress(JSON.encode())[:-9])


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.toml", True), ("a.JSON", True), ("a.json.gz", True), ("a.root", False), ("toml", False)],
)
def test_fileset_files_are_known_by_their_names(path, expected):
    assert is_fileset_file(path) is expected
