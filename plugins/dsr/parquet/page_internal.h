/*
 * The fields of page headers, as parquet.thrift numbers them.
 */
#ifndef DSR_PARQUET_PAGE_INTERNAL_H
#define DSR_PARQUET_PAGE_INTERNAL_H

#include "page.h"

enum { /* PageType */
       TYPE_DATA_V1 = 0,
       TYPE_DICTIONARY = 2,
       TYPE_DATA_V2 = 3,
};

enum { /* PageHeader */
       PAGE_TYPE = 1,
       PAGE_UNCOMPRESSED_LEN = 2,
       PAGE_COMPRESSED_LEN = 3,
       PAGE_CRC = 4,
       PAGE_DATA_V1 = 5,
       PAGE_DICTIONARY = 7,
       PAGE_DATA_V2 = 8,
};

enum { /* DataPageHeader */
       V1_VALUES = 1,
       V1_ENCODING = 2,
       V1_DEFINITION_ENCODING = 3,
       V1_REPETITION_ENCODING = 4,
       V1_STATISTICS = 5,
};

enum { /* DictionaryPageHeader */
       DICTIONARY_VALUES = 1,
       DICTIONARY_ENCODING = 2,
};

enum { /* DataPageHeaderV2 */
       V2_VALUES = 1,
       V2_NULLS = 2,
       V2_ROWS = 3,
       V2_ENCODING = 4,
       V2_DEFINITION_LEN = 5,
       V2_REPETITION_LEN = 6,
       V2_IS_COMPRESSED = 7,
       V2_STATISTICS = 8,
};

enum { PQ_LEVELS_LEN_BYTES = 4 }; /* in front of the levels of DATA_V1 */

#endif
