/*
 * Markers: a small JSON object beside the output of a step, written last, that says the step is
 * done and what it was made of and into. It holds nothing that differs between two runs that do
 * the same, so that markers too are identical however a result came about.
 *
 * A marker of the seed is empty and means done; what it was made of is not known then.
 */
#ifndef AGGREGATOR_MARKER_H
#define AGGREGATOR_MARKER_H

#include <run-core/plugin.h>

struct agg_file {
    char *name; /* relative to the output */
    int64_t size_bytes;
    uint64_t digest;
};

/* The files of an output, in the order of their names. */
struct agg_manifest {
    struct agg_file *files;
    size_t count;
};

void agg_manifest_clear(struct agg_manifest *manifest);
uint64_t agg_manifest_digest(const struct agg_manifest *manifest);

/*
 * Appends the objects below 'location' (or the one object), read to their ends; 'prefix' stands
 * before their names.
 */
RC_MUST_CHECK enum rc_code agg_manifest_add(struct rc_job *job, const char *location,
                                            const char *prefix, struct agg_manifest *out,
                                            struct rc_error *err);

#define AGG_IMPORT_BEGUN "import begun"
#define AGG_IMPORT_DONE "import"

struct agg_marker {
    const char *step; /* "daily", "window", "tables", "csv", AGG_IMPORT_... */
    int32_t day;
    uint64_t definition; /* of the options that decide the output */
    uint64_t inputs; /* of what was read; 0 for a daily step, whose source is not looked at again */
    int64_t rows, events, rejected;
    struct agg_manifest manifest;
};

void agg_marker_clear(struct agg_marker *marker);

/* What a marker says its output is; of one that is not ours, something that stays the same. */
uint64_t agg_marker_output(const struct agg_marker *marker, const char *text, size_t len);

/* The text of a marker. */
void agg_marker_format(const struct agg_marker *marker, struct rc_buf *out);
/* False: the text is not that of a marker of ours, such as the empty one of the seed. */
bool agg_marker_parse(const char *text, size_t len, struct agg_marker *out);

enum { AGG_MARKER_LIMIT = 16 << 20 };

#endif
