/*
 * The order in which the sources of AWS credentials are asked: that of botocore, so that a job
 * finds what the AWS tools find in its place. Roles of profiles, which have sources of their own,
 * are resolved here too.
 */
#include <cloud/aws_reply.h>
#include <cloud/aws_source.h>

#include <config/problems.h>
#include <config/secrets.h>

#include <run-core/str.h>

#include <stdarg.h>
#include <string.h>

enum { TRIED_BYTES = RC_ERROR_TEXT };

void core_aws_tried(struct core_aws_lookup *lookup, const char *format, ...)
{
    va_list arguments;

    if (lookup->tried.len > 0)
        rc_buf_adds(&lookup->tried, "; ");
    va_start(arguments, format);
    rc_buf_addv(&lookup->tried, format, arguments);
    va_end(arguments);
}

static void set_keys(struct core_aws_keys *out, const char *id, const char *secret,
                     const char *token)
{
    core_secret_add(secret);
    core_secret_add(token);
    out->access_key_id = rc_strdup(id);
    out->secret_access_key = rc_strdup(secret);
    out->session_token = rc_strdup(token);
}

/* ---- the environment ------------------------------------------------------------------------- */

static enum rc_code from_environment(struct core_aws_lookup *lookup, struct core_aws_keys *out,
                                     struct rc_error *err)
{
    const char *id = core_aws_environment("AWS_ACCESS_KEY_ID");
    const char *secret = core_aws_environment("AWS_SECRET_ACCESS_KEY");
    const char *token = core_aws_environment("AWS_SECURITY_TOKEN");
    const char *end = core_aws_environment("AWS_CREDENTIAL_EXPIRATION");

    if (!id) {
        core_aws_tried(lookup, "environment: AWS_ACCESS_KEY_ID is not set");
        return RC_OK;
    }
    if (!secret)
        return rc_fail(err, RC_INVALID,
                       "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
    if (end && !core_aws_parse_time(end, &out->expires_unix_ms))
        return rc_fail(err, RC_INVALID,
                       "AWS_CREDENTIAL_EXPIRATION is no point in time such as "
                       "2026-01-31T23:59:59Z");
    set_keys(out, id, secret, token ? token : core_aws_environment("AWS_SESSION_TOKEN"));
    return RC_OK;
}

/* ---- a profile ------------------------------------------------------------------------------- */

static const struct core_aws_value *profile_value(const struct core_aws_lookup *lookup,
                                                  const char *profile, const char *key)
{
    return core_aws_profiles_get(&lookup->profiles, CORE_AWS_PROFILE, profile, key);
}

static const char *profile_text(const struct core_aws_lookup *lookup, const char *profile,
                                const char *key)
{
    const struct core_aws_value *value = profile_value(lookup, profile, key);

    return value ? value->text : NULL;
}

static enum rc_code from_file(struct core_aws_lookup *lookup, enum core_aws_file file,
                              const char *profile, struct core_aws_keys *out, struct rc_error *err)
{
    const struct core_aws_profiles *profiles = &lookup->profiles;
    const struct core_aws_value *id =
        core_aws_profiles_get_in(profiles, file, profile, "aws_access_key_id");
    const struct core_aws_value *secret =
        core_aws_profiles_get_in(profiles, file, profile, "aws_secret_access_key");
    const struct core_aws_value *token =
        core_aws_profiles_get_in(profiles, file, profile, "aws_security_token");

    if (!id)
        return RC_OK;
    if (!secret)
        return rc_fail(err, RC_INVALID,
                       "%s:%d: there is an aws_access_key_id without an "
                       "aws_secret_access_key",
                       id->file, id->line);
    if (!token)
        token = core_aws_profiles_get_in(profiles, file, profile, "aws_session_token");
    set_keys(out, id->text, secret->text, token ? token->text : NULL);
    return RC_OK;
}

/* 'with_environment' where the profile is the one of this process, not the source of a role. */
static enum rc_code from_web_identity(struct core_aws_lookup *lookup, const char *profile,
                                      bool with_environment, struct core_aws_keys *out,
                                      struct rc_error *err)
{
    static const char *const variables[] = { "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
                                             "AWS_ROLE_SESSION_NAME" };
    static const char *const keys[] = { "web_identity_token_file", "role_arn",
                                        "role_session_name" };
    const char *found[3];

    for (size_t i = 0; i < RC_ARRAY_LEN(found); i++) {
        found[i] = with_environment ? core_aws_environment(variables[i]) : NULL;
        if (!found[i])
            found[i] = profile_text(lookup, profile, keys[i]);
    }
    if (!found[0])
        return RC_OK;
    if (!found[1])
        return rc_fail(err, RC_INVALID,
                       "there is a web identity token ('%s'), but no role for it: set AWS_ROLE_ARN "
                       "or the profile's role_arn",
                       found[0]);
    const struct core_aws_role role = { .arn = found[1], .session_name = found[2] };
    return core_aws_assume_role_with_token(lookup, &role, found[0], out, err);
}

/* What a profile has apart from a role that needs other credentials. */
static enum rc_code from_profile(struct core_aws_lookup *lookup, const char *profile,
                                 bool with_environment, struct core_aws_keys *out,
                                 struct rc_error *err)
{
    const struct core_aws_value *process;

    if (from_web_identity(lookup, profile, with_environment, out, err) || out->access_key_id)
        return out->access_key_id ? RC_OK : err->code;
    if (core_aws_from_sso(lookup, profile, out, err) || out->access_key_id)
        return out->access_key_id ? RC_OK : err->code;
    if (from_file(lookup, CORE_AWS_CREDENTIALS, profile, out, err) || out->access_key_id)
        return out->access_key_id ? RC_OK : err->code;
    process = profile_value(lookup, profile, "credential_process");
    if (process)
        return core_aws_from_process(lookup, process, out, err);
    return from_file(lookup, CORE_AWS_CONFIG, profile, out, err);
}

/* ---- roles of profiles ----------------------------------------------------------------------- */

/* The profiles on the way to a role's source. */
struct visit {
    const char *profile;
    const struct visit *before;
};

static bool wants_role(const struct core_aws_lookup *lookup, const char *profile)
{
    return profile_value(lookup, profile, "role_arn") &&
           !profile_value(lookup, profile, "web_identity_token_file");
}

static bool has_keys(const struct core_aws_lookup *lookup, const char *profile)
{
    return profile_value(lookup, profile, "aws_access_key_id") ||
           profile_value(lookup, profile, "aws_secret_access_key");
}

static enum rc_code fail_at(const struct core_aws_value *place, const char *profile,
                            const char *what, struct rc_error *err)
{
    char shown[CORE_SHOWN_TEXT];

    return rc_fail(err, RC_INVALID, "%s:%d: the profile '%s' %s", place->file, place->line,
                   core_shown(profile, shown), what);
}

static enum rc_code from_named_source(struct core_aws_lookup *lookup, const char *profile,
                                      const struct core_aws_value *source,
                                      struct core_aws_keys *out, struct rc_error *err)
{
    char shown[CORE_SHOWN_TEXT];
    enum rc_code code;

    if (strcmp(source->text, "Environment") == 0)
        code = from_environment(lookup, out, err);
    else if (strcmp(source->text, "EcsContainer") == 0)
        code = core_aws_from_container(lookup, out, err);
    else if (strcmp(source->text, "Ec2InstanceMetadata") == 0)
        code = core_aws_from_machine(lookup, out, err);
    else
        return fail_at(source, profile,
                       "has a credential_source that is none of Environment, EcsContainer and "
                       "Ec2InstanceMetadata",
                       err);
    if (code == RC_OK && !out->access_key_id)
        return rc_fail(err, RC_INVALID,
                       "%s:%d: the credential_source %s of the profile '%s' has no credentials: %s",
                       source->file, source->line, source->text, core_shown(profile, shown),
                       lookup->tried.data);
    return code;
}

static enum rc_code from_role(struct core_aws_lookup *lookup, const struct visit *visit,
                              struct core_aws_keys *out, struct rc_error *err);

static enum rc_code from_source_profile(struct core_aws_lookup *lookup, const struct visit *visit,
                                        const struct core_aws_value *source,
                                        struct core_aws_keys *out, struct rc_error *err)
{
    const struct visit next = { .profile = source->text, .before = visit };
    const char *own = visit->profile;

    if (!core_aws_profiles_has(&lookup->profiles, CORE_AWS_PROFILE, source->text)) {
        RC_STR_AUTO place = rc_strf("source_profile (%s:%d)", source->file, source->line);

        return core_aws_profiles_fail_missing(&lookup->profiles, CORE_AWS_PROFILE, source->text,
                                              place, err);
    }
    /* A profile may have the keys for its own role. */
    for (const struct visit *at = visit; at; at = at->before)
        if (strcmp(at->profile, source->text) == 0 &&
            (strcmp(own, source->text) != 0 || !has_keys(lookup, own)))
            return fail_at(source, own, "comes back to itself by its source_profile", err);
    if (!has_keys(lookup, source->text) && wants_role(lookup, source->text))
        return from_role(lookup, &next, out, err);
    if (from_profile(lookup, source->text, /* with_environment = */ false, out, err))
        return err->code;
    if (!out->access_key_id)
        return fail_at(source, own, "names a source_profile that has no credentials", err);
    return RC_OK;
}

/* The role of the profile that is visited, by the credentials of its source. */
static enum rc_code from_role(struct core_aws_lookup *lookup, const struct visit *visit,
                              struct core_aws_keys *out, struct rc_error *err)
{
    const char *profile = visit->profile;
    const struct core_aws_value *arn = profile_value(lookup, profile, "role_arn");
    const struct core_aws_value *source_profile = profile_value(lookup, profile, "source_profile");
    const struct core_aws_value *named = profile_value(lookup, profile, "credential_source");
    const struct core_aws_value *mfa = profile_value(lookup, profile, "mfa_serial");
    const struct core_aws_role role = {
        .arn = arn->text,
        .session_name = profile_text(lookup, profile, "role_session_name"),
        .external_id = profile_text(lookup, profile, "external_id"),
        .duration_s = profile_text(lookup, profile, "duration_seconds"),
    };
    CORE_AWS_KEYS_AUTO(source);
    int64_t number;

    if (mfa)
        return fail_at(mfa, profile,
                       "asks for the code of an MFA device (mfa_serial), which no job can give; "
                       "give it a role without, or keys of 'aws sts get-session-token'",
                       err);
    if (source_profile && named)
        return fail_at(named, profile, "has both a source_profile and a credential_source", err);
    if (!source_profile && !named)
        return fail_at(arn, profile,
                       "has a role_arn, but neither source_profile nor credential_source", err);
    if (role.duration_s && !rc_parse_int(role.duration_s, &number))
        return fail_at(profile_value(lookup, profile, "duration_seconds"), profile,
                       "has a duration_seconds that is no number", err);
    if (named ? from_named_source(lookup, profile, named, &source, err)
              : from_source_profile(lookup, visit, source_profile, &source, err))
        return err->code;
    return core_aws_assume_role(lookup, &role, &source, out, err);
}

/* ---- the chain ------------------------------------------------------------------------------- */

static enum rc_code from_profiles(struct core_aws_lookup *lookup, struct core_aws_keys *out,
                                  struct rc_error *err)
{
    const struct visit visit = { .profile = lookup->profile };
    char shown[CORE_SHOWN_TEXT];
    enum rc_code code;

    if (wants_role(lookup, lookup->profile))
        code = from_role(lookup, &visit, out, err);
    else
        code = from_profile(lookup, lookup->profile,
                            /* with_environment = */ !lookup->settings->profile, out, err);
    if (code)
        return rc_context(err, "use the AWS profile '%s'", core_shown(lookup->profile, shown));
    if (out->access_key_id)
        return RC_OK;
    if (core_aws_profiles_has(&lookup->profiles, CORE_AWS_PROFILE, lookup->profile))
        core_aws_tried(lookup, "profile '%s': it has none", core_shown(lookup->profile, shown));
    else
        core_aws_tried(lookup, "profile '%s': it is neither in '%s' nor in '%s'",
                       core_shown(lookup->profile, shown), lookup->profiles.paths[CORE_AWS_CONFIG],
                       lookup->profiles.paths[CORE_AWS_CREDENTIALS]);
    return RC_OK;
}

/* Half of a pair is a mistake, such as a secret's file that is empty, and no reason to go on. */
static enum rc_code from_settings(const struct core_aws_credentials_settings *settings,
                                  struct core_aws_keys *out, struct rc_error *err)
{
    const char *id = settings->access_key_id, *secret = settings->secret_access_key;

    if (!id && !secret)
        return RC_OK;
    if (!id || !*id)
        return rc_fail(err, RC_INVALID,
                       "the store has a 'secret_access_key', but no 'access_key_id'");
    if (!secret || !*secret)
        return rc_fail(err, RC_INVALID, "the store has an 'access_key_id', but %s",
                       secret ? "its 'secret_access_key' is empty" : "no 'secret_access_key'");
    set_keys(out, id, secret, settings->session_token);
    return RC_OK;
}

static enum rc_code find(struct core_aws_lookup *lookup, struct core_aws_keys *out,
                         struct rc_error *err)
{
    const struct core_aws_credentials_settings *settings = lookup->settings;

    if (from_settings(settings, out, err) || out->access_key_id)
        return out->access_key_id ? RC_OK : err->code;
    /* Who names a profile means that one, whatever the environment has. */
    if (!settings->profile && (from_environment(lookup, out, err) || out->access_key_id))
        return out->access_key_id ? RC_OK : err->code;
    if (core_aws_need_profiles(lookup, err))
        return err->code;
    if (from_profiles(lookup, out, err) || out->access_key_id)
        return out->access_key_id ? RC_OK : err->code;
    if (core_aws_from_container(lookup, out, err) || out->access_key_id)
        return out->access_key_id ? RC_OK : err->code;
    if (core_aws_from_machine(lookup, out, err) || out->access_key_id)
        return out->access_key_id ? RC_OK : err->code;
    return rc_fail(err, RC_NOT_FOUND,
                   "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a "
                   "profile (looked at %s)",
                   lookup->tried.data);
}

/* The role that the configuration asks for, by what was found. */
static enum rc_code assume_given_role(struct core_aws_lookup *lookup, struct core_aws_keys *keys,
                                      struct rc_error *err)
{
    const struct core_aws_role role = { .arn = lookup->settings->role_arn,
                                        .session_name = lookup->settings->role_session_name,
                                        .external_id = lookup->settings->external_id };
    struct core_aws_keys source = *keys;

    *keys = (struct core_aws_keys)CORE_AWS_KEYS_INIT;
    if (core_aws_need_profiles(lookup, err) == RC_OK)
        (void)!core_aws_assume_role(lookup, &role, &source, keys, err);
    core_aws_keys_clear(&source);
    return keys->access_key_id ? RC_OK : err->code;
}

enum rc_code core_aws_find_credentials(const struct core_aws_credentials_settings *settings,
                                       const struct core_cancel *cancel, struct core_aws_keys *out,
                                       struct rc_error *err)
{
    struct core_aws_lookup lookup = { .settings = settings,
                                      .cancel = cancel,
                                      .tried = RC_BUF_INIT(TRIED_BYTES) };
    enum rc_code code = find(&lookup, out, err);

    if (code == RC_OK && settings->role_arn)
        code = assume_given_role(&lookup, out, err);
    if (code)
        core_aws_keys_clear(out);
    core_aws_profiles_clear(&lookup.profiles);
    rc_buf_clear(&lookup.tried);
    return code ? rc_context(err, "get AWS credentials") : RC_OK;
}
