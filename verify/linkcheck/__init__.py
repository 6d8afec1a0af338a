"""Does a set of macOS wheels load? Answered on any machine, by following dyld's rules over the files themselves.

Nothing of the wheels is imported or executed. All that a file says is untrusted: sizes are bounded, paths stay inside
the laid-down folder, and a file that cannot be read becomes a finding.

The rules are cited from Apple's published source, apple-oss-distributions/dyld (dyld4, macOS 12 and newer), by file
and function: Loader.cpp and JustInTimeLoader.cpp in its folder dyld/, DyldAPIs.cpp for dlopen.
"""
