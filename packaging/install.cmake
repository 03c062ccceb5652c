# What 'cmake --install' puts where. The tree can be moved as a whole: the binary finds its
# plugins, and the .pc files their headers, relative to where they lie themselves.
install(TARGETS run-core RUNTIME DESTINATION bin COMPONENT runtime)
install(TARGETS ${plugins} LIBRARY DESTINATION lib/run-core/plugins COMPONENT runtime)
install(DIRECTORY conf.d/ DESTINATION share/run-core/conf.d COMPONENT runtime OPTIONAL
        FILES_MATCHING PATTERN "*.yaml")
install(FILES packaging/man/run-core.1 DESTINATION share/man/man1 COMPONENT runtime)
install(FILES packaging/systemd/run-core.service DESTINATION lib/systemd/system COMPONENT runtime)
install(FILES packaging/systemd/run-core.sysusers RENAME run-core.conf DESTINATION lib/sysusers.d
        COMPONENT runtime)
install(FILES packaging/completions/run-core.bash RENAME run-core COMPONENT runtime
        DESTINATION share/bash-completion/completions)

install(DIRECTORY core/include/run-core DESTINATION include COMPONENT development
        FILES_MATCHING PATTERN "*.h")
install(TARGETS core_base ARCHIVE DESTINATION lib COMPONENT development)
configure_file(packaging/run-core.pc.in run-core.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/run-core.pc DESTINATION lib/pkgconfig COMPONENT development)

# The host that plugins are tested on.
install(TARGETS rc_fake_host ARCHIVE DESTINATION lib COMPONENT development)
install(FILES tests/support/run-core/fake_host.h DESTINATION include/run-core
        COMPONENT development)
configure_file(packaging/run-core-test.pc.in run-core-test.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/run-core-test.pc DESTINATION lib/pkgconfig
        COMPONENT development)
