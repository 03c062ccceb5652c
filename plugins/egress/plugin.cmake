# PostgreSQL's client; gzip and zstd as they are written; zlib, which reads them back for 'verify' and
# so is a judge of its own; SHA-256 of the objects; the manifest is JSON.
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(LIBDEFLATE REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(LIBCRYPTO REQUIRED IMPORTED_TARGET libcrypto)
list(APPEND plugin_libraries PkgConfig::LIBPQ PkgConfig::LIBDEFLATE PkgConfig::ZSTD PkgConfig::ZLIB
            PkgConfig::LIBCRYPTO PkgConfig::JANSSON)
