from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict

from beampipe.errors import SettingsError
from beampipe.layers import (
    Layer,
    Vocabulary,
    check_layer,
    read_arguments,
    read_environment,
    read_file,
)


class Menu(BaseModel):
    model_config = ConfigDict(extra="forbid")
    dish: str = "soup"
    guests: int = 1


WORDS = Vocabulary(Menu, SettingsError, "line of a menu", "menu", "MENU_")


def test_a_file_says_where_its_values_stand(tmp_path):
    path = tmp_path / "µ 'x'.toml"
    path.write_text("# today\n\nguests = 4\n")
    layer = read_file(path, WORDS)
    assert check_layer(layer, WORDS) == {"guests": 4}
    assert layer.origins == {"guests": f"{path}:3"}


def test_a_file_that_is_not_there_says_nothing(tmp_path):
    assert read_file(tmp_path / "none.toml", WORDS) == Layer({})


@pytest.mark.parametrize("content", [b"guests = ", b"\xff"])
def test_a_file_that_is_no_toml_is_named(tmp_path, content):
    path = tmp_path / "menu.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="menu.toml"):
        read_file(path, WORDS)


def test_an_unknown_key_is_told_with_the_closest():
    with pytest.raises(SettingsError, match="did you mean `guests`") as caught:
        check_layer(Layer({"guest": 3}, {"guest": "menu.toml:1"}), WORDS)
    assert caught.value.origin == "menu.toml:1"


def test_a_value_that_cannot_be_used_is_told_with_its_place():
    layer = Layer({"guests": "many"}, {"guests": "menu.toml:7"})
    with pytest.raises(SettingsError, match=r"menu\.toml:7: .*got 'many'"):
        check_layer(layer, WORDS)


def test_the_environment_gives_what_is_ours_alone():
    layer = read_environment({"MENU_DISH": "stew", "MENU_": "x", "MENU_GUESTS": ""}, WORDS)
    assert layer == Layer({"dish": "stew"}, {"dish": "MENU_DISH"})
    with pytest.raises(SettingsError, match="MENU_GUESTS"):
        read_environment({"MENU_GUEST": "2"}, WORDS)


def test_an_argument_that_is_none_was_not_given():
    layer = read_arguments({"dish": None, "guests": 2})
    assert layer == Layer({"guests": 2}, {"guests": "argument"})
