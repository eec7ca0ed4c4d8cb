/* Every default and cap of architecture.md section 9, and the caps of our own queues and buffers.
 * Durations in this file are microseconds unless the name says otherwise. */
#ifndef AF_BASE_LIMITS_H
#define AF_BASE_LIMITS_H

#define LIMIT_SECOND_US 1000000LL

/* values */
#define LIMIT_VALUE_DEPTH       256
#define LIMIT_INLINE_BYTES      (64u << 10)
#define LIMIT_BLOB_CHUNK_BYTES  (1u << 20)
#define LIMIT_VALUE_BYTES       (64u << 20)
#define LIMIT_VALUE_ITEMS       (8u << 20) /* values within one value: bounds a tree's memory */

/* expressions */
#define LIMIT_EXPRESSION_BYTES  (64u << 10) /* one expression, or one text with expressions in it */
#define LIMIT_EXPRESSION_DEPTH  128         /* of brackets, calls, conditions and macros within each other */
#define LIMIT_EXPRESSION_STEPS  5000000     /* operations of one evaluation; long texts cost more */
#define LIMIT_EXPRESSION_MEMORY_BYTES (64u << 20) /* of what one evaluation makes */
#define LIMIT_EXPRESSION_PATTERN_BYTES 4096 /* of a regular expression */
#define LIMIT_EXPRESSION_PATTERN_KIB 16384  /* of memory while it is matched */
#define LIMIT_EXPRESSION_PATTERN_WORK 4194304 /* steps of one match; a character takes one or more */
#define LIMIT_TEMPLATE_DEPTH    64

/* wire */
#define LIMIT_MESSAGE_BYTES     (4u << 20) /* all frames of one message */
#define LIMIT_ADDRESS_BYTES     128
#define LIMIT_LINK_ITEMS        256        /* items of one link frame */
#define LIMIT_LINK_FRAME_BYTES  (1u << 20) /* items of one link frame, unless a single one is larger */
#define LIMIT_LINK_UNACKED      4096       /* frames kept for resending by one link */
#define LIMIT_PATH_BYTES        256        /* of a task path */
#define LIMIT_TRACE_BYTES       128        /* a W3C traceparent has 55 */
#define LIMIT_METHOD_BYTES      64         /* name of a request's method */
#define LIMIT_CLAIMS            65536      /* tasks in the inventory of one hello */
#define LIMIT_CLAIM_STEPS       2048       /* unacknowledged steps of one claim: a turn and all its results */
#define LIMIT_PLANNED_AGENTS    65536      /* agents in the plan of one host */
#define LIMIT_LINK_UNACKED_BYTES (64u << 20) /* of them */
#define LIMIT_SOCKET_HWM        100000     /* messages queued by libzmq for one peer */

/* links and leases */
#define LIMIT_BEAT_US           (1 * LIMIT_SECOND_US)
#define LIMIT_BEAT_IDLE_US      (3 * LIMIT_SECOND_US)
#define LIMIT_BEAT_GRID_US      (LIMIT_SECOND_US / 10) /* beats of peers at rest gather on it */
#define LIMIT_LEASE_US          (2 * LIMIT_SECOND_US)
#define LIMIT_SILENCE_US        (3 * LIMIT_SECOND_US)
#define LIMIT_SILENCE_IDLE_US   (9 * LIMIT_SECOND_US)
#define LIMIT_RESEND_FIRST_US   (1 * LIMIT_SECOND_US)
#define LIMIT_RESEND_MAX_US     (10 * LIMIT_SECOND_US)
#define LIMIT_HELLO_FIRST_US    (LIMIT_SECOND_US / 4)  /* a hello is repeated after this, */
#define LIMIT_HELLO_MAX_US      (1 * LIMIT_SECOND_US)  /* doubling up to this: claims must come in time */
#define LIMIT_ANSWER_DELAY_US   (LIMIT_SECOND_US / 5)  /* an acknowledgement waits so long for company */
#define LIMIT_BEAT_AGAIN_US     (LIMIT_SECOND_US / 4)  /* between beats while the lease is running out */
#define LIMIT_REGISTER_US       (LIMIT_SECOND_US / 2)  /* between registrations that are not answered */
#define LIMIT_REFUSED_US        (5 * LIMIT_SECOND_US)  /* after a refusal by the broker */
#define LIMIT_KEEPALIVE_US      (4 * LIMIT_SECOND_US)  /* a registered peer that sent nothing in it pings */
#define LIMIT_CLAIM_WAIT_US     (3 * LIMIT_SECOND_US) /* after a coordinator's start */
#define LIMIT_BROKER_SILENCE_US (15 * LIMIT_SECOND_US) /* a peer is dropped from the directory */

/* broker */
#define LIMIT_ROUTE_BYTES       1024       /* the Route of one message */
#define LIMIT_BROKER_PEERS      65536      /* in the directory */
#define LIMIT_BROKER_AGENTS     65536      /* names in the directory */
#define LIMIT_PEER_AGENTS       64         /* names that one peer serves */
#define LIMIT_PROGRAM_BYTES     64         /* of a peer's program text that is kept */
#define LIMIT_EVENTS_HWM        10000      /* events queued for one follower; more are dropped */
#define LIMIT_TOPIC_BYTES       256        /* of a subscription */
#define LIMIT_WHO_INTERVAL_US   (LIMIT_SECOND_US / 10) /* between two WHO to the same peer */

/* definitions */
#define LIMIT_DEFINITION_BYTES  (10u << 20)
#define LIMIT_DEFINITION_DEPTH  64
#define LIMIT_DIAGNOSTICS       1000
#define LIMIT_NAME_BYTES        64
#define LIMIT_NODES             100000
#define LIMIT_EDGES             1000000
#define LIMIT_MAP_ITEMS         100000
#define LIMIT_EXECUTION_TASKS   1000000
#define LIMIT_ATTEMPTS          1000
#define LIMIT_INSTANCES         1024   /* of one agent */
#define LIMIT_PARALLEL          4096   /* tasks at a time of one instance */
#define LIMIT_PARALLEL_COMMAND  8      /* default */
#define LIMIT_PARALLEL_MODEL    64     /* default, builtins too */
#define LIMIT_LABELS            64
#define LIMIT_DEFINITION_VALUES 2000000 /* scalars, lists and objects of one file */
#define LIMIT_INPUTS            1000
#define LIMIT_ENUM              256
#define LIMIT_TEXT_BYTES        (1u << 20) /* of one text: about, say, an expression */
#define LIMIT_TOOLS             128  /* of one agent */
#define LIMIT_DELEGATES         1024 /* names and globs of one agent */
#define LIMIT_RULES             10000 /* of one script */
#define LIMIT_RULES_JOINED_BYTES (16u << 20) /* in the agents of one set of definitions */
#define LIMIT_RULES_PATH_BYTES  1024 /* of the file that holds them */
#define LIMIT_RULE_EQUALS       256  /* comparisons of one rule */
#define LIMIT_MODEL_TOKENS_MAX  10000000 /* of max_tokens */
#define LIMIT_PRICE_MAX_USD     10000 /* for a million tokens */
#define LIMIT_RETRY_BACKOFF_US  (1 * LIMIT_SECOND_US)   /* default */
#define LIMIT_RETRY_FACTOR      2.0                     /* default */
#define LIMIT_RETRY_FACTOR_MAX  1000.0
#define LIMIT_RETRY_MAX_US      (300 * LIMIT_SECOND_US) /* default */
#define LIMIT_CRON_BYTES        256  /* of a cron expression */
#define LIMIT_ZONE_BYTES        (64u << 10) /* of the file of a time zone */
#define LIMIT_RUN_LATE_US       (60 * LIMIT_SECOND_US) /* a scheduled run that is later counts as missed */
#define LIMIT_MISSED_RUNS       100  /* of one schedule, that are made up for */
#define LIMIT_SIGNAL_STARTS     1000 /* executions that one signal starts */
#define LIMIT_PROCESS_MEMORY_MIN_BYTES (1ll << 20)
#define LIMIT_PROCESS_MEMORY_MAX_BYTES (1ll << 40)

/* tasks */
#define LIMIT_LOSSES            5
#define LIMIT_TIMEOUT_COMMAND_US (3600 * LIMIT_SECOND_US)
#define LIMIT_TIMEOUT_GRACE_US  (5 * LIMIT_SECOND_US)  /* the coordinator's backstop after agentd's */
#define LIMIT_DONE_GRACE_US     (60 * LIMIT_SECOND_US) /* join: done nodes after a limit */
#define LIMIT_TIME_MAX_US       (3660 * 86400 * LIMIT_SECOND_US)
#define LIMIT_DEPTH             8    /* of delegation; default */
#define LIMIT_DEPTH_MAX         32
#define LIMIT_FORK_EVENTS       100000 /* of another execution, that a fork begins with */
#define LIMIT_FORK_BYTES        (64u << 20) /* of their records: they stand in one batch */
#define LIMIT_DELEGATIONS       1000
#define LIMIT_SAME_DELEGATION   2
#define LIMIT_TURNS             100  /* of one attempt; default */
#define LIMIT_TURNS_MAX         10000
#define LIMIT_TURN_CALLS        1024 /* tool calls of one turn */
#define LIMIT_TOOL_NAME_BYTES   128
#define LIMIT_TURN_OUTPUT_TOKENS 4096 /* of one turn; default of max_tokens */
#define LIMIT_USAGE             1000000000000ull /* tokens, or millionths of a dollar, of one call */
#define LIMIT_HISTORY_ENTRIES   4096 /* of a history, within one message */
#define LIMIT_HISTORY_BYTES     (256u << 10) /* of a history, within one message */
#define LIMIT_SIGNALS           1000         /* kept for an execution until somebody waits for them */
#define LIMIT_SIGNALS_BYTES     (4u << 20)   /* of their payloads together */
#define LIMIT_NOTE_BYTES        (4u << 10)   /* what a person says with a decision, a pause, a cancel */
#define LIMIT_CONTEXT_BYTES     (1u << 20)   /* of an execution's shared context */
#define LIMIT_CONVERSATION_BYTES (3u << 20)  /* of one request to a model */
#define LIMIT_CONVERSATION_ENTRIES (256u << 10) /* turns and results of one attempt */
#define LIMIT_TOOL_RESULT_BYTES (64u << 10)  /* of a result, as the model gets to see it */
#define LIMIT_COMMAND_OUTPUT_BYTES LIMIT_VALUE_BYTES
#define LIMIT_COMMAND_STDERR_BYTES (64u << 10)
#define LIMIT_FAILURE_MESSAGE_BYTES (4u << 10) /* of a failure, as it is journaled */
#define LIMIT_FAILURE_DETAIL_BYTES (16u << 10)
#define LIMIT_COMMAND_MEMORY_BYTES (1ull << 30)        /* default of process.memory */
#define LIMIT_COMMAND_PROCESSES 256

/* agentd */
#define LIMIT_AGENTD_UNACKED    16384      /* steps that wait for an acknowledgement: no credit past it */
#define LIMIT_AGENTD_ROUND      4096       /* messages taken before what they gave is sent */
#define LIMIT_AGENTD_VERSIONS   4          /* unused versions of the definition that are kept */
#define LIMIT_AGENTD_TOOLS      64         /* commands of tools that run at a time */
#define LIMIT_AGENTD_PARKED     1024       /* conversations kept in memory while nobody works on them */
#define LIMIT_AGENTD_PARKED_BYTES (32u << 20) /* of them */
#define LIMIT_AGENTD_PARKED_US  (600 * LIMIT_SECOND_US) /* and no longer than this */
#define LIMIT_CALL_FIRST_US     (2 * LIMIT_SECOND_US)  /* a model call is said again after this, */
#define LIMIT_CALL_MAX_US       (10 * LIMIT_SECOND_US) /* doubling up to this, until it is answered */
#define LIMIT_AGENTD_DRAIN_US   (5 * LIMIT_SECOND_US) /* after SIGTERM, for tasks that run */
#define LIMIT_COMMAND_FILE_BYTES (4ull << 30) /* one file that a command writes */
#define LIMIT_COMMAND_FILES     1024       /* open files of a command's process */
#define LIMIT_COMMAND_DETAIL_BYTES (4u << 10) /* of its standard error, sent with a failure */

/* coordinator */
#define LIMIT_CLIENT_REQUESTS   10000
#define LIMIT_ACTIVE_EXECUTIONS 100000
#define LIMIT_PAGE              200
#define LIMIT_IDEMPOTENCY_KEY_BYTES 255
#define LIMIT_IDEMPOTENCY_KEPT_US (24 * 3600 * LIMIT_SECOND_US)
#define LIMIT_RETENTION_US      (30 * 86400 * LIMIT_SECOND_US)
#define LIMIT_BATCH_EVENTS      4096          /* past them the loop takes in no more */
#define LIMIT_BATCH_BYTES       (32u << 20)   /* the same, of one batch's writes */
#define LIMIT_BATCH_STEPS       20000000      /* of expressions, in one decision, and those of one more */
#define LIMIT_ROUND_MESSAGES    4096          /* taken in before the loop commits */
#define LIMIT_DEFINITIONS       10000         /* names of agents, and of workflows */
#define LIMIT_CACHED_DAGS       1024
#define LIMIT_BLOBS_ARRIVING    256           /* blobs being put together */
#define LIMIT_BLOBS_ARRIVING_BYTES (256u << 20)
#define LIMIT_SUBSCRIPTIONS     65536
#define LIMIT_FOLDS_KEPT        8             /* ended executions folded to be shown */
#define LIMIT_DEAD_BOOTS        10000         /* boots known to be over */
#define LIMIT_PROCESS_REPORTS   10000         /* processes of hosts that are remembered */

/* store */
#define LIMIT_STORE_TABLES      30
#define LIMIT_STORE_IN_FLIGHT   64            /* batches submitted whose completion wasn't taken */
#define LIMIT_STORE_GROUP_BATCHES 64          /* batches of one transaction */
#define LIMIT_STORE_GROUP_BYTES (16u << 20)   /* of one transaction, unless a single batch is larger */
#define LIMIT_STORE_BATCH_BYTES (256u << 20)  /* a larger batch is refused */
#define LIMIT_STORE_BATCH_KEPT_BYTES (4u << 20) /* memory that a cleared batch keeps */
#define LIMIT_STORE_READERS     510           /* snapshots of all processes */
#define LIMIT_STORE_RETRY_US    (LIMIT_SECOND_US / 5) /* between tries when there is no room */
#define LIMIT_STORE_COURTESY_US (LIMIT_SECOND_US / 10) /* a snapshot waits so long for a growing map */

/* hostd */
#define LIMIT_HOST_PROCESSES    4096       /* agentd processes of one host */
#define LIMIT_HOST_REPORTS      8192       /* exits that the coordinator has not acknowledged */
#define LIMIT_START_BATCH       32         /* processes started before messages are looked at */
#define LIMIT_BACKOFF_FIRST_US  (LIMIT_SECOND_US / 10)
#define LIMIT_BACKOFF_MAX_US    (10 * LIMIT_SECOND_US)
#define LIMIT_BACKOFF_RESET_US  (30 * LIMIT_SECOND_US) /* a process that lived so long starts afresh */
#define LIMIT_KILLED_EARLY_US   (1 * LIMIT_SECOND_US)  /* likewise one that was killed from outside */
#define LIMIT_CRASH_LOOP_EXITS  10         /* that many exits ... */
#define LIMIT_CRASH_LOOP_US     (60 * LIMIT_SECOND_US) /* ... within this time */
#define LIMIT_CRASH_LOOP_REST_US (60 * LIMIT_SECOND_US) /* until it is tried again */
#define LIMIT_STOP_GRACE_US     (10 * LIMIT_SECOND_US) /* from SIGTERM to SIGKILL */
#define LIMIT_SHUTDOWN_GRACE_US (8 * LIMIT_SECOND_US)  /* the same when hostd itself ends */
#define LIMIT_STDERR_TAIL_LINES 64
#define LIMIT_STDERR_TAIL_BYTES (16u << 10)
#define LIMIT_INSTANCE_LOG_BYTES (256u << 10) /* of a running agentd; cut to its tail past that */
#define LIMIT_AGENT_LOG_BYTES   (1u << 20)    /* of an agent's ended instances; twice, as .old */

/* egress */
#define LIMIT_EGRESS_GRACE_US   (6 * LIMIT_SECOND_US)  /* its link ended; then its calls count as
                                                        * lost, if another egress is there */
#define LIMIT_EGRESS_ANSWERS    10000      /* and as many grants */
#define LIMIT_EGRESS_ANSWER_BYTES (256u << 20)
#define LIMIT_EGRESS_REQUEST_BYTES (256u << 20) /* of requests whose calls have not ended */
#define LIMIT_EGRESS_WAIT_US    (10 * LIMIT_SECOND_US) /* a request waits so long for its grant */
#define LIMIT_EGRESS_WAITING    1024       /* requests that wait for their grants */
#define LIMIT_EGRESS_WAITING_BYTES (64u << 20)
#define LIMIT_EGRESS_ASKERS     8          /* who waits for one answer; the oldest asks again */
#define LIMIT_EGRESS_VERSIONS   256        /* unused definitions that are kept */
#define LIMIT_EGRESS_STARTS     64         /* calls started before messages are looked at */
#define LIMIT_EGRESS_PIECES     256        /* deltas of a call that was due for many of them */
#define LIMIT_EGRESS_DRAIN_US   (5 * LIMIT_SECOND_US) /* after SIGTERM, for calls under way */

#endif
