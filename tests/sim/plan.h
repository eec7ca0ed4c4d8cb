/* What a seed makes of the world before it begins: workflows, agents, instances, how bad the
 * network is, and which faults there are at all. Each seed has faults of some kinds only, so that
 * each kind is also seen without the others. Constant while the world runs. */
#ifndef AF_TESTS_SIM_PLAN_H
#define AF_TESTS_SIM_PLAN_H

#include "definitions/definitions.h"
#include "engine/dag.h"
#include "tests/sim/prng.h"

#define NODES_MOST      14
#define WORKFLOWS_MOST  4
#define PROGRAMS_MOST   3 /* agents that no model answers */
#define MODELS_MOST     4
#define AGENTS_MOST     (PROGRAMS_MOST + MODELS_MOST)
#define INSTANCES_MOST  (4 * AGENTS_MOST)
#define EGRESSES_MOST   2
#define EXECUTIONS_MOST 40
#define CALM_STARTS     2 /* executions more, when the faults are over */
#define DELEGATES_MOST  3
#define TOOLS_MOST      2
#define ID_BYTES        16
#define PATH_BYTES      80
#define EXPRESSION_BYTES 64
#define EXPIRED "expired"
#define SHOWS_K       "[input.k]"
#define SHOWS_LACKING "input.lacks"

enum agent_kind { KIND_COMMAND, KIND_ECHO, KIND_SLEEP, KIND_MODEL };

/* Of a model agent. 0 in a limit: there is none, or the default. */
struct plan_talk {
    char *delegates[DELEGATES_MOST + 1]; /* names or globs; literals */
    uint32_t delegates_count;
    bool may[AGENTS_MOST]; /* whom they mean */
    uint32_t turns, depth, delegations, same_delegation, max_tokens;
    uint64_t tokens, cost;
    uint64_t input_price, output_price;
    struct agent_tool tools[TOOLS_MOST];
    struct agent_def def; /* as its instances have it */
};

struct plan_agent {
    char name[16];
    enum agent_kind kind;
    int64_t timeout_us; /* of an attempt; none may wait for ever, for instances may never answer */
    bool rerun_never;
    int64_t duration_most_us;
    struct plan_talk talk;
};

/* What an expression reads, of the input or of one node, and compares with what. */
enum plan_reads {
    READS_NOTHING, /* there is no expression */
    READS_TRUE, READS_FALSE, READS_FLAG, READS_SIZE, READS_N, READS_STATUS, READS_NULL,
    READS_NUMBER, READS_LACKING, /* fail */
    READS_LIST, READS_NUMBERS, READS_EMPTY, READS_OUTPUT, /* of items */
};
struct plan_expression {
    enum plan_reads reads;
    bool negated;
    uint32_t node, bound;
    char text[EXPRESSION_BYTES];
};

/* Members of the shared context: three numbers, and an object of two. */
enum plan_member { MEMBER_A, MEMBER_B, MEMBER_C, MEMBER_X, MEMBER_Y, MEMBER_M };
/* What one of them is set to. */
enum plan_gives {
    GIVES_NUMBER,
    GIVES_NULL,    /* removes it */
    GIVES_K,       /* of the input */
    GIVES_A,       /* member a of the context, as of the task's start, and one more */
    GIVES_OWN_N,   /* of its own output */
    GIVES_NOTHING, /* fails */
};
struct plan_patch {
    enum plan_member member;
    enum plan_gives gives;
    int64_t number;
};
#define PATCHES_MOST 2

struct plan_node {
    char id[ID_BYTES];
    enum dag_kind kind;
    uint32_t agent; /* with DAG_AGENT alone */
    uint32_t workflow; /* with DAG_WORKFLOW alone */
    uint32_t sources[NODES_MOST];
    struct plan_expression edge_ifs[NODES_MOST]; /* of each source */
    uint32_t sources_count;
    struct plan_expression condition, items;
    uint32_t items_parallel; /* 0: all at a time */
    enum dag_join join;
    enum dag_on_error on_error;
    uint32_t fallback; /* agent */
    struct dag_retry retry;
    int64_t timeout_us;
    int64_t wait_us;    /* DAG_WAIT */
    const char *signal; /* DAG_SIGNAL: "go" or "now" */
    bool on_expiry;     /* gives EXPIRED, or it fails */
    const char *show;   /* DAG_APPROVE: SHOWS_K, SHOWS_LACKING or NULL */
    struct plan_patch patches[PATCHES_MOST]; /* `set` */
    uint32_t patches_count;
    bool reads_context; /* its message does */
    bool says_all;      /* its message has the whole input */
    bool gone;          /* cut: it stays in its place, disabled */
    bool disabled;
    bool cannot_read; /* its message names what the input lacks: it fails before it starts */
    bool allow_again;
};

/* Of a workflow that starts by itself: on every so-manieth minute of the hour, from 0, in UTC. */
struct plan_schedule {
    const char *cron; /* which says the same; NULL: there is none */
    uint32_t minutes;
    enum missed missed;
    bool alone;
};

struct plan_workflow {
    char name[16];
    struct plan_node nodes[NODES_MOST];
    uint32_t nodes_count;
    uint32_t parallel;
    int64_t time_us;
    bool finish;
    const char *output; /* expression; NULL: the usual rule */
    uint32_t priority;
    uint64_t tokens, cost; /* 0: no limit */
    uint32_t depth;  /* of delegation; 0: the default */
    struct plan_schedule schedule;
    bool gone; /* cut: none of its executions is started */
    dag_t *dag;
};

struct plan_instance {
    uint32_t agent;
    uint32_t parallel;
    bool wrong; /* says what is not so, while faults last */
};

struct plan {
    struct plan_agent agents[AGENTS_MOST];
    uint32_t agents_count, models_count; /* models come last */
    struct plan_workflow workflows[WORKFLOWS_MOST];
    uint32_t workflows_count;
    struct plan_instance instances[INSTANCES_MOST];
    uint32_t instances_count;
    uint32_t executions; /* that clients start while faults last */
    bool no_execution[EXECUTIONS_MOST + CALM_STARTS]; /* cut; the last ones start in the calm */
    bool large_inputs;
    int64_t faults_us; /* how long faults last */
    int64_t fault_every_us;
    int64_t late_permille, late_most_us, lost_permille, doubled_permille;
    int64_t commit_most_us;
    int64_t fail_permille, hang_permille, cancel_permille, pause_permille;
    int64_t reopen_permille, fork_permille; /* of what people do */
    bool subs; /* workflows run others */
    int64_t clock_most_us; /* how far the clock that schedules go by is set; 0: never */
    bool people; /* somebody decides, signals, pauses and resumes; without, nothing waits */
    /* Weights: how often each kind of fault is chosen. */
    int64_t crash_coordinator, crash_instance, pause_instance, pause_coordinator, crash_broker,
        partition, disk_full, disk_error, drain_instance;
    int64_t crash_egress, pause_egress;
    int64_t slow_cut_permille; /* of partitions: slow first, then cut */
    bool hostd; /* reports the ends of instances */
    uint32_t egresses_count;
    uint64_t script_seed;
    int64_t call_most_us;
    bool narrow_egress; /* has room for few requests at a time */
    uint32_t parked_most; /* conversations that an instance keeps */
};

/* UINT32_MAX: there is none of that name. */
uint32_t plan_agent_index(const struct plan *plan, const char *name);

/* plan_rules.c: conditions, lists and waits, when the edges are drawn. */
void plan_draw_rules(const struct plan *plan, struct plan_workflow *workflow, struct prng *prng);
bool plan_waits(const struct plan_node *self); /* for a person, a time or a signal */
bool plan_gives_n(const struct plan_node *self); /* its output has an integer n */
/* What it adds to k for the input of a sub-workflow: items have numbers of their own. */
bool plan_adds_index(const struct plan_node *self);
const char *plan_text(const struct plan_expression *self); /* NULL: there is none */
bool plan_reads_node(const struct plan_expression *self);
const char *plan_member_name(enum plan_member member);
value_t *plan_set(const struct plan_node *self); /* NULL: nothing */
/* Of the input of the execution whose seed this is: its flag; its list holds so many numbers, from
 * the seed on. */
bool plan_input_flag(uint64_t k);
uint32_t plan_input_size(uint64_t k);

/* plan_models.c: agents that models answer, before instances and workflows are drawn. */
void plan_draw_models(struct plan *plan, struct prng *prng);

/* plan_schedules.c: when the workflows are drawn. */
void plan_draw_schedules(struct plan *plan, struct prng *prng);

/* plan_cut.c: takes these away, of a list with commas; whether the last one was there. */
bool plan_cut(struct plan *plan, const char *cuts);
/* All that could be cut of any plan, large things first; false at the end. */
bool plan_candidate(size_t index, char *ret_cut, size_t size);
void plan_print(struct plan *plan); /* readable, to standard output */

/* Draws the same whatever is cut. ret_cut may be NULL. */
struct plan *plan_new(struct prng *prng, const char *cuts, bool *ret_cut);
void plan_destroy(struct plan **self_p);

#endif
