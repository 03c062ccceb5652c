/*
 * The S3 backend: AWS, Ceph, MinIO, Google's interoperable interface and what else speaks S3.
 */
#include <storage/s3.h>
#include <storage/s3_bucket.h>

const struct core_storage_ops core_storage_s3 = {
    .scheme = "s3",
    .capabilities = CORE_STORAGE_CONDITIONAL_PUT | CORE_STORAGE_VERSIONS,
    .list = core_s3_list,
    .stat = core_s3_stat,
    .open = core_s3_read,
    .create = core_s3_create,
    .remove = core_s3_remove,
    .put = core_s3_put,
    .begin_parts = core_s3_begin_parts,
    .resume_parts = core_s3_resume_parts,
    .give_up_parts = core_s3_give_up_parts,
    .is_same_store = core_s3_is_same_store,
    .is_same_server = core_s3_is_same_server,
    .copy = core_s3_copy,
    .sweep = core_s3_sweep,
    .tags = core_s3_tags,
    .look_bucket = core_s3_look_bucket,
    .create_bucket = core_s3_create_bucket,
    .remove_bucket = core_s3_remove_bucket,
    .encrypt_bucket = core_s3_encrypt_bucket,
    .expire_bucket = core_s3_expire_bucket,
};
