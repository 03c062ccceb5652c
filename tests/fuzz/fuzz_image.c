/*
 * Fuzzes the reading of a plugin's descriptor: any bytes may stand in the file.
 */
#include <runtime/image.h>

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("plugin", MFD_CLOEXEC);
    struct rc_error err = RC_ERROR_INIT;
    struct core_image image;
    char path[64];

    RC_ASSERT(fd >= 0);
    RC_ASSERT(write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (core_image_open(path, &image, &err) == RC_OK)
        core_image_close(&image);
    else
        RC_ASSERT(err.code == RC_INVALID && err.cause[0]);
    (void)close(fd);
    return 0;
}
