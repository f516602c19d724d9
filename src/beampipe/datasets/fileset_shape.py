"""What a dataset and a file may look like when somebody spells them out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
    model_validator,
)

from beampipe.errors import FilesetFormError

Shape = TypeVar("Shape", bound=BaseModel)

IGNORED = {"form", "compressed_form", "did", "lfn", "pfn", "num_selected_entries"}
"""What coffea's forms carry besides, and what changes nothing about the files that are read."""


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a whole number is needed here, not true or false")  # noqa: TRY004 for pydantic
    return value


Count = Annotated[int, Field(ge=0), BeforeValidator(_refuse_bool)]


class FileShape(BaseModel):
    """A file: coffea's ``{"object_path", "steps", "num_entries", "uuid"}`` and `replicas`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    object_path: StrictStr | None = None
    treename: StrictStr | None = None
    steps: list[tuple[Count, Count]] | None = Field(default=None, min_length=1)
    num_entries: Count | None = None
    uuid: StrictStr | None = None
    replicas: list[StrictStr | Path] = []
    format: StrictStr | None = None

    @property
    def describes_one_file(self) -> bool:
        """Whether anything but the tree is said, so that no glob or directory can be meant."""
        said = (self.steps, self.num_entries, self.uuid)
        return bool(self.replicas) or any(value is not None for value in said)

    @model_validator(mode="after")
    def _check_steps(self) -> FileShape:
        """Put the steps in order; an event in two of them would be counted twice."""
        steps = sorted(self.steps or [])
        for start, stop in steps:
            if stop < start:
                raise ValueError(f"the step [{start}, {stop}] ends before it begins")
        for (_, stop), (start, _) in pairwise(steps):
            if start < stop:
                raise ValueError(
                    f"the steps overlap: one ends at {stop}, the next begins at {start}"
                )
        return self


class DatasetShape(BaseModel):
    """A dataset: its files, their tree, and what the processor is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: Any
    treename: StrictStr | None = None
    metadata: dict[str, Any] | None = None
    format: StrictStr | None = None


DATASET_KEYS = (*DatasetShape.model_fields, *sorted(IGNORED))


def check_shape(shape: type[Shape], value: Mapping[Any, Any], *, where: str) -> Shape:
    """Check a mapping against the form it must have.

    Parameters
    ----------
    shape : type
        :class:`DatasetShape` or :class:`FileShape`.
    value : mapping
        What somebody wrote.
    where : str
        For the message, such as ``"dataset 'DY'"``.

    Returns
    -------
    Shape
        The checked values.

    Raises
    ------
    FilesetFormError
        ``dataset-fileset-form``: an unknown key (with the closest known one), a wrong type.
    """
    wanted = {str(key): item for key, item in value.items() if key not in IGNORED}
    try:
        checked = shape.model_validate(wanted)
    except ValidationError as error:
        raise FilesetFormError(
            f"The form of {where} is wrong.",
            why="; ".join(_describe(shape, problem) for problem in error.errors()[:3]),
            fix=f"the keys are {', '.join(shape.model_fields)}",
            where=where,
        ) from error
    if getattr(checked, "format", None) not in (None, "root"):
        raise FilesetFormError(
            f"The format of {where} is {value['format']!r}, and Beampipe reads ROOT files only.",
            why="events are read from TTrees and RNTuples",
            fix="take it out of the fileset; for Parquet use dask-dataframe or Awkward Array",
            where=where,
        )
    return checked


def closest_key(key: str, known: Sequence[str]) -> str:
    """Offer the known key that is most like an unknown one.

    Parameters
    ----------
    key : str
        What somebody wrote.
    known : sequence of str
        What may be written.

    Returns
    -------
    str
        ``"; did you mean 'files'?"``, or nothing.
    """
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _describe(shape: type[BaseModel], problem: Any) -> str:
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        return f"unknown key {path[-1]!r}{closest_key(path[-1], list(shape.model_fields))}"
    text = str(problem["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(path)}: {text}" if path else text
