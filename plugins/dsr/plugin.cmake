# The codecs of Parquet's pages; the hash of its bloom filters; SHA-256 and HMAC; the records are JSON.
pkg_check_modules(LIBDEFLATE REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(SNAPPY REQUIRED IMPORTED_TARGET snappy)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(BROTLIENC REQUIRED IMPORTED_TARGET libbrotlienc)
pkg_check_modules(BROTLIDEC REQUIRED IMPORTED_TARGET libbrotlidec)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(LIBCRYPTO REQUIRED IMPORTED_TARGET libcrypto)
list(APPEND plugin_libraries PkgConfig::LIBDEFLATE PkgConfig::ZSTD PkgConfig::SNAPPY PkgConfig::LZ4
            PkgConfig::BROTLIENC PkgConfig::BROTLIDEC PkgConfig::XXHASH PkgConfig::LIBCRYPTO
            PkgConfig::JANSSON)
