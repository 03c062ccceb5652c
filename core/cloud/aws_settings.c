/*
 * What is set for AWS besides credentials: regions and endpoints, in the environment and in
 * profiles.
 */
#include <cloud/aws_source.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { KEY_BYTES = 100 };

enum rc_code core_aws_need_profiles(struct core_aws_lookup *lookup, struct rc_error *err)
{
    const char *given = lookup->settings->profile, *named;

    if (lookup->loaded)
        return RC_OK;
    if (core_aws_profiles_load(&lookup->profiles, err))
        return err->code;
    named = given ? given : core_aws_profile_of_environment();
    lookup->profile = named ? named : "default";
    if (named && !core_aws_profiles_has(&lookup->profiles, CORE_AWS_PROFILE, named))
        return core_aws_profiles_fail_missing(
            &lookup->profiles, CORE_AWS_PROFILE, named,
            given ? "the configuration" : "the environment (AWS_PROFILE)", err);
    lookup->loaded = true;
    return RC_OK;
}

const char *core_aws_setting(const struct core_aws_lookup *lookup, const char *variable,
                             const char *key)
{
    const char *text = variable ? core_aws_environment(variable) : NULL;
    const struct core_aws_value *value;

    if (text)
        return text;
    value = core_aws_profiles_get(&lookup->profiles, CORE_AWS_PROFILE, lookup->profile, key);
    return value ? value->text : NULL;
}

bool core_aws_setting_is_true(const struct core_aws_lookup *lookup, const char *variable,
                              const char *key)
{
    const char *text = core_aws_setting(lookup, variable, key);

    return text && strcasecmp(text, "true") == 0;
}

/* ---- region ---------------------------------------------------------------------------------- */

static const char *find_region(const struct core_aws_lookup *lookup)
{
    const char *region = core_aws_environment("AWS_REGION");

    return region ? region : core_aws_setting(lookup, "AWS_DEFAULT_REGION", "region");
}

const char *core_aws_lookup_region(const struct core_aws_lookup *lookup)
{
    return lookup->settings->region ? lookup->settings->region : find_region(lookup);
}

static void begin(struct core_aws_lookup *lookup,
                  const struct core_aws_credentials_settings *settings)
{
    *lookup = (struct core_aws_lookup){ .settings = settings, .tried = RC_BUF_INIT(0) };
}

enum rc_code core_aws_region(const char *profile, char **out, struct rc_error *err)
{
    const struct core_aws_credentials_settings settings = { .profile = profile };
    struct core_aws_lookup lookup;
    enum rc_code code;

    begin(&lookup, &settings);
    code = core_aws_need_profiles(&lookup, err);
    *out = code ? NULL : rc_strdup(find_region(&lookup));
    core_aws_profiles_clear(&lookup.profiles);
    return code;
}

/* ---- endpoints ------------------------------------------------------------------------------- */

/* AWS_ENDPOINT_URL_ and the service, as in AWS_ENDPOINT_URL_SSO_OIDC. */
static const char *endpoint_of_environment(const char *service)
{
    char name[KEY_BYTES] = "AWS_ENDPOINT_URL_";
    size_t len = strlen(name);

    for (; *service && len < sizeof(name) - 1; service++)
        name[len++] = *service >= 'a' && *service <= 'z' ? (char)(*service & ~0x20) : *service;
    name[len] = '\0';
    return core_aws_environment(name);
}

/* That of the section that the profile's key 'services' names. */
static const char *endpoint_of_services(const struct core_aws_lookup *lookup, const char *service)
{
    const char *section = core_aws_setting(lookup, /* variable = */ NULL, "services");
    const struct core_aws_value *value =
        section ? core_aws_profiles_nested(&lookup->profiles, CORE_AWS_SERVICES, section, service,
                                           "endpoint_url")
                : NULL;

    return value ? value->text : NULL;
}

/* 'service' as AWS_ENDPOINT_URL_* has it, in lower case. */
static const char *find_endpoint(const struct core_aws_lookup *lookup, const char *service)
{
    const char *found;

    if (core_aws_setting_is_true(lookup, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
                                 "ignore_configured_endpoint_urls"))
        return NULL;
    found = endpoint_of_environment(service);
    if (!found)
        found = core_aws_environment("AWS_ENDPOINT_URL");
    if (!found)
        found = endpoint_of_services(lookup, service);
    return found ? found : core_aws_setting(lookup, /* variable = */ NULL, "endpoint_url");
}

enum rc_code core_aws_endpoint(const char *profile, const char *service, char **out,
                               struct rc_error *err)
{
    const struct core_aws_credentials_settings settings = { .profile = profile };
    struct core_aws_lookup lookup;
    enum rc_code code;

    begin(&lookup, &settings);
    code = core_aws_need_profiles(&lookup, err);
    *out = code ? NULL : rc_strdup(find_endpoint(&lookup, service));
    core_aws_profiles_clear(&lookup.profiles);
    return code;
}

/* Regions outside of the large partition have names of their own. */
static const char *domain_of(const char *region)
{
    static const struct {
        const char *begin, *domain;
    } partitions[] = {
        { "cn-", "amazonaws.com.cn" },    { "us-iso-", "c2s.ic.gov" },
        { "us-isob-", "sc2s.sgov.gov" },  { "eu-isoe-", "cloud.adc-e.uk" },
        { "us-isof-", "csp.hci.ic.gov" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(partitions); i++)
        if (rc_str_starts(region, partitions[i].begin))
            return partitions[i].domain;
    return "amazonaws.com";
}

char *core_aws_service_url(const struct core_aws_lookup *lookup, const char *service,
                           const char *prefix, const char *region)
{
    const char *configured = find_endpoint(lookup, service);
    size_t len = configured ? strlen(configured) : 0;

    while (len > 0 && configured[len - 1] == '/')
        len--;
    return configured ? rc_strndup(configured, len)
                      : rc_strf("https://%s.%s.%s", prefix, region, domain_of(region));
}
