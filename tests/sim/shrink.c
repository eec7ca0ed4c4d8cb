#include "tests/sim/shrink.h"

#include "tests/sim/plan.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Greedy: what can be taken away without another outcome is, until nothing can any more. Each try
 * is a process of its own, since a module may fail a check of its own. */

#define TRIES_MOST  4000
#define CUTS_BYTES  8192
#define STATUS_NONE 100
#define STATUS_BASE 101 /* and the invariant */

static int try(const struct world *like, const char *cuts)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        struct world world = {.seed = like->seed, .fault = like->fault, .cuts = cuts};
        world_run(&world);
        _exit(world.failed ? STATUS_BASE + world.invariant : STATUS_NONE);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFSIGNALED(status) ? 1 : WEXITSTATUS(status);
}

/* Whether the cut takes away anything that is there. */
static bool cuts_something(uint64_t seed, const char *cuts)
{
    struct prng prng = {world_prng(seed)};
    bool cut = false;
    struct plan *plan = plan_new(&prng, cuts, &cut);
    plan_destroy(&plan);
    return cut;
}

static bool shrink_once(const struct world *like, char *cuts, int status, unsigned *tries)
{
    char cut[64], more[CUTS_BYTES];
    bool any = false;
    for (size_t i = 0; plan_candidate(i, cut, sizeof cut) && *tries < TRIES_MOST; i++) {
        int size = snprintf(more, sizeof more, "%s%s%s", cuts, *cuts ? "," : "", cut);
        if (size >= CUTS_BYTES || !cuts_something(like->seed, more))
            continue;
        ++*tries;
        if (try(like, more) != status)
            continue;
        memcpy(cuts, more, (size_t)size + 1);
        any = true;
    }
    return any;
}

void shrink(const struct world *like, const char *program, const char *fault)
{
    char cuts[CUTS_BYTES] = "";
    unsigned tries = 0;
    int status = try(like, cuts);
    if (status == STATUS_NONE || status < 0) {
        printf("seed %llu: nothing is found\n", (unsigned long long)like->seed);
        return;
    }
    while (shrink_once(like, cuts, status, &tries) && tries < TRIES_MOST)
        ;
    struct prng prng = {world_prng(like->seed)};
    struct plan *plan = plan_new(&prng, cuts, NULL);
    printf("after %u tries the same is found with:\n", tries);
    plan_print(plan);
    plan_destroy(&plan);
    printf("  replay: %s --seed %llu --trace%s%s --cut '%s'\n", program,
           (unsigned long long)like->seed, fault ? " --fault " : "", fault ? fault : "", cuts);
}
