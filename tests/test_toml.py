from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmgrid.system import toml

LONG = ".".join("abcdefghijklmnopqrstu")  # 21 parts


@pytest.mark.parametrize(
    "text",
    [
        f"{LONG} = 1",
        f"[{LONG}]",
        f"[[{LONG}]]",
        f"x = {{ {LONG} = 1 }}",
        f"x = [\n  {{ y = 1, {LONG} = 1 }}]",
        LONG.replace(".", " . ") + " = 1",
        ".".join(['"a b"'] * 21) + " = 1",
        ".".join(["'a'"] * 21) + " = 1",
        f'"{chr(92)}"" . {LONG} = 1',
        f'x = """a""""\n{LONG} = 1',
        f"x = '''a''''\n{LONG} = 1",
        f"# it's\n{LONG} = 1",
        "a." * 500_000 + "a = 1",
    ],
)
def test_a_long_key_is_refused_wherever_it_stands_and_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="a key has over 20 parts"):
        toml.loads(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (f'x = "{LONG}"', {"x": LONG}),
        (f"x = '{LONG}'", {"x": LONG}),
        (f'x = """\n{LONG} = 1\n{LONG}"""', {"x": f"{LONG} = 1\n{LONG}"}),
        (f"x = '''{LONG} = 1\n{LONG}'''", {"x": f"{LONG} = 1\n{LONG}"}),
        (f'x = """a{chr(92)}"""{LONG}"""', {"x": f'a"""{LONG}'}),
        (f"x = 1 # {LONG} = 1", {"x": 1}),
        (f'"{LONG}" = 1', {LONG: 1}),
        (f"x = [{', '.join(['1.5'] * 30)}]", {"x": [1.5] * 30}),
    ],
)
def test_what_only_looks_like_a_long_key_is_read(text: str, values: dict[str, Any]) -> None:
    assert toml.loads(text) == values


@given(st.text(st.sampled_from("\"'\\\n#.ab =[]{}"), max_size=200))
def test_looking_for_long_keys_ends_for_any_text(text: str) -> None:
    assert toml.find_long_key(text * 20) is None or text.count(".") > 0
