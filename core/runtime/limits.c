/*
 * Limits by setrlimit(2) and nice(2). Memory of all processes of a run is control_group.c's.
 */
#include <runtime/limits.h>

#include <runtime/output.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* Seconds between SIGXCPU, which a plugin may catch to say goodbye, and SIGKILL. */
enum { CPU_GRACE_S = 2 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SHADOW_MEMORY 1
#endif
#endif

#ifdef HAS_SHADOW_MEMORY
enum { CAN_LIMIT_ADDRESS_SPACE = 0 };
#else
enum { CAN_LIMIT_ADDRESS_SPACE = 1 };
#endif

static void warn(const char *key, const char *reason)
{
    core_output_log(RC_LOG_WARN, NULL, 0, "going on without limits.%s: %s", key, reason);
}

/* Below what is in force already, only root could go back up: the lower of both holds. */
static void limit(int resource, const char *key, rlim_t soft, rlim_t hard)
{
    struct rlimit now;

    if (getrlimit((__rlimit_resource_t)resource, &now)) {
        warn(key, strerror(errno));
        return;
    }
    now.rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
    now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &now))
        warn(key, strerror(errno));
}

void core_limits_apply(const struct core_job_settings *job)
{
    if (!job)
        return;
    if (job->limits.nice > 0 &&
        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + (int)job->limits.nice))
        warn("nice", strerror(errno));
    if (job->limits.cpu_ms > 0) {
        rlim_t seconds = (rlim_t)((job->limits.cpu_ms + 999) / 1000);
        limit(RLIMIT_CPU, "cpu_time", seconds, seconds + CPU_GRACE_S);
    }
    if (job->limits.file_bytes > 0)
        limit(RLIMIT_FSIZE, "file_size", (rlim_t)job->limits.file_bytes,
              (rlim_t)job->limits.file_bytes);
    if (job->limits.address_space_bytes > 0) {
        rlim_t bytes = (rlim_t)job->limits.address_space_bytes;
        if (CAN_LIMIT_ADDRESS_SPACE)
            limit(RLIMIT_AS, "address_space", bytes, bytes);
        else
            warn("address_space", "this build of run-core has sanitizers, which need more of it "
                                  "than any limit");
    }
}
