/* sim: runs the simulated world for one seed or many. Exits 0 when nothing was found; with --fault,
 * when the planted fault was found. docs: tests/sim/world.h, observer.h. */
#include "tests/sim/shrink.h"
#include "tests/sim/world.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The fault of this very program, when it holds a changed copy of a module; see mutate.py. */
#ifndef SIM_MUTANT
#define SIM_MUTANT ""
#endif

struct options {
    uint64_t first, seeds;
    bool trace, thorough, shrink;
    const char *fault, *cuts;
};

static const struct {
    const char *name;
    enum shell_fault fault;
} shell_faults[] = {
    {"acknowledge_early", FAULT_ACKNOWLEDGE_EARLY},
    {"reply_early", FAULT_REPLY_EARLY},
    {"dispatch_early", FAULT_DISPATCH_EARLY},
    {"no_flush", FAULT_NO_FLUSH},
    {"grant_before_commit", FAULT_GRANT_EARLY},
    {"forget_early", FAULT_FORGET_EARLY},
    {"fork_apart", FAULT_FORK_APART},
    {"schedule_apart", FAULT_SCHEDULE_APART},
    {"schedule_beside", FAULT_SCHEDULE_BESIDE},
};

static void usage(FILE *out)
{
    fprintf(out, "usage: sim [--first S] [--seeds N] [--seed S] [--trace] [--thorough] "
                 "[--fault NAME]\n"
                 "           [--shrink] [--cut LIST]\n"
                 "  --seeds N     runs so many seeds, from --first (1) on\n"
                 "  --seed S      runs this one\n"
                 "  --trace       tells the plan and all that happens\n"
                 "  --thorough    folds whole journals anew after every event\n"
                 "  --shrink      takes away what the first failure can do without\n"
                 "  --cut LIST    without these parts of the plan, as --shrink prints them\n"
                 "  --fault NAME  with a planted fault, which has to be found\n");
}

static int read_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"first", required_argument, NULL, 'f'}, {"seeds", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},  {"trace", no_argument, NULL, 't'},
        {"thorough", no_argument, NULL, 'T'},    {"fault", required_argument, NULL, 'x'},
        {"shrink", no_argument, NULL, 'S'},      {"cut", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},        {0}};
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (option) {
        case 'f': options->first = strtoull(optarg, NULL, 10); break;
        case 'n': options->seeds = strtoull(optarg, NULL, 10); break;
        case 's':
            options->first = strtoull(optarg, NULL, 10);
            options->seeds = 1;
            break;
        case 't': options->trace = true; break;
        case 'T': options->thorough = true; break;
        case 'S': options->shrink = true; break;
        case 'c': options->cuts = optarg; break;
        case 'x': options->fault = optarg; break;
        case 'h': usage(stdout); exit(0);
        default: usage(stderr); return -1;
        }
    }
    return 0;
}

/* A fault of a pure module is in a program of its own, beside this one. */
static void run_mutant(char **argv, const char *fault)
{
    char *program = xasprintf("%s_%s", argv[0], fault);
    if (access(program, X_OK) == 0)
        execv(program, argv);
    fprintf(stderr, "sim: there is no fault \"%s\" (nor a program %s)\n", fault, program);
    free(program);
    exit(2);
}

static enum shell_fault find_fault(char **argv, const char *name)
{
    if (strcmp(SIM_MUTANT, name) == 0)
        return FAULT_NONE;
    for (size_t i = 0; i < sizeof shell_faults / sizeof shell_faults[0]; i++)
        if (strcmp(shell_faults[i].name, name) == 0)
            return shell_faults[i].fault;
    run_mutant(argv, name);
    return FAULT_NONE;
}

static void add_counts(struct counts *sum, const struct counts *counts)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)counts;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void print_counts(uint64_t seeds, const struct counts *counts)
{
    printf("%" PRIu64 " seeds: %" PRIu64 " executions, %" PRIu64 " events, %" PRIu64
           " dispatches, %" PRIu64 " effects, %" PRIu64 " losses, %" PRIu64 " retries, %" PRIu64
           " cancels\n",
           seeds, counts->executions, counts->events, counts->dispatches, counts->effects,
           counts->losses, counts->retries, counts->cancels);
    printf("  %" PRIu64 " messages (%" PRIu64 " lost, %" PRIu64 " doubled), %" PRIu64
           " claims kept and %" PRIu64 " refused, %" PRIu64 " lies\n",
           counts->messages, counts->lost_messages, counts->doubled_messages, counts->kept_claims,
           counts->refused_claims, counts->lies);
    printf("  %" PRIu64 " turns, %" PRIu64 " delegations and %" PRIu64 " refused, %" PRIu64
           " calls of models (%" PRIu64 " again, %" PRIu64 " too late), %" PRIu64
           " histories fetched, %" PRIu64 " crashes of egresses\n",
           counts->turns, counts->delegations, counts->refusals, counts->provider_calls,
           counts->calls_again, counts->calls_late, counts->fetches, counts->egress_crashes);
    printf("  %" PRIu64 " expressions, %" PRIu64 " items, %" PRIu64 " waits, %" PRIu64
           " decisions, %" PRIu64 " signals, %" PRIu64 " pauses by people, %" PRIu64
           " reopened, %" PRIu64 " forks, %" PRIu64 " sub-workflows\n",
           counts->expressions, counts->items, counts->waits, counts->decisions, counts->signals,
           counts->human_pauses, counts->reopened, counts->forks, counts->subs);
    printf("  %" PRIu64 " started by schedules (%" PRIu64 " late), %" PRIu64
           " left out beside others, %" PRIu64 " clocks set\n",
           counts->scheduled, counts->scheduled_late, counts->schedules_skipped,
           counts->clocks_set);
    printf("  %" PRIu64 " crashes, %" PRIu64 " batches torn off, %" PRIu64 " pauses, %" PRIu64
           " partitions, %" PRIu64 " broker crashes, %" PRIu64 " disk faults\n",
           counts->crashes, counts->torn, counts->pauses, counts->partitions,
           counts->broker_crashes, counts->disk_faults);
}

static void print_failure(const struct world *world, const char *program, const char *fault)
{
    if (world->invariant > 0)
        printf("seed %" PRIu64 ", at %.6f s: invariant %d: %s\n", world->seed,
               (double)world->now_us / (double)SECOND, world->invariant, world->failure);
    else
        printf("seed %" PRIu64 ", at %.6f s: %s\n", world->seed,
               (double)world->now_us / (double)SECOND, world->failure);
    printf("  replay: %s --seed %" PRIu64 " --trace%s%s\n", program, world->seed,
           fault ? " --fault " : "", fault ? fault : "");
}

/* A failed CHECK of a module is a finding, too: it has said by itself what is wrong. */
static volatile sig_atomic_t found_status;
static char aborted_text[160];
static size_t aborted_size;

static void on_abort(int number)
{
    (void)number;
    (void)!write(STDOUT_FILENO, aborted_text, aborted_size);
    _exit(found_status);
}

static void watch_aborts(uint64_t seed, const char *program, const char *fault)
{
    int size =
        snprintf(aborted_text, sizeof aborted_text,
                 "seed %" PRIu64
                 ": a check of the program failed, or it crashed\n  replay: %s --seed %" PRIu64
                 " --trace%s%s\n",
                 seed, program, seed, fault ? " --fault " : "", fault ? fault : "");
    aborted_size = size < (int)sizeof aborted_text ? (size_t)size : sizeof aborted_text - 1;
    found_status = fault ? 0 : 1;
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGSEGV, on_abort); /* a module's defect, too */
}

int main(int argc, char **argv)
{
    struct options options = {.first = 1, .seeds = 100};
    struct counts sum = {0};
    enum shell_fault fault = FAULT_NONE;
    if (read_options(argc, argv, &options))
        return 2;
    if (options.fault)
        fault = find_fault(argv, options.fault);
    for (uint64_t i = 0; i < options.seeds; i++) {
        struct world world = {.seed = options.first + i,
                              .fault = fault,
                              .tracing = options.trace,
                              .thorough = options.thorough,
                              .cuts = options.cuts};
        watch_aborts(world.seed, argv[0], options.fault);
        world_run(&world);
        add_counts(&sum, &world.counts);
        if (!world.failed)
            continue;
        print_failure(&world, argv[0], options.fault);
        if (options.shrink)
            shrink(&world, argv[0], options.fault);
        return options.fault ? 0 : 1;
    }
    print_counts(options.seeds, &sum);
    if (options.fault)
        printf("the planted fault %s was not found\n", options.fault);
    return options.fault ? 1 : 0;
}
