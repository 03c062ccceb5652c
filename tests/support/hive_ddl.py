"""The data definition language of Amazon Athena, which is Hive's in part: a parser that takes what Athena
takes and refuses the rest, as far as its documentation says (docs.aws.amazon.com/athena/latest/ug:
"DDL statements", "Data types in Amazon Athena", "Reserved keywords", "Names for tables, databases,
and columns"). What a statement means is somebody else's business.

    parse("CREATE EXTERNAL TABLE `t` (`a` int) STORED AS PARQUET LOCATION 's3://b/t/'")
"""
import re
from dataclasses import dataclass, field


class Refused(Exception):
    """The statement is none of the language; the message says where."""


# ---- words -------------------------------------------------------------------------------------------

TOKEN = re.compile(r"""
    (?P<space>\s+ | --[^\n]* | /\*.*?\*/)
  | (?P<word>[A-Za-z0-9_]+)
  | (?P<quoted>`(?:[^`]|``)*`)
  | (?P<text>'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*")
  | (?P<mark>[(),<>:.=;])
""", re.X | re.S)

# Of DDL statements; a name that is one of these stands in backticks.
RESERVED = frozenset("""
    ALL ALTER AND ARRAY AS AUTHORIZATION BETWEEN BIGINT BINARY BOOLEAN BOTH BY CASE CASHE CAST CHAR
    COLUMN CONF CONSTRAINT COMMIT CREATE CROSS CUBE CURRENT CURRENT_DATE CURRENT_TIMESTAMP CURSOR
    DATABASE DATE DAYOFWEEK DECIMAL DELETE DESCRIBE DISTINCT DIV DOUBLE DROP ELSE END EXCHANGE
    EXISTS EXTENDED EXTERNAL EXTRACT FALSE FETCH FLOAT FLOOR FOLLOWING FOR FOREIGN FROM FULL
    FUNCTION GRANT GROUP GROUPING HAVING IF IMPORT IN INNER INSERT INT INTEGER INTERSECT INTERVAL
    INTO IS JOIN LATERAL LEFT LESS LIKE LOCAL MACRO MAP MORE NONE NOT NULL NUMERIC OF ON ONLY OR
    ORDER OUT OUTER OVER PARTIALSCAN PARTITION PERCENT PRECEDING PRECISION PRESERVE PRIMARY
    PROCEDURE RANGE READS REDUCE REGEXP REFERENCES REVOKE RIGHT RLIKE ROLLBACK ROLLUP ROW ROWS
    SELECT SET SMALLINT START TABLE TABLESAMPLE THEN TIME TIMESTAMP TO TRANSFORM TRIGGER TRUE
    TRUNCATE UNBOUNDED UNION UNIQUEJOIN UPDATE USER USING UTC_TIMESTAMP VALUES VARCHAR VIEWS WHEN
    WHERE WINDOW WITH
""".split())

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}


def unescape(token):
    """A string literal's text: a backslash takes away or gives a meaning, as in Hive."""
    return re.sub(r"\\(u[0-9A-Fa-f]{4}|[0-7]{3}|.)", lambda match: unescaped(match.group(1)),
                  token[1:-1], flags=re.S)


def unescaped(rest):
    if len(rest) == 5:
        return chr(int(rest[1:], 16))
    if len(rest) == 3:
        return chr(int(rest, 8))
    return ESCAPES.get(rest, rest)


def tokens(text):
    """(kind, text, position) for each, without space and comments."""
    at, found = 0, []
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise Refused(f"line {text.count(chr(10), 0, at) + 1}: no viable alternative at input "
                          f"'{text[at:at + 20]}'")
        if match.lastgroup != "space":
            found.append((match.lastgroup, match.group(), at))
        at = match.end()
    return found


# ---- what statements say -----------------------------------------------------------------------------

@dataclass
class Type:
    name: str  # in lower case: "bigint", "array", "map", "struct"
    arguments: list = field(default_factory=list)  # numbers; types; (name, type) of a struct


@dataclass
class Column:
    name: str
    type: Type
    comment: str | None = None


@dataclass
class CreateTable:
    database: str | None
    table: str
    columns: list
    partitions: list = field(default_factory=list)
    if_not_exists: bool = False
    serde: str | None = None
    serde_properties: dict = field(default_factory=dict)
    delimited: dict = field(default_factory=dict)
    stored_as: str | tuple | None = None  # a name, or the classes of input and output
    location: str | None = None
    properties: dict = field(default_factory=dict)
    comment: str | None = None
    clustered_by: tuple | None = None  # columns, buckets


@dataclass
class DropTable:
    database: str | None
    table: str
    if_exists: bool


@dataclass
class CreateDatabase:
    database: str
    if_not_exists: bool
    location: str | None = None
    comment: str | None = None
    properties: dict = field(default_factory=dict)


@dataclass
class DropDatabase:
    database: str
    if_exists: bool
    cascade: bool


@dataclass
class RepairTable:
    database: str | None
    table: str


@dataclass
class AddPartitions:
    database: str | None
    table: str
    if_not_exists: bool
    partitions: list  # (values by key, location or None)


@dataclass
class Show:
    what: str  # "tables", "databases", "partitions", "create table", "columns"
    database: str | None = None
    table: str | None = None
    pattern: str | None = None


@dataclass
class Describe:
    database: str | None
    table: str


PLAIN_TYPES = {"boolean", "tinyint", "smallint", "int", "bigint", "double", "float", "string",
               "binary", "date", "timestamp"}
SIZED_TYPES = {"decimal": (1, 2), "char": (1, 1), "varchar": (1, 1)}
FORMATS = {"PARQUET", "ORC", "AVRO", "TEXTFILE", "SEQUENCEFILE", "RCFILE", "ION"}


class Parser:
    def __init__(self, text):
        self.text, self.tokens, self.at = text, tokens(text), 0
        if self.tokens and self.tokens[-1][1] == ";":
            self.tokens.pop()
        if any(kind == "mark" and word == ";" for kind, word, _ in self.tokens):
            raise Refused("Only one sql statement is allowed")

    # What comes next.

    def fail(self, wanted):
        kind, found, at = self.tokens[self.at] if self.at < len(self.tokens) \
            else ("end", "<EOF>", len(self.text))
        line = self.text.count("\n", 0, at) + 1
        raise Refused(f"line {line}: mismatched input '{found}' expecting {wanted}")

    def sees(self, *words):
        """Whether these come next; words in any case."""
        there = self.tokens[self.at:self.at + len(words)]
        return len(there) == len(words) and all(
            kind in ("word", "mark") and found.upper() == word
            for (kind, found, _), word in zip(there, words))

    def takes(self, *words):
        if not self.sees(*words):
            return False
        self.at += len(words)
        return True

    def expect(self, *words):
        if not self.takes(*words):
            self.fail(" ".join(words))

    def take(self, kind, wanted):
        if self.at == len(self.tokens) or self.tokens[self.at][0] != kind:
            self.fail(wanted)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def name(self):
        """An identifier; names are lower case in the catalogue."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "quoted":
            found = self.take("quoted", "a name")[1:-1].replace("``", "`")
        else:
            found = self.take("word", "a name")
            if found.upper() in RESERVED or not re.match("[A-Za-z]", found):
                self.at -= 1
                self.fail("a name")
        if not found or len(found) > 255:
            raise Refused(f"a name of {len(found)} characters")
        return found.lower()

    def table_name(self):
        first = self.name()
        return (first, self.name()) if self.takes(".") else (None, first)

    def string(self):
        return unescape(self.take("text", "a string"))

    def number(self):
        found = self.take("word", "a number")
        if not found.isdigit():
            self.at -= 1
            self.fail("a number")
        return int(found)

    def listed(self, one):
        """( one, one, ... )"""
        self.expect("(")
        found = [one()]
        while self.takes(","):
            found.append(one())
        self.expect(")")
        return found

    def property(self):
        key = self.string()
        self.expect("=")
        return key, self.string()

    def properties(self):
        return dict(self.listed(self.property))

    # Types and columns.

    def type(self):
        name = self.take("word", "a type").lower()
        if name in PLAIN_TYPES:
            return Type(name)
        if name in SIZED_TYPES and self.sees("("):
            sizes = self.listed(self.number)
            least, most = SIZED_TYPES[name]
            if least <= len(sizes) <= most:
                return Type(name, sizes)
        if name == "decimal":
            return Type(name)
        if name == "array" and self.takes("<"):
            return self.closed(Type(name, [self.type()]))
        if name == "map" and self.takes("<"):
            key = self.type()
            self.expect(",")
            return self.closed(Type(name, [key, self.type()]))
        if name == "struct" and self.takes("<"):
            members = [self.member()]
            while self.takes(","):
                members.append(self.member())
            return self.closed(Type(name, members))
        self.at -= 1
        return self.fail("a type")

    def closed(self, found):
        self.expect(">")
        return found

    def member(self):
        name = self.name()
        self.expect(":")
        return name, self.type()

    def column(self):
        name = self.name()
        return Column(name, self.type(), self.string() if self.takes("COMMENT") else None)

    # Statements.

    def statement(self):
        for words, parse in (
                (("CREATE", "EXTERNAL", "TABLE"), self.create_table),
                (("CREATE", "DATABASE"), self.create_database),
                (("CREATE", "SCHEMA"), self.create_database),
                (("DROP", "TABLE"), self.drop_table),
                (("DROP", "DATABASE"), self.drop_database),
                (("DROP", "SCHEMA"), self.drop_database),
                (("MSCK", "REPAIR", "TABLE"), lambda: RepairTable(*self.table_name())),
                (("ALTER", "TABLE"), self.alter_table),
                (("SHOW",), self.show),
                (("DESCRIBE",), self.describe)):
            if self.takes(*words):
                found = parse()
                if self.at < len(self.tokens):
                    self.fail("<EOF>")
                return found
        return self.fail("a DDL statement")

    def create_table(self):
        absent = self.takes("IF", "NOT", "EXISTS")
        database, table = self.table_name()
        found = CreateTable(database, table, self.listed(self.column), if_not_exists=absent)
        if self.takes("COMMENT"):
            found.comment = self.string()
        if self.takes("PARTITIONED", "BY"):
            found.partitions = self.listed(self.column)
        if self.takes("CLUSTERED", "BY"):
            columns = self.listed(self.name)
            self.expect("INTO")
            found.clustered_by = (columns, self.number())
            self.expect("BUCKETS")
        if self.takes("ROW", "FORMAT"):
            self.row_format(found)
        if self.takes("STORED", "AS"):
            found.stored_as = self.file_format()
        if self.takes("WITH", "SERDEPROPERTIES"):
            found.serde_properties = self.properties()
        self.expect("LOCATION")
        found.location = self.string()
        if self.takes("TBLPROPERTIES"):
            found.properties = self.properties()
        self.check_table(found)
        return found

    def row_format(self, found):
        if self.takes("SERDE"):
            found.serde = self.string()
            if self.takes("WITH", "SERDEPROPERTIES"):
                found.serde_properties = self.properties()
            return
        self.expect("DELIMITED")
        for key, words in (("fields", ("FIELDS", "TERMINATED", "BY")), ("escape", ("ESCAPED", "BY")),
                           ("items", ("COLLECTION", "ITEMS", "TERMINATED", "BY")),
                           ("keys", ("MAP", "KEYS", "TERMINATED", "BY")),
                           ("lines", ("LINES", "TERMINATED", "BY")),
                           ("null", ("NULL", "DEFINED", "AS"))):
            if self.takes(*words):
                found.delimited[key] = self.string()

    def file_format(self):
        if self.takes("INPUTFORMAT"):
            read = self.string()
            self.expect("OUTPUTFORMAT")
            return read, self.string()
        name = self.take("word", "a file format").upper()
        if name not in FORMATS:
            self.at -= 1
            self.fail(" or ".join(sorted(FORMATS)))
        return name

    @staticmethod
    def check_table(found):
        names = [column.name for column in found.columns + found.partitions]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise Refused(f"Duplicate column name: {', '.join(sorted(doubled))}")
        if not re.match(r"s3://[^/]+/", found.location):
            raise Refused(f"the location '{found.location}' is not one of Amazon S3")
        if not found.location.endswith("/"):
            raise Refused(f"the location '{found.location}' is no folder: it does not end with '/'")

    def create_database(self):
        absent = self.takes("IF", "NOT", "EXISTS")
        found = CreateDatabase(self.name(), absent)
        if self.takes("COMMENT"):
            found.comment = self.string()
        if self.takes("LOCATION"):
            found.location = self.string()
        if self.takes("WITH", "DBPROPERTIES"):
            found.properties = self.properties()
        return found

    def drop_table(self):
        exists = self.takes("IF", "EXISTS")
        return DropTable(*self.table_name(), exists)

    def drop_database(self):
        exists = self.takes("IF", "EXISTS")
        name = self.name()
        cascade = self.takes("CASCADE")
        if not cascade:
            self.takes("RESTRICT")
        return DropDatabase(name, exists, cascade)

    def alter_table(self):
        database, table = self.table_name()
        self.expect("ADD")
        absent = self.takes("IF", "NOT", "EXISTS")
        partitions = []
        while self.takes("PARTITION"):
            values = dict(self.listed(self.partition_value))
            partitions.append((values, self.string() if self.takes("LOCATION") else None))
        if not partitions:
            self.fail("PARTITION")
        return AddPartitions(database, table, absent, partitions)

    def partition_value(self):
        key = self.name()
        self.expect("=")
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "text":
            return key, self.string()
        return key, self.take("word", "a value")

    def show(self):
        if self.takes("TABLES"):
            database = self.name() if self.takes("IN") else None
            return Show("tables", database, pattern=self.pattern())
        if self.takes("DATABASES") or self.takes("SCHEMAS"):
            self.takes("LIKE")
            return Show("databases", pattern=self.pattern())
        for what in ("PARTITIONS", "CREATE TABLE"):
            if self.takes(*what.split()):
                return Show(what.lower(), *self.table_name())
        if self.takes("COLUMNS"):
            if not self.takes("IN"):
                self.expect("FROM")
            return Show("columns", *self.table_name())
        return self.fail("TABLES, DATABASES, PARTITIONS, COLUMNS or CREATE TABLE")

    def pattern(self):
        """Of names, where * stands for anything and | for one or the other."""
        return self.string() if self.at < len(self.tokens) else None

    def describe(self):
        if not self.takes("EXTENDED"):
            self.takes("FORMATTED")
        return Describe(*self.table_name())


def parse(text):
    return Parser(text).statement()


def is_ddl(text):
    """Whether Athena hands the statement to this language; the rest is for its query engine."""
    words = [word.upper() for kind, word, _ in head(text) if kind == "word"]
    return bool(words) and (
        words[0] in ("MSCK", "ALTER", "SHOW", "DESCRIBE", "DESC")
        or words[:2] in (["CREATE", "EXTERNAL"], ["CREATE", "DATABASE"], ["CREATE", "SCHEMA"],
                         ["DROP", "TABLE"], ["DROP", "DATABASE"], ["DROP", "SCHEMA"]))


def head(text):
    """The first tokens, also of what the language does not know."""
    found, at = [], 0
    while len(found) < 2 and (match := TOKEN.match(text, at)):
        if match.lastgroup != "space":
            found.append((match.lastgroup, match.group(), at))
        at = match.end()
    return found
