#include "agentd/sandbox_stub.h"

#include "base/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- Landlock (docs.kernel.org/userspace-api/landlock.html) ------------------------------------
 * Written out here, since the C library has no calls for it and older kernel headers lack the later
 * rights. */

struct ruleset {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* ABI 4 */
    uint64_t scoped;             /* ABI 6 */
};

#define FS_MAKE_AND_WRITE                                                                          \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FS_REFER       (1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE    (1ULL << 14) /* ABI 3 */
#define NET_BIND_TCP   (1ULL << 0)
#define NET_CONNECT    (1ULL << 1)
#define SCOPE_ABSTRACT (1ULL << 0)
#define SCOPE_SIGNAL   (1ULL << 1)

int sandbox_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static int allow(int ruleset, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno;
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    long rc = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int error = rc < 0 ? errno : 0;
    close(fd);
    return error;
}

static struct ruleset ruleset_of(int abi, bool network)
{
    struct ruleset rules = {.handled_access_fs = FS_MAKE_AND_WRITE};
    if (abi >= 2)
        rules.handled_access_fs |= FS_REFER;
    if (abi >= 3)
        rules.handled_access_fs |= FS_TRUNCATE;
    if (abi >= 4 && !network)
        rules.handled_access_net = NET_BIND_TCP | NET_CONNECT;
    if (abi >= 6)
        rules.scoped = SCOPE_SIGNAL | (network ? 0 : SCOPE_ABSTRACT);
    return rules;
}

static size_t ruleset_size(int abi)
{
    if (abi >= 6)
        return sizeof(struct ruleset);
    return abi >= 4 ? offsetof(struct ruleset, scoped)
                    : offsetof(struct ruleset, handled_access_net);
}

/* In a network namespace of its own a program may talk to itself over the loopback; so TCP is only
 * denied here where there is no such namespace, which the caller tells by `network`. */
int sandbox_landlock(int abi, const char *directory, bool private_shm, bool network)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full"};
    struct ruleset rules = ruleset_of(abi, network);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, ruleset_size(abi), 0);
    if (ruleset < 0)
        return errno;
    uint64_t file = rules.handled_access_fs & (LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE);
    int error = allow(ruleset, directory, rules.handled_access_fs);
    if (!error && private_shm)
        error = allow(ruleset, "/dev/shm", rules.handled_access_fs);
    for (size_t i = 0; !error && i < sizeof devices / sizeof devices[0]; i++)
        (void)allow(ruleset, devices[i], file);
    if (!error && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        error = errno;
    close(ruleset);
    return error;
}

/* --- capabilities: what root keeps is to read and own files, not to rule the machine -------------
 */

int sandbox_drop_capabilities(void)
{
    uint32_t kept = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH |
                    1u << CAP_FOWNER | 1u << CAP_FSETID;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &header, data) < 0)
        return errno;
    data[0].effective &= kept;
    data[0].permitted &= kept;
    data[0].inheritable = 0;
    data[1] = (struct __user_cap_data_struct){0};
    return syscall(SYS_capset, &header, data) < 0 ? errno : 0;
}

/* --- limits ------------------------------------------------------------------------------------
 */

static int limit(int resource, uint64_t most)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return errno;
    rlim_t value = now.rlim_max < most ? now.rlim_max : (rlim_t)most;
    struct rlimit wanted = {.rlim_cur = value, .rlim_max = value};
    return setrlimit((__rlimit_resource_t)resource, &wanted) < 0 ? errno : 0;
}

/* Memory is limited as data, not as address space: runtimes reserve far more than they use. The
 * number of processes is counted per user, so that it can only be limited in a user namespace. */
int sandbox_limits(const struct sandbox_spec *spec, bool own_user_namespace)
{
    int error = limit(RLIMIT_CORE, 0);
    if (!error && spec->memory_bytes)
        error = limit(RLIMIT_DATA, spec->memory_bytes);
    if (!error)
        error = limit(RLIMIT_NOFILE, LIMIT_COMMAND_FILES);
    if (!error)
        error = limit(RLIMIT_FSIZE, LIMIT_COMMAND_FILE_BYTES);
    if (!error && own_user_namespace)
        error = limit(RLIMIT_NPROC, LIMIT_COMMAND_PROCESSES);
    return error;
}

/* --- system calls that no command needs, and that have opened doors before -----------------------
 */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the seccomp architecture of this machine is not known"
#endif
#define X32_CALLS 0x40000000u /* calls of the x32 ABI, which would go round the list */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define REFUSE(e)   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (e))
#define DENY(call)  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), REFUSE(EPERM)

#define DENIED_CALLS                                                                               \
    DENY(ptrace), DENY(process_vm_readv), DENY(process_vm_writev), DENY(kexec_load),               \
        DENY(kexec_file_load), DENY(init_module), DENY(finit_module), DENY(delete_module),         \
        DENY(bpf), DENY(perf_event_open), DENY(userfaultfd), DENY(keyctl), DENY(add_key),          \
        DENY(request_key), DENY(mount), DENY(umount2), DENY(pivot_root), DENY(move_mount),         \
        DENY(open_tree), DENY(fsopen), DENY(fsmount), DENY(setns), DENY(swapon), DENY(swapoff),    \
        DENY(reboot), DENY(acct), DENY(quotactl), DENY(io_uring_setup), DENY(open_by_handle_at)

#define FILTER_HEAD                                                                                \
    LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0), REFUSE(ENOSYS), LOAD(nr), \
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1), REFUSE(ENOSYS)

/* Sockets in the file system are not part of a network namespace: a command without network must
 * not reach a broker, a container engine or a session bus through one. */
#define NO_UNIX_SOCKETS                                                                            \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 4), LOAD(args[0]),                          \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1), REFUSE(EACCES),                        \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int sandbox_filter_calls(bool network)
{
    static struct sock_filter with_network[] = {FILTER_HEAD, DENIED_CALLS,
                                                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    static struct sock_filter without_network[] = {FILTER_HEAD, NO_UNIX_SOCKETS, DENIED_CALLS,
                                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = sizeof with_network / sizeof with_network[0],
                                 .filter = with_network};
    if (!network)
        program = (struct sock_fprog){.len = sizeof without_network / sizeof without_network[0],
                                      .filter = without_network};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 || errno == EINVAL)
        return 0;
    return errno;
}
