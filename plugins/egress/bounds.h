/*
 * The order of partitions, by the text of their bounds. Pure.
 */
#ifndef EGRESS_BOUNDS_H
#define EGRESS_BOUNDS_H

/*
 * Compares bounds of partitions of one table, as pg_get_expr() writes them: below 0, 0, above 0.
 *
 *     FOR VALUES FROM ('2026-01-01', MINVALUE) TO ('2026-02-01', MAXVALUE)
 *     FOR VALUES IN ('de', 'fr', NULL)
 *     FOR VALUES WITH (modulus 4, remainder 0)
 *     DEFAULT
 *
 * Numbers go by their value, other texts by their bytes, which is the order of dates and times in
 * ISO form; the default partition goes behind all others. A NULL, of which nothing is known, goes
 * last.
 */
int egress_bounds_compare(const char *a, const char *b);

#endif
