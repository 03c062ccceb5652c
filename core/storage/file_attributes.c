/*
 * What a file takes over from the one that it replaces: owner, group, mode, access control list and
 * the extended attributes of people. What cannot be taken over is left out so that nobody may read
 * or write the new file who could not before. Marks that the kernel or a file system keeps for
 * itself belong to the old content and stay with it.
 */
#include <storage/file.h>

#include <run-core/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACCESS_LIST "system.posix_acl_access"

enum { PRIVATE_MODE = 0600, MODE_BITS = 07777 };

static enum rc_code failed(const struct core_temp_file *temp, const char *what,
                           struct rc_error *err)
{
    return rc_fail_errno(err, errno, "keep the %s of '%s'", what, temp->target);
}

/* Where a file system has no modes of its own the call is not needed, and may be refused. */
static enum rc_code set_mode(const struct core_temp_file *temp, mode_t mode, struct rc_error *err)
{
    struct stat st;

    if (fstat(temp->fd, &st) != 0)
        return failed(temp, "permissions", err);
    if ((st.st_mode & MODE_BITS) == mode || fchmod(temp->fd, mode) == 0)
        return RC_OK;
    return failed(temp, "permissions", err);
}

enum rc_code core_file_hide(const struct core_temp_file *temp, struct rc_error *err)
{
    /* Refused where no file has permissions of its own. */
    return fchmod(temp->fd, PRIVATE_MODE) == 0 || errno == EPERM ? RC_OK
                                                                 : failed(temp, "permissions", err);
}

/* ---- extended attributes --------------------------------------------------------------------- */

static bool is_wanted(const char *name)
{
    return rc_str_starts(name, "user.") || rc_str_eq(name, ACCESS_LIST) ||
           rc_str_eq(name, "security.selinux");
}

static bool is_unknown(int error_number)
{
    return error_number == ENOTSUP || error_number == ENODATA || error_number == ENOSYS;
}

/* The names that a file has, one after the other; NULL: it has none. Freed by the caller. */
static char *names_of(int fd, size_t *len)
{
    ssize_t size = flistxattr(fd, NULL, 0);
    char *names = size > 0 ? rc_malloc((size_t)size) : NULL;

    size = names ? flistxattr(fd, names, (size_t)size) : 0;
    *len = size > 0 ? (size_t)size : 0;
    return names;
}

static enum rc_code take_attribute(int from, const struct core_temp_file *temp, const char *name,
                                   struct rc_error *err)
{
    ssize_t size = fgetxattr(from, name, NULL, 0);
    RC_STR_AUTO value = size >= 0 ? rc_malloc((size_t)size + 1) : NULL;

    if (value)
        size = fgetxattr(from, name, value, (size_t)size);
    if (size < 0 && is_unknown(errno))
        return RC_OK;
    if (size >= 0 && fsetxattr(temp->fd, name, value, (size_t)size, 0) == 0)
        return RC_OK;
    /* The kernel gives every new file a label of its own. */
    if (rc_str_eq(name, "security.selinux"))
        return RC_OK;
    return rc_fail_errno(err, errno, "keep the attribute '%s' of '%s'", name, temp->target);
}

static enum rc_code take_attributes(int from, const struct core_temp_file *temp,
                                    struct rc_error *err)
{
    size_t len;
    RC_STR_AUTO names = names_of(from, &len);

    /* A list that the directory gives to new files may let in whom the old file did not. */
    if (fremovexattr(temp->fd, ACCESS_LIST) != 0 && !is_unknown(errno))
        return failed(temp, "access control list", err);
    for (size_t at = 0; at < len; at += strlen(names + at) + 1)
        if (is_wanted(names + at) && take_attribute(from, temp, names + at, err))
            return err->code;
    return RC_OK;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* As far as this process may; what it could not is seen from the file. */
static enum rc_code take_owner(const struct stat *old, const struct core_temp_file *temp,
                               struct stat *now, struct rc_error *err)
{
    if (fchown(temp->fd, old->st_uid, old->st_gid) != 0 &&
        fchown(temp->fd, (uid_t)-1, old->st_gid) != 0 && errno != EPERM && errno != EINVAL)
        return failed(temp, "group", err);
    return fstat(temp->fd, now) == 0 ? RC_OK : failed(temp, "owner", err);
}

enum rc_code core_file_take_over(const struct core_file_held *held,
                                 const struct core_temp_file *temp, struct rc_error *err)
{
    mode_t mode = held->st.st_mode & MODE_BITS;
    struct stat now;

    if (take_owner(&held->st, temp, &now, err) || take_attributes(held->fd, temp, err))
        return err->code;
    if (now.st_uid != held->st.st_uid)
        mode &= ~(mode_t)S_ISUID;
    /* The members of another group were among all the others before. */
    if (now.st_gid != held->st.st_gid)
        mode &= ~(mode_t)(S_ISGID | S_IRWXG) | (mode & S_IRWXO) << 3;
    return set_mode(temp, mode, err);
}
