from __future__ import annotations

import sys
from pathlib import Path

import pytest

import beampipe
from beampipe.environments import installed
from beampipe.environments.installed import LIBRARY, PACKAGES, VERSION, list_installation
from beampipe.errors import EnvironmentPackError


@pytest.fixture(scope="module")
def found_here():
    return list_installation()


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder of packages that is all that is installed, and Beampipe in it."""
    folder = tmp_path / "site-packages"
    (folder / "beampipe").mkdir(parents=True)
    (folder / "beampipe" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", ["", str(folder), "/no/where.zip"])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(installed, "_list_python", lambda: iter(()))
    return folder


def write(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")


def base(found):
    return {member.inside.removeprefix(f"{PACKAGES}/") for member in found.base}


def own(found):
    return {member.inside for member in found.own}


def test_this_environment_is_a_python_that_needs_no_other(found_here):
    names = {member.inside: member.path for member in found_here.base}
    assert names[f"bin/{VERSION}"].is_file()
    assert f"{LIBRARY}/os.py" in names
    assert f"{LIBRARY}/encodings/__init__.py" in names
    assert f"{PACKAGES}/numpy/__init__.py" in names
    assert not [name for name in names if name.startswith(f"{LIBRARY}/test/")]
    assert not [name for name in names if name.endswith(".a")]
    assert any("/lib-dynload/" in name for name in names)
    # Beampipe is installed here as a link to the working copy.
    where = {**names, **{member.inside: member.path for member in found_here.own}}
    ours = where.get("beampipe/__init__.py") or where[f"{PACKAGES}/beampipe/__init__.py"]
    assert ours == Path(beampipe.__file__)


def test_libraries_of_the_system_go_along_but_not_the_c_library(found_here):
    names = {Path(member.inside).name for member in found_here.base
             if member.inside.startswith(installed.MORE_LIBRARIES)}  # fmt: skip
    assert not any(name.startswith(("libc.so", "libm.so", "ld-linux")) for name in names)
    assert any(name.startswith("libssl") for name in names)


def test_hidden_folders_foreign_bytecode_and_data_stay_here(packages):
    write(
        packages, "a/__init__.py", "a/__pycache__/b.cpython-27.pyc", "a/c.root", "a/d.a",
        f"a/__pycache__/b.{sys.implementation.cache_tag}.pyc", "a/.git/x", "numpy.libs/e.so",
    )  # fmt: skip
    (packages / "gone.py").symlink_to("/no/where.py")
    found = base(list_installation())
    assert found == {
        "beampipe/__init__.py", "a/__init__.py", "numpy.libs/e.so",
        f"a/__pycache__/b.{sys.implementation.cache_tag}.pyc",
    }  # fmt: skip


def test_what_is_first_on_the_path_wins(packages, tmp_path):
    other = tmp_path / "user" / "site-packages"
    write(other, "a.py", "b.py")
    write(packages, "a.py")
    sys.path.append(str(other))
    found = {member.inside: member.path for member in list_installation().base}
    assert found[f"{PACKAGES}/a.py"] == packages / "a.py"
    assert found[f"{PACKAGES}/b.py"] == other / "b.py"


def test_editable_installs_and_the_python_path_are_the_users_own(packages, tmp_path, monkeypatch):
    flat, mapped, on_path = (tmp_path / f"Z → µµ {name}" for name in ("flat", "mapped", "path"))
    write(flat, "top/__init__.py", "top/cuts.json", "tool.py", ".git/x", "build/y.py")
    write(flat, ".venv/z.py", "env/lib/z.py")
    (flat / "env" / "pyvenv.cfg").touch()
    write(mapped, "src/deep/__init__.py", "single.py")
    write(on_path, "mine.py", "tool.py")
    (packages / "_flat.pth").write_text(f"# a comment\nimport os\n{flat}\n/no/where\n")
    (packages / "__editable__.deep-1.pth").write_text("import __editable___deep_finder\n")
    (packages / "__editable___deep_finder.py").write_text(
        f"MAPPING: dict[str, str] = {{'ns.deep': {str(mapped / 'src' / 'deep')!r}, "
        f"'single': {str(mapped / 'single')!r}}}\nNAMESPACES: dict[str, list] = {{}}\n"
    )
    (packages / "plain.pth").write_text("import sys\n")
    monkeypatch.setenv("PYTHONPATH", f"{on_path}:/no/where")
    found = list_installation()
    assert own(found) == {
        "top/__init__.py", "top/cuts.json", "tool.py", "ns/deep/__init__.py", "single.py",
        "mine.py",
    }  # fmt: skip
    assert {m.inside: m.path for m in found.own}["tool.py"] == on_path / "tool.py"
    # What leads to folders that workers do not see stays here.
    assert base(found) == {"beampipe/__init__.py", "plain.pth"}


def test_packages_can_be_left_out_with_their_bytecode(found_here):
    import click

    assert click  # so that there is bytecode
    folder = f"{PACKAGES}/click/"
    assert any(member.inside.startswith(folder) for member in found_here.base)
    left = list_installation(["click"]).base
    assert not any(member.inside.startswith(folder) for member in left)
    with pytest.raises(EnvironmentPackError, match="'no-such-package'"):
        list_installation(["no-such-package"])


def test_without_beampipe_it_is_of_no_use(packages):
    (packages / "beampipe" / "__init__.py").unlink()
    with pytest.raises(EnvironmentPackError, match="neither installed"):
        list_installation()


def test_data_in_the_folder_of_the_code_is_named(packages, tmp_path, monkeypatch):
    write(tmp_path / "code", "a.py", "model µ.onnx")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.setattr(installed, "_LARGEST_OWN", 8)
    with pytest.raises(EnvironmentPackError, match="keep data out"):
        list_installation()
