/*
 * From the messages of DuckDB to the codes and sentences of run-core. The library gives the
 * kind of an error only as the beginning of its text in some places, so the text decides in all.
 */
#include <sql/duckdb_session.h>

#include <run-core/str.h>

#include <string.h>

static const struct {
    const char *kind;
    enum rc_code code;
} kinds[] = {
    { "Parser Error", RC_INVALID },
    { "Syntax Error", RC_INVALID },
    { "Binder Error", RC_INVALID },
    { "Catalog Error", RC_INVALID },
    { "Parameter Not Allowed Error", RC_INVALID },
    { "Parameter Not Resolved Error", RC_INVALID },
    { "Invalid Configuration Error", RC_INVALID },
    { "Settings Error", RC_INVALID },
    { "Out of Memory Error", RC_TOO_LARGE },
    { "Out of Range Error", RC_FAILED },
    { "Not implemented Error", RC_UNSUPPORTED },
    { "Missing Extension Error", RC_UNSUPPORTED },
    { "Permission Error", RC_DENIED },
    { "INTERRUPT Error", RC_CANCELLED },
};

/* What an I/O or input error is about; the first that is found in the text counts. */
static const struct {
    const char *text;
    enum rc_code code;
} details[] = {
    { "No space left on device", RC_UNAVAILABLE },
    { "Disk quota exceeded", RC_UNAVAILABLE },
    { "max_temp_directory_size", RC_TOO_LARGE },
    { "Too many open files", RC_UNAVAILABLE },
    { "No files found", RC_NOT_FOUND },
    { "No such file or directory", RC_NOT_FOUND },
    { "Permission denied", RC_DENIED },
    { "No magic bytes", RC_CORRUPT },
    { "too small to be a Parquet file", RC_CORRUPT },
    { "Footer length error", RC_CORRUPT },
    { "corrupt", RC_CORRUPT },
    { "Corrupt", RC_CORRUPT },
    { "TProtocolException", RC_CORRUPT },
    { "Invalid data", RC_CORRUPT },
    { "Decompression", RC_CORRUPT },
    { "decompress", RC_CORRUPT },
    { "Input is not a GZIP stream", RC_CORRUPT },
    { "JSON transform error in file", RC_FAILED },
    { "Malformed JSON in file", RC_CORRUPT },
    { "CSV Error", RC_CORRUPT },
};

static bool has_kind(const char *message, const char *kind)
{
    return rc_str_starts(message, kind) && message[strlen(kind)] == ':';
}

enum rc_code core_duckdb_error_code(const char *message)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(kinds); i++)
        if (has_kind(message, kinds[i].kind))
            return kinds[i].code;
    for (size_t i = 0; i < RC_ARRAY_LEN(details); i++)
        if (strstr(message, details[i].text))
            return details[i].code;
    return RC_FAILED;
}

/* Adds the line that begins at 'text', without blanks at its end and control characters. */
static void add_line(struct rc_buf *out, const char *text)
{
    size_t len = strcspn(text, "\r\n");

    while (len > 0 && text[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        rc_buf_addc(out, c < 0x20 || c == 0x7f ? ' ' : text[i]);
    }
}

static const char *find_last(const char *text, const char *words)
{
    const char *found = NULL;

    while ((text = strstr(text, words)) != NULL)
        found = text++;
    return found;
}

/*
 * What is wrong with a row of CSV, and in which file: below the row itself, which may have any
 * number of lines and belongs in no log.
 */
static void add_csv_details(struct rc_buf *out, const char *message)
{
    const char *reason = find_last(message, "\nPossible ");
    const char *file = find_last(message, "\n  file = ");

    if (file) {
        rc_buf_adds(out, " of ");
        add_line(out, file + strlen("\n  file = "));
    }
    if (reason) {
        do {
            while (reason > message && reason[-1] == '\n')
                reason--;
            while (reason > message && reason[-1] != '\n')
                reason--;
        } while (reason > message && rc_str_starts(reason, "Possible "));
        rc_buf_adds(out, ": ");
        add_line(out, reason);
    }
}

void core_duckdb_error_text(const char *message, struct rc_buf *out)
{
    static const char end_of_kind[] = " Error: ";
    const char *kind = strstr(message, end_of_kind);
    const char *text = message;

    if (kind && (size_t)(kind - message) < 40 && !memchr(message, '\n', (size_t)(kind - message)))
        text = kind + sizeof(end_of_kind) - 1;
    add_line(out, text);
    if (rc_str_starts(text, "CSV Error on Line"))
        add_csv_details(out, text);
}

enum rc_code core_duckdb_fail(struct core_duckdb_session *session, const char *message,
                              struct rc_error *err)
{
    RC_BUF_AUTO(text, 4096);
    enum rc_code code = core_duckdb_error_code(message ? message : "");
    const char *remedy = "";

    /* A statement that was stopped says so in the words of the run, not of the library. */
    if (code == RC_CANCELLED && core_duckdb_check(session, err))
        return err->code;
    if (message && has_kind(message, "Out of Memory Error"))
        remedy = strstr(message, "max_temp_directory_size")
                     ? "; raise temp_limit of the engine, or give it a temp_dir with more room"
                     : "; raise memory_limit of the engine";
    core_duckdb_error_text(message ? message : "no message", &text);
    (void)rc_fail(err, code, "DuckDB: %s%s", text.data, remedy);
    core_duckdb_name_objects(session, err);
    return code;
}
