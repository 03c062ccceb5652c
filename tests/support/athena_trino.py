"""The stand-in's back end that really carries out SQL: what comes to Athena is held against Athena's rules,
which are narrower than Trino's, and handed to a Trino server, so that statements that only Trino would take
are refused and the others are proven by an engine of Athena's family.

DDL is Hive's (hive_ddl.py) and is translated; partition projection, which the older Trino does not know, is
played: before each query the partitions that a table's projection yields and that are there in the store
are made known, and no others.
"""
import base64
import fnmatch
import json
import re
import urllib.parse
from datetime import date, datetime, timedelta, timezone

import hive_ddl
from athena import Answer, QueryFailed
from trino_client import TrinoError

# docs.aws.amazon.com/athena/latest/ug: create-table-as.html, service-limits.html
PARTITIONS_AT_ONCE = 100
CTAS_PROPERTIES = {
    "table_type", "external_location", "is_external", "format", "partitioned_by", "bucketed_by",
    "bucket_count", "write_compression", "parquet_compression", "orc_compression",
    "compression_level", "field_delimiter"}
COMPRESSIONS = {"PARQUET": {"GZIP", "SNAPPY", "ZSTD", "LZ4", "NONE"},
                "ORC": {"NONE", "SNAPPY", "LZ4", "ZSTD", "ZLIB"},
                "TEXTFILE": {"NONE", "GZIP", "ZSTD", "SNAPPY", "LZ4"},
                "JSON": {"NONE", "GZIP", "ZSTD", "SNAPPY", "LZ4"},
                "AVRO": {"NONE", "SNAPPY"}}
DML_WORDS = {"SELECT", "WITH", "VALUES", "INSERT", "CREATE", "EXPLAIN", "DROP", "PREPARE",
             "EXECUTE", "DEALLOCATE", "("}
SERDES = {"org.openx.data.jsonserde.JsonSerDe": "JSON",
          "org.apache.hive.hcatalog.data.JsonSerDe": "JSON",
          "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe": "PARQUET",
          "org.apache.hadoop.hive.serde2.OpenCSVSerde": "CSV"}
TRINO_TYPES = {"string": "varchar", "int": "integer", "float": "real", "binary": "varbinary",
               "timestamp": "timestamp(3)"}

# Outside of which there is no text, no quoted name and no comment.
PIECES = re.compile(r"""('(?:[^']|'')*') | ("(?:[^"]|"")*") | (--[^\n]* | /\*.*?\*/)
                        | ([^'"/-]+ | [-/])""", re.X | re.S)
NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_]*)'
CTAS = re.compile(rf"\s*CREATE\s+TABLE\s+(IF\s+NOT\s+EXISTS\s+)?({NAME}(?:\s*\.\s*{NAME})*)"
                  r"(?:\s+WITH\s*\((.*?)\))?\s+AS\s+(.*)$", re.I | re.S)
PROPERTY = re.compile(r"\s*([a-z_]+)\s*=\s*('(?:[^']|'')*'|\d+|true|false|ARRAY\s*\[[^\]]*\])\s*"
                      r"(,|$)", re.I)
INSERT = re.compile(rf"\s*INSERT\s+INTO\s+({NAME}(?:\s*\.\s*{NAME})*)", re.I)


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def fail(reason, **more):
    raise QueryFailed(reason, **more)


def pieces(text):
    """(kind, text): "text", "name", "comment", "plain"."""
    return [(("text", "name", "comment", "plain")[match.lastindex - 1], match.group())
            for match in PIECES.finditer(text)]


def unquoted(name):
    return name[1:-1].replace('""', '"').lower() if name.startswith('"') else name.lower()


def parts_of(name):
    return [unquoted(part) for part in re.findall(NAME, name)]


def trino_type(kind):
    """Of a type of Hive's."""
    if kind.name == "array":
        return f"array({trino_type(kind.arguments[0])})"
    if kind.name == "map":
        return f"map({trino_type(kind.arguments[0])}, {trino_type(kind.arguments[1])})"
    if kind.name == "struct":
        members = ", ".join(f"{identifier(name)} {trino_type(of)}" for name, of in kind.arguments)
        return f"row({members})"
    sizes = f"({', '.join(map(str, kind.arguments))})" if kind.arguments else ""
    return TRINO_TYPES.get(kind.name, kind.name) + sizes


def athena_type(kind):
    """Of a type of Trino's: as the description of a result calls it."""
    base = kind.partition("(")[0]
    return kind if base in ("decimal", "varchar", "char") and "(" in kind else base


def athena_text(value, kind):
    """A value from Trino's JSON, as a result of Athena's has it."""
    if value is None:
        return None
    base = kind.partition("(")[0]
    if base == "boolean":
        return "true" if value else "false"
    if base in ("double", "real"):
        return java_double(value)
    if base == "varbinary":
        return " ".join(f"{byte:02x}" for byte in base64.b64decode(value))
    if base in ("array", "row", "map") or isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def java_double(value):
    """As Java writes it: 1.0, 1.5E10, NaN."""
    if isinstance(value, str):
        return value
    text = repr(float(value))
    mantissa, _, exponent = text.partition("e")
    if exponent:
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"
    if abs(float(value)) >= 1e7:
        digits = f"{float(value):.17g}".split("e")[0].rstrip("0").replace(".", "").lstrip("-")
        return f"{'-' if value < 0 else ''}{digits[0]}.{digits[1:] or '0'}E" \
               f"{len(text.partition('.')[0].lstrip('-')) - 1}"
    return text


class Projection:
    """What partitions a table's properties make up (partition-projection-supported-types.html)."""

    def __init__(self, table):
        self.table = table
        self.keys = [column.name for column in table.partitions]
        properties = table.properties
        for key in self.keys:
            kind = properties.get(f"projection.{key}.type")
            if kind not in ("enum", "integer", "date"):
                fail(f"HIVE_METASTORE_ERROR: Table {table.database}.{table.table}: partition "
                     f"projection of '{key}' is not configured: type {kind}")
        default = table.location + "".join(f"{key}=${{{key}}}/" for key in self.keys)
        template = properties.get("storage.location.template", default)
        if template.rstrip("/") != default.rstrip("/"):
            fail(f"a storage.location.template that this stand-in does not know: {template}")

    def yields(self, values):
        return all(self.has(key, value) for key, value in zip(self.keys, values))

    def has(self, key, value):
        kind = self.table.properties[f"projection.{key}.type"]
        if kind == "enum":
            return value in self.table.properties[f"projection.{key}.values"].split(",")
        least, most = self.table.properties[f"projection.{key}.range"].split(",")
        if kind == "integer":
            digits = self.table.properties.get(f"projection.{key}.digits")
            step = int(self.table.properties.get(f"projection.{key}.interval", 1))
            return value.isdigit() and int(value) in range(int(least), int(most) + 1, step) \
                and (len(value) == int(digits) if digits else str(int(value)) == value)
        form = self.table.properties[f"projection.{key}.format"]
        if form != "yyyy-MM-dd":
            fail(f"a format of dates that this stand-in does not know: {form}")
        try:
            return day_of(least) <= date.fromisoformat(value) <= day_of(most)
        except ValueError:
            return False


def day_of(bound):
    match = re.fullmatch(r"NOW\s*(?:([+-])\s*(\d+)\s*DAYS?)?", bound.strip(), re.I)
    if not match:
        return date.fromisoformat(bound.strip())
    days = int(match.group(2) or 0) * (-1 if match.group(1) == "-" else 1)
    return datetime.now(timezone.utc).date() + timedelta(days=days)


class AthenaOnTrino:
    """'trino' has a 'url' and a client(), as trino.Trino; 'catalog' is that of its catalogs whose tables
    lie in the store's buckets, and as Athena does, reads folders within folders."""

    def __init__(self, trino, store, catalog="hive_nested"):
        self.trino, self.store, self.catalog = trino, store, catalog
        self.tables = {}  # what CREATE EXTERNAL TABLE said, by database and table
        self.codecs = {}  # of tables that queries made
        self.make_database("default")

    def make_database(self, name):
        """Without its location: a metastore in files takes none, and no table is put there."""
        self.ask(f"CREATE SCHEMA IF NOT EXISTS {identifier(name)}")

    # ---- Trino -------------------------------------------------------------------------------------

    def ask(self, sql, query=None, codec=None):
        """The answer, as athena.Answer."""
        headers = {"X-Trino-Catalog": self.catalog,
                   "X-Trino-Schema": query.database.lower() if query else "default"}
        if codec:
            headers["X-Trino-Session"] = urllib.parse.quote(
                f"{self.catalog}.compression_codec={codec}", safe="=")
        client = self.trino.client()
        columns, rows, page = None, [], client.page(
            "POST", f"{self.trino.url}/v1/statement", sql.encode(), headers)
        while True:
            if "error" in page:
                raise TrinoError(page["error"])
            columns = page.get("columns") or columns
            rows += page.get("data") or []
            if "nextUri" not in page:
                break
            if query and query.stop.is_set():
                client.request("DELETE", page["nextUri"])
                fail("cancelled")
            page = client.page("GET", page["nextUri"])
        return self.answer(columns or [], rows, page)

    @staticmethod
    def answer(columns, rows, page):
        kinds = [column["type"] for column in columns]
        is_update = page.get("updateType") is not None
        return Answer(
            [] if is_update else [(column["name"], athena_type(column["type"]))
                                  for column in columns],
            [] if is_update else [[athena_text(value, kind) for value, kind in zip(row, kinds)]
                                  for row in rows],
            scanned_bytes=page["stats"].get("physicalInputBytes")
            or page["stats"].get("processedBytes", 0), updated=page.get("updateCount"))

    def cancel(self, query):
        """ask() looks at query.stop."""

    def run(self, query):
        try:
            if query.kind == "DML":
                return self.dml(query)
            if re.match(r"\s*EXPLAIN\b", query.text, re.I):
                return self.ask(query.text, query)
            return self.ddl(query, hive_ddl.parse(query.text))
        except hive_ddl.Refused as error:
            raise QueryFailed(f"FAILED: ParseException {error}", error_type=1) from error
        except TrinoError as error:
            system = error.name in ("GENERIC_INTERNAL_ERROR", "NO_NODES_AVAILABLE")
            raise QueryFailed(f"{error.name}: {error.message}", 1 if system else 2,
                              retryable=system) from error

    # ---- queries -----------------------------------------------------------------------------------

    def dml(self, query):
        text = self.check(query.text)
        self.make_partitions_known(text, query)
        made = CTAS.match(text)
        if made:
            return self.create_table_as(query, *made.groups())
        if re.match(r"\s*CREATE\b", text, re.I) and not re.match(
                r"\s*CREATE\s+(OR\s+REPLACE\s+)?VIEW\b", text, re.I):
            fail("line 1:8: mismatched input: a table is made by CREATE TABLE AS or CREATE "
                 "EXTERNAL TABLE", error_type=1)
        filled = INSERT.match(text)
        codec = None
        if filled:
            codec = self.codecs.get(self.place(parts_of(filled.group(1)), query))
        return self.ask(text, query, codec)

    def check(self, text):
        """What Athena refuses though Trino would take it."""
        checked = []
        text = text.strip().removesuffix(";")
        for kind, piece in pieces(text):
            if kind == "plain" and "`" in piece:
                fail("line 1:1: mismatched input '`'. Backquoted identifiers are not supported; "
                     "use double quotes to quote identifiers", error_type=1)
            if kind == "plain" and ";" in piece:
                fail("Only one sql statement is allowed. Got: " + text[:80], error_type=1)
            if kind == "name" and unquoted(piece) == "awsdatacatalog":
                piece = identifier(self.catalog)
            if kind == "plain":
                piece = re.sub(r"(?i)\bawsdatacatalog\b(?=\s*\.)", identifier(self.catalog), piece)
                if re.search(r"(?i)\bsystem\s*\.", piece):
                    fail("SYNTAX_ERROR: Catalog 'system' does not exist", error_type=1)
            checked.append(piece)
        word = re.match(r"\s*([A-Za-z]+|\()", text)
        if not word or word.group(1).upper() not in DML_WORDS \
                or re.match(r"\s*DROP\s+(?!VIEW\b)", text, re.I):
            fail(f"line 1:1: mismatched input '{text.split()[0] if text.split() else ''}'",
                 error_type=1)
        return "".join(checked)

    def place(self, name, query):
        """(database, table) of a name of one, two or three parts."""
        return name[-2] if len(name) > 1 else query.database.lower(), name[-1]

    def create_table_as(self, query, absent, name, properties, select):
        database, table = self.place(parts_of(name), query)
        wanted = self.ctas_properties(properties or "")
        form = str(wanted.pop("format", "PARQUET")).upper()
        if form not in COMPRESSIONS:
            fail(f"INVALID_TABLE_PROPERTY: unknown format '{form}'")
        wanted.pop("table_type", None)
        codec = str(wanted.pop("write_compression", None) or wanted.pop(
            f"{form.lower()}_compression", None) or ("GZIP" if form != "ORC" else "ZLIB")).upper()
        if codec not in COMPRESSIONS[form]:
            fail(f"INVALID_TABLE_PROPERTY: '{codec}' is no compression of {form}")
        location = wanted.pop("external_location", f"{query.output.rstrip('/')}/tables/{query.id}/")
        if not re.match(r"s3://[^/]+/.*/$", location):
            fail(f"INVALID_TABLE_PROPERTY: external_location '{location}' is no folder in S3")
        if not self.store.is_empty(location):
            fail("HIVE_PATH_ALREADY_EXISTS: Target directory for table "
                 f"'{database}.{table}' already exists: {location}. You may need to manually clean "
                 "the data at this location before retrying. Athena will not delete data in your "
                 "account.")
        if form == "TEXTFILE":
            wanted["textfile_field_separator"] = wanted.pop("field_delimiter", "\x01")
        if ("bucketed_by" in wanted) != ("bucket_count" in wanted):
            fail("INVALID_TABLE_PROPERTY: bucketed_by and bucket_count go together")
        said = ", ".join(f"{key} = {self.trino_value(value)}" for key, value in {
            "external_location": location, "format": form, **wanted}.items())
        self.codecs[database, table] = codec if codec != "ZLIB" else "GZIP"
        create = f"CREATE TABLE {absent or ''}{identifier(database)}.{identifier(table)}"
        try:
            return self.ask(f"{create} WITH ({said}) AS {select}", query,
                            self.codecs[database, table])
        except TrinoError as error:
            if "External table location does not exist" not in error.message:
                raise
            return self.create_empty(query, create, said, location, select)

    def create_empty(self, query, create, said, location, select):
        """A table of no rows: nothing is written, and a metastore in files then refuses its place."""
        self.store.put(f"{location}_empty", b"")
        columns = self.ask(f"SELECT * FROM ({select}) LIMIT 0", query).columns
        described = ", ".join(f"{identifier(name)} {kind}" for name, kind in columns)
        self.ask(f"{create} ({described}) WITH ({said})", query)
        return Answer(updated=0)

    @staticmethod
    def ctas_properties(text):
        found, at = {}, 0
        while text[at:].strip():
            match = PROPERTY.match(text, at)
            if not match or match.group(1).lower() not in CTAS_PROPERTIES:
                fail(f"INVALID_TABLE_PROPERTY: '{text[at:at + 40].strip()}'", error_type=1)
            value = match.group(2)
            if value.startswith("'"):
                value = value[1:-1].replace("''", "'")
            elif value.upper().startswith("ARRAY"):
                value = [one.replace("''", "'")
                         for one in re.findall(r"'((?:[^']|'')*)'", value)]
            found[match.group(1).lower()] = value
            at = match.end()
        return found

    @staticmethod
    def trino_value(value):
        if isinstance(value, list):
            return f"ARRAY[{', '.join(map(literal, value))}]"
        return value if value.isdigit() else literal(value)

    def make_partitions_known(self, text, query):
        words = set(re.findall(r"[a-z0-9_]+", text.lower()))
        for (database, table), created in list(self.tables.items()):
            if table not in words and f'"{table}"' not in text.lower():
                continue
            if created.properties.get("projection.enabled") != "true" or not created.partitions:
                continue
            projection = Projection(created)
            place = f"{literal(database)}, {literal(table)}"
            self.ask(f"CALL system.sync_partition_metadata({place}, 'FULL')")
            keys = ", ".join(f"CAST({identifier(key)} AS varchar)" for key in projection.keys)
            there = self.ask(f"SELECT {keys} FROM {identifier(database)}."
                             f"{identifier(table + '$partitions')}").rows
            for values in there:
                if not projection.yields(values):
                    self.ask(f"CALL system.unregister_partition({place}, "
                             f"ARRAY[{', '.join(map(literal, projection.keys))}], "
                             f"ARRAY[{', '.join(map(literal, values))}])")

    # ---- DDL ---------------------------------------------------------------------------------------

    def ddl(self, query, said):
        return {
            hive_ddl.CreateTable: self.create_table, hive_ddl.DropTable: self.drop_table,
            hive_ddl.CreateDatabase: self.create_database,
            hive_ddl.DropDatabase: self.drop_database, hive_ddl.RepairTable: self.repair_table,
            hive_ddl.AddPartitions: self.add_partitions, hive_ddl.Show: self.show,
            hive_ddl.Describe: self.describe}[type(said)](query, said)

    def full(self, query, said):
        return (said.database or query.database.lower()), said.table

    def create_table(self, query, said):
        database, table = self.full(query, said)
        said.database = database
        columns = ", ".join(f"{identifier(column.name)} {trino_type(column.type)}"
                            for column in said.columns + said.partitions)
        form = SERDES.get(said.serde) if said.serde else said.stored_as or "TEXTFILE"
        if not isinstance(form, str):
            fail(f"FAILED: SemanticException Cannot find class '{said.serde or said.stored_as}'")
        wanted = {"external_location": said.location, "format": form}
        if said.partitions:
            wanted["partitioned_by"] = [column.name for column in said.partitions]
        if said.clustered_by:
            wanted["bucketed_by"], wanted["bucket_count"] = \
                said.clustered_by[0], str(said.clustered_by[1])
        lines = said.properties.get("skip.header.line.count")
        if lines:
            wanted["skip_header_line_count"] = lines
        properties = ", ".join(f"{key} = {self.trino_value(value)}"
                               for key, value in wanted.items())
        absent = "IF NOT EXISTS " if said.if_not_exists else ""
        self.ask(f"CREATE TABLE {absent}{identifier(database)}.{identifier(table)} ({columns}) "
                 f"WITH ({properties})", query)
        self.tables[database, table] = said
        return Answer()

    def drop_table(self, query, said):
        database, table = self.full(query, said)
        self.ask(f"DROP TABLE {'IF EXISTS ' if said.if_exists else ''}{identifier(database)}."
                 f"{identifier(table)}", query)
        self.tables.pop((database, table), None)
        return Answer()

    def create_database(self, query, said):
        if not said.if_not_exists and [said.database] in self.ask("SHOW SCHEMAS").rows:
            fail(f"FAILED: Execution Error: AlreadyExistsException Database {said.database} "
                 "already exists")
        self.make_database(said.database)
        return Answer()

    def drop_database(self, query, said):
        if [said.database] not in self.ask("SHOW SCHEMAS").rows:
            if said.if_exists:
                return Answer()
            fail(f"FAILED: SemanticException Database does not exist: {said.database}")
        if said.cascade:
            for (table,) in self.ask(f"SHOW TABLES FROM {identifier(said.database)}").rows:
                self.drop_table(query, hive_ddl.DropTable(said.database, table, True))
        self.ask(f"DROP SCHEMA {identifier(said.database)}", query)
        return Answer()

    def repair_table(self, query, said):
        database, table = self.full(query, said)
        self.ask(f"CALL system.sync_partition_metadata({literal(database)}, {literal(table)}, "
                 "'ADD')", query)
        return Answer()

    def add_partitions(self, query, said):
        database, table = self.full(query, said)
        for values, location in said.partitions:
            self.ask(f"CALL system.register_partition({literal(database)}, {literal(table)}, "
                     f"ARRAY[{', '.join(map(literal, values))}], "
                     f"ARRAY[{', '.join(map(literal, values.values()))}]"
                     + (f", {literal(location)}" if location else "") + ")", query)
        return Answer()

    def show(self, query, said):
        database = (said.database or query.database).lower()
        if said.what == "databases":
            return self.names("database_name", self.ask("SHOW SCHEMAS").rows, said.pattern)
        if said.what == "tables":
            if [database] not in self.ask("SHOW SCHEMAS").rows:
                fail(f"FAILED: SemanticException [Error 10072]: Database does not exist: {database}")
            rows = self.ask(f"SHOW TABLES FROM {identifier(database)}").rows
            return self.names("tab_name", rows, said.pattern)
        if said.what == "partitions":
            return self.partitions(database, said.table)
        if said.what == "columns":
            return Answer([("field", "string")],
                          [[name] for name, _ in self.columns(database, said.table)])
        return self.show_create(database, said.table)

    @staticmethod
    def names(column, rows, pattern):
        wanted = (pattern or "*").lower().split("|")
        return Answer([(column, "string")], [row for row in rows if any(
            fnmatch.fnmatchcase(row[0], one) for one in wanted)])

    def columns(self, database, table):
        rows = self.ask("SELECT column_name, data_type FROM information_schema.columns WHERE "
                        f"table_schema = {literal(database)} AND table_name = {literal(table)} "
                        "ORDER BY ordinal_position").rows
        if not rows:
            fail(f"FAILED: SemanticException [Error 10001]: Table not found {database}.{table}")
        return rows

    def partitions(self, database, table):
        answer = self.ask(f"SELECT * FROM {identifier(database)}.{identifier(table + '$partitions')}")
        keys = [name for name, _ in answer.columns]
        return Answer([("partition", "string")], [
            ["/".join(f"{key}={value}" for key, value in zip(keys, row))] for row in answer.rows])

    def show_create(self, database, table):
        columns = self.columns(database, table)
        created = self.tables.get((database, table))
        made = self.ask(f"SHOW CREATE TABLE {identifier(database)}.{identifier(table)}").rows[0][0]
        if made.startswith("CREATE VIEW"):
            return Answer([("createtab_stmt", "string")], [[line] for line in made.splitlines()])
        location = re.search(r"external_location = '([^']*)'", made)
        lines = [f"CREATE EXTERNAL TABLE `{database}.{table}`("]
        lines += [f"  `{name}` {kind}, " for name, kind in columns]
        lines[-1] = lines[-1].rstrip(", ") + ")"
        lines += ["LOCATION", f"  '{location.group(1) if location else ''}'", "TBLPROPERTIES ("]
        lines += [f"  '{key}'='{value}', "
                  for key, value in (created.properties if created else {}).items()]
        lines += ["  'transient_lastDdlTime'='1')"]
        return Answer([("createtab_stmt", "string")], [[line] for line in lines])

    def describe(self, query, said):
        database, table = self.full(query, said)
        return Answer([("col_name", "string"), ("data_type", "string"), ("comment", "string")],
                      [[name, kind, ""] for name, kind in self.columns(database, table)])
