#include "tools/options.h"

#include "base/clock.h"
#include "base/suggest.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum long_only {
    FLAG_JSON = 256,
    FLAG_BROKER,
    FLAG_DIR,
    FLAG_TIMEOUT,
    FLAG_VERSION,
    FLAG_INPUT,
    FLAG_TREE,
    FLAG_DRY_RUN,
    FLAG_APPLY,
    FLAG_AGENTS,
    FLAG_NODE,
    FLAG_AT,
    FLAG_STATUS,
    FLAG_WORKFLOW,
    FLAG_LABEL,
    FLAG_AGENT,
    FLAG_LIMIT,
    FLAG_CURSOR,
    FLAG_ALL,
    FLAG_PARENT,
    FLAG_WHY,
    FLAG_IN_FLIGHT,
    FLAG_COUNT,
    FLAG_SECONDS,
    FLAG_OUTSTANDING,
    FLAG_PIN,
    FLAG_KEY,
    FLAG_NO_INPUT,
    FLAG_NOTE,
    FLAG_EDIT,
    FLAG_PAYLOAD,
    FLAG_FROM,
    FLAG_FORMAT,
};

static const struct option FLAGS[] = {
    {"json", no_argument, NULL, FLAG_JSON},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, FLAG_VERSION},
    {"broker", required_argument, NULL, FLAG_BROKER},
    {"dir", required_argument, NULL, FLAG_DIR},
    {"timeout", required_argument, NULL, FLAG_TIMEOUT},
    {"detach", no_argument, NULL, 'd'},
    {"input", required_argument, NULL, FLAG_INPUT},
    {"follow", no_argument, NULL, 'f'},
    {"tree", no_argument, NULL, FLAG_TREE},
    {"dry-run", no_argument, NULL, FLAG_DRY_RUN},
    {"apply", required_argument, NULL, FLAG_APPLY},
    {"agents", required_argument, NULL, FLAG_AGENTS},
    {"node", required_argument, NULL, FLAG_NODE},
    {"at", required_argument, NULL, FLAG_AT},
    {"status", required_argument, NULL, FLAG_STATUS},
    {"workflow", required_argument, NULL, FLAG_WORKFLOW},
    {"agent", required_argument, NULL, FLAG_AGENT},
    {"limit", required_argument, NULL, FLAG_LIMIT},
    {"cursor", required_argument, NULL, FLAG_CURSOR},
    {"all", no_argument, NULL, FLAG_ALL},
    {"parent", required_argument, NULL, FLAG_PARENT},
    {"label", required_argument, NULL, FLAG_LABEL},
    {"why", required_argument, NULL, FLAG_WHY},
    {"in-flight", required_argument, NULL, FLAG_IN_FLIGHT},
    {"count", required_argument, NULL, FLAG_COUNT},
    {"seconds", required_argument, NULL, FLAG_SECONDS},
    {"outstanding", required_argument, NULL, FLAG_OUTSTANDING},
    {"pin", required_argument, NULL, FLAG_PIN},
    {"idempotency-key", required_argument, NULL, FLAG_KEY},
    {"no-input", no_argument, NULL, FLAG_NO_INPUT},
    {"note", required_argument, NULL, FLAG_NOTE},
    {"edit", required_argument, NULL, FLAG_EDIT},
    {"payload", required_argument, NULL, FLAG_PAYLOAD},
    {"from", required_argument, NULL, FLAG_FROM},
    {"format", required_argument, NULL, FLAG_FORMAT},
    {NULL, 0, NULL, 0},
};

int exit_status_of(int code)
{
    switch (code) {
    case 0: return EXIT_OK;
    case ERR_INVALID:
    case ERR_UNSUPPORTED: return EXIT_USAGE;
    case ERR_NOT_FOUND: return EXIT_NOT_FOUND;
    case ERR_NOT_ALLOWED: return EXIT_NOT_ALLOWED;
    case ERR_UNREACHABLE: return EXIT_UNREACHABLE;
    case ERR_TIMEOUT: return EXIT_WAIT_TIMEOUT;
    case ERR_LIMIT:
    case ERR_BUSY:
    case ERR_FULL: return EXIT_LIMIT;
    default: return EXIT_ERROR;
    }
}

const char *option_bit_name(uint32_t bits)
{
    static const char *const names[] = {
        "--detach",
        "-i/--input",
        "--follow",
        "--tree",
        "--dry-run",
        "--apply",
        "--agents",
        "--node",
        "--at",
        "--status/--workflow/--agent/--limit/--cursor/--all/--parent/--label",
        "--why",
        "--in-flight/--count/--seconds/--outstanding/--pin",
        "--idempotency-key",
        "--no-input",
        "--note/--edit",
        "--payload",
        "--from",
        "--format"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bits & (1u << i))
            return names[i];
    return "";
}

const char *options_suggest(const char *typed, const char *const *names)
{
    struct suggestion suggestion = SUGGESTION(typed);
    for (; *names; names++)
        suggestion_offer(&suggestion, *names);
    return suggestion.nearest;
}

static int parse_number(const char *flag, const char *text, int64_t *ret_number, struct err *err)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < 0) {
        err_set(err, ERR_INVALID, "%s takes a whole number, not \"%s\"", flag, text);
        return ERR_INVALID;
    }
    *ret_number = number;
    return 0;
}

static int parse_timeout(const char *text, int64_t *ret_us, struct err *err)
{
    int rc = duration_parse(text, strlen(text), ret_us, err);
    if (rc) {
        err_where(err, "--timeout");
        err_fix(err, "write a duration such as 500ms, 30s, 5m or 2h");
    }
    return rc;
}

static int add_input(struct options *self, const char *pair, struct err *err)
{
    const char *equals = strchr(pair, '=');
    if (!equals || equals == pair) {
        err_set(err, ERR_INVALID, "-i takes key=value, not \"%s\"", pair);
        return ERR_INVALID;
    }
    self->inputs = xrealloc(self->inputs, (self->inputs_count + 1) * sizeof *self->inputs);
    self->inputs[self->inputs_count++] = pair;
    return 0;
}

static int take_common(struct options *self, int flag, struct err *err)
{
    switch (flag) {
    case FLAG_JSON: self->json = true; return 0;
    case 'q': self->quiet = true; return 0;
    case 'h': self->help = true; return 0;
    case FLAG_VERSION: self->version = true; return 0;
    case FLAG_BROKER: self->broker = optarg; return 0;
    case FLAG_DIR: self->dir = optarg; return 0;
    case FLAG_TIMEOUT: return parse_timeout(optarg, &self->timeout_us, err);
    default: return err_set(err, ERR_INTERNAL, "a flag that nobody takes");
    }
}

static int take_text(struct options *self, uint32_t bit, const char **slot)
{
    *slot = optarg;
    self->given |= bit;
    return 0;
}

static int take_bool(struct options *self, uint32_t bit, bool *slot)
{
    *slot = true;
    self->given |= bit;
    return 0;
}

static int take_number(struct options *self, uint32_t bit, const char *flag, int64_t *slot,
                       struct err *err)
{
    self->given |= bit;
    return parse_number(flag, optarg, slot, err);
}

static int take(struct options *self, int flag, struct err *err)
{
    switch (flag) {
    case 'd': return take_bool(self, OPTION_DETACH, &self->detach);
    case 'f': return take_bool(self, OPTION_FOLLOW, &self->follow);
    case 'i': self->given |= OPTION_INPUT; return add_input(self, optarg, err);
    case FLAG_INPUT: return take_text(self, OPTION_INPUT, &self->input_file);
    case FLAG_TREE: return take_bool(self, OPTION_TREE, &self->tree);
    case FLAG_DRY_RUN: return take_bool(self, OPTION_DRY_RUN, &self->dry_run);
    case FLAG_NO_INPUT: return take_bool(self, OPTION_NO_INPUT, &self->no_input);
    case FLAG_ALL: return take_bool(self, OPTION_FILTER, &self->all);
    case FLAG_APPLY: return take_text(self, OPTION_APPLY, &self->apply);
    case FLAG_AGENTS: return take_text(self, OPTION_AGENTS, &self->agents);
    case FLAG_NODE: return take_text(self, OPTION_NODE, &self->node);
    case FLAG_STATUS: return take_text(self, OPTION_FILTER, &self->status);
    case FLAG_WORKFLOW: return take_text(self, OPTION_FILTER, &self->workflow);
    case FLAG_AGENT: return take_text(self, OPTION_FILTER, &self->agent);
    case FLAG_CURSOR: return take_text(self, OPTION_FILTER, &self->cursor);
    case FLAG_PARENT: return take_text(self, OPTION_FILTER, &self->parent);
    case FLAG_LABEL: return take_text(self, OPTION_FILTER, &self->label);
    case FLAG_WHY: return take_text(self, OPTION_WHY, &self->why);
    case FLAG_NOTE: return take_text(self, OPTION_DECISION, &self->note);
    case FLAG_EDIT: return take_text(self, OPTION_DECISION, &self->edit);
    case FLAG_PAYLOAD: return take_text(self, OPTION_PAYLOAD, &self->payload);
    case FLAG_FORMAT: return take_text(self, OPTION_FORMAT, &self->format);
    case FLAG_FROM: return take_text(self, OPTION_FROM, &self->from);
    case FLAG_KEY: return take_text(self, OPTION_KEY, &self->key);
    case FLAG_PIN: return take_text(self, OPTION_BENCH, &self->pin);
    case FLAG_AT: return take_number(self, OPTION_AT, "--at", &self->at, err);
    case FLAG_LIMIT: return take_number(self, OPTION_FILTER, "--limit", &self->limit, err);
    case FLAG_IN_FLIGHT:
        return take_number(self, OPTION_BENCH, "--in-flight", &self->in_flight, err);
    case FLAG_COUNT: return take_number(self, OPTION_BENCH, "--count", &self->count, err);
    case FLAG_SECONDS: return take_number(self, OPTION_BENCH, "--seconds", &self->seconds, err);
    case FLAG_OUTSTANDING:
        return take_number(self, OPTION_BENCH, "--outstanding", &self->outstanding, err);
    default: return take_common(self, flag, err);
    }
}

static int refuse(int flag, char **argv, struct err *err)
{
    const char *typed = argv[optind - 1];
    if (flag == ':')
        return err_set(err, ERR_INVALID, "%s needs a value", typed);
    const char *names[sizeof FLAGS / sizeof *FLAGS];
    size_t count = 0;
    for (const struct option *option = FLAGS; option->name; option++)
        names[count++] = option->name;
    names[count] = NULL;
    err_set(err, ERR_INVALID, "unknown flag %s", typed);
    const char *near = strncmp(typed, "--", 2) == 0 ? options_suggest(typed + 2, names) : NULL;
    if (near)
        err_fix(err, "did you mean --%s?", near);
    else
        err_fix(err, "`agentctl --help` lists the flags");
    return ERR_INVALID;
}

int options_parse(int argc, char **argv, struct options *ret_options, struct err *err)
{
    struct options self = {
        .at = -1, .limit = -1, .in_flight = -1, .count = -1, .seconds = -1, .outstanding = -1};
    int flag;
    int rc = 0;
    opterr = 0;
    while (rc == 0 && (flag = getopt_long(argc, argv, ":dfi:qh", FLAGS, NULL)) != -1)
        rc = flag == '?' || flag == ':' ? refuse(flag, argv, err) : take(&self, flag, err);
    if (rc) {
        options_release(&self);
        return rc;
    }
    self.args_count = (size_t)(argc - optind);
    self.args = xcalloc(self.args_count + 1, sizeof *self.args);
    for (size_t i = 0; i < self.args_count; i++)
        self.args[i] = argv[optind + (int)i];
    *ret_options = self;
    return 0;
}

void options_release(struct options *self)
{
    free(self->inputs);
    free(self->args);
    memset(self, 0, sizeof *self);
}
