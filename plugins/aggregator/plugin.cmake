# Markers are JSON.
list(APPEND plugin_libraries PkgConfig::JANSSON)
