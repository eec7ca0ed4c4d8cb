/* The decoder of journal records, and what an engine makes of any event that decodes. */
#include "coordinator/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static dag_t *find_dag(void *context, const char *workflow, uint32_t version, const char *agent,
                       struct err *err)
{
    dag_t *dag = NULL;
    (void)context;
    (void)workflow;
    (void)version;
    return dag_new_for_agent(agent, &dag, err) == 0 ? dag : NULL;
}

static int read_blob(void *context, const uint8_t hash[DATUM_HASH_BYTES], struct bytes *ret_bytes,
                     struct err *err)
{
    (void)context;
    (void)hash;
    (void)ret_bytes;
    return err_set(err, ERR_NOT_FOUND, "there are no blobs");
}

/* A record again and again as events 1, 2, ...: each a size of two bytes, then so many bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct engine_config config = {.epoch = 1, .find_dag = find_dag, .read_blob = read_blob};
    engine_t *engine = engine_new(&config);
    struct arena arena = {0};
    struct uuid execution = {{1}};
    struct buf again = {0};
    struct event event;

    for (uint64_t last = 0; size >= 2;) {
        size_t record = (size_t)data[0] << 8 | data[1];
        data += 2;
        size -= 2;
        if (record > size)
            record = size;
        struct bytes bytes = bytes_of(data, record);
        if (journal_decode(&arena, execution, last + 1, bytes, &event, NULL) == 0)
            journal_encode(&event, &again);
        if (journal_fold(engine, &arena, execution, last, last + 1, bytes, NULL) == 0)
            last++;
        data += record;
        size -= record;
    }
    buf_release(&again);
    arena_release(&arena);
    engine_destroy(&engine);
    return 0;
}
