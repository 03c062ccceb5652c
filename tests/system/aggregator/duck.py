"""Reads what was written through the engine's own library, called by its C interface: none of our
code stands between the files and the test."""

import ctypes
import os


class Result(ctypes.Structure):
    """duckdb_result."""

    _fields_ = [
        ("columns", ctypes.c_uint64),
        ("rows", ctypes.c_uint64),
        ("changed", ctypes.c_uint64),
        ("fields", ctypes.c_void_p),
        ("error", ctypes.c_char_p),
        ("internal", ctypes.c_void_p),
    ]


class Duck:
    """A connection to a database in memory; query() gives rows of texts."""

    def __init__(self):
        api = ctypes.CDLL(os.environ.get("RUN_CORE_DUCKDB", "libduckdb.so"))
        pointer = ctypes.POINTER(Result)
        api.duckdb_query.argtypes = [ctypes.c_void_p, ctypes.c_char_p, pointer]
        api.duckdb_result_error.restype = ctypes.c_char_p
        api.duckdb_row_count.restype = ctypes.c_uint64
        api.duckdb_column_count.restype = ctypes.c_uint64
        api.duckdb_value_varchar.restype = ctypes.c_void_p
        api.duckdb_value_varchar.argtypes = [pointer, ctypes.c_uint64, ctypes.c_uint64]
        api.duckdb_free.argtypes = [ctypes.c_void_p]
        self.api = api
        self.database, self.connection = ctypes.c_void_p(), ctypes.c_void_p()
        assert api.duckdb_open(None, ctypes.byref(self.database)) == 0
        assert api.duckdb_connect(self.database, ctypes.byref(self.connection)) == 0

    def close(self):
        self.api.duckdb_disconnect(ctypes.byref(self.connection))
        self.api.duckdb_close(ctypes.byref(self.database))

    def query(self, sql):
        result = Result()
        try:
            if self.api.duckdb_query(self.connection, sql.encode(), ctypes.byref(result)):
                raise RuntimeError(self.api.duckdb_result_error(ctypes.byref(result)).decode())
            columns = self.api.duckdb_column_count(ctypes.byref(result))
            rows = self.api.duckdb_row_count(ctypes.byref(result))
            return [tuple(self._cell(result, c, r) for c in range(columns)) for r in range(rows)]
        finally:
            self.api.duckdb_destroy_result(ctypes.byref(result))

    def _cell(self, result, column, row):
        pointer = self.api.duckdb_value_varchar(ctypes.byref(result), column, row)
        if not pointer:
            return None
        text = ctypes.cast(pointer, ctypes.c_char_p).value.decode()
        self.api.duckdb_free(pointer)
        return text

    def parquet(self, folder, columns):
        """The rows of all Parquet files below a folder, with the partition of their path."""
        files = sorted(folder.glob("partition=*/*.parquet"))
        if not files:
            return []
        names = ", ".join(f"'{name}'" for name in files)
        return self.query(
            f"SELECT {columns}, \"partition\" FROM read_parquet([{names}], "
            "hive_partitioning = true, hive_types_autocast = false) ORDER BY ALL"
        )
