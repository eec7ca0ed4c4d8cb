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

/* wire */
#define LIMIT_MESSAGE_BYTES     (4u << 20) /* all frames of one message */
#define LIMIT_ADDRESS_BYTES     128
#define LIMIT_LINK_ITEMS        256        /* items of one link frame */
#define LIMIT_LINK_FRAME_BYTES  (1u << 20) /* items of one link frame, unless a single one is larger */
#define LIMIT_LINK_UNACKED      4096       /* frames kept for resending by one link */
#define LIMIT_SOCKET_HWM        100000     /* messages queued by libzmq for one peer */

/* links and leases */
#define LIMIT_BEAT_US           (1 * LIMIT_SECOND_US)
#define LIMIT_BEAT_IDLE_US      (3 * LIMIT_SECOND_US)
#define LIMIT_LEASE_US          (2 * LIMIT_SECOND_US)
#define LIMIT_SILENCE_US        (3 * LIMIT_SECOND_US)
#define LIMIT_SILENCE_IDLE_US   (9 * LIMIT_SECOND_US)
#define LIMIT_RESEND_FIRST_US   (1 * LIMIT_SECOND_US)
#define LIMIT_RESEND_MAX_US     (10 * LIMIT_SECOND_US)
#define LIMIT_CLAIM_WAIT_US     (3 * LIMIT_SECOND_US) /* after a coordinator's start */
#define LIMIT_BROKER_SILENCE_US (15 * LIMIT_SECOND_US) /* a peer is dropped from the directory */

/* broker */
#define LIMIT_ROUTE_BYTES       1024       /* the Route of one message */
#define LIMIT_BROKER_PEERS      65536      /* in the directory */
#define LIMIT_BROKER_AGENTS     65536      /* names in the directory */
#define LIMIT_PEER_AGENTS       64         /* names that one peer serves */
#define LIMIT_PROGRAM_BYTES     64         /* of a peer's program text that is kept */
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

/* tasks */
#define LIMIT_LOSSES            5
#define LIMIT_TIMEOUT_COMMAND_US (3600 * LIMIT_SECOND_US)
#define LIMIT_TIMEOUT_GRACE_US  (5 * LIMIT_SECOND_US)  /* the coordinator's backstop after agentd's */
#define LIMIT_DONE_GRACE_US     (60 * LIMIT_SECOND_US) /* join: done nodes after a limit */
#define LIMIT_TIME_MAX_US       (3660 * 86400 * LIMIT_SECOND_US)
#define LIMIT_DEPTH             8
#define LIMIT_DELEGATIONS       1000
#define LIMIT_SAME_DELEGATION   2
#define LIMIT_COMMAND_OUTPUT_BYTES LIMIT_VALUE_BYTES
#define LIMIT_COMMAND_STDERR_BYTES (64u << 10)
#define LIMIT_COMMAND_MEMORY_BYTES (1ull << 30)        /* default of process.memory */
#define LIMIT_COMMAND_PROCESSES 256

/* coordinator */
#define LIMIT_CLIENT_REQUESTS   10000
#define LIMIT_ACTIVE_EXECUTIONS 100000
#define LIMIT_PAGE              200
#define LIMIT_IDEMPOTENCY_KEY_BYTES 255
#define LIMIT_IDEMPOTENCY_KEPT_US (24 * 3600 * LIMIT_SECOND_US)
#define LIMIT_RETENTION_US      (30 * 86400 * LIMIT_SECOND_US)
#define LIMIT_BATCH_EVENTS      4096

/* egress */
#define LIMIT_EGRESS_ANSWERS    10000
#define LIMIT_EGRESS_ANSWER_BYTES (256u << 20)

#endif
