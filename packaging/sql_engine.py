"""The SQL engine in libduckdb.so, called by way of its C interface: what the scripts beside this file, which
make data for demonstrations and look at it, need of it."""
import ctypes
import os
import sys

DEFAULT_LIBRARY = os.environ.get("RUN_CORE_DUCKDB", "libduckdb.so")


class Result(ctypes.Structure):
    """duckdb_result: only its address is used here."""
    _fields_ = [("fields", ctypes.c_uint64 * 6)]


class Engine:
    """One connection to a database in memory."""

    def __init__(self, path):
        try:
            self.api = ctypes.CDLL(path)
        except OSError as error:
            sys.exit(f"cannot load the SQL engine, name it by --library or RUN_CORE_DUCKDB: {error}")
        cell = [ctypes.POINTER(Result), ctypes.c_uint64, ctypes.c_uint64]
        for name, result, arguments in (
                ("query", ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p, cell[0]]),
                ("result_error", ctypes.c_char_p, cell[:1]),
                ("row_count", ctypes.c_uint64, cell[:1]),
                ("column_count", ctypes.c_uint64, cell[:1]),
                ("value_int64", ctypes.c_int64, cell),
                ("value_varchar", ctypes.c_void_p, cell),
                ("free", None, [ctypes.c_void_p])):
            function = getattr(self.api, f"duckdb_{name}")
            function.restype, function.argtypes = result, arguments
        database, self.connection = ctypes.c_void_p(), ctypes.c_void_p()
        if self.api.duckdb_open(None, ctypes.byref(database)) or \
           self.api.duckdb_connect(database, ctypes.byref(self.connection)):
            sys.exit(f"{path}: cannot open a database")

    def _query(self, sql):
        result = Result()
        if self.api.duckdb_query(self.connection, sql.encode(), ctypes.byref(result)):
            sys.exit(self.api.duckdb_result_error(ctypes.byref(result)).decode())
        return result

    def run(self, sql):
        """Runs a statement; returns the first cell of its result as an integer."""
        result = self._query(sql)
        value = self.api.duckdb_value_int64(ctypes.byref(result), 0, 0)
        self.api.duckdb_destroy_result(ctypes.byref(result))
        return value

    def rows(self, sql):
        """Runs a statement; returns the rows of its result as texts, None for NULL."""
        result = self._query(sql)
        columns = range(self.api.duckdb_column_count(ctypes.byref(result)))
        rows = [[self._text(result, column, row) for column in columns]
                for row in range(self.api.duckdb_row_count(ctypes.byref(result)))]
        self.api.duckdb_destroy_result(ctypes.byref(result))
        return rows

    def _text(self, result, column, row):
        text = self.api.duckdb_value_varchar(ctypes.byref(result), column, row)
        if not text:
            return None
        value = ctypes.string_at(text).decode()
        self.api.duckdb_free(text)
        return value


def literal(text):
    return "'" + str(text).replace("'", "''") + "'"
