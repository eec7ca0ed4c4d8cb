#include "proto/wire_samples.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define EXECUTION                                                                                  \
    {                                                                                              \
        {                                                                                          \
            0x01, 0x89, 0x0a, 0x5d, 0xac, 0x96, 0x77, 0x4b, 0xbc, 0xce, 0xb3, 0x02, 0x09, 0x9a,    \
                0x80, 0x57                                                                         \
        }                                                                                          \
    }
#define HASH                                                                                       \
    {                                                                                              \
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, \
            26, 27, 28, 29, 30, 31, 255                                                            \
    }

const struct wire_route sample_route = {.kind = WIRE_LINK_FRAME,
                                        .to = "coordinator",
                                        .from = "instance:inst_01h455vb4pex5vsknk084sn02q",
                                        .correlation = UINT64_MAX,
                                        .deadline_us = -5,
                                        .trace = "00-0af7651916cd43dd8448eb211c80319c-"
                                                 "b7ad6b7169203331-01"};

static const char *const agents[] = {"scout", "critic_2", "a-b"};
static const uint32_t steps[] = {3, 4, UINT32_MAX};
static const struct wire_claim claims[] = {
    {.execution = EXECUTION,
     .path = "draft",
     .run = {1, 7},
     .acknowledged_step = 2,
     .unacknowledged_steps = steps,
     .unacknowledged_count = COUNT(steps)},
    {.execution = EXECUTION, .path = "score[17]/2/1", .run = {UINT64_MAX, UINT64_MAX}},
};
static const struct wire_verdict verdicts[] = {
    {.execution = EXECUTION, .path = "draft", .run = {1, 7}, .keep = true, .journaled_step = 4},
    {.execution = EXECUTION, .path = "score[17]/2/1", .run = {1, 8}},
};
static const uint8_t items[] = {0x08, 0x01};

const struct wire_body sample_bodies[] = {
    {.kind = WIRE_REGISTER,
     .reg = {.major = 1,
             .minor = 2,
             .program = "agentd 0.1.0",
             .agents = agents,
             .agents_count = COUNT(agents)}},
    {.kind = WIRE_REGISTERED,
     .registered = {.major = 1,
                    .minor = 300,
                    .program = "brokerd 0.1.0",
                    .refused = "\xc3\xa4 version 2 meets version 1"}},
    {.kind = WIRE_UNDELIVERABLE,
     .undeliverable = {.kind = WIRE_REQUEST,
                       .to = "agent:nobody",
                       .reason = "unknown",
                       .text = "nobody serves it"}},
    {.kind = WIRE_REQUEST, .request = {.method = "executions.start", .idempotency_key = "k-1"}},
    {.kind = WIRE_REPLY,
     .reply = {.error = "invalid",
               .what = "it is wrong",
               .where = "here",
               .fix = "mend it",
               .line = 14,
               .column = 12,
               .retry_after_ms = 1500}},
    {.kind = WIRE_LINK_HELLO,
     .hello = {.boot = 1700000000000000,
               .number = 3,
               .role = "instance",
               .agent = "scout",
               .host = "host_01h455vb4pex5vsknk084sn02q",
               .pid = 4711,
               .credit = 8,
               .inventory = claims,
               .inventory_count = COUNT(claims),
               .program = "agentd 0.1.0"}},
    {.kind = WIRE_LINK_WELCOME,
     .welcome = {.boot = 1700000000000000,
                 .number = 3,
                 .link = {9, 1},
                 .verdicts = verdicts,
                 .verdicts_count = COUNT(verdicts)}},
    {.kind = WIRE_LINK_WELCOME, .welcome = {.boot = 1, .number = 1, .refused = "no such agent"}},
    {.kind = WIRE_LINK_FRAME,
     .frame = {.link = {9, 1},
               .sequence = 17,
               .acknowledged = 16,
               .sent_us = 123456789,
               .echo_us = 123456780,
               .items = {items, sizeof items}}},
    {.kind = WIRE_LINK_RESET, .reset = {.link = {9, 1}, .reason = "unknown"}},
    {.kind = WIRE_LINK_BYE, .reset = {.link = {0, 1}, .reason = "stopping"}},
    {.kind = WIRE_BLOB_GET, .blob_get = {.hash = HASH, .offset = 1048576}},
    {.kind = WIRE_BLOB_CHUNK,
     .blob_chunk = {.hash = HASH, .offset = 1, .size_bytes = 70000, .error = "not_found"}},
    {.kind = WIRE_BLOB_PUT, .blob_put = {.hash = HASH, .size_bytes = 70000, .offset = 65536}},
    {.kind = WIRE_BLOB_STORED,
     .blob_stored = {.hash = HASH,
                     .offset = 70000,
                     .complete = true,
                     .error = "conflict",
                     .what = "another size"}},
};
const size_t sample_bodies_count = COUNT(sample_bodies);

static const uint8_t text[] = {0xa5, 'h', 'e', 'l', 'l', 'o'};
static const struct wire_planned planned[] = {
    {.agent = "scout", .instances = 4, .memory_bytes = 268435456},
    {.agent = "critic", .instances = 1},
};

static const struct wire_item item_list[] = {
    {.kind = WIRE_ITEM_DISPATCH,
     .dispatch = {.execution = EXECUTION,
                  .path = "draft/1",
                  .attempt = 2,
                  .run = {3, 4},
                  .journaled_step = 5,
                  .agent = "scout",
                  .agent_version = 6,
                  .message = {.inline_bytes = {text, sizeof text}},
                  .timeout_us = 60000000,
                  .deadline_us = 1700000000000000,
                  .workflow = "brief",
                  .queued_us = 1699999999999999}},
    {.kind = WIRE_ITEM_DROP,
     .drop = {.execution = EXECUTION, .path = "draft", .run = {3, 4}, .reason = "cancelled"}},
    {.kind = WIRE_ITEM_STEP,
     .step = {.execution = EXECUTION,
              .path = "score[0]",
              .attempt = 1,
              .run = {3, 5},
              .number = 1,
              .kind = WIRE_STEP_RESULT,
              .queued_us = 1,
              .started_us = 2,
              .ended_us = 3,
              .output = {.is_blob = true, .hash = HASH, .size_bytes = 70000}}},
    {.kind = WIRE_ITEM_STEP,
     .step = {.execution = EXECUTION,
              .path = "score[1]",
              .attempt = 1,
              .run = {3, 6},
              .number = 2,
              .kind = WIRE_STEP_FAILURE,
              .failure = {.code = "exit",
                          .message = "it exited with status 3",
                          .detail = "line 1\nline 2",
                          .permanent = true}}},
    {.kind = WIRE_ITEM_PLAN,
     .plan = {.number = 7, .agents = planned, .agents_count = COUNT(planned)}},
    {.kind = WIRE_ITEM_PROCESS,
     .process = {.instance = "inst_01h455vb4pex5vsknk084sn02q",
                 .boot = 1700000000000000,
                 .agent = "scout",
                 .pid = 4711,
                 .exit_status = -1,
                 .signal = 9,
                 .stderr_tail = "killed",
                 .restarts = 3,
                 .stopped = "crash loop"}},
    {.kind = WIRE_ITEM_PROCESS,
     .process = {.instance = "inst_01h455vb4pex5vsknk084sn02q", .up = true}},
};

const struct wire_items sample_items = {.has_credit = true,
                                        .credit = 70,
                                        .draining = true,
                                        .items = item_list,
                                        .count = COUNT(item_list)};
