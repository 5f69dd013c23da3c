"""Score tables as Parquet, if pyarrow, or pandas with an engine, is there."""

from __future__ import annotations

from pathlib import Path

from lomar_cli.errors import LomarError
from lomar_cli.files.atomic import atomic_path
from lomar_cli.files.scores import Scores


def write_parquet(path: Path, scores: Scores, force: bool = False) -> None:
    """Write the columns of the table and ``round_sha256``, which is the same in every row."""
    count = len(scores.clients)
    columns = {n: list(values) for n, values in scores.columns.items()}
    columns["round_sha256"] = [scores.round_sha256] * count
    with atomic_path(path, force) as temporary:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            _by_pandas(temporary, columns)
            return
        parquet.write_table(pyarrow.table(columns), temporary)


def _by_pandas(path: Path, columns: dict[str, list[object]]) -> None:
    try:
        import pandas

        pandas.DataFrame(columns).to_parquet(path, index=False)
    except ImportError:
        raise LomarError(
            "parquet needs pyarrow, or pandas with fastparquet: pip install pyarrow; or export to "
            "csv"
        ) from None
