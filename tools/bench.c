#include "tools/bench.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define READY_MS  60000
#define ANSWER_MS 600000 /* of one request */

/* --- the installation ------------------------------------------------------------------------- */

static int make_directory(struct bench *self, struct err *err)
{
    const char *parent = getenv("TMPDIR");
    char *path = xasprintf("%s/af-bench-XXXXXX", parent && *parent ? parent : "/var/tmp");
    int rc = 0;
    if (!mkdtemp(path))
        rc = err_set(err, ERR_IO, "can't make %s: %s", path, strerror(errno));
    if (rc == 0)
        rc = run_paths_init(&self->paths, path, err);
    if (rc == 0)
        rc = run_paths_make(&self->paths, err);
    free(path);
    return rc;
}

int bench_open(struct bench *self, struct context *context, struct err *err)
{
    *self = (struct bench){.context = context, .results = value_list()};
    int rc = make_directory(self, err);
    if (rc)
        return rc;
    struct stack_options options = {.paths = &self->paths,
                                    .agents = self->paths.dir,
                                    .die_with_parent = true,
                                    .with_host = true};
    self->daemons = stack_new(&options);
    rc = stack_start(self->daemons, err);
    if (rc)
        return rc;
    struct client_options client = {.endpoint = self->paths.broker_endpoint,
                                    .program = "agentctl bench " AF_VERSION};
    client_destroy(&context->client);
    rc = client_new(&client, &context->client, err);
    value_t *status = NULL;
    if (rc == 0)
        rc = client_call(context->client, "status", NULL, NULL, READY_MS, &status, NULL, err);
    value_destroy(&status);
    return rc;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void bench_close(struct bench *self)
{
    client_destroy(&self->context->client);
    if (self->daemons)
        stack_stop(self->daemons);
    stack_destroy(&self->daemons);
    if (self->paths.dir)
        nftw(self->paths.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    run_paths_release(&self->paths);
    value_destroy(&self->results);
}

client_t *bench_client(struct bench *self)
{
    return self->context->client;
}

int bench_wait_instances(struct bench *self, int64_t instances, struct err *err)
{
    int64_t until = clock_monotonic_us() + READY_MS * 1000LL;
    for (;;) {
        value_t *status = NULL;
        int rc =
            client_call(bench_client(self), "status", NULL, NULL, READY_MS, &status, NULL, err);
        if (rc)
            return rc;
        int64_t up = value_get_int(status, "instances", 0);
        value_destroy(&status);
        if (up >= instances)
            return 0;
        if (clock_monotonic_us() > until)
            return err_set(err, ERR_TIMEOUT, "%lld of %lld instances came up in %d s",
                           (long long)up, (long long)instances, READY_MS / 1000);
        poll(NULL, 0, 5);
    }
}

int bench_call(struct bench *self, const char *method, value_t **params_p, value_t **ret_result,
               struct err *err)
{
    int rc =
        client_call(bench_client(self), method, *params_p, NULL, ANSWER_MS, ret_result, NULL, err);
    value_destroy(params_p);
    return rc;
}

int64_t bench_daemons_cpu_us(const struct bench *self)
{
    return process_cpu_us(stack_pid(self->daemons, STACK_BROKER)) +
           process_cpu_us(stack_pid(self->daemons, STACK_COORDINATOR));
}

int bench_apply(struct bench *self, const char *text, int64_t instances, struct err *err)
{
    value_t *params = value_map();
    value_t *files = value_list();
    value_t *file = value_map();
    value_t *result = NULL;
    value_set_string(file, "name", "bench.yaml");
    value_set_string(file, "text", text);
    value_append(files, &file);
    value_set(params, "files", &files);
    int rc = bench_call(self, "definitions.apply", &params, &result, err);
    value_destroy(&result);
    return rc ? rc : bench_wait_instances(self, instances, err);
}

/* --- the machine ------------------------------------------------------------------------------ */

/* The text after ':' in the first line that begins with the key; "" when there is none. */
static void read_field(const char *path, const char *key, char *ret_text, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "re");
    ret_text[0] = 0;
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !colon)
            continue;
        colon += strspn(colon, ": \t");
        colon[strcspn(colon, "\n")] = 0;
        snprintf(ret_text, size, "%s", colon);
        break;
    }
    if (file)
        fclose(file);
}

value_t *bench_machine(void)
{
    char cpu[256];
    char memory[64];
    struct utsname kernel;
    value_t *machine = value_map();
    read_field("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    read_field("/proc/meminfo", "MemTotal", memory, sizeof memory);
    uname(&kernel);
    value_set_string(machine, "cpu", cpu);
    value_set_int(machine, "cores", sysconf(_SC_NPROCESSORS_ONLN));
    value_set_string(machine, "memory", memory);
    value_set_string(machine, "kernel", kernel.release);
    value_set_string(machine, "version", AF_VERSION);
    return machine;
}

value_t *bench_document(const char *kind, value_t **results_p)
{
    value_t *document = value_map();
    value_t *machine = bench_machine();
    value_set_string(document, "bench", kind);
    value_set(document, "machine", &machine);
    value_set(document, "results", results_p);
    return document;
}

int64_t process_cpu_us(pid_t pid)
{
    char path[64];
    char text[1024] = "";
    long long user = 0;
    long long kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld", &user,
                        &kernel) != 2)
        return 0;
    return (user + kernel) * 1000000 / sysconf(_SC_CLK_TCK);
}

int64_t process_status_kb(pid_t pid, const char *key)
{
    char path[64], line[256];
    int64_t kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = strtoll(line + strlen(key), NULL, 10);
    if (file)
        fclose(file);
    return kb;
}

void process_reset_peak(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, "5", 1);
    close(fd);
}

/* --- samples ---------------------------------------------------------------------------------- */

void samples_add(struct samples *self, int64_t us)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 1024;
        self->us = xrealloc(self->us, self->capacity * sizeof *self->us);
    }
    self->us[self->count++] = us;
}

void samples_release(struct samples *self)
{
    free(self->us);
    *self = (struct samples){0};
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

double samples_percentile_us(struct samples *self, double percent)
{
    if (self->count == 0)
        return 0;
    qsort(self->us, self->count, sizeof *self->us, compare);
    size_t index = (size_t)((double)(self->count - 1) * percent / 100.0 + 0.5);
    return (double)self->us[index];
}

/* --- the command ------------------------------------------------------------------------------ */

static const struct {
    const char *kind;
    int (*run)(struct bench *self, struct err *err);
} KINDS[] = {
    {"steps", bench_steps},
    {"fan", bench_fan},
    {"route", bench_route},
    {"agents", bench_agents},
    {"delegations", bench_delegations},
    {"map", bench_map},
    {"dag", bench_dag},
    {"store", bench_store},
    {"recovery", bench_recovery},
};

/* Everything started from here on shares the processors named: "0" or "0,1". */
static int pin(const char *list, struct err *err)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const char *p = list; *p;) {
        char *end = NULL;
        unsigned long cpu = strtoul(p, &end, 10);
        if (end == p || cpu >= CPU_SETSIZE || (*end && *end != ','))
            return err_set(err, ERR_INVALID, "--pin takes processor numbers such as 0,1");
        CPU_SET(cpu, &set);
        p = *end ? end + 1 : end;
    }
    if (sched_setaffinity(0, sizeof set, &set))
        return err_set(err, ERR_INVALID, "--pin %s: %s", list, strerror(errno));
    return 0;
}

static void print_results(const value_t *results)
{
    for (size_t i = 0; i < value_size(results); i++) {
        const value_t *result = value_at(results, i);
        for (size_t j = 0; j < value_size(result); j++) {
            struct buf text = {0};
            value_to_json(value_member_at(result, j), VALUE_JSON_COMPACT, &text);
            printf("  %-18s %s\n", value_key_at(result, j, NULL), buf_string(&text));
            buf_release(&text);
        }
        putchar('\n');
    }
}

static int run_kind(struct context *context, size_t kind, struct err *err)
{
    struct bench bench;
    int rc = context->options->pin ? pin(context->options->pin, err) : 0;
    if (rc)
        return rc;
    rc = bench_open(&bench, context, err);
    if (rc == 0)
        rc = KINDS[kind].run(&bench, err);
    if (rc == 0) {
        value_t *document = bench_document(KINDS[kind].kind, &bench.results);
        if (context->options->json)
            print_json(document);
        else
            print_results(value_get(document, "results"));
        value_destroy(&document);
    }
    bench_close(&bench);
    return rc;
}

int command_bench(struct context *context)
{
    struct err err = {0};
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        if (strcmp(KINDS[i].kind, context->args[0]) != 0)
            continue;
        return run_kind(context, i, &err) ? show_error(context->options, &err) : EXIT_OK;
    }
    err_set(&err, ERR_INVALID, "there is no bench \"%s\"", context->args[0]);
    err_fix(&err, "there are: steps, fan, route, agents, delegations, map, dag, store, recovery");
    return show_error(context->options, &err);
}
