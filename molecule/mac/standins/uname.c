/* Overrides uname() so that a Linux process says Darwin on arm64; loaded by /etc/ld.so.preload of a simulated Mac.
 * Release and version are those of macOS 15.6.1 (Darwin 24.6.0). Static binaries are not reached by it. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

int uname(struct utsname *name) {
    memset(name, 0, sizeof *name);
    snprintf(name->sysname, sizeof name->sysname, "Darwin");
    gethostname(name->nodename, sizeof name->nodename - 1);
    snprintf(name->release, sizeof name->release, "24.6.0");
    snprintf(name->version, sizeof name->version, "Darwin Kernel Version 24.6.0: simulated; root:xnu-11417/RELEASE_ARM64_T8103");
    snprintf(name->machine, sizeof name->machine, "arm64");
    /* A test that needs an Intel Mac writes its machine here. */
    FILE *file = fopen("/opt/.sim/machine", "r");
    if (file) {
        if (fscanf(file, "%63s", name->machine) != 1) name->machine[0] = 0;
        fclose(file);
    }
    return 0;
}
