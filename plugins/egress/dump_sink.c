/*
 * The pipeline's sink: the objects of the run's folder.
 */
#include "parquet.h"

#include <stdlib.h>

enum { URI_LIMIT = 1 << 20 };

struct sink {
    struct egress_dump *dump;
    struct rc_writer *writer;
};

static enum rc_code open_object(void *context, size_t index, void **out, struct rc_error *err)
{
    struct egress_round *round = context;
    struct egress_dump *dump = round->dump;
    bool is_csv = dump->config->format == EGRESS_CSV;
    const struct rc_attributes attributes = {
        .content_type = is_csv ? egress_content_type(&dump->compression) : EGRESS_PARQUET_TYPE
    };
    const struct rc_put_options options = { .struct_bytes = sizeof(options),
                                            .size_bytes = -1,
                                            .attributes = &attributes };
    RC_BUF_AUTO(uri, URI_LIMIT);
    struct rc_writer *writer;
    struct sink *sink;

    rc_buf_adds(&uri, dump->folder);
    rc_buf_adds(&uri, dump->plan.objects[round->objects[index]].key);
    if (rc_buf_check(&uri, err) ||
        rc_storage_create_with(dump->job, uri.data, &options, &writer, err))
        return rc_context(err, "begin '%s'", uri.data);
    sink = rc_malloc(sizeof(*sink));
    *sink = (struct sink){ .dump = dump, .writer = writer };
    *out = sink;
    return RC_OK;
}

static enum rc_code write_object(void *context, const void *data, size_t len, struct rc_error *err)
{
    struct sink *sink = context;

    return rc_storage_write(sink->dump->job, sink->writer, data, len, err);
}

static enum rc_code commit_object(void *context, struct rc_error *err)
{
    struct sink *sink = context;

    if (egress_dump_check_lease(sink->dump, err))
        return err->code;
    return rc_storage_commit(sink->dump->job, sink->writer, err);
}

static void close_object(void *context)
{
    struct sink *sink = context;

    rc_storage_write_close(sink->dump->job, sink->writer);
    free(sink);
}

struct egress_sink egress_dump_sink(struct egress_round *round)
{
    return (struct egress_sink){ .open = open_object,
                                 .write = write_object,
                                 .commit = commit_object,
                                 .close = close_object,
                                 .context = round };
}
