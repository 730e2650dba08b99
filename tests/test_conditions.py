"""Conditions between settings: only_if in [grid] and [[zip]], where in [[exclude]]."""

import operator
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmgrid.errors import InputError
from fmgrid.experiment import Experiment
from fmgrid.hypotheses.conditions import holds, parse_conditions, parse_selection
from fmgrid.hypotheses.language import selection_text
from loading import load_grids

Names = Callable[..., list[str]]
SIGNS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
WIDTHS = 'name = "u{units1}_{units2}"\n[[grid]]\nunits1 = [16, 32, 64]\nunits2 = [16, 32, 64]\n'
TRIANGLE = ["u16_16", "u32_16", "u32_32", "u64_16", "u64_32", "u64_64"]


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Names:
    """Return the names of a grid's experiments."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, **options: object) -> list[str]:
        Path("g.toml").write_text(text, encoding="utf-8")
        definitions = load_grids([Path("g.toml")], **options)
        return [definition.experiment.name for definition in definitions]

    return load


@given(
    st.lists(st.integers(1, 4), max_size=3),
    st.sampled_from(sorted(SIGNS)),
    st.one_of(st.integers(0, 4), st.sampled_from(["units1", "units2", "depth"])),
)
def test_a_condition_compares_as_python_does(
    layers: list[int], sign: str, other: int | str
) -> None:
    def units(layer: int) -> int:
        return layers[layer] if layer < len(layers) else 0

    known = {"units1": units(0), "units2": units(1), "depth": len(layers)}
    (condition,) = parse_conditions(f"units2 {sign} {other}")
    experiment = Experiment(name="x", hidden_units=tuple(layers))
    expected = SIGNS[sign](known["units2"], known.get(str(other), other))
    assert holds(condition, experiment) == expected
    assert holds(condition, experiment.model_dump()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "units2 <= units1",
        'optimizer != "SGD" and epochs >= 3',
        "hidden_units = [8, 8]",
        "batch_size in [8, 16] and optimizer_args.momentum > 0.5",
    ],
)
def test_conditions_are_written_as_they_are_read(text: str) -> None:
    assert selection_text(parse_selection(text)) == text


WAYS = {
    "a condition": f'{WIDTHS}only_if = "units2 <= units1"\n',
    "an exclusion": f'{WIDTHS}[[exclude]]\nwhere = "units2 > units1"\n',
    "an exclusion beside a plain one": f"""{WIDTHS}
        [[exclude]]
        where = "units1 < units2 and units1 <= 16"
        [[exclude]]
        units1 = 32
        units2 = 64
    """,
    "an exclusion of names": f"""{WIDTHS}
        [[exclude]]
        name = "u16_*"
        where = "units2 > units1"
        [[exclude]]
        where = "units2 > units1 and units1 != 16"
    """,
    "rows": """
        name = "u{units1}_{units2}"
        [[zip]]
        units1 = [16, 16, 32, 32, 64, 64, 64]
        units2 = [16, 32, 16, 32, 16, 32, 64]
        only_if = "units2 <= units1"
    """,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_triangle_is_one_condition(way: str, names: Names) -> None:
    assert names(WAYS[way]) == TRIANGLE


def test_only_if_is_of_its_block_and_an_exclusion_of_the_file(names: Names) -> None:
    text = (
        '[[grid]]\nepochs = [1, 2]\nonly_if = "epochs > 1"\n'
        '[[grid]]\nname = "b{epochs}"\nbatch_size = 8\nepochs = [1, 2, 3]\n'
    )
    assert names(text) == ["epochs_2", "b1", "b2", "b3"]
    text += '[[exclude]]\nwhere = "epochs = 2"\n'
    assert names(text.replace("epochs > 1", "epochs < 2")) == ["epochs_1", "b1", "b3"]


def test_what_is_dropped_may_be_wrong(names: Names) -> None:
    text = "[[grid]]\ntrain_images = [16, 32]\nbatch_size = [16, 32]\n"
    kept = [
        "train_images_16_batch_size_16",
        "train_images_32_batch_size_16",
        "train_images_32_batch_size_32",
    ]
    assert names(f'{text}only_if = "batch_size <= train_images"\n') == kept
    assert names(f"{text}[[exclude]]\ntrain_images = 16\nbatch_size = 32\n") == kept


def test_defaults_and_the_base_are_compared_too(names: Names) -> None:
    text = '[base]\nepochs = 7\n[[grid]]\nbatch_size = [4, 8, 64, 128]\nonly_if = "{}"\n'
    assert names(text.format("batch_size > epochs")) == [
        "batch_size_8",
        "batch_size_64",
        "batch_size_128",
    ]
    assert names(text.format("batch_size >= train_steps")) == ["batch_size_128"]
    assert names(text.format("learning_rate < 1 and batch_size = 8")) == ["batch_size_8"]
    text = text.format("batch_size <= train_images")
    assert names(text, overrides=["train_images=8"]) == ["batch_size_4", "batch_size_8"]


def test_an_argument_is_compared_as_torch_takes_it(names: Names) -> None:
    text = (
        '[[grid]]\noptimizer = "SGD"\noptimizer_args.momentum = [0, 0.5, 1]\n'
        'only_if = "optimizer_args.momentum {}"\n'
    )
    assert names(text.format("= 0")) == ["momentum_0"]
    assert names(text.format(">= 0.5")) == ["momentum_0.5", "momentum_1"]


MISTAKES = {
    'only_if = "unit2 <= units1"': "grid.only_if: unit2: no such setting; did you mean units2?",
    'only_if = "units2 <= unit1"': "grid.only_if: unit1: no such setting; did you mean units1?",
    'only_if = "units2 => units1"': 'grid.only_if: => at character 8: write ">="',
    'only_if = "units2 <= "': "grid.only_if: ends too early; write a value as TOML has it, ",
    'only_if = "units2"': "grid.only_if: units2 is no condition; write one, as in units2 <= units1",
    'only_if = "lr < 1"': "grid.only_if: lr: no such setting; did you mean learning_rate?",
    'only_if = "optimizer < batch_size"': (
        'grid.only_if: compares "Adam" with 64, and < takes numbers; write = or !='
    ),
    "only_if = \"optimizer < 'Adam'\"": "grid.only_if: 'Adam' at character 13: < takes numbers, ",
    "only_if = \"optimizer = 'Adm'\"": (
        'grid.only_if: torch.optim has no optimizer "Adm"; did you mean Adam?'
    ),
    'only_if = "epochs = 1.5"': "grid.only_if: 1.5 is not a whole number from 1",
    'only_if = "optimizer_args.epss > 1"': ("grid.only_if: Adam takes no epss; did you mean eps?"),
    'only_if = "optimizer_args.eps > optimizer_args.bets"': (
        "grid.only_if: Adam takes no bets; did you mean betas?"
    ),
    'only_if = "units2 > 64"': "grid.only_if: leaves no experiment of the block; allow more",
    'only_if = "epochs = 1 or epochs = 2"': (
        "grid.only_if: or at character 12: write SETTING = VALUE, SETTING in [VALUE, VALUE] or "
    ),
    "only_if = 3": "grid.only_if: 3 is not text in quotes",
    'where = "units2 > units1"': (
        "grid.where: no setting; it stands in [[exclude]], and is only_if in [grid] or [[zip]]"
    ),
    '[[exclude]]\nonly_if = "epochs > 1"': (
        "exclude.only_if: no setting; it stands in [grid] or [[zip]], and is where in [[exclude]]"
    ),
    '[[exclude]]\nwhere = "unit1 > 1"': (
        "exclude.where: unit1: no such setting; did you mean units1?"
    ),
    '[[exclude]]\nwhere = "epochs < 99"': "exclude: leaves no experiment; drop less",
    "[[exclude]]\noptimizer_args.epss = 0.1": (
        "exclude.optimizer_args.epss: Adam takes no epss; did you mean eps?"
    ),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_has_its_line_and_what_to_write(line: str, names: Names) -> None:
    with pytest.raises(InputError) as caught:
        names(f"{WIDTHS}{line}\n")
    (problem,) = str(caught.value).splitlines()
    number = 4 + len(line.splitlines())
    assert problem.startswith(f"g.toml:{number}: {MISTAKES[line]}")


@pytest.mark.parametrize("value", ["3", "[[1], [2]]", "['a']", "[true]", "{ a = 1 }"])
def test_conditions_on_widths_that_are_none_are_no_trouble(value: str, names: Names) -> None:
    text = f"[base]\nhidden_units = {value}\n[grid]\nepochs = [1, 2]\nonly_if = 'units1 < depth'"
    with pytest.raises(InputError, match=r"g\.toml:2: base\.hidden_units") as caught:
        names(text)
    assert "only_if" not in str(caught.value)
