/*
 * The misfire rule.
 */
#include <supervisor/missed.h>

enum core_slot_verdict core_slot_judge(const struct core_slot_rule *rule, int64_t slot_unix_ms,
                                       int64_t next_unix_ms)
{
    bool in_window = slot_unix_ms >= rule->awake_since_unix_ms - rule->window_ms;
    bool newest = next_unix_ms >= rule->awake_since_unix_ms;

    if (rule->paused_unix_ms)
        return slot_unix_ms >= rule->paused_unix_ms ? CORE_SLOT_PAUSED : CORE_SLOT_MISSED;
    if (rule->is_full)
        return CORE_SLOT_MISSED;
    if (slot_unix_ms >= rule->awake_since_unix_ms)
        return CORE_SLOT_PUNCTUAL;
    if (!in_window)
        return CORE_SLOT_MISSED;
    switch (rule->misfire) {
    case CORE_MISFIRE_ALL:
        return CORE_SLOT_MADE_UP;
    case CORE_MISFIRE_LATEST:
        return newest ? CORE_SLOT_MADE_UP : CORE_SLOT_MISSED;
    case CORE_MISFIRE_SKIP:
        break;
    }
    return CORE_SLOT_MISSED;
}

int64_t core_slots_after(const struct core_slot_rule *rule, int64_t settled_unix_ms)
{
    int64_t oldest_unix_ms = rule->awake_since_unix_ms - rule->keep_ms;

    return settled_unix_ms > oldest_unix_ms ? settled_unix_ms : oldest_unix_ms;
}
