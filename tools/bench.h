/* What the benchmarks share: an installation of their own in a temporary directory, the machine's
 * description, samples and their percentiles. One thread. */
#ifndef AF_TOOLS_BENCH_H
#define AF_TOOLS_BENCH_H

#include "tools/commands.h"
#include "tools/stack.h"

struct bench {
    struct context *context; /* its client is connected to the temporary installation */
    daemons_t *daemons;
    struct run_paths paths;
    value_t *results; /* list */
};

/* Starts brokerd and coordinatord (and hostd) below a fresh directory in $TMPDIR, or /var/tmp, whose
 * disk is a real one more often than /tmp's. with_coordinator false: brokerd alone. */
int bench_open(struct bench *self, struct context *context, struct err *err) MUST_CHECK;
/* Stops everything and removes the directory. */
void bench_close(struct bench *self);
/* Applies definitions from a text, and waits until `instances` are there (bounded by 60 s). */
int bench_apply(struct bench *self, const char *text, int64_t instances, struct err *err) MUST_CHECK;
/* Waits for so many instances, at most 60 s. */
int bench_wait_instances(struct bench *self, int64_t instances, struct err *err) MUST_CHECK;
/* client_call with a long patience; consumes params. */
int bench_call(struct bench *self, const char *method, value_t **params_p, value_t **ret_result,
               struct err *err) MUST_CHECK;
/* CPU time that broker and coordinator have used. */
int64_t bench_daemons_cpu_us(const struct bench *self);
/* Runs executions of a workflow, so many at a time, until there were `count` or the time is over. */
struct bench_executions { uint64_t count; double seconds; };
int bench_executions(struct bench *self, const char *workflow, uint64_t in_flight, uint64_t count,
                     int64_t most_us, struct bench_executions *ret, struct err *err) MUST_CHECK;
client_t *bench_client(struct bench *self);

value_t *bench_machine(void);
/* {"bench": KIND, "machine": …, "results": […]}: the printed document. Consumes results. */
value_t *bench_document(const char *kind, value_t **results_p);

struct samples {
    int64_t *us;
    size_t count, capacity;
};
void samples_add(struct samples *self, int64_t us);
void samples_release(struct samples *self);
double samples_percentile_us(struct samples *self, double percent); /* sorts */

/* CPU time of a process and its reaped children's, in microseconds; 0 when it is gone. */
int64_t process_cpu_us(pid_t pid);

/* A number of /proc/PID/status, in KiB: "VmRSS:", or "VmHWM:" for the peak since the last reset. */
int64_t process_status_kb(pid_t pid, const char *key);
void process_reset_peak(pid_t pid);

int bench_steps(struct bench *self, struct err *err) MUST_CHECK;
int bench_fan(struct bench *self, struct err *err) MUST_CHECK;
int bench_route(struct bench *self, struct err *err) MUST_CHECK;
int bench_agents(struct bench *self, struct err *err) MUST_CHECK;
int bench_delegations(struct bench *self, struct err *err) MUST_CHECK;
int bench_dag(struct bench *self, struct err *err) MUST_CHECK;
int bench_store(struct bench *self, struct err *err) MUST_CHECK;
int bench_recovery(struct bench *self, struct err *err) MUST_CHECK;
int bench_map(struct bench *self, struct err *err) MUST_CHECK;

#endif
