"""The two central values of fmgrid: `Experiment`, the input, and `Run`, the output.

Both are immutable and typed, and neither knows about files, torch or the command line.
"""

import hashlib
import json
import math
import traceback
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    model_validator,
)

from fmgrid.errors import is_lack_of_memory, text_of
from fmgrid.words import printable

MOST_LAYERS = 1_000
_LONGEST_MESSAGE = 1_000  # characters
_LONGEST_TRACE = 20_000

_LONGEST_ARGUMENTS = 10_000  # characters of JSON
_LARGEST_LOSS = 3.5e38  # networks compute in single precision, which ends at 3.4e38


def _check_loss(value: float) -> float:
    """Let the loss of a run that diverged be inf or nan, but no number beyond single precision."""
    if math.isfinite(value) and abs(value) > _LARGEST_LOSS:
        raise ValueError(f"is not a loss in single precision, which ends at {_LARGEST_LOSS:g}")
    return value


# Results may come from a stranger. These bounds are wider than anything that fmgrid writes, and
# narrow enough for everything that is computed and drawn from a run.
Count = Annotated[int, Field(gt=0, lt=2**31)]
Whole = Annotated[int, Field(ge=0, lt=2**63)]  # as a table of pandas and a TOML file hold
Name = Annotated[str, Field(max_length=200)]  # grids allow 100, and a run's name has its seed
ShortText = Annotated[str, Field(max_length=10_000)]
LongText = Annotated[str, Field(max_length=1_000_000)]  # a hypothesis on 10,000 experiments
# A path or a word of a command: the system takes none with a zero byte.
Word = Annotated[LongText, Field(pattern=r"\A[^\x00]*\z")]
Loss = Annotated[float, AfterValidator(_check_loss)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(ge=0, le=1e10)]  # 300 years
Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
Status = Literal["complete", "failed", "timeout", "pruned"]


class Record(BaseModel):
    """An immutable value; types are exact, so that neither "5" nor true passes for 5."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


@dataclass(frozen=True)
class About:
    """A field's entry in the table of settings, without its type and its default."""

    label: str  # of an axis, with its unit
    aliases: tuple[str, ...] = ()  # words that people write for it, or for a part of a table
    expects: str = "a whole number from 1"  # what to write, for error messages
    part: str = ""  # what to write for a part of it, "" if it has none
    is_table: bool = False  # of arguments
    is_length: bool = False  # a smaller value is the beginning of the same training
    is_new: bool = False  # since version 0.2: its columns stand behind the older ones


def about_arguments(noun: str, names: tuple[str, ...] = (), *, is_new: bool = True) -> About:
    """Return the entry of the table for the arguments of a component, whose usual *names* are."""
    part = "a finite number, true, false or text"
    label, expects = f"{noun} arguments", "a table of arguments"
    return About(label, names, expects, part, is_table=True, is_new=is_new)


def _check_size(arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse arguments that are too large to be shown, and numbers that Python refuses to write."""
    if len(json.dumps(arguments)) > _LONGEST_ARGUMENTS:
        raise ValueError("the arguments are too large")
    return arguments


Arguments = Annotated[dict[str, JsonValue], AfterValidator(_check_size)]  # validation copies them


class Experiment(Record):
    """One named configuration with its seed: everything needed to train one network."""

    name: Name
    # the name of a data set, or one's own: a file, a folder or a function
    dataset: Annotated[
        ShortText,
        About(
            "data set",
            ("data",),
            'the name of a data set, or "images.npz", "images/" or "package.module:function"',
        ),
    ] = "fashion-mnist"
    # of a folder of images, or of a function
    dataset_args: Annotated[Arguments, about_arguments("data set")] = {}
    # SHA-256 of one's own data, which replaces both in the fingerprint; fmgrid finds it
    content: Annotated[
        Sha256 | None, About("content of the data", (), "found by fmgrid", is_new=True)
    ] = None
    # images scored after every epoch: the test images, the validation images that the data have,
    # or so many held out of the training images, or such a share of each class
    validation: Annotated[
        Count | Share | Literal["valid", "test"],
        About(
            "images held out for validation",
            ("valid", "val", "validation_split", "val_split", "split", "test_size", "val_size"),
            'a number or share of held-out images such as 10000 or 0.1, "valid" or "test"',
        ),
    ] = "test"
    epochs: Annotated[Count, About("epochs", ("epoch", "num_epochs"), is_length=True)] = 5
    # optimizer steps per epoch, or "full" for a pass over the training set
    train_steps: Annotated[
        Count | Literal["full"] | None,
        About("steps per epoch", ("steps", "trainsteps"), 'a whole number from 1, or "full"'),
    ] = 100
    # training images per epoch instead, whatever the batch size; train_steps is None then
    train_images: Annotated[Count | None, About("images per epoch", ("images",))] = None
    batch_size: Annotated[Count, About("batch size (images)", ("batchsize", "batch", "bs"))] = 64
    network: Annotated[
        ShortText,
        About(
            "network",
            ("model",),
            '"MLP", "CNN" or "package.module:Class"',
            is_new=True,
        ),
    ] = "MLP"
    # what is absent takes the network's own default
    network_args: Annotated[
        Arguments,
        about_arguments(
            "network",
            (
                *("dropout", "normalization", "activation", "initialization"),
                *("channels", "kernel_size", "pooling", "stride", "padding"),
            ),
        ),
    ] = {}
    # units per hidden layer, input side first; () is a linear model, or a CNN with one linear layer
    # at its end. None where a plugged-in network has arguments of its own.
    hidden_units: Annotated[
        Annotated[tuple[Count, ...], Field(max_length=MOST_LAYERS)] | None,
        BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
        About(
            "units per hidden layer",
            ("layers", "hidden_size", "hidden_sizes"),
            "a list of whole numbers from 1",
            part="a whole number from 1",
        ),
    ] = (256, 256)
    learning_rate: Annotated[
        FiniteFloat, About("learning rate", ("lr",), "a number greater than 0"), Field(gt=0)
    ] = 1e-3
    optimizer: Annotated[
        ShortText,
        About(
            "optimizer",
            ("optim",),
            'a class of torch.optim such as "Adam", or "package.module:Class"',
        ),
    ] = "Adam"
    # what is absent takes the optimizer's own default
    optimizer_args: Annotated[
        Arguments,
        about_arguments(
            "optimizer", ("momentum", "weight_decay", "nesterov", "betas", "eps"), is_new=False
        ),
    ] = {}
    # of the numbers in a network's steps
    precision: Annotated[
        Literal["float32", "bf16"], About("precision", (), '"float32" or "bf16"', is_new=True)
    ] = "float32"
    # of images in memory; "auto" is "channels_last" for a CNN and "contiguous" for other networks
    layout: Annotated[
        Literal["auto", "contiguous", "channels_last"],
        About(
            "layout in memory",
            ("memory_format", "channels_last"),
            '"auto", "contiguous" or "channels_last"',
            is_new=True,
        ),
    ] = "auto"
    # inputs less their mean in the training images, divided by their standard deviation there
    standardize: Annotated[
        bool,
        About(
            "standardized inputs",
            ("standardise", "normalize", "normalise", "scale", "rescale"),
            "true or false",
            is_new=True,
        ),
    ] = False
    # owns all randomness: initial weights and the order of the images
    seed: Annotated[
        int, About("seed", expects="a whole number from 0 to 2147483647"), Field(ge=0, lt=2**31)
    ] = 0

    @model_validator(mode="before")
    @classmethod
    def _let_images_replace_steps(cls, values: Any) -> Any:
        """Leave out the default of train_steps beside train_images: TOML cannot say None."""
        if isinstance(values, dict) and values.get("train_images") is not None:
            return {"train_steps": None, **values}
        return values

    @model_validator(mode="before")
    @classmethod
    def _let_network_choose_units(cls, values: Any) -> Any:
        """Give a network that is no MLP its own default of hidden_units."""
        if isinstance(values, dict) and values.get("hidden_units") is None:
            network = values.get("network", "MLP")
            if network != "MLP":
                return {**values, "hidden_units": default_units(network)}
        return values

    @model_validator(mode="after")
    def _check_length_of_epoch(self) -> Self:
        images = self.train_images
        if (images is None) == (self.train_steps is None):
            raise ValueError("train_steps or train_images says how long an epoch is; write one")
        if images is not None and self.batch_size > images:
            raise ValueError(
                f"batch_size = {self.batch_size} exceeds train_images = {images}; "
                "write one that fits into an epoch"
            )
        return self

    @property
    def run_name(self) -> str:
        """The run's folder: seed 0 bears the plain name, so adding seeds renames nothing."""
        return self.name if self.seed == 0 else f"{self.name}_s{self.seed}"

    @property
    def depth(self) -> int | None:
        """Number of hidden layers, None where only the network knows."""
        return None if self.hidden_units is None else len(self.hidden_units)

    @property
    def data_key(self) -> str:
        """What tells its data from others: their content, or the name of a data set."""
        return self.content or self.dataset

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every field but the name: equal for trainings that give the same bits.

        Fields at their default are left out, so that a setting added later does not
        orphan finished runs; a test pins the values, so that no default changes unseen. Of one's
        own data the content counts, wherever they are.
        """
        return self._digest(without={"name"})

    @cached_property
    def prefix_key(self) -> str:
        """Key shared by trainings that are prefixes of each other: same settings, fewer epochs.

        With held-out images the test images are scored after the last epoch, wherever that
        is: no such training contains a shorter one.
        """
        if self.validation == "test":
            return self._digest(without={"name", *_LENGTHS})
        return self.fingerprint

    def __eq__(self, other: object) -> bool:
        """Compare name and fingerprint, because for Python an argument of 1 equals true."""
        if not isinstance(other, Experiment):
            return NotImplemented
        return self.name == other.name and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash((self.name, self.fingerprint))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy that computes its fingerprint anew: pydantic would copy that, too."""
        copied = super().model_copy(update=update, deep=deep)
        for derived in ("fingerprint", "prefix_key"):
            vars(copied).pop(derived, None)
        return copied

    def _digest(self, without: set[str]) -> str:
        if self.content is not None:
            without = {*without, "dataset", "dataset_args"}
        settings = self.model_dump(exclude=without, exclude_defaults=True)
        # TOML's dates have no JSON; pydantic's own JSON would not tell inf from nan.
        text = json.dumps(settings, sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()


def default_units(network: Any) -> tuple[int, ...] | None:
    """Return a network's default of hidden_units, None for a plugged-in network."""
    if isinstance(network, str) and ":" in network:
        return None
    return (256, 256) if network == "MLP" else ()


def about(field: str) -> About:
    """Return the entry of a field of `Experiment` in the table of settings."""
    metadata = Experiment.model_fields[field].metadata
    return next(entry for entry in metadata if isinstance(entry, About))


_LENGTHS = {
    field for field in Experiment.model_fields if field != "name" and about(field).is_length
}


def typed(value: Any) -> Hashable:
    """Return a key that is equal for values that TOML writes alike: not for true, 1 and 1.0.

    Nor for 0.0 and -0.0, which have two fingerprints. It is equal for two of nan.
    """
    if isinstance(value, Mapping):
        return frozenset((key, typed(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(typed, value))
    return type(value), str(value) if type(value) is float else value


def subseed(seed: int, purpose: str) -> int:
    """Return the seed of one independent stream of random numbers, such as "batches".

    Streams of different purposes don't disturb each other: a network of another depth
    sees the same images in the same order.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:7], "big")


class EpochRecord(Record):
    """The measurements at the end of one epoch."""

    epoch: Count  # from 1
    train_loss: Loss  # mean of the losses of the epoch's batches, before each step
    valid_loss: Loss  # mean over all validation images
    accuracy: Fraction  # of all validation images
    learning_rate: float  # of the epoch's last step; a plugged-in optimizer may set any
    images_seen: Whole  # training images since the start, repeats included
    seconds: Seconds  # since the training started


def _to_unicode(text: Any) -> Any:
    """Escape what has no UTF-8, such as a file name of another encoding in an error."""
    return text.encode(errors="backslashreplace").decode() if isinstance(text, str) else text


class Failure(Record):
    """Why a run did not complete."""

    message: Annotated[ShortText, BeforeValidator(_to_unicode)]  # one line
    traceback: Annotated[LongText, BeforeValidator(_to_unicode)] = ""  # or the end of its log

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Describe an exception, and a long story by its beginning or its end."""
        message = " ".join(f"{type(error).__name__}: {text_of(error)[:_LONGEST_TRACE]}".split())
        reason = "out of memory: " if is_lack_of_memory(error) else ""
        trace = "".join(traceback.format_exception(error))
        return cls(
            message=f"{reason}{printable(message, _LONGEST_MESSAGE)}",
            traceback=trace[-_LONGEST_TRACE:],
        )


class Run(Record):
    """An experiment as executed."""

    experiment: Experiment
    status: Status
    history: tuple[EpochRecord, ...] = ()
    weights: Whole | None = None  # trainable numbers in the network
    test_loss: Loss | None = None  # only where validation images were held out
    test_accuracy: Fraction | None = None
    started: AwareDatetime
    seconds: Seconds  # from the first step to the last score
    software: Annotated[dict[Name, ShortText | Whole], Field(max_length=100)] = {}
    failure: Failure | None = None
    trained_as: Name | None = None  # the run that did the training, where this one shares it
    attempts: Count = 1  # more where a worker process died of it and another one took it up

    @model_validator(mode="after")
    def _check_history(self) -> Self:
        """Refuse a history with a gap, one that a complete run lacks, and half a score."""
        epochs = [record.epoch for record in self.history]
        most = self.experiment.epochs
        if epochs != list(range(1, min(len(epochs), most) + 1)):
            raise ValueError(f"the epochs of the history are not 1, 2, 3 and so on, up to {most}")
        if self.status == "complete" and not epochs:
            raise ValueError("the run is complete, and has no history")
        if (self.test_accuracy is None) != (self.test_loss is None):
            raise ValueError("test_accuracy and test_loss stand together, and one is missing")
        return self

    def answers(self, experiment: Experiment) -> bool:
        """Tell whether the run of *experiment* is this one, or the beginning of it."""
        if self.experiment.fingerprint == experiment.fingerprint:
            return True
        is_longer = self.status == "complete" and self.experiment.epochs >= experiment.epochs
        return is_longer and self.experiment.prefix_key == experiment.prefix_key

    def shared_with(self, experiment: Experiment) -> Self:
        """Return the run of an experiment that this one `answers`."""
        history = self.history[: experiment.epochs]
        shorter = len(history) < len(self.history)
        origin = self.trained_as or self.experiment.run_name
        return self.model_copy(
            update={
                "experiment": experiment,
                "history": history,
                "seconds": history[-1].seconds if shorter else self.seconds,
                # Its own training comes back to it where its results were lost.
                "trained_as": None if origin == experiment.run_name else origin,
            }
        )

    @property
    def final(self) -> EpochRecord | None:
        """The last epoch."""
        return self.history[-1] if self.history else None
