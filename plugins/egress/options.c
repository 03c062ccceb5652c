/*
 * The option table: what the environment of the shell job says that egress replaces, and more.
 */
#include "compress.h"
#include "names.h"

static const char *const formats[] = { "csv", "parquet", NULL };
static const char *const comparisons[] = { "auto", "size", "etag", "mtime", "checksum", NULL };

#define SIDE(side, key, prefix, whose)                                                             \
    { RC_STR(key, struct egress_config, side.uri),                                                 \
      .help = "Of sync: the " whose " as a URI: file:///..., s3://BUCKET/FOLDER, gs://..., or "    \
              "store://NAME/... of a configured store." },                                         \
        { RC_STR(key "_url", struct egress_config, side.endpoint), .env = prefix "_URL",           \
          .help = "Endpoint of the " whose "'s S3 server, such as https://s3.amazonaws.com." },    \
        { RC_STR(key "_path", struct egress_config, side.path), .env = prefix "_PATH",             \
          .help = "BUCKET or BUCKET/FOLDER of the " whose " at that endpoint." },                  \
        { RC_STR(key "_access_key_id", struct egress_config, side.access_key_id),                  \
          .flags = RC_OPT_SECRET, .env = prefix "_ACCESS_KEY_ID",                                  \
          .help = "Access key for the " whose ". Without one the vendor's own search is made." },  \
        { RC_STR(key "_secret_access_key", struct egress_config, side.secret_access_key),          \
          .flags = RC_OPT_SECRET, .env = prefix "_SECRET_ACCESS_KEY",                              \
          .help = "Secret of that key." },                                                         \
        { RC_STR(key "_session_token", struct egress_config, side.session_token),                  \
          .flags = RC_OPT_SECRET, .env = prefix "_SESSION_TOKEN",                                  \
          .help = "Session token, where the key is a temporary one." },                            \
    {                                                                                              \
        RC_STR(key "_region", struct egress_config, side.region),                                  \
            .env = prefix "_REGION", .help = "Region of the " whose "'s bucket."                   \
    }

const struct rc_option egress_options[] = {
    { RC_STR("database", struct egress_config, database), .flags = RC_OPT_SECRET,
      .help =
          "Connection string of libpq: postgresql://user@host/name?sslmode=verify-full, or "
          "'host=... dbname=...'. TLS is settled here, or by libpq's own environment variables." },
    { RC_STR("host", struct egress_config, host), .env = "PGHOST",
      .help = "Host of the server, or the folder of its socket, where 'database' does not say. "
              "'postgresql' if nothing does." },
    { RC_INT("port", struct egress_config, port), .env = "PGPORT", .def = "5432", .min = 1,
      .max = 65535, .help = "Port, where 'database' does not say." },
    { RC_STR("user", struct egress_config, user), .env = "PGUSER",
      .help = "Role, where 'database' does not say." },
    { RC_STR("password", struct egress_config, password), .flags = RC_OPT_SECRET,
      .env = "PGPASSWORD", .help = "Password, where 'database' does not say." },
    { RC_STR("dbname", struct egress_config, dbname), .env = "PGDATABASE",
      .help = "Name of the database, where 'database' does not say." },
    { RC_MS("connect_timeout", struct egress_config, connect_timeout_ms), .def = "10s", .min = 1000,
      .max = 600000, .help = "Longest wait for one attempt to connect." },
    { RC_MS("connect_for", struct egress_config, connect_for_ms), .def = "1m", .max = 86400000,
      .help = "How long a server that is not there yet is tried again, with growing "
              "pauses." },
    { RC_MS("statement_timeout", struct egress_config, statement_timeout_ms), .def = "0",
      .max = 604800000, .help = "Longest time for one COPY, held by the server; 0: no limit." },
    { RC_MS("lock_timeout", struct egress_config, lock_timeout_ms), .def = "1m", .max = 604800000,
      .help = "Longest wait for a table that somebody has locked; 0: no limit." },
    { RC_BOOL("row_security", struct egress_config, row_security), .def = "false",
      .help =
          "Dumps what row-level security lets the role see. Without it a table that would not be "
          "seen whole fails." },

    { RC_LIST("tables", struct egress_config, tables), .env = "TABLES",
      .help = "Tables to dump, divided by blanks or as a list, as SQL names them: 'orders', "
              "'public.orders', '\"Odd name\"'. With * and ? a pattern; '*' alone is all tables." },
    { RC_LIST("include", struct egress_config, include),
      .help =
          "Of dump: of the tables that patterns find, only those that fit one of these. Of sync: "
          "only keys below the source that fit one of these, in which * stands for slashes too." },
    { RC_LIST("exclude", struct egress_config, exclude),
      .help = "The same for what is left out; it goes before 'include'." },
    { RC_MAP("queries", struct egress_config, queries),
      .help = "Queries to dump, by the name that the object gets: one SELECT (or VALUES, TABLE, "
              "WITH) each." },

    { RC_STR("output", struct egress_config, output), .env = "S3_OUTPUT",
      .help =
          "Where dumps go, and where verify reads and setup looks: s3://BUCKET/FOLDER, gs://..., "
          "file:///..." },
    { RC_STR("path", struct egress_config, path), .def = "{date}/{table}",
      .help =
          "Name of an object below 'output', without its ending. Fields: {date}, {year}, {month}, "
          "{day}, {hour} (counted since the day began) of the run's nominal time in the job's "
          "time zone, in folders that stand before {table}." },
    { RC_ENUM("format", struct egress_config, format, formats), .def = "csv",
      .help = "csv as PostgreSQL's COPY writes it; parquet by the embedded SQL engine." },
    { RC_STR("compression", struct egress_config, compression), .def = "gzip",
      .help = "Of csv: gzip, gzip:1 to gzip:12, zstd, zstd:1 to zstd:19, or none." },
    { RC_BOOL("header", struct egress_config, header), .def = "false",
      .help = "Begins each CSV object with a line of column names." },
    { RC_STR("delimiter", struct egress_config, delimiter), .def = ",",
      .help = "Between the values of CSV: one character of one byte." },
    { RC_STR("null_string", struct egress_config, null_string), .def = "",
      .help = "How NULL is written in CSV; a value that is the same text is quoted." },
    { RC_BOOL("force_quote", struct egress_config, force_quote), .def = "false",
      .help = "Quotes every value of CSV that is not NULL." },
    { RC_STR("encoding", struct egress_config, encoding), .def = "UTF8",
      .help =
          "Encoding of the CSV, by PostgreSQL's name for it. A character that the encoding does "
          "not have fails its table; the others are dumped." },
    { RC_BOOL("split_objects", struct egress_config, split_objects), .def = "false",
      .help = "Writes TABLE/part-00000.csv.gz and so on in place of one object a table." },

    { RC_INT("connections", struct egress_config, connections), .def = "0", .max = 64,
      .unit = "connections",
      .help = "That read at once, beside the one that keeps the snapshot; 0: "
              "one a processor, at least 2 and at most 8." },
    { RC_INT("compressors", struct egress_config, compressors), .def = "0", .max = 256,
      .unit = "threads", .help = "That compress; 0: one a processor." },
    { RC_BYTES("memory", struct egress_config, memory_bytes), .def = "256MiB", .min = 33554432,
      .max = INT64_C(1) << 40, .help = "Most for buffers of a run." },
    { RC_INT("attempts", struct egress_config, attempts), .def = "3", .min = 1, .max = 100,
      .unit = "attempts", .help = "For a table whose connection broke, the first one included." },
    { RC_BOOL("require_compliant_bucket", struct egress_config, require_compliant_bucket),
      .def = "false",
      .help = "Refuses to dump into a bucket that setup would find fault with; "
              "without it there is only a warning." },
    { RC_INT("expire_days", struct egress_config, expire_days), .def = "14", .min = 1, .max = 36500,
      .unit = "days", .help = "After which setup has the bucket remove objects." },

    SIDE(source, "source", "INPUT", "source"),
    SIDE(target, "target", "OUTPUT", "target"),
    { RC_ENUM("compare", struct egress_config, compare, comparisons), .def = "auto",
      .help = "Of sync: what makes an object of the same size another: auto (the entity tag, else "
              "the time), size (nothing), etag, mtime, or checksum, which reads files." },
    { RC_BOOL("delete", struct egress_config, remove_extra), .def = "false",
      .help = "Removes from the target what the source does not have." },
    { RC_INT("max_delete", struct egress_config, max_delete), .def = "1000", .min = 1,
      .max = INT64_C(1) << 40, .unit = "objects",
      .help = "If more would be removed, nothing is, and the run fails." },
    { RC_MS("newer_than", struct egress_config, newer_than_ms), .def = "0",
      .help = "Of sync: only objects that were modified within this time; 0: all." },
    { RC_MS("older_than", struct egress_config, older_than_ms), .def = "0",
      .help = "Of sync: only objects that were last modified before this time ago; 0: all." },
    { RC_BYTES("min_size", struct egress_config, min_bytes), .def = "0",
      .help = "Of sync: only objects of this size and more." },
    { RC_BYTES("max_size", struct egress_config, max_bytes), .def = "0",
      .help = "Of sync: only objects up to this size; 0: all." },
    { RC_BYTES("bandwidth", struct egress_config, bytes_per_s), .def = "0",
      .unit = "bytes a second",
      .help = "Of sync: most over all connections; 0: no limit. What a store copies within itself "
              "is not counted." },
    { RC_INT("width", struct egress_config, width), .def = "0", .max = 1024, .unit = "objects",
      .help = "Of sync: most at once; 0: as many as help." },
    { RC_INT("max_failures", struct egress_config, max_failures), .def = "100", .min = 1,
      .max = INT64_C(1) << 40, .unit = "objects", .help = "Of sync: after so many it stops." },
    { RC_BOOL("require_manifest", struct egress_config, require_manifest), .def = "false",
      .help = "Of sync: copies only folders whose manifest says that they are complete, and the "
              "manifest last." },
    { RC_MS("wait_for_manifest", struct egress_config, wait_for_manifest_ms), .def = "0",
      .max = 604800000,
      .help = "Of sync with require_manifest: how long it waits for the folder of "
              "the run's date to be complete; 0: not at all." },
    { 0 },
};
