/*
 * Being the first process of a container: its number is 1, signals without a handler do not reach
 * it, and every orphan becomes its child and has to be reaped.
 */
#ifndef CORE_OS_INIT_H
#define CORE_OS_INIT_H

/*
 * Where this process is number 1, goes on in a child, while this one passes signals on to it, reaps
 * whoever ends, and itself ends as the child did. Elsewhere nothing happens. Once, at the start,
 * before there are threads.
 */
void core_init_if_first(void);

#endif
