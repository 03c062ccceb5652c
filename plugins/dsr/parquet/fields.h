/*
 * Numbers of the fields of Parquet's metadata, as parquet.thrift has them. Those of page headers
 * are in page_internal.h.
 */
#ifndef DSR_PARQUET_FIELDS_H
#define DSR_PARQUET_FIELDS_H

enum pq_field_of_file {
    PQ_FILE_VERSION = 1,
    PQ_FILE_SCHEMA = 2,
    PQ_FILE_ROWS = 3,
    PQ_FILE_GROUPS = 4,
    PQ_FILE_CREATED_BY = 6,
    PQ_FILE_ORDERS = 7,
    PQ_FILE_ENCRYPTION = 8,
};

enum pq_field_of_element { /* of the schema */
                           PQ_ELEMENT_TYPE = 1,
                           PQ_ELEMENT_TYPE_LENGTH = 2,
                           PQ_ELEMENT_REPETITION = 3,
                           PQ_ELEMENT_NAME = 4,
                           PQ_ELEMENT_CHILDREN = 5,
                           PQ_ELEMENT_CONVERTED = 6,
                           PQ_ELEMENT_LOGICAL = 10,
};

enum pq_field_of_group {
    PQ_GROUP_CHUNKS = 1,
    PQ_GROUP_UNCOMPRESSED_BYTES = 2,
    PQ_GROUP_ROWS = 3,
    PQ_GROUP_SORTING = 4,
    PQ_GROUP_FILE_OFFSET = 5,
    PQ_GROUP_COMPRESSED_BYTES = 6,
    PQ_GROUP_ORDINAL = 7,
};

enum pq_field_of_chunk {
    PQ_CHUNK_FILE = 1,
    PQ_CHUNK_FILE_OFFSET = 2,
    PQ_CHUNK_META = 3,
    PQ_CHUNK_OFFSET_INDEX = 4,
    PQ_CHUNK_OFFSET_INDEX_BYTES = 5,
    PQ_CHUNK_COLUMN_INDEX = 6,
    PQ_CHUNK_COLUMN_INDEX_BYTES = 7,
    PQ_CHUNK_CRYPTO = 8,
    PQ_CHUNK_ENCRYPTED_META = 9,
    PQ_CHUNK_LAST = 9, /* that is known here */
};

enum pq_field_of_meta { /* ColumnMetaData */
                        PQ_META_TYPE = 1,
                        PQ_META_ENCODINGS = 2,
                        PQ_META_PATH = 3,
                        PQ_META_CODEC = 4,
                        PQ_META_VALUES = 5,
                        PQ_META_UNCOMPRESSED_BYTES = 6,
                        PQ_META_COMPRESSED_BYTES = 7,
                        PQ_META_DATA_OFFSET = 9,
                        PQ_META_INDEX_OFFSET = 10,
                        PQ_META_DICTIONARY_OFFSET = 11,
                        PQ_META_STATISTICS = 12,
                        PQ_META_ENCODING_STATS = 13,
                        PQ_META_BLOOM_OFFSET = 14,
                        PQ_META_BLOOM_BYTES = 15,
                        PQ_META_SIZE_STATISTICS = 16,
                        PQ_META_GEOSPATIAL_STATISTICS = 17,
                        PQ_META_LAST = 17, /* that is known here */
};

enum pq_field_of_encoding_stats {
    PQ_ENCODING_STATS_KIND = 1,
    PQ_ENCODING_STATS_ENCODING = 2,
    PQ_ENCODING_STATS_PAGES = 3,
};

enum pq_field_of_sizes { /* SizeStatistics */
                         PQ_SIZES_BYTES = 1,
                         PQ_SIZES_REPETITION = 2,
                         PQ_SIZES_DEFINITION = 3,
};

enum pq_field_of_offset_index {
    PQ_OFFSET_INDEX_PAGES = 1,
    PQ_OFFSET_INDEX_BYTES = 2, /* of the texts in each page */
};

enum pq_field_of_page_location {
    PQ_LOCATION_OFFSET = 1,
    PQ_LOCATION_BYTES = 2,
    PQ_LOCATION_FIRST_ROW = 3,
};

enum pq_field_of_column_index {
    PQ_COLUMN_INDEX_NULL_PAGES = 1,
    PQ_COLUMN_INDEX_LEAST = 2,
    PQ_COLUMN_INDEX_GREATEST = 3,
    PQ_COLUMN_INDEX_ORDER = 4,
    PQ_COLUMN_INDEX_NULLS = 5,
    PQ_COLUMN_INDEX_REPETITION = 6,
    PQ_COLUMN_INDEX_DEFINITION = 7,
    PQ_COLUMN_INDEX_NANS = 8,
};

#endif
