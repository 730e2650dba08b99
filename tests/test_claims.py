import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fmgrid.experiment import Experiment
from fmgrid.grid.hypotheses import (
    Experiments,
    check_measured,
    check_metric,
    check_numbers,
    resolve,
)
from fmgrid.hypotheses.language import (
    MAX_CHARACTERS,
    Condition,
    Constant,
    Contrast,
    Equivalence,
    Expectation,
    ExpectationError,
    Ordering,
    Selection,
    Side,
    Term,
    parse_expectation,
    selections,
    to_text,
)
from fmgrid.metrics import RANKABLE

GUIDE = Path(__file__).parent.parent / "docs" / "grids.md"

EXPERIMENTS = [
    *(Experiment(name=f"epochs_{n}", epochs=n) for n in (3, 5, 10)),
    *(
        Experiment(name=f"units_{one}_{two}", hidden_units=(one, two))
        for one in (16, 512)
        for two in (16, 512)
    ),
    Experiment(name="depth_1", hidden_units=(256,)),
    Experiment(name="linear", hidden_units=()),
    Experiment(name="SGD", optimizer="SGD", optimizer_args={"momentum": 0.9, "nesterov": True}),
    Experiment(name="lr=0.1", learning_rate=0.1, validation=10_000),
    Experiment(name="lr=0.1", learning_rate=0.1, validation=10_000, seed=1),
]
NAMES = list(dict.fromkeys(experiment.name for experiment in EXPERIMENTS))
BY_NAME = {experiment.name: experiment for experiment in EXPERIMENTS}


def one(*names: str) -> Term:
    return Term("one", names)


def such(setting: str, *values: Any) -> Selection:
    return (Condition(setting, values),)


def refusal(text: str) -> str:
    with pytest.raises(ExpectationError) as caught:
        resolve(parse_expectation(text), Experiments(BY_NAME))
    return str(caught.value)


# What it says


@pytest.mark.parametrize(
    ("text", "expectation"),
    [
        pytest.param(
            "epochs_10 > epochs_5 > epochs_3",
            Ordering((one("epochs_10"), one("epochs_5"), one("epochs_3")), ">"),
            id="a chain",
        ),
        pytest.param(
            "a<b by 0.01", Ordering((one("a"), one("b")), "<", 0.01), id="a least difference"
        ),
        pytest.param(
            "0.1 < SGD < 2e-1",
            Ordering((Constant(0.1), one("SGD"), Constant(0.2)), "<"),
            id="numbers",
        ),
        pytest.param(
            "a - mean of b-1, c > -0.5",
            Ordering((Contrast(one("a"), Term("mean", ("b-1", "c"))), Constant(-0.5)), ">"),
            id="a gain",
        ),
        pytest.param(
            "best of units_512_* > each of units_1?_16",
            Ordering(
                (
                    Term("best", ("units_512_*",)),
                    Term("each", ("units_1?_16",)),
                ),
                ">",
            ),
            id="patterns",
        ),
        pytest.param(
            '"lr=0.1" > \'3\' > "best"',
            Ordering((one("lr=0.1"), one("3"), one("best")), ">"),
            id="names in quotes",
        ),
        pytest.param(
            "mean of depth = 2 and optimizer in ['SGD', \"Adam\",] > a",
            Ordering(
                (
                    Term(
                        "mean",
                        (Condition("depth", (2,)), Condition("optimizer", ("SGD", "Adam"))),
                    ),
                    one("a"),
                ),
                ">",
            ),
            id="conditions",
        ),
        pytest.param(
            "no difference greater than 0.01 among hidden_units in [[256], []]",
            Equivalence(such("hidden_units", (256,), ()), 0.01),
            id="alike",
        ),
        pytest.param(
            "optimizer_args.nesterov = true > learning_rate = 1e-3",
            Ordering(
                (
                    Term("one", such("optimizer_args.nesterov", True)),
                    Term("one", such("learning_rate", 0.001)),
                ),
                ">",
            ),
            id="an argument",
        ),
    ],
)
def test_an_expectation_is_read_as_it_is_meant(text: str, expectation: Expectation) -> None:
    assert parse_expectation(text) == expectation
    assert parse_expectation(to_text(expectation)) == expectation


def test_the_forms_in_the_guide_can_be_read() -> None:
    rows = re.findall(r"^\| `(.*?)` \|", GUIDE.read_text().partition("| form |")[2], flags=re.M)
    forms = rows[: rows.index("no difference greater than 0.01 among lr_*") + 1]

    assert len(forms) == 8
    for form in forms:  # some are half of a comparison
        assert parse_expectation(form if re.search("[<>]|^no ", form) else f"{form} > a")


def test_the_guide_names_every_metric() -> None:
    told = GUIDE.read_text().partition("The metrics:")[2].partition("\n\n")[0]

    assert {name for name in RANKABLE if f"`{name}`" in told} == set(RANKABLE)


# Whom it is about


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ("units_*", ["units_16_16", "units_16_512", "units_512_16", "units_512_512"]),
        ("linear, epochs_?, epochs_3", ["epochs_3", "epochs_5", "linear"]),
        ("units1 = 512", ["units_512_16", "units_512_512"]),
        ("hidden_units.1 = 16 and units1 = 16", ["units_16_16"]),
        ("hidden_units in [[256], []]", ["depth_1", "linear"]),
        ("depth in [0, 1]", ["depth_1", "linear"]),
        ("optimizer_args.momentum = 0.9", ["SGD"]),
        ("optimizer_args.nesterov = true", ["SGD"]),
        ('learning_rate = 1e-1 and validation = 10_000 and dataset = "fashion-mnist"', ["lr=0.1"]),
        ("'lr=*'", ["lr=0.1"]),
        ("epochs in [10, 3.0]", ["epochs_3", "epochs_10"]),
    ],
)
def test_a_selection_becomes_names_in_the_order_of_the_grid(
    selection: str, names: list[str]
) -> None:
    found = resolve(parse_expectation(f"each of {selection} > 0"), Experiments(BY_NAME))

    assert [list(selection) for selection in selections(found)] == [names]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("best of units_* > units_16_16", id="the best of those it is one of"),
        pytest.param("mean of * > best of epochs_*", id="a mean of all"),
        pytest.param("epochs_5 - epochs_3 > epochs_10 - epochs_5", id="gains that share a level"),
        pytest.param("0.1 < epochs_5 < 0.2", id="between numbers"),
    ],
)
def test_what_may_hold_is_accepted(text: str) -> None:
    assert resolve(parse_expectation(text), Experiments(BY_NAME))


# Mistakes


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "ends too early; write a name or a condition, as in epochs_10 > epochs_5"),
        ("a", "ends too early; write what it is compared with, as in epochs_10 > epochs_5"),
        ("a >", "ends too early; write a name or a condition, as in epochs_10 > epochs_5"),
        ("a b", "b at character 3: write what it is compared with, as in epochs_10 > epochs_5"),
        ("a > b < c", '< at character 7: write ">" throughout, or two hypotheses'),
        ("a >= b", '>= at character 3: write ">"'),
        ("a != b", "!= at character 3: there is no such comparison; write > or <"),
        ("a > b c", "c at character 7: nothing more is expected here"),
        (
            "0.1 < 0.2 < a",
            (
                "0.2 at character 7: two numbers are compared; write a name, as in "
                "epochs_10 > epochs_5"
            ),
        ),
        ("a > 20%", "20% at character 5: write 0.2, a fraction"),
        (
            "a > b + 0.1",
            '+ at character 7: write a least difference at the end, as in "by 0.01"',
        ),
        ("a > b by -1", "-1 at character 10: write a number from 0 after by, as in by 0.01"),
        ("a > 1e999", "1e999 at character 5: is too large a number"),
        (
            "a > .5",
            (
                ".5 at character 5: is no name and no number such as 0.5; a name with other signs "
                "stands in quotes"
            ),
        ),
        (
            "(a) > b",
            "( at character 1: there are no brackets; write one comparison, as in best of a, b > c",
        ),
        ('a > "b', '" at character 5: close the quotes'),
        ('a > ""', '"" at character 5: a name is empty'),
        (
            r'a > "\q"',
            r'"\q" at character 5: no text as TOML writes it; put \ twice, or use single quotes',
        ),
        (
            "a -b > 0",
            "-b at character 3: a minus stands between spaces, as in epochs_10 - epochs_5",
        ),
        (
            "a- b > 0",
            "a- at character 1: a minus stands between spaces, as in epochs_10 - epochs_5",
        ),
        (
            "a - b - c > 0",
            "- at character 7: write one difference of two experiments, as in epochs_10 - epochs_5",
        ),
        (
            "best of a - b > 0",
            'best at character 1: a difference is of single experiments or "mean of"; write those',
        ),
        (
            "best > a",
            '> at character 6: write "best of"; a name that is best stands in quotes',
        ),
        (
            "a > than",
            "than at character 5: a name is expected; this one would stand in quotes",
        ),
        (
            "mean of 3 > a",
            "3 at character 9: a name is expected; this one would stand in quotes",
        ),
        (
            "no difference > 0.1",
            "> at character 15: write no difference greater than 0.01 among a, b",
        ),
        ("batchsize = 64 > a", "batchsize: no such setting; did you mean batch_size?"),
        ("epoch in [3] > a", "epoch: no such setting; did you mean epochs?"),
        ("seed = 1 > a", "seed: no such setting; a claim is about all seeds of an experiment"),
        ("name = 'a' > b", "name: no such setting; write the name alone, as in epochs_5"),
        (
            "optimizer_args = 1 > a",
            (
                "no experiment has optimizer_args = 1; there are {}, "
                "{ momentum = 0.9, nesterov = true }"
            ),
        ),
        ("'epochs' = 3 > a", "'epochs': no such setting; did you mean epochs?"),
        (
            "optimizer = Adam > a",
            (
                "Adam at character 13: write a value as TOML has it, as in batch_size = 64 "
                'or optimizer = "Adam"'
            ),
        ),
        (
            "epochs in 3 > a",
            "3 at character 11: write a list after in, as in batch_size in [32, 64]",
        ),
        (
            "epochs in [] > a",
            "[ at character 11: write a list after in, as in batch_size in [32, 64]",
        ),
        (
            "epochs in [3 5] > a",
            (
                "[ at character 11: write a value as TOML has it, as in batch_size = 64 "
                'or optimizer = "Adam"'
            ),
        ),
        (
            "epochs = 3 and a > b",
            (
                'a at character 16: names are joined by ",", conditions by "and"; a selection has '
                "one or the other"
            ),
        ),
        (
            "a, epochs = 3 > b",
            (
                'epochs at character 4: names are joined by ",", conditions by "and"; '
                "a selection has one or the other"
            ),
        ),
        pytest.param(
            "a" * (MAX_CHARACTERS + 1),
            "has 2,001 characters, and 2,000 are the limit; split it into several hypotheses",
            id="a very long text",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_write(text: str, problem: str) -> None:
    assert refusal(text) == problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epoch_5 > SGD", "no experiment is called epoch_5; did you mean epochs_5?"),
        (
            "zzz > SGD",
            "no experiment is called zzz; there are epochs_3, epochs_5, epochs_10 and 8 more",
        ),
        (
            "best of depth* > epochs_?0, depth2",
            "no experiment is called depth2; did you mean depth_1?",
        ),
        (
            "units_* > SGD",
            'units_* means 4 experiments; write "best of", "mean of" or "each of" before it',
        ),
        (
            "epochs_5, epochs_3 > SGD",
            (
                "epochs_5, epochs_3 means 2 experiments; "
                'write "best of", "mean of" or "each of" before it'
            ),
        ),
        ("epochs = 4 > SGD", "no experiment has epochs = 4; there are 3, 5, 10"),
        ("each of epochs in [3, 4] > SGD", "no experiment has epochs = 4; there are 3, 5, 10"),
        ("epochs = true > SGD", "no experiment has epochs = true; there are 3, 5, 10"),
        ('epochs = "3" > SGD', 'no experiment has epochs = "3"; there are 3, 5, 10'),
        ('optimizer = "sgd" > SGD', 'no experiment has optimizer = "sgd"; there are "Adam", "SGD"'),
        (
            "optimizer_args.eps = 1 > SGD",
            "no experiment has optimizer_args.eps = 1; none sets it",
        ),
        (
            "epochs = 3 and units1 = 512 > SGD",
            "no experiment has epochs = 3 and units1 = 512 at once; write fewer conditions",
        ),
        ("epochs_5 > epochs_5", "compares epochs_5 with itself; write two that differ"),
        ("epochs = 3 > epochs_3", "compares epochs_3 with itself; write two that differ"),
        ("SGD > epochs_5 > SGD", "compares SGD with itself; write two that differ"),
        (
            "each of units_* > units_16_16",
            "compares units_16_16 with itself; write two that differ",
        ),
        ("best of * > best of *", "compares best of epochs_3, epochs_5, "),
        ("SGD - SGD > 0", "compares SGD with itself; write two that differ"),
        (
            "no difference greater than 0.1 among epochs_5",
            "epochs_5 is one experiment, which has nothing to differ from",
        ),
    ],
)
def test_what_no_experiment_can_answer_is_refused(text: str, problem: str) -> None:
    assert refusal(text).startswith(problem)


def test_a_metric_has_a_near_match() -> None:
    with pytest.raises(ExpectationError, match='"valid_los" is no metric; did you mean valid_loss'):
        check_metric("valid_los")


def test_test_images_answer_only_where_they_are_not_validated_on() -> None:
    check_measured("test_accuracy", EXPERIMENTS[-1:])
    check_measured("valid_loss", EXPERIMENTS)

    with pytest.raises(ExpectationError) as caught:
        check_measured("test_accuracy", EXPERIMENTS)
    assert str(caught.value) == (
        "epochs_3 will have no test_accuracy, since it is validated on the test images; "
        "write accuracy, or hold images out as in validation = 0.1"
    )


@pytest.mark.parametrize("text", ["a < 20", "a - b > 20", "a > b by 20"])
def test_a_percentage_is_no_accuracy(text: str) -> None:
    expectation = parse_expectation(text)

    check_numbers("valid_loss", expectation)
    with pytest.raises(
        ExpectationError, match=r"20 is out of range: accuracy .*; write 0.2 for 20 %"
    ):
        check_numbers("accuracy", expectation)


# Whatever is written

# No surrogates: they are no text that a file could hold.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
names = st.one_of(
    texts.filter(bool), st.sampled_from(["epochs_5", "units_*", "a-b", "3", "best", "1e-3", "-x"])
)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(texts, st.booleans(), st.integers(-(2**63), 2**63), st.integers(), floats)
settings = st.sampled_from(
    ["epochs", "depth", "units1", "hidden_units", "hidden_units.0", "optimizer_args.momentum"]
)
conditions = st.builds(
    Condition,
    settings,
    st.lists(scalars | st.lists(scalars, max_size=2).map(tuple), min_size=1, max_size=2).map(tuple),
)
chosen = st.one_of(
    st.lists(names, min_size=1, max_size=3).map(tuple),
    st.lists(conditions, min_size=1, max_size=2).map(tuple),
)
terms = st.builds(Term, st.sampled_from(["one", "best", "mean", "each"]), chosen)
levels = st.builds(Term, st.sampled_from(["one", "mean"]), chosen)
sides: st.SearchStrategy[Side] = st.one_of(
    terms, st.builds(Contrast, levels, levels), st.builds(Constant, floats)
)
margins = st.floats(0, 1e300)
chains = st.builds(
    Ordering,
    st.lists(sides, min_size=2, max_size=3).map(tuple),
    st.sampled_from(["<", ">"]),
    margins,
)
expectations = st.one_of(chains, st.builds(Equivalence, chosen, margins))

WORDS = [
    *("best of", "mean of", "each of", "and", "in", "by", "no difference greater than", "among"),
    *("epochs_5", "epochs_3", "units_*", "epochs", "units1", "optimizer_args.x", '"lr=0.1"', "0.5"),
    *("3", "16", ">", "<", ">", "=", "[", "]", ",", "-", "'", '"', "\\", "1e999", "é", "\x00", "?"),
]
written = st.one_of(
    st.text(max_size=40), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
)


@given(expectations)
@example(Equivalence((Condition("epochs", (-(2**63), 10**300)),), 0.0))
def test_what_is_written_is_read_again(expectation: Expectation) -> None:
    if isinstance(expectation, Ordering):
        neighbours = zip(expectation.sides, expectation.sides[1:], strict=False)
        assume(not any(isinstance(a, Constant) and isinstance(b, Constant) for a, b in neighbours))
    text = to_text(expectation)
    assume(len(text) <= MAX_CHARACTERS)

    assert text.isprintable()
    assert parse_expectation(text) == expectation


def outcome(read: Callable[[], Expectation]) -> Expectation | str:
    try:
        return read()
    except ExpectationError as error:
        return str(error)


@given(written)
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    found = outcome(lambda: parse_expectation(text))

    if isinstance(found, str):
        assert found.isprintable()
    else:
        assert parse_expectation(to_text(found)) == found


@given(written)
def test_any_expectation_is_resolved_or_refused_in_one_line(text: str) -> None:
    found = outcome(lambda: resolve(parse_expectation(text), Experiments(BY_NAME)))

    if isinstance(found, str):
        assert found.isprintable()
        return
    assert resolve(found, Experiments(BY_NAME)) == found
    for selection in selections(found):
        assert selection
        assert [name for name in NAMES if name in selection] == list(selection)


@pytest.mark.parametrize(
    ("optimizer", "argument", "values", "condition", "names"),
    [
        ("a.b:C", "warm", [1, True, 1.0], "1", ["e0"]),
        ("a.b:C", "warm", [1, True, 1.0], "true", ["e1"]),
        ("a.b:C", "warm", [1, True, 1.0], "1.0", ["e2"]),
        ("SGD", "momentum", [0.0, 0.5], "0", ["e0"]),
    ],
)
def test_a_condition_means_values_of_its_own_type(
    optimizer: str, argument: str, values: list[Any], condition: str, names: list[str]
) -> None:
    experiments = [
        Experiment(name=f"e{number}", optimizer=optimizer, optimizer_args={argument: value})
        for number, value in enumerate(values)
    ]
    text = f"best of optimizer_args.{argument} = {condition} > 0.5"
    (selection,) = selections(
        resolve(parse_expectation(text), Experiments({one.name: one for one in experiments}))
    )
    assert list(selection) == names
