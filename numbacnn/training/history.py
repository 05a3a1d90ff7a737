"""History: one row of numbers per finished epoch, in memory and as a CSV file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import ArgumentError, FileFormatError, message


class History:
    """What each epoch measured.

    Columns, where measured: ``epoch`` (from 1), ``loss``, ``accuracy`` (0..1; running averages over the
    epoch's batches), ``val_loss``, ``val_accuracy`` (after the epoch), ``learning_rate`` (of its last step),
    ``seconds``, ``images_per_second``.

    Attributes:
        rows: one dict per finished epoch.
        interrupted: whether an interrupt (Ctrl-C) ended the training.

    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.interrupted = False

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.rows)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.rows[0]) if self.rows else []

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def __getitem__(self, column: str) -> list[float]:
        """Return one column, a number per finished epoch."""
        if self.rows and column not in self.rows[0]:
            known = ", ".join(self.columns)
            raise ArgumentError(
                message("History", f"a column among {known}", repr(column), "name one of them")
            )
        return [row[column] for row in self.rows]

    def __repr__(self) -> str:
        last = ", ".join(f"{k}={v:.4g}" for k, v in self.rows[-1].items()) if self.rows else "no epoch"
        return f"History({len(self)} epochs; {last})"

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows, with a line of column names, beside the file and renamed: never half a file."""
        path = Path(path)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(text.getvalue(), encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> History:
        """Read what `to_csv` wrote.

        Raises:
            FileFormatError: the file is not such a table of numbers.
            OSError: the file cannot be opened.

        """
        history = cls()
        try:
            with Path(path).open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    numbers = {k: float(v) for k, v in row.items()}
                    history.rows.append({**numbers, "epoch": int(numbers["epoch"])})
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise FileFormatError(
                message(str(path), "a history of numbers", f"{type(error).__name__} ({error})", "train anew")
            ) from error
        return history
