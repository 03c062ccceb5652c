# Answers of the store are JSON.
list(APPEND plugin_libraries PkgConfig::JANSSON)
