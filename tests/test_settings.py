from __future__ import annotations

import os
from pathlib import Path

import pytest

from beampipe import settings as settings_module
from beampipe.errors import SettingsError
from beampipe.settings import KEYS, Settings, load_settings, settings_files


@pytest.fixture
def layers(tmp_path, monkeypatch):
    """The three files' places, none written yet, in a folder with a hostile name."""
    here = tmp_path / "Z → µµ 'x' \"q\""
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("BEAMPIPE_COLUMN_DIR")
    monkeypatch.setattr(settings_module, "SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    for path in settings_files():
        path.parent.mkdir(parents=True, exist_ok=True)
    return settings_files()


def test_defaults_are_those_of_the_reference(layers):
    settings = load_settings()
    assert settings.model_dump() == {
        "chunksize": 250_000,
        "run_root": Path("beampipe-runs"),
        "cache_dir": Path(os.environ["XDG_CACHE_HOME"]) / "beampipe",
        "index_cache": 2_000_000_000,
        "column_cache": 10_000_000_000,
        "column_dir": None,
        "workers": None,
        "memory_limit": None,
        "checkpoint_s": 30.0,
        "on_error": "stop",
        "max_failed": "100%",
        "version_gate": "stop",
        "error_rules": (),
    }
    assert {settings.origin(key) for key in KEYS} == {"default"}


def test_each_layer_beats_the_ones_below(layers, monkeypatch):
    system, user, local = layers
    system.write_text("chunksize = 1\nworkers = 1\ncheckpoint_s = 1\nmemory_limit = '1 GiB'\n")
    user.write_text("# mine\n\nchunksize = 2\nworkers = 2\ncheckpoint_s = 2\n")
    local.write_text("chunksize = 3\nworkers = 3")
    monkeypatch.setenv("BEAMPIPE_CHUNKSIZE", "4")
    monkeypatch.setenv("BEAMPIPE_WORKERS", "4")
    settings = load_settings(chunksize=5, workers=None)

    assert (settings.chunksize, settings.origin("chunksize")) == (5, "argument")
    assert (settings.workers, settings.origin("workers")) == (4, "BEAMPIPE_WORKERS")
    assert (settings.checkpoint_s, settings.origin("checkpoint_s")) == (2.0, f"{user}:5")
    assert settings.origin("memory_limit") == f"{system}:4"
    assert settings.memory_limit == 2**30
    assert settings.origin("run_root") == "default"


def test_the_local_file_is_named_as_it_is(layers):
    Path("beampipe.toml").write_text('"on_error" = "skip"')
    settings = load_settings()
    assert (settings.on_error, settings.origin("on_error")) == ("skip", "beampipe.toml:1")


@pytest.mark.parametrize("text", ["chunksiz = 3", "[chunksiz]\na = 1", "chunksiz.a = 2"])
def test_an_unknown_key_gets_the_closest_names(layers, text):
    layers[1].write_text(f"\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.why == f"it stands in {layers[1]}:2"
    assert caught.value.fix == "did you mean `chunksize`?"


def test_an_unknown_key_that_resembles_nothing_gets_all_names(layers):
    with pytest.raises(SettingsError, match="known: `chunksize`, `run_root`.*`on_error`"):
        load_settings(zzz=1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("chunksize = 'lots'", "valid integer"),
        ("chunksize = 0", "greater than 0"),
        ("chunksize = true", "a number is needed"),
        ("chunksize = 2.5", "valid integer"),
        ("workers = true", "a number is needed"),
        ("workers = -1", "greater than or equal to 0"),
        ("workers = {a = 1}", "valid integer"),
        ("run_root = 3", "path"),
        ("memory_limit = 4", "write the unit"),
        ("memory_limit = '4 apples'", "no amount of memory"),
        ("memory_limit = true", "a number is needed"),
        ("memory_limit = 2.5", "valid integer"),
        ("checkpoint_s = inf", "finite"),
        ("checkpoint_s = 0", "greater than 0"),
        ("on_error = 'ignore'", "'stop' or 'skip'"),
        ("max_failed = 0.01", "neither a percentage"),
        ("max_failed = true", "not true or false"),
        ("max_failed = '101%'", "neither a percentage"),
        ("max_failed = '-1'", "neither a percentage"),
        ("max_failed = ['1%']", "valid string"),
    ],
)
def test_a_wrong_value_says_file_and_line(layers, line, reason):
    layers[2].write_text(f"# first\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.why.startswith("beampipe.toml:2: ")
    assert reason in caught.value.why
    assert caught.value.key == line.split()[0]


@pytest.mark.parametrize("value", ["1%", "0.5 %", ".5%", "100", 100, 0, "1_000"])
def test_a_budget_is_a_percentage_or_a_number_of_events(value):
    assert load_settings(max_failed=value).max_failed == str(value)


def test_a_wrong_argument_is_called_an_argument(layers):
    with pytest.raises(SettingsError, match="argument: .* got 'lots'"):
        load_settings(chunksize="lots")


def test_a_wrong_variable_is_named(layers, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_CHECKPOINT_S", "soon")
    with pytest.raises(SettingsError, match="BEAMPIPE_CHECKPOINT_S: .* got 'soon'"):
        load_settings()


def test_a_wrong_value_is_found_even_where_a_stronger_layer_hides_it(layers):
    layers[0].write_text("chunksize = 'lots'")
    with pytest.raises(SettingsError):
        load_settings(chunksize=3)


def test_a_misspelt_variable_is_an_error_and_a_foreign_one_is_not(layers, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_DEADLINE", "1")
    monkeypatch.setenv("BEAMPIPE_WORKERS", "")
    assert load_settings().workers is None
    monkeypatch.setenv("BEAMPIPE_CHUNKSIZ", "1")
    with pytest.raises(SettingsError, match="did you mean `BEAMPIPE_CHUNKSIZE`"):
        load_settings()


def test_a_file_that_is_no_toml_says_line_and_column(layers):
    layers[2].write_text("chunksize = 1\nworkers = = 2\n")
    with pytest.raises(SettingsError, match="line 2, column 11"):
        load_settings()


def test_a_file_that_cannot_be_read_is_said(layers):
    layers[2].write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="'beampipe.toml' cannot be read"):
        load_settings()
    layers[2].unlink()
    layers[2].mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()


def test_a_home_is_expanded(layers, monkeypatch):
    monkeypatch.setenv("HOME", "/home/µ")
    monkeypatch.setenv("BEAMPIPE_RUN_ROOT", "~/runs")
    assert load_settings(cache_dir=Path("~/c")).cache_dir == Path("/home/µ/c")
    assert load_settings().run_root == Path("/home/µ/runs")


def test_error_rules_of_all_files_count_the_stronger_files_first(layers):
    system, user, local = layers
    rule = "[[error_rules]]\nerror = '{}'\nkind = 'transient'\n"
    system.write_text(rule.format("site.Busy") + rule.format("site.Tape"))
    user.write_text("workers = 1\n")
    local.write_text("workers = 2\n" + rule.format("mine.Busy"))
    settings = load_settings()
    assert [rule.errors for rule in settings.error_rules] == [
        ("mine.Busy",),
        ("site.Busy",),
        ("site.Tape",),
    ]
    assert settings.origin("error_rules") == f"{local}:2"


def test_a_wrong_error_rule_is_named_with_its_place(layers, monkeypatch):
    Path("beampipe.toml").write_text("[[error_rules]]\nerror = 'a.B'\nkind = 'passing'\n")
    with pytest.raises(SettingsError, match=r"beampipe.toml:1: rule 1: 'kind' is 'passing'"):
        load_settings()
    Path("beampipe.toml").unlink()
    monkeypatch.setenv("BEAMPIPE_ERROR_RULES", "transient")
    with pytest.raises(SettingsError, match=r"BEAMPIPE_ERROR_RULES: .*in a file"):
        load_settings()


def test_settings_do_not_change(layers):
    with pytest.raises(ValueError, match="frozen"):
        load_settings().chunksize = 3


def test_the_origin_of_an_unknown_key_is_an_error():
    with pytest.raises(SettingsError, match="did you mean `workers`"):
        Settings().origin("worker")


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), (0, 0), ("off", 0), (" OFF ", 0), ("2 GB", 2_000_000_000), (2**30, 2**30)],
)
def test_a_cache_has_a_size_or_is_off(layers, text, size):
    assert load_settings(index_cache=text).index_cache == size


@pytest.mark.parametrize("text", ["on", "100", -1, True, 2.5, "1 parsec"])
def test_a_cache_without_a_size_is_refused(layers, text):
    with pytest.raises(SettingsError, match="index_cache"):
        load_settings(index_cache=text)


def test_the_environment_switches_a_cache_off(layers, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_INDEX_CACHE", "off")
    assert load_settings().index_cache == 0
