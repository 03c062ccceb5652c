# Bodies of requests and answers are JSON; tokens are signed with RSA.
pkg_check_modules(LIBCRYPTO REQUIRED IMPORTED_TARGET libcrypto)
list(APPEND plugin_libraries PkgConfig::JANSSON PkgConfig::LIBCRYPTO)
