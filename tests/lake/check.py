"""Opens exported tables with delta-rs, PyArrow, Polars and DuckDB, and has them agree."""

import sys
from pathlib import Path

import duckdb
import polars
import pyarrow.parquet
from deltalake import DeltaTable


def counts(table: DeltaTable, path: Path) -> dict[str, int]:
    """How many rows each reader sees, and how many events."""
    files = table.file_uris()
    sql = duckdb.connect()
    sql.register("t", table.to_pyarrow_dataset())
    own = "SELECT count(*) FROM read_parquet($files, hive_partitioning = true, union_by_name = true)"
    return {
        "delta-rs": table.to_pyarrow_table().num_rows,
        "pyarrow": sum(pyarrow.parquet.read_metadata(file).num_rows for file in files),
        "polars": polars.scan_delta(str(path)).select(polars.len()).collect().item(),
        "duckdb": sql.execute("SELECT count(*) FROM t").fetchone()[0],
        "duckdb's own parquet": sql.execute(own, {"files": files}).fetchone()[0],
        "events": sql.execute("SELECT count(DISTINCT id) FROM t").fetchone()[0],
    }


def check_places(table: DeltaTable, log: str) -> None:
    """No row is beyond what the table says of its shard, and the last one of each is there."""
    sql = duckdb.connect()
    sql.register("t", table.to_pyarrow_dataset())
    for shard, seq in sql.execute("SELECT shard, max(seq) FROM t GROUP BY shard").fetchall():
        said = table.transaction_version(f"tradewind/{log}/{shard}")
        assert said == seq, f"{table.table_uri}: shard {shard} is said to be at {said}, and has {seq}"


def check_order(table: DeltaTable) -> None:
    """Rows of a file are sorted by time, and lie in its day."""
    adds = table.get_add_actions(flatten=True)
    for path, day in zip(adds["path"].to_pylist(), adds["partition.date"].to_pylist()):
        times = pyarrow.parquet.read_table(Path(table.table_uri.removeprefix("file://")) / path)["time"]
        assert {time.date() for time in times.to_pylist()} == {day}, path


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    tables = {path.parent.name: path.parent for path in sorted(root.glob("*/_delta_log"))}
    assert "events" in tables, f"no table of all events in {root}"
    events = DeltaTable(tables["events"])
    log = events.metadata().configuration["tradewind.log"]
    sql = duckdb.connect()
    sql.register("events", events.to_pyarrow_dataset())
    of_type = dict(sql.execute("SELECT replace(type, '.', '_'), count(*) FROM events GROUP BY 1").fetchall())
    of_type["events"] = sum(of_type.values())

    for name, path in tables.items():
        table = DeltaTable(path)
        found = counts(table, path)
        assert set(found.values()) == {of_type[name]}, f"{name}: {found}, and {of_type[name]} in events"
        check_places(table, log)
        check_order(table)
        print(f"{name:32} version {table.version():4} {len(table.file_uris()):4} files {found['events']:8} events")
    missing = set(of_type) - set(tables)
    assert not missing, f"no table of {missing}"

    if "order_placed" in tables:
        sql.register("orders", DeltaTable(tables["order_placed"]).to_pyarrow_dataset())
        typed = sql.execute(
            "SELECT data.totals.total.currency, sum(data.totals.total.amount), "
            "sum(list_sum(list_transform(data.lines, lambda line: line.quantity))) FROM orders GROUP BY 1 ORDER BY 1"
        ).fetchall()
        texts = sql.execute(
            "SELECT data->>'$.totals.total.currency', sum((data->>'$.totals.total.amount')::BIGINT), "
            "sum(list_sum((data->'$.lines[*].quantity')::BIGINT[])) "
            "FROM events WHERE type = 'order.placed' GROUP BY 1 ORDER BY 1"
        ).fetchall()
        assert typed == texts, f"{typed} in columns, {texts} in JSON"
        print(f"order_placed: {typed}, as its JSON says")


if __name__ == "__main__":
    main()
