/*
 * The table of engines and features. The features' texts, and which engine has which, are those of
 * sql/engine.h.
 */
#include <cli/engines.h>

#include <sql/engine.h>

enum { KIND_WIDTH = 8, FEATURE_WIDTH = 54 };

static const char *answer(const struct core_engine_ops *engine, const struct core_feature *feature)
{
    return engine->features & feature->feature ? "yes" : "no";
}

/* A column of engine 'index'; the last has nothing behind it. */
static void add_column(struct rc_buf *out, size_t index, const char *text)
{
    if (core_engine_at(index + 1))
        rc_buf_addf(out, "%-*s", KIND_WIDTH, text);
    else
        rc_buf_addf(out, "%s\n", text);
}

void core_engines_add_text(uint32_t features, struct rc_buf *out)
{
    const struct core_engine_ops *engine;

    rc_buf_addf(out, "  %*s", FEATURE_WIDTH, "");
    for (size_t i = 0; (engine = core_engine_at(i)); i++)
        add_column(out, i, engine->name);
    for (const struct core_feature *feature = core_engine_features; feature->text; feature++) {
        if (!(features & feature->feature))
            continue;
        rc_buf_addf(out, "  %-*s", FEATURE_WIDTH, feature->text);
        for (size_t i = 0; (engine = core_engine_at(i)); i++)
            add_column(out, i, answer(engine, feature));
    }
}

void core_engines_add_markdown(uint32_t features, struct rc_buf *out)
{
    const struct core_engine_ops *engine;

    rc_buf_adds(out, "| the engine |");
    for (size_t i = 0; (engine = core_engine_at(i)); i++)
        rc_buf_addf(out, " `%s` |", engine->name);
    rc_buf_adds(out, "\n|---|");
    for (size_t i = 0; core_engine_at(i); i++)
        rc_buf_adds(out, "---|");
    rc_buf_addc(out, '\n');
    for (const struct core_feature *feature = core_engine_features; feature->text; feature++) {
        if (!(features & feature->feature))
            continue;
        rc_buf_addf(out, "| %s |", feature->text);
        for (size_t i = 0; (engine = core_engine_at(i)); i++)
            rc_buf_addf(out, " %s |", answer(engine, feature));
        rc_buf_addc(out, '\n');
    }
}

void core_help_add_engines(bool markdown, struct rc_buf *out)
{
    (markdown ? core_engines_add_markdown : core_engines_add_text)(UINT32_MAX, out);
}
