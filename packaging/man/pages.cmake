# Puts the launcher's key reference into sandbox-profile(5):
# cmake -D LAUNCHER=build/sandbox -D FROM=packaging/man -D TO=build/man -P pages.cmake
execute_process(COMMAND ${LAUNCHER} schema --man OUTPUT_FILE ${TO}/keys.man COMMAND_ERROR_IS_FATAL ANY)
file(READ ${TO}/keys.man REFERENCE)
string(STRIP "${REFERENCE}" REFERENCE)
configure_file(${FROM}/sandbox-profile.5.in ${TO}/sandbox-profile.5 @ONLY)
