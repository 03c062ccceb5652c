/*
 * From a job's settings to its schedule. The configuration cannot see schedules, so their
 * mistakes are found here.
 */
#include <runtime/job_schedule.h>

/* The settings and the schedule number the choices alike. */
_Static_assert((int)CORE_DST_GAP_AUTO == (int)CORE_GAP_AUTO &&
                   (int)CORE_DST_GAP_RUN_AFTER == (int)CORE_GAP_RUN_AFTER &&
                   (int)CORE_DST_GAP_SKIP == (int)CORE_GAP_SKIP,
               "dst_gap differs");
_Static_assert((int)CORE_DST_OVERLAP_AUTO == (int)CORE_OVERLAP_AUTO &&
                   (int)CORE_DST_OVERLAP_FIRST == (int)CORE_OVERLAP_FIRST &&
                   (int)CORE_DST_OVERLAP_BOTH == (int)CORE_OVERLAP_BOTH,
               "dst_overlap differs");

static enum rc_code make(const struct core_job_settings *job, const struct core_time_zone *zone,
                         struct core_schedule **out, struct rc_error *err)
{
    const struct core_schedule_options options = {
        .name = job->name,
        .zone = zone,
        .gap = (enum core_schedule_gap)job->dst_gap,
        .overlap = (enum core_schedule_overlap)job->dst_overlap,
    };

    *out = NULL;
    return job->schedule ? core_schedule_parse(job->schedule, &options, out, err) : RC_OK;
}

enum rc_code core_job_schedule_make(const struct core_job_settings *job,
                                    struct core_time_zones *zones, struct core_schedule **out,
                                    struct rc_error *err)
{
    const struct core_time_zone *zone = NULL;

    if (core_time_zones_get(zones, job->time_zone, &zone, err) || make(job, zone, out, err))
        return rc_context(err, "job '%s'", job->name);
    return RC_OK;
}

static void add(struct core_problems *problems, const struct core_job_settings *job,
                const struct core_place *place, const struct rc_error *err)
{
    core_problem_add(problems, place, "job '%s': %s%s%s", job->name, err->context,
                     err->context[0] ? ": " : "", err->cause);
}

void core_job_schedule_check(const struct core_config *config, struct core_problems *problems)
{
    struct core_time_zones *zones = core_time_zones_new();

    for (size_t i = 0; i < config->job_count; i++) {
        const struct core_job_settings *job = &config->jobs[i];
        const struct core_time_zone *zone = NULL;
        struct core_schedule *schedule = NULL;
        struct rc_error err = RC_ERROR_INIT;

        if (core_time_zones_get(zones, job->time_zone, &zone, &err))
            add(problems, job, &job->time_zone_place, &err);
        err = (struct rc_error)RC_ERROR_INIT;
        if (make(job, zone, &schedule, &err))
            add(problems, job, &job->schedule_place, &err);
        else
            core_schedule_free(schedule);
    }
    core_time_zones_free(zones);
}
