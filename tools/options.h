/* The command line of agentctl: one table of flags, accepted in any position, each allowed only where
 * it means something. Lives as long as the program. */
#ifndef AF_TOOLS_OPTIONS_H
#define AF_TOOLS_OPTIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses (docs/cli.md). */
enum exit_status {
    EXIT_OK = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_NOT_ALLOWED = 4,
    EXIT_UNREACHABLE = 5,
    EXIT_EXECUTION_FAILED = 10,
    EXIT_EXECUTION_CANCELLED = 11,
    EXIT_WAIT_TIMEOUT = 12,
    EXIT_NEEDS_PERSON = 13,
    EXIT_LIMIT = 14,
    EXIT_INTERRUPTED = 130,
};
/* The status for an error of the error list. */
int exit_status_of(int code);

/* Flags, as bits, for the commands' tables. */
enum option_bit {
    OPTION_DETACH = 1 << 0,   /* -d, --detach */
    OPTION_INPUT = 1 << 1,    /* -i key=value, --input FILE */
    OPTION_FOLLOW = 1 << 2,   /* -f */
    OPTION_TREE = 1 << 3,     /* --tree */
    OPTION_DRY_RUN = 1 << 4,  /* --dry-run */
    OPTION_APPLY = 1 << 5,    /* --apply PATH */
    OPTION_AGENTS = 1 << 6,   /* --agents DIR */
    OPTION_NODE = 1 << 7,     /* --node NAME */
    OPTION_AT = 1 << 8,       /* --at SEQ */
    OPTION_FILTER = 1 << 9,   /* --status, --workflow, --agent, --limit, --cursor, --all,
                               * --parent ID, --label KEY=VALUE */
    OPTION_WHY = 1 << 10,     /* --why TEXT */
    OPTION_BENCH = 1 << 11,   /* --in-flight, --count, --seconds, --outstanding, --pin */
    OPTION_KEY = 1 << 12,     /* --idempotency-key */
    OPTION_NO_INPUT = 1 << 13, /* --no-input */
    OPTION_DECISION = 1 << 14, /* --note TEXT, --edit JSON */
    OPTION_PAYLOAD = 1 << 15, /* --payload JSON|- */
    OPTION_FROM = 1 << 16,    /* --from NODE */
    OPTION_FORMAT = 1 << 17,  /* --format NAME */
};

struct options {
    bool json, quiet, help, version, detach, follow, tree, dry_run, no_input, all;
    const char *broker, *dir, *apply, *agents, *input_file, *node, *status, *workflow, *agent,
        *cursor, *why, *key, *pin, *note, *edit, *payload, *from, *format, *parent, *label;
    int64_t timeout_us; /* 0: not given */
    int64_t at, limit, in_flight, count, seconds, outstanding; /* -1: not given */
    const char **inputs; /* key=value */
    size_t inputs_count;
    const char **args; /* command and what follows, flags taken out */
    size_t args_count;
    uint32_t given; /* bits of enum option_bit */
};

/* ERR_INVALID for what is not a flag or has a bad value. Consumes nothing of argv. */
int options_parse(int argc, char **argv, struct options *ret_options, struct err *err) MUST_CHECK;
void options_release(struct options *self);
/* The long names of the bits set, for messages: "--tree". */
const char *option_bit_name(uint32_t bits);

/* The name among names (NULL-terminated) nearest to what was typed, or NULL when none is near. */
const char *options_suggest(const char *typed, const char *const *names);

#endif
