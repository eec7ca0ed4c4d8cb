/* What the tests of the coordinator as a process begin with: an agent "echo", a workflow "chain" of two
 * nodes that passes its input on, and short ways to start it and to ask for it. A failed expectation
 * fails the test that runs. */
#ifndef AF_COORDINATOR_SCENES_H
#define AF_COORDINATOR_SCENES_H

#include "coordinator/harness.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define INSTANCE_1 "inst_01h455vb4pex5vsknk084sn02q"
#define INSTANCE_2 "inst_01h455vb4pex5vsknk084sn02r"
#define HOST_1     "host_01h455vb4pex5vsknk084sn02q"

/* *state is a struct harness without a coordinator. */
int setup(void **state);
int teardown(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* What start_with_definitions applies: parameters of definitions.apply. */
extern const char scene_definitions[];
void start_with_definitions(struct harness *harness);
/* Starts an execution of "chain" with this JSON; its id is the caller's to free. */
char *start_chain(struct harness *harness, const char *input);
/* Calls a method with {"id": id}. */
value_t *call_for(struct harness *harness, const char *method, const char *id);
/* Waits for its end, which has to be a success with this text. */
void assert_ends_with(struct harness *harness, const char *id, const char *output);

/* Conditions for harness_until, about the peers in the order of their making. */
bool first_is_open(struct harness *harness);
bool first_holds_one(struct harness *harness);
bool second_holds_one(struct harness *harness);
bool second_is_open(struct harness *harness);
bool second_was_given_something(struct harness *harness);

#endif
