"""PostgreSQL's types, each with values that are hard to write down."""

CONTROLS = "|| '|' || ".join(f"chr({code})" for code in [*range(1, 32), 127, 128, 159])
NASTY = [
    "''", "' '", "'  x  '", "'NULL'", "'null'", r"'\N'", r"'\.'", r"E'\\.\n'", r"E'a\n\\.\nb'",
    r"E'\n'", r"E'\r'", r"E'\r\n'", r"E'a\rb\nc\r\nd'", r"E'\n\n'", "','", "'\"'", "'\"\"'",
    "'\"a\"'", "'a\"b,c'", r"'\'", r"'\\'", r"'\n'", "''''", "';'", "'|'", r"E'\t'", r"E'\x01'",
    "'é'", "'𝄞'", "'👩‍👩‍👧‍👦 ａ'", "'e' || chr(769)", "chr(65279) || 'bom'", "chr(1114111)", "chr(8232)",
    CONTROLS, "repeat('\"', 1000)", "repeat(E'\\n', 1000)", "repeat('x', 100000)",
    "(SELECT string_agg(chr(n), '') FROM generate_series(1, 2000) n)",
]
FLOATS = ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0", "0.1", "1e-30"]

# SQL of values by the type; a table of each is made. NULL is in all of them.
TYPES = {
    "text": NASTY,
    "char(5)": ["''", "' x '", "E'\\n'", "'ü€𝄞'", "'\"'"],
    "varchar(9)": ["''", "' x '", "E'\\r'"],
    '"char"': ["''", "'x'", "','", "E'\\n'", "'\"'", "'\\'"],
    "name": ["''", "'a b'", "repeat('n', 63)"],
    "citext": ["'A'", "'a'", "''"],
    "boolean": ["true", "false"],
    "smallint": ["-32768", "0", "32767"],
    "integer": ["-2147483648", "0", "2147483647"],
    "bigint": ["-9223372036854775808", "0", "9223372036854775807"],
    "numeric": ["'NaN'", "'Infinity'", "'-Infinity'", "0", "0.00", "-0.5", "1e-16383", "'1e131071'",
                "(repeat('9', 131072) || '.' || repeat('9', 16383))::numeric", "100", "1.10"],
    "numeric(10,2)": ["-99999999.99", "'NaN'", "0"],
    "numeric(3,-2)": ["99900", "-100"],
    "numeric(2,5)": ["0.00099"],
    "real": [*FLOATS, "'1e-45'", "'3.4028235e38'", "'1.17549435e-38'", "16777217"],
    "double precision": [*FLOATS, "'5e-324'", "'1.7976931348623157e308'", "'2.2250738585072014e-308'",
                         "0.1::float8 + 0.2::float8", "1e15", "1e16"],
    "money": ["'-92233720368547758.08'", "'92233720368547758.07'", "0"],
    "bytea": ["''", "'\\x00'", "'\\x5c2e'", "(SELECT string_agg(decode(lpad(to_hex(n), 2, '0'), 'hex'), '') "
              "FROM generate_series(0, 255) n)", "decode(repeat('00ff0a0d225c2c', 100000), 'hex')"],
    "date": ["'4713-01-01 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'", "'0001-01-01'",
             "'0044-03-15 BC'", "'2000-02-29'"],
    "time": ["'00:00'", "'24:00'", "'23:59:59.999999'", "'23:59:60'"],
    "time(3)": ["'12:34:56.789'"],
    "timetz": ["'00:00+15:59:59'", "'24:00-15:59:59'", "'12:00:00.000001+05:45'"],
    "timestamp": ["'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'infinity'",
                  "'-infinity'", "'1969-12-31 23:59:59.999999'", "'0001-12-31 00:00 BC'"],
    "timestamptz": ["'4713-01-01 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'",
                    "'infinity'", "'-infinity'", "'2026-10-25 02:30:00 Europe/Prague'",
                    "'1890-01-01 00:00 Europe/Prague'"],
    "interval": ["'178000000 years'", "'-178000000 years'", "'1 year -2 mons 3 days -04:05:06.7'",
                 "'0'", "'-0.000001 s'", "'2562047788:00:54.775807'", "'-1 day +00:00:01'"],
    "interval year to month": ["'1-2'"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "inet": ["'0.0.0.0/0'", "'192.168.0.1/24'", "'::'", "'2001:db8::1/64'", "'::ffff:1.2.3.4'"],
    "cidr": ["'0.0.0.0/0'", "'10.0.0.0/8'", "'::/0'", "'2001:db8::/32'"],
    "macaddr": ["'00:00:00:00:00:00'", "'ff:ff:ff:ff:ff:ff'"],
    "macaddr8": ["'08:00:2b:ff:fe:01:02:03'"],
    "bit(3)": ["B'000'", "B'101'"], "bit varying": ["B''", "B'1'", "repeat('10', 5000)::varbit"],
    "json": [r"""'{"a": "\u00e9 \ud834\udd1e \"q\" \\ \n", "a": [1, 1.0, 1e2, null]}'""", "'null'",
             "E'\"\\\\u0000\"'", "E' {\\n \"x\" :\\t1 } '", "'\"\"'", "repeat('[', 500) || repeat(']', 500)"],
    "jsonb": [r"""'{"b": [1.50, null, {}], "a": "\u00e9,\"\n"}'""", "'null'", "'{}'", "'[]'", "'\"\"'"],
    "jsonpath": ["'$.a[*] ? (@ > 1 && @.b like_regex \"x\")'", "'strict $.\"a b\"'"],
    "xml": ["''", "'<a b=\"c\">d, é</a>'", "'x &amp; y'",
            "E'<?xml version=\"1.0\"?>\\n<a><![CDATA[<\"]]></a>'", "'<a/><b/>'"],
    "tsvector": ["''", "$$'a,b':1A 'c \"d\"':2,16383D 'it''s' '\\\\x'$$"],
    "tsquery": ["''", "$$'a' & !('b':*A | 'c d') <2> 'it''s'$$"],
    "point": ["'(-0,1e300)'", "'(NaN,Infinity)'"], "line": ["'{1,-1,0.1}'"],
    "lseg": ["'[(0,0),(1,0.1)]'"], "box": ["'(2,2),(-1e-300,0)'"],
    "path": ["'[(0,0)]'", "'((0,0),(1,1),(2,0))'"], "polygon": ["'((0,0),(1,1),(2,0.3))'"],
    "circle": ["'<(0,0),0>'", "'<(1,2),Infinity>'"],
    "oid": ["0", "4294967295"], "xid": ["'4294967295'"], "xid8": ["'18446744073709551615'"],
    "cid": ["'1'"], "tid": ["'(0,0)'", "'(4294967295,65535)'"],
    "pg_lsn": ["'0/0'", "'FFFFFFFF/FFFFFFFF'"], "pg_snapshot": ["'10:20:10,14,15'"],
    "txid_snapshot": ["'10:20:10,14,15'"],
    "regclass": ["'pg_class'", "0", "4294967295", "'\"odd, \"\"name\"\"\"'"],
    "regtype": ["'int4[]'", "'\"odd type\"'"], "regproc": ["'now'"],
    "regprocedure": ["'substr(text,int,int)'"], "regoperator": ["'+(int4,int4)'"],
    "regrole": ["'postgres'"], "regnamespace": ["'pg_catalog'"], "regcollation": ["'\"C\"'"],
    "regconfig": ["'english'"], "regdictionary": ["'simple'"],
    "int2vector": ["''", "'1 -2'"], "oidvector": ["''", "'1 2'"], "aclitem": ["'postgres=r*w/postgres'"],
    "int[]": ["'{}'", "'{{1,NULL},{3,4}}'", "'[-1:0][5:5]={{1},{2}}'", "'{{{{{{1}}}}}}'"],
    "text[]": [r"""$${"a,b","","NULL",NULL,"q\"q","\\.","{","}"," ","ä"}$$""", r"""E'{"a\n\\\\.\nb"}'""",
               "array_fill('x'::text, ARRAY[20000])"],
    "bytea[]": [r"""ARRAY['\x00'::bytea, '', NULL]"""], "timestamptz[]": ["'{infinity,\"2020-01-01 00:00+02\"}'"],
    "numeric[]": ["'{NaN,1.10,Infinity}'"], "box[]": ["'{(1,1),(0,0);(2,2),(1,1)}'"],
    "mood": ["'sad'", "'it''s \"ok\"'", "'ha, ha'", "E'\\n'", "'{}'", "' '"],
    "mood[]": ["'{}'", "ARRAY['ha, ha', NULL, E'\\n']::mood[]"],
    "pair": ["'(,)'", "ROW(7, 'a, \"b\"')", "ROW(NULL, '')", "ROW(1, E'\\n()\\\\')", "ROW(1, 'NULL')"],
    "pair[]": [r"""ARRAY[ROW(1, 'x, "y"'), NULL, ROW(NULL, NULL)]::pair[]"""],
    "nested": ["ROW(ROW(1, '\"'), ARRAY[ROW(2, E'\\\\,')]::pair[], 'sad')"],
    "positive": ["1", "2147483647"], "label": ["''", "'a,b'"], "labels": ["'{}'", "ARRAY['a,b', '']"],
    "pair_of": ["ROW(1, 'x')"], "positive[]": ["'{1,NULL}'"],
    "int4range": ["'empty'", "'(,)'", "'[1,10)'", "'[,5)'"], "int8range": ["'[1,2)'"],
    "numrange": ["'[0.10,)'", "'(-Infinity,Infinity]'"], "daterange": ["'[2020-01-01,infinity)'"],
    "tsrange": ["'[\"2020-01-01 00:00\",)'"], "tstzrange": ["'(,\"2020-01-01 00:00+02\"]'"],
    "textrange": ["textrange('a,b', 'c\"d', '[]')", "textrange('', E'\\n')", "'empty'", "textrange(NULL, '\\')"],
    "int4multirange": ["'{}'", "'{[1,2),[5,)}'", "'{(,)}'"], "tstzmultirange": ["'{}'"],
    "textmultirange": ["textmultirange(textrange('a', 'b,'), textrange('c', NULL))"],
    "hstore": ["''", r"""hstore(ARRAY['a', 'b"c', 'n', ''], ARRAY['x, "y"', E'\n\\', NULL, ''])"""],
    "ltree": ["'a.b_c.d'", "''"], "cube": ["'(1,2),(3,4)'", "'0'"],
    "refcursor": ["'x y'"], "public.\"odd type\"": ["'x'"],
}
TEXT_ONLY = ["aclitem"]  # nothing sends it in binary
NOT_NULL = ["label"]
NOT_IN_ARRAYS = ["label", "labels"]  # there would be NULL, or an array, in the array

USERS_TYPES = r'''
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube;
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'ha, ha', E'\n', '{}', ' ');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE nested AS ("P, p" pair, ps pair[], m mood);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN label AS text COLLATE "C" NOT NULL DEFAULT 'x';
CREATE DOMAIN labels AS text[];
CREATE DOMAIN pair_of AS pair CHECK ((VALUE).a > 0);
CREATE TYPE textrange AS RANGE (SUBTYPE = text, COLLATION = "C");
CREATE TYPE "odd type" AS ENUM ('x');
CREATE TABLE "odd, ""name""" ();
'''
