/* A small world for the tests of the engine: workflows by name, blobs, a journal, a second engine
 * that folds the same journal and must agree after every input, and short ways to say inputs. The
 * time stands still unless a test moves it. */
#ifndef AF_ENGINE_FIXTURE_H
#define AF_ENGINE_FIXTURE_H

#include "base/test.h"

#include "base/limits.h"
#include "base/map.h"
#include "engine/engine.h"
#include <string.h>

#define SECOND  LIMIT_SECOND_US
#define T0      (1700000000 * SECOND)
/* A node of an agent called "echo" with one attempt, unless told otherwise. */
#define NODE(name, text, ...)                                                                      \
    {                                                                                              \
        .spec = {.id = name, __VA_ARGS__}, .say = text                                             \
    }
#define AFTER(...)                                                                                 \
    .after = (const char *const[]){__VA_ARGS__},                                                   \
    .after_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

/* A node together with its message as text (JSON when it begins with a brace or bracket). */
struct node {
    struct dag_node_spec spec;
    const char *say;
};

struct fixture {
    engine_t *engine, *twin;
    uint64_t epoch;
    int64_t now;
    map_t *dags;  /* name -> dag_t */
    map_t *blobs; /* hash -> struct buf */
    struct arena arena;
    struct event *journal;
    size_t journal_count;
    struct effect *effects; /* all so far; those of the last input begin at `first` */
    size_t effects_count, first;
    size_t first_event;     /* in the journal, of the last input */
    struct decisions *kept; /* of all inputs */
    size_t kept_count;
    map_t *agents; /* name -> struct pinned_agent: those that take turns */
    struct err err;
    uint64_t executions;
    bool rerun_never;       /* of all agents pinned from now on */
    int64_t agent_timeout;
    uint64_t credit;        /* of instances that come up */
    int64_t deadline_us; /* of what is started; 0: by its workflow */
    size_t blob_reads;      /* so far */
};

struct fixture *fixture_new(void);
void fixture_free(struct fixture **f_p);
/* For cmocka: *state is a fresh fixture for each test. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
#define FIXTURE_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
/* JSON that is right; the caller's to destroy. */
value_t *parse_json(const char *json);

/* Compiles a workflow; options holds name, output, limits. */
void workflow_full(struct fixture *f, struct dag_spec options, const struct node *nodes,
                   size_t count);
#define WORKFLOW(f, title, ...)                                                                    \
    workflow_full(f, (struct dag_spec){.name = title, .priority = 5},                              \
                  (const struct node[]){__VA_ARGS__},                                              \
                  sizeof((const struct node[]){__VA_ARGS__}) / sizeof(struct node))

/* Puts one input through the engine and its twin; returns what engine_decide did. */
int decide(struct fixture *f, struct input input);
struct uuid start(struct fixture *f, const char *workflow);
struct uuid start_with(struct fixture *f, const char *workflow, const char *input_json);
int cancel(struct fixture *f, struct uuid id);
void up(struct fixture *f, uint64_t handle, const char *agent);
void up_claiming(struct fixture *f, uint64_t handle, uint64_t old_handle, const char *agent,
                 const struct claim *claims, size_t count);
void down(struct fixture *f, uint64_t handle, const char *reason);
void credit(struct fixture *f, uint64_t handle, uint64_t total);
void tick(struct fixture *f, int64_t at_us);
void resume(struct fixture *f);
/* A new engine folds the journal, with the next epoch. Says INPUT_RESUME. */
void restart(struct fixture *f);
/* The same, when so many events of the journal were on disk before. */
void crash(struct fixture *f, size_t on_disk);
/* After each event of the journal so far: it can be folded and gone on from there. */
void crash_everywhere(struct fixture *f);

/* The first events of an execution become those of another one, which the engine takes over. */
void copy_journal(struct fixture *f, struct uuid from, uint64_t until, struct uuid to);

/* Answers under the run of a dispatch with its next step. */
void result(struct fixture *f, const struct effect_dispatch *dispatch, const char *json);
void failure(struct fixture *f, const struct effect_dispatch *dispatch, const char *code,
             bool permanent);
void step(struct fixture *f, const struct effect_dispatch *dispatch, struct event_step step);
/* Answers every dispatch of the last input with its own message, and those that follow. */
void echo_all(struct fixture *f);

/* An agent that takes turns; as.delegates ends with NULL. */
void model(struct fixture *f, struct pinned_agent as);
#define TO(...) .delegates = (const char *const[]){__VA_ARGS__, NULL}
/* "egress:e1". */
void egress_up(struct fixture *f, uint64_t handle, uint64_t boot, const struct call_key *held,
               size_t count);
/* What the holder of a dispatch says. calls ends with NULL; usage: so many output tokens. */
void turn(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t step_number,
          uint32_t turn_number, uint64_t tokens, const char *const *calls);
#define CALLS(...) ((const char *const[]){__VA_ARGS__, NULL})
void tool_result(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t step_number,
                 uint32_t turn_number, uint32_t call, const char *json);
void delegate(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t turn_number,
              uint32_t call, const char *agent, const char *json);
void delegate_full(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t turn_number,
                   uint32_t call, const char *agent, const char *json, bool hand_off);
void tool_call(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t turn_number,
               uint32_t call, const char *tool, const char *json);

/* What comes from outside; each returns what engine_decide did. */
int reopen(struct fixture *f, struct uuid id);
int decision(struct fixture *f, struct uuid id, const char *path, bool approved);
int signal_to(struct fixture *f, struct uuid id, const char *name, const char *json);
int pause_it(struct fixture *f, struct uuid id);
int go_on(struct fixture *f, struct uuid id);

/* Of the last input. */
size_t count_effects(const struct fixture *f, enum effect_kind kind);
size_t count_events(const struct fixture *f, enum event_kind kind);
const struct effect_dispatch *dispatch_of(const struct fixture *f, const char *path); /* or NULL */
const struct effect_drop *drop_of(const struct fixture *f, const char *path);         /* or NULL */
const struct effect_granted *granted_of(const struct fixture *f, const char *path); /* or NULL */
const struct effect_grant *grant_of(const struct fixture *f, const char *path);     /* or NULL */
const struct effect_forget *forget_of(const struct fixture *f, const char *path);   /* or NULL */
const struct effect_welcome *welcome_of(const struct fixture *f);
const struct event *event_of(const struct fixture *f, enum event_kind kind); /* the last, or NULL */

struct execution_view execution(const struct fixture *f, struct uuid id);
struct task_view task(const struct fixture *f, struct uuid id, const char *path);
const char *status_of(const struct fixture *f, struct uuid id);
const char *task_status_of(const struct fixture *f, struct uuid id, const char *path);
/* JSON text, in the fixture's arena. */
const char *json_of(struct fixture *f, const struct datum *datum);
const char *output_of(struct fixture *f, struct uuid id);
struct datum datum_of(struct fixture *f, const char *json);

#endif
