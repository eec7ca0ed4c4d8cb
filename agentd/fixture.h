/* A real agentd process behind a real brokerd, with a coordinator made for the test. */
#ifndef AF_AGENTD_FIXTURE_H
#define AF_AGENTD_FIXTURE_H

#include "agentd/fake_coordinator.h"
#include "base/run.h"
#include "base/typeid.h"
#include <sys/types.h>

struct fixture {
    char dir[64];
    struct run_paths paths;
    char *agents;
    pid_t broker, agentd;
    struct fake fake;
    struct uuid execution;
};

int fixture_set_up(void **state);
int fixture_tear_down(void **state);
/* Starts an instance of the agent. */
void fixture_start(struct fixture *self, const char *name);
/* The definition in its canonical form, whose agent is called "a". */
void fixture_serve(struct fixture *self, const char *definition_json);
int fixture_stop(pid_t *pid, int signal_number); /* its status */
void fixture_write_program(const struct fixture *self, const char *name, const char *script);
void fixture_assert_output(const struct fake_step *step, const char *json);

/* Commands may only write to their scratch directory: a witness of their lives is a fifo that the
 * test made, whose reader sees its end once no writer is left. It is opened by the command's shell
 * for reading and stays open in all that it starts. */
struct witness {
    int fd;
    char *path;
};
struct witness witness_open(const struct fixture *self);
void witness_wait_until_seen(struct fixture *self, struct witness *witness);
bool witness_is_gone(const struct witness *witness);
void witness_wait_until_gone(struct fixture *self, struct witness *witness);
/* Leaves a daemon behind, in a session of its own, that also holds the witness. */
void fixture_write_daemoniser(const struct fixture *self);

#endif
