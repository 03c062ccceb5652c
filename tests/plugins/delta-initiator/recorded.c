/*
 * Reads recorded answers.
 */
#include "recorded.h"

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void recorded_load(const char *name, struct rc_buf *out)
{
    RC_STR_AUTO path = rc_strf("%s/tests/data/sparql/%s", getenv("RUN_CORE_SOURCE"), name);
    FILE *file = fopen(path, "rb");
    char piece[4096];
    size_t len;

    assert_non_null(file);
    while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
        rc_buf_add(out, piece, len);
    (void)fclose(file);
}
